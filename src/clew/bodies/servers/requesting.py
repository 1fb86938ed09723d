"""Speak with a server over HTTP, and remember what the library does not tell.

The library makes one error of all answers with a status of 400 or more, and ends its session when a server is not
reached. So its client is one of ours: what happened to a request is noted where the caller of it can read it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp.client import Transport
from mcp.client.streamable_http import streamable_http_client

from clew.bodies.errors import BodyError, retry_after_s
from clew.bodies.servers.faults import fault, refused, unreachable
from clew.graphs.servers import Server

#: Bytes of one answer, and of one message of a stream of them.
MAX_ANSWER = 64_000_000
#: How long a server may take to answer that a session is over, in seconds.
_GOODBYE_S = 2.0
#: Refused for what the request is, and not for what it asks: told by the status, whatever else the answer says.
_PLAIN_REFUSALS = frozenset((401, 403, 407, 408, 413, 429, 502, 503, 504))


@dataclass(slots=True)
class Answer:
    """What has become of the last request that was made in a context.

    Attributes:
        status: of the answer; 0 if there is none yet.
        error: why there is none, or not all of it.
    """

    status: int = 0
    error: Exception | None = None
    _reason: str = ""
    _text: str = ""
    _retry_after_s: float | None = None
    _is_of_protocol: bool = False

    def note(self, response: httpx2.Response) -> None:
        """Take down a refusal, which has been read."""
        self._reason = response.reason_phrase
        self._text = response.text
        self._retry_after_s = retry_after_s(response.headers)
        try:
            said: Any = json.loads(self._text)
        except ValueError:
            said = None
        self._is_of_protocol = isinstance(said, dict) and "jsonrpc" in said and "error" in said

    def fault(self, server: Server) -> BodyError | None:
        """What went wrong below the protocol; None if nothing did."""
        if isinstance(self.error, BodyError):
            return self.error
        if self.error is not None:
            return unreachable(server, self.error, has_begun=self.status != 0)
        if self.status >= 400 and (self.status in _PLAIN_REFUSALS or not self._is_of_protocol):
            return refused(server, self.status, self._reason, self._text, self._retry_after_s)
        return None


#: The library runs each request in the context of whoever asked for it.
_ANSWER: ContextVar[Answer | None] = ContextVar("answer of a server", default=None)


def listen() -> Answer:
    """What becomes of the requests that are made in this context from now on."""
    answer = Answer()
    _ANSWER.set(answer)
    return answer


def at_url(server: Server, client: httpx2.AsyncClient) -> Transport:
    """The library's transport to a server."""
    opened: AbstractAsyncContextManager[Any] = streamable_http_client(
        server.url, http_client=client, max_sse_event_size=MAX_ANSWER
    )
    return opened


class HttpSender(httpx2.AsyncClient):
    """Sends the requests to one server; used as a context manager.

    Args:
        server: which one.
        headers: of all requests, filled.
    """

    def __init__(self, server: Server, headers: Mapping[str, str]) -> None:
        # The time of a call is limited by its node: an answer may take as long as the tool does.
        limits = httpx2.Timeout(None, connect=server.connect_s)
        # An answer that is packed may be a thousand times as large as what comes over the line.
        super().__init__(headers={"accept-encoding": "identity", **headers}, timeout=limits)
        self._server = server

    async def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool = False,
        auth: Any = httpx2.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx2.USE_CLIENT_DEFAULT,
    ) -> httpx2.Response:
        """Send a request; of one that cannot be sent the answer is 502, and the reason is noted."""
        if request.method == "DELETE":  # says good-bye
            request.extensions["timeout"] = httpx2.Timeout(_GOODBYE_S).as_dict()
        answer = (_ANSWER.get() if request.method == "POST" else None) or Answer()
        answer.status, answer.error = 0, None
        try:
            response = await super().send(request, stream=True, auth=auth, follow_redirects=follow_redirects)
            if response.headers.get("content-encoding", "identity") != "identity":
                await response.aclose()
                said = "its answer is packed, which it was not asked for"
                raise fault(self._server, "invalid output", said, "ValueError")
            response.stream = _Watched(response, answer, self._server)
            answer.status = response.status_code
            if response.status_code >= 400:
                await response.aread()
                answer.note(response)
            elif not stream:
                await response.aread()
        except (httpx2.TransportError, httpx2.StreamError, BodyError) as error:
            if answer.error is None:
                answer.error = error
            return httpx2.Response(502, request=request)
        return response


class _Watched(httpx2.AsyncByteStream):
    """An answer as it comes, no longer than it may be; where it breaks off, that is noted."""

    def __init__(self, response: httpx2.Response, answer: Answer, server: Server) -> None:
        self._response = response
        self._inner: Any = response.stream
        self._answer = answer
        self._server = server

    async def __aiter__(self) -> AsyncIterator[bytes]:
        is_endless = self._response.headers.get("content-type", "").lower().startswith("text/event-stream")
        size = 0
        try:
            async for part in self._inner:
                size += len(part)
                if size > MAX_ANSWER and not is_endless:
                    said = f"its answer has more than {MAX_ANSWER:,} bytes; ask it for less at once"
                    raise fault(self._server, "output too large", said, retryable=False)
                yield part
        except (httpx2.TransportError, BodyError) as error:
            self._answer.error = error
            raise httpx2.StreamError(str(error)) from error

    async def aclose(self) -> None:
        await self._inner.aclose()
