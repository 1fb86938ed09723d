"""HTTP nodes against a real server on the loopback interface."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from clew.bodies import http as http_module
from clew.bodies.errors import BodyError
from clew.bodies.http import HttpClient, run_http
from clew.errors import InvalidInputError
from clew.graphs.body_data import HttpBody
from clew.kernel.values import ErrorInfo


class Server:
    """Answers as it is told and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.connections = 0
        self.answers: dict[str, bytes] = {}
        self.held = asyncio.Event()  #: somebody asks for what is never answered
        self.url = ""

    def answer(self, path: str, body: bytes = b"", status: str = "200 OK", **headers: str) -> str:
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.answers[path] = "\r\n".join([*lines, "", ""]).encode() + body
        return self.url + path

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {n.lower(): v for line in head[1:] if line for n, v in [line.split(": ", 1)]}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((method, path, headers, body))
                found = self.answers.get(path.partition("?")[0])
                if found is None:
                    self.held.set()
                    await reader.read()  # until the client gives up
                    return
                writer.write(found)
                await writer.drain()


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, HttpClient]]:
    server, client = Server(), HttpClient()
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server, client
    finally:
        await client.aclose()
        listening.close()
        await listening.wait_closed()


def play(scene: Callable[[Server, HttpClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving() as (server, client):
            await scene(server, client)

    asyncio.run(main())


async def refused(client: HttpClient, body: HttpBody, **inputs: Any) -> ErrorInfo:
    with pytest.raises(BodyError) as caught:
        await run_http(body, inputs, client)
    return caught.value.info


def test_what_is_sent() -> None:
    async def scene(server: Server, client: HttpClient) -> None:
        url = server.answer("/a", b'{"ok":true}', content_type="application/json; charset=utf-8", x_more="1")
        body = HttpBody(method="POST", headers={"X-Fixed": "1", "X-Both": "fixed"})
        headers = {"X-Both": "given", "Authorization": "Bearer t"}
        out = await run_http(
            body, {"url": url, "params": {"q": ["1", "2"]}, "json": {"a": 1}, "headers": headers}, client
        )
        assert out == {
            "status": 200,
            "headers": {"content-length": "11", "content-type": "application/json; charset=utf-8", "x-more": "1"},
            "body": {"ok": True},
        }
        method, path, sent, content = server.requests[0]
        assert (method, path, content) == ("POST", "/a?q=1&q=2", b'{"a":1}')
        assert sent["content-type"] == "application/json"
        assert (sent["x-fixed"], sent["x-both"], sent["authorization"]) == ("1", "given", "Bearer t")
        await run_http(body, {"url": url, "data": {"k": "v"}}, client)
        await run_http(body, {"url": url, "data": "text"}, client)
        await run_http(HttpBody(), {"url": url}, client)
        assert [(r[0], r[3]) for r in server.requests[1:]] == [("POST", b"k=v"), ("POST", b"text"), ("GET", b"")]
        assert server.connections == 1  # kept between requests

    play(scene)


def test_what_becomes_of_the_answer() -> None:
    async def scene(server: Server, client: HttpClient) -> None:
        async def body_of(parse: str, content: bytes, **headers: str) -> Any:
            url = server.answer("/a", content, **headers)
            return (await run_http(HttpBody(parse=parse), {"url": url}, client))["body"]  # type: ignore[arg-type]

        assert await body_of("auto", b"[1]", content_type="application/problem+json") == [1]
        assert await body_of("auto", b"[1]", content_type="text/plain") == "[1]"
        assert await body_of("json", b"[1]", content_type="text/plain") == [1]
        assert await body_of("text", b"[1]", content_type="application/json") == "[1]"
        assert await body_of("text", b"\xe9", content_type="text/plain; charset=latin-1") == "é"
        assert await body_of("auto", b"\xe9", content_type="text/plain; charset=latin-1") == "é"
        assert await body_of("auto", b"\xe9", content_type="text/plain; charset=nonsense") == b"\xe9"
        assert await body_of("auto", b"\x89PNG\xff", content_type="image/png") == b"\x89PNG\xff"
        assert await body_of("auto", b"", content_type="application/json") is None
        assert await body_of("json", b"") is None
        assert await body_of("text", b"") == ""
        url = server.answer("/a", b"<html>", content_type="text/html")
        info = await refused(client, HttpBody(parse="json"), url=url)
        assert info.type == "invalid output"
        assert "text/html" in info.message
        assert "<html>" in info.message

    play(scene)


def test_refusals() -> None:
    async def scene(server: Server, client: HttpClient) -> None:
        url = server.answer("/a", b"too busy" * 1000, "503 Service Unavailable", retry_after="7")
        info = await refused(client, HttpBody(), url=url.replace("//", "//user:pass@"))
        assert info.type == "http 503"
        assert info.classes == ("HTTPStatusError", "HTTPError", "Exception")
        assert info.retryable is None
        assert info.retry_after_s == 7
        assert info.message.startswith(f"GET {url}: 503 Service Unavailable: too busy")
        assert len(info.message) < 700
        url = server.answer(
            "/a",
            b"",
            "429 Too Many Requests",
            retry_after="Wed, 21 Oct 2026 07:29:00 GMT",
            date="Wed, 21 Oct 2026 07:28:00 GMT",
        )
        assert (await refused(client, HttpBody(), url=url)).retry_after_s == 60
        url = server.answer("/a", b"", "404 Not Found")
        assert (await run_http(HttpBody(ok_statuses=(200, 404)), {"url": url}, client))["status"] == 404
        url = server.answer("/a", b"", "204 No Content")
        assert (await refused(client, HttpBody(ok_statuses=(200,)), url=url)).type == "http 204"

    play(scene)


def test_redirects_are_followed_and_cookies_are_not_kept() -> None:
    async def scene(server: Server, client: HttpClient) -> None:
        url = server.answer("/a", b"", "302 Found", location="/b", set_cookie="session=1")
        server.answer("/b", b"here", set_cookie="other=2")
        assert (await run_http(HttpBody(), {"url": url}, client))["body"] == "here"
        assert (await run_http(HttpBody(), {"url": url}, client))["body"] == "here"
        assert not [headers for _, _, headers, _ in server.requests if "cookie" in headers]

    play(scene)


def test_no_answer() -> None:
    async def scene(server: Server, client: HttpClient) -> None:
        async with serving() as (closed, _):
            pass
        info = await refused(client, HttpBody(method="PUT"), url=closed.url)
        assert info.type == "ConnectError"
        assert "TransportError" in info.classes
        assert info.message.startswith(f"PUT {closed.url}: ")
        server.answers["/cut"] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab" + b"c" * 3 + b"garbage"
        server.answers["/bad"] = b"nonsense\r\n\r\n"
        assert (await refused(client, HttpBody(), url=f"{server.url}/bad")).type == "RemoteProtocolError"

    play(scene)


def test_inputs_that_make_no_request() -> None:
    async def scene(server: Server, client: HttpClient) -> None:
        for inputs in (
            {"url": "no address"},
            {"url": "ftp://a.example/x"},
            {"url": "http://"},
            {"url": "http://a:port/"},
            {},
            {"url": server.url, "data": 5},
        ):
            with pytest.raises(InvalidInputError):
                await run_http(HttpBody(), inputs, client)
        assert server.connections == 0

    play(scene)


def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "MAX_ANSWER", 1000)

    async def scene(server: Server, client: HttpClient) -> None:
        info = await refused(client, HttpBody(), url=server.answer("/a", b"x" * 1001))
        assert (info.type, info.retryable) == ("output too large", False)
        assert "1,000 bytes" in info.message

    play(scene)


def test_cancelled_while_waiting() -> None:
    async def scene(server: Server, client: HttpClient) -> None:
        task = asyncio.create_task(run_http(HttpBody(), {"url": f"{server.url}/never"}, client))
        await server.held.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(scene)


def test_each_loop_has_its_client() -> None:
    client = HttpClient()

    async def once() -> object:
        first, again = client.client(), client.client()
        assert first is again
        await client.aclose()
        await client.aclose()
        return first

    assert asyncio.run(once()) is not asyncio.run(once())


def test_the_result_can_be_stored() -> None:
    async def scene(server: Server, client: HttpClient) -> None:
        out = await run_http(HttpBody(), {"url": server.answer("/a", b"\x00\xff")}, client)
        assert msgspec.json.decode(msgspec.json.encode(out))["body"] == "AP8="

    play(scene)
