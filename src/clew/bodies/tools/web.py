"""Tools that make requests."""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

from clew.bodies.http import HttpClient, run_http
from clew.errors import InvalidInputError
from clew.graphs.bodies import HTTP_TIMEOUT_S
from clew.graphs.body_data import HttpBody
from clew.graphs.tools import tool


class Answered(TypedDict):
    """What a server answered; `body` is decoded if it is JSON."""

    status: int
    headers: dict[str, str]
    body: Any


def _would_request(method: str, url: str, **_: Any) -> str:
    return f"would request {method.upper()} {url}"


@tool(effects="none", read=(), write=(), network=None)
async def http_get(
    url: str,
    headers: dict[str, str] | None = None,
    params: dict[str, Any] | None = None,
    timeout_s: float = HTTP_TIMEOUT_S,
) -> Answered:
    """Get what lies at a URL; a status that is not 200 to 299 is an error.

    Args:
        url: where it lies.
        headers: of the request.
        params: of the query.
        timeout_s: limit of the request, in seconds.
    """
    return await _request("GET", timeout_s, url=url, headers=headers, params=params)


@tool(effects="unknown", read=(), write=(), network=None, dry_run=_would_request)
async def http_request(
    method: str,
    url: str,
    headers: dict[str, str] | None = None,
    params: dict[str, Any] | None = None,
    json: Any = None,
    text: str | None = None,
    timeout_s: float = HTTP_TIMEOUT_S,
) -> Answered:
    """Make an HTTP request; a status that is not 200 to 299 is an error.

    Args:
        method: the verb.
        url: where to.
        headers: of the request.
        params: of the query.
        json: sent as the body, as JSON.
        text: sent as the body, as it is.
        timeout_s: limit of the request, in seconds.
    """
    if json is not None and text is not None:
        raise InvalidInputError("json and text are both the body of the request; give one of them")
    return await _request(method, timeout_s, url=url, headers=headers, params=params, json=json, data=text)


async def _request(method: str, timeout_s: float, **inputs: Any) -> Answered:
    """Make a request on connections of its own, which end with it."""
    client = HttpClient()
    try:
        async with asyncio.timeout(timeout_s):
            answer = await run_http(HttpBody(method=method.upper()), inputs, client)
    except TimeoutError as error:
        raise TimeoutError(f"{method.upper()} {inputs['url']}: no answer within {timeout_s:g} s") from error
    finally:
        await client.aclose()
    return Answered(status=answer["status"], headers=answer["headers"], body=answer["body"])
