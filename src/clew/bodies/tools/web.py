"""Tools that make requests."""

from __future__ import annotations

from typing import Any, TypedDict

import httpx

from clew.graphs.tools import tool


class Answered(TypedDict):
    """What a server answered; `body` is decoded if it is JSON."""

    status: int
    headers: dict[str, str]
    body: Any


def _would_request(method: str, url: str, **_: Any) -> str:
    return f"would request {method.upper()} {url}"


@tool(effects="unknown", read=(), write=(), network=None, dry_run=_would_request)
async def http_request(
    method: str,
    url: str,
    headers: dict[str, str] | None = None,
    params: dict[str, Any] | None = None,
    json: Any = None,
    text: str | None = None,
    timeout_s: float = 60.0,
) -> Answered:
    """Make an HTTP request; a status of 400 or more is an error.

    Args:
        method: the verb.
        url: where to.
        headers: of the request.
        params: of the query.
        json: sent as the body, as JSON.
        text: sent as the body, as it is.
        timeout_s: limit of the request, in seconds.
    """
    async with httpx.AsyncClient(timeout=timeout_s, follow_redirects=True) as client:
        answer = await client.request(method.upper(), url, headers=headers, params=params, json=json, content=text)
    answer.raise_for_status()
    is_json = "json" in answer.headers.get("content-type", "")
    return {
        "status": answer.status_code,
        "headers": dict(answer.headers),
        "body": answer.json() if is_json else answer.text,
    }
