"""Make an HTTP request for a node.

Result: ``{"status": 200, "headers": {...}, "body": ...}`` with header names in small letters. The body is
parsed JSON or text; under ``parse="auto"`` what is neither is bytes (stored as Base64).

There are no time limits here: that of the attempt covers connecting, sending and receiving alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import msgspec

from clew.bodies import metering
from clew.bodies.errors import BodyError, error_info, retry_after_s
from clew.errors import InvalidInputError
from clew.graphs.body_data import HttpBody
from clew.graphs.permissions import may_connect
from clew.kernel.values import ErrorInfo

if TYPE_CHECKING:
    import httpx

#: Of a request: where it may go.
_NETWORK = "clew.network"
#: Bytes of an answer; a longer one fails the node while it is received.
MAX_ANSWER = 64_000_000
#: Characters of a refusal's body that are told.
_TOLD = 500


class HttpClient:
    """Keeps connections between requests, apart for each event loop; one for an engine. Close it in the end."""

    def __init__(self) -> None:
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()

    def client(self) -> httpx.AsyncClient:
        """The client of the running loop."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            # Imported here: it costs 0.1 s, and few programs make requests by nodes.
            from http.cookiejar import CookieJar, DefaultCookiePolicy  # noqa: PLC0415

            import httpx  # noqa: PLC0415

            # What one run is given must not be sent by another.
            no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
            client = httpx.AsyncClient(
                timeout=None,  # noqa: S113 - see above
                follow_redirects=True,
                cookies=no_cookies,
                event_hooks={"request": [_look]},
            )
            self._clients[loop] = client
        return client

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()


async def _look(request: httpx.Request) -> None:
    """Refuse a request that goes where it may not; redirections are asked about as well."""
    network = request.extensions.get(_NETWORK)
    port = request.url.port or {"http": 80, "https": 443}.get(request.url.scheme, 0)
    if not may_connect(network, request.url.host, port):
        some = ", ".join(network or ()) or "nothing"
        raise PermissionError(
            f"{request.method} {request.url.host}:{port}: it may connect to {some} only; add it to the network "
            "that is granted"
        )


async def run_http(body: HttpBody, inputs: Mapping[str, Any], client: HttpClient) -> dict[str, Any]:
    """Make the request of an HTTP node.

    Args:
        body: how it is made.
        inputs: ``url``, and perhaps ``params``, ``json``, ``data``, ``headers``; decoded and resolved.
        client: keeps the connections.

    Raises:
        BodyError: ``http STATUS`` for a status that is not success (with `retry_after_s` if the server said so);
            the name of httpx's error class when there was no answer; ``invalid output`` for a body that is not
            what `parse` says; ``output too large``.
        InvalidInputError: the inputs do not make a request.
    """
    import httpx  # noqa: PLC0415

    http = client.client()
    request = _request(http, body, inputs)
    told = f"{request.method} {request.url.copy_with(userinfo=b'')}"
    metering.request()
    if body.network is not None:
        request.extensions[_NETWORK] = body.network
    try:
        answer = await http.send(request, stream=True)
        try:
            content = await _receive(answer, told)
        finally:
            await answer.aclose()
    except httpx.RequestError as error:
        info = error_info(error)
        why = info.message or "no more is known"
        raise BodyError(
            ErrorInfo(type=info.type, message=f"{told}: {why}", classes=info.classes, traceback=info.traceback)
        ) from error
    ok = answer.status_code in body.ok_statuses if body.ok_statuses else answer.is_success
    if not ok:
        raise _refusal(answer, content, told)
    return {
        "status": answer.status_code,
        "headers": dict(answer.headers.items()),
        "body": _parsed(body, answer, content, told),
    }


def _request(http: httpx.AsyncClient, body: HttpBody, inputs: Mapping[str, Any]) -> httpx.Request:
    import httpx  # noqa: PLC0415

    given = inputs.get("headers")
    headers = {**body.headers, **(cast("dict[str, Any]", given) if isinstance(given, dict) else {})}
    sent: dict[str, Any] = {}
    if (json := inputs.get("json")) is not None:
        sent["content"] = msgspec.json.encode(json)
        headers = {"content-type": "application/json", **{k.lower(): v for k, v in headers.items()}}
    elif (data := inputs.get("data")) is not None:
        sent["data" if isinstance(data, dict) else "content"] = data
    try:
        request = http.build_request(
            body.method,
            str(inputs.get("url", "")),
            params=inputs.get("params"),
            headers={name: str(value) for name, value in headers.items()},
            **sent,
        )
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        raise InvalidInputError(f"the inputs do not make a request: {error}") from None
    if not request.url.host or request.url.scheme not in {"http", "https"}:
        raise InvalidInputError(
            f"url: {str(request.url)!r} is not an address that begins with http:// or https://"
        )
    return request


async def _receive(answer: httpx.Response, told: str) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER:
            raise _error(
                "output too large", f"{told}: the answer is longer than {MAX_ANSWER:,} bytes", retryable=False
            )
    return bytes(content)


def _refusal(answer: httpx.Response, content: bytes, told: str) -> BodyError:
    text = content[: 4 * _TOLD].decode(answer.encoding or "utf-8", errors="replace").strip()[:_TOLD]
    said = f"{told}: {answer.status_code} {answer.reason_phrase}".rstrip()
    return _error(
        f"http {answer.status_code}",
        f"{said}: {text}" if text else said,
        "HTTPStatusError",
        "HTTPError",
        retry_after=retry_after_s(answer.headers),
    )


def _parsed(body: HttpBody, answer: httpx.Response, content: bytes, told: str) -> Any:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or kind.endswith("+json")
    if not content:
        return None if body.parse == "json" or (is_json and body.parse == "auto") else ""
    if body.parse == "json" or (is_json and body.parse == "auto"):
        try:
            return msgspec.json.decode(content)
        except msgspec.DecodeError as error:
            start = content[:200].decode(errors="replace")
            said = f"{told}: the answer ({kind or 'of no type'}) is not JSON ({error}): {start!r}"
            raise _error("invalid output", said, "ValueError") from None
    if body.parse == "text":
        return content.decode(answer.encoding or "utf-8", errors="replace")
    try:
        return content.decode(answer.charset_encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return content


def _error(
    kind: str, message: str, *classes: str, retryable: bool | None = None, retry_after: float | None = None
) -> BodyError:
    return BodyError(
        ErrorInfo(
            type=kind,
            message=message,
            classes=(*classes, "Exception"),
            retryable=retryable,
            retry_after_s=retry_after,
        )
    )
