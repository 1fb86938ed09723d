"""PL5: nodes that call tools of servers over HTTP, by a real engine; most answer in the loop of the test."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from engine_kit import turns
from servers_kit import HERE, App, answer, asked, error_of, of, result_of, serving

from clew import Engine, Server, server_tools
from clew.kernel.values import ErrorInfo

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("echo", "cut", "wait", "fall")]


class Sessions:
    """A server of the edition that has sessions, each opened by ``initialize``."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.known: set[str] = set()
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.waits = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, scope: Any, receive: App, send: App) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.headers.append(headers)
        message = await asked(receive) if scope["method"] == "POST" else {}
        method, number = message.get("method", scope["method"]), message.get("id")
        self.asked.append(method)
        if method == "initialize":
            self.opened.append(f"s{len(self.opened)}")
            self.known.add(self.opened[-1])
            result: Any = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
            result["serverInfo"] = {"name": "sessions", "version": "1"}
            await reply(send, number, result, mcp_session_id=self.opened[-1])
        elif method == "server/discover" or scope["method"] == "GET":
            await answer(send, 405, b"")
        elif headers.get("mcp-session-id") not in self.known:
            await answer(send, 404, b"")
        elif method == "tools/list":
            await reply(send, number, {"tools": TOOLS})
        elif method == "tools/call":
            await self.call(send, number, **message["params"])
        else:
            self.cancelled.set() if method == "notifications/cancelled" else None
            await answer(send, 202, b"")

    async def call(self, send: App, number: Any, name: str, arguments: Any, **_: Any) -> None:
        if name == "cut":
            start = {"type": "http.response.start", "status": 200}
            await send({**start, "headers": [(b"content-type", b"application/json"), (b"content-length", b"99")]})
            await send({"type": "http.response.body", "body": b"{", "more_body": False})
        elif name == "fall":
            await answer(send, 503, b"come back later", "text/plain", retry_after="7")
        elif name == "wait":
            self.waits.set()
            await asyncio.Event().wait()
        else:
            await reply(send, number, {"content": [{"type": "text", "text": json.dumps(arguments)}]})


async def reply(send: App, number: Any, result: Any, **headers: str) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode()
    await answer(send, 200, body, **headers)


async def test_calls_in_one_session() -> None:
    app = Sessions()
    async with serving(app) as address, Engine("memory:", secrets={"KEY": "very-secret"}) as engine:
        server = Server(name="web", url=f"{address}/mcp", headers={"Authorization": "Bearer secret://KEY"})
        assert await result_of(of(server, "echo"), engine=engine, a=1) == '{"a": 1}'
        assert await result_of(of(server, "echo"), engine=engine, a=2) == '{"a": 2}'
        assert len(app.opened) == 1
        posts = [headers for headers in app.headers if "content-length" in headers]
        assert {headers["authorization"] for headers in posts} == {"Bearer very-secret"}
        app.known.clear()  # as after a restart
        assert await result_of(of(server, "echo"), engine=engine, a=3) == '{"a": 3}'
        assert len(app.opened) == 2
    assert app.asked[-1] == "DELETE"  # it has said good-bye


@pytest.mark.slow
async def test_calls_that_fail() -> None:
    app = Sessions()
    async with serving(app) as address, Engine("memory:") as engine:
        server = Server(name="web", url=f"{address}/mcp")
        cut = await error_of(of(server, "cut"), engine=engine)
        assert (cut.type, "its answer broke off" in cut.message) == ("network", True)
        later = await error_of(of(server, "fall"), engine=engine)
        assert (later.type, later.retry_after_s, "http 503" in later.classes) == ("network", 7.0, True)
        assert "answers 503 Service Unavailable: come back later" in later.message
        late = await error_of(of(server, "wait"), engine=engine, options={"timeout": 0.05})
        assert (late.type, app.waits.is_set()) == ("timeout", True)
        await app.cancelled.wait()
        assert await result_of(of(server, "echo"), engine=engine) == "{}"
        assert len(app.opened) == 1


@pytest.mark.slow
async def test_a_server_that_forgets_every_session() -> None:
    app = Sessions()
    app.call = lambda send, number, **_: answer(send, 404, b"")
    async with serving(app) as address:
        error = await error_of(of(Server(name="web", url=f"{address}/mcp"), "echo"))
    assert (error.type, "answers 404 Not Found" in error.message) == ("tool failed", True)
    assert len(app.opened) == 3


async def refused(app: App, path: str = "/mcp", **options: Any) -> ErrorInfo:
    async with serving(app) as address:
        return await error_of(of(Server(name="bad", url=f"{address}{path}", **options), "x"))


def always(status: int, body: bytes, kind: str = "text/plain", **headers: str) -> App:
    async def app(scope: Any, receive: App, send: App) -> None:
        await answer(send, status, body, kind, **headers)

    return app


@pytest.mark.slow
async def test_what_does_not_let_us_in() -> None:
    who = await refused(always(401, b"who are you?"))
    assert (who.type, who.retryable) == ("permission denied", False)
    assert "answers 401 Unauthorized: who are you?; give it headers" in who.message
    assert (await refused(always(429, b"", retry_after="3"))).retry_after_s == 3.0
    nothing = await refused(always(404, b""))
    assert (nothing.type, nothing.message.endswith("is the path right? It often ends in /mcp")) == (
        "tool failed",
        True,
    )


@pytest.mark.slow
async def test_what_is_no_server_of_tools() -> None:
    page = await refused(always(200, b"<html>", "text/html"))
    assert "does not speak as a server of tools does: Unexpected content type: text/html" in page.message
    other = await refused(always(200, b'{"a": 1}', "application/json"))
    assert "Failed to parse JSON response" in other.message
    assert "\n" not in other.message
    packed = await refused(always(200, b"?", "application/json", content_encoding="gzip"))
    assert "its answer is packed, which it was not asked for" in packed.message
    away = await refused(always(307, b"", "text/plain", location="http://169.254.169.254/"))
    assert "Redirect to http://169.254.169.254/ not followed" in away.message


@pytest.mark.slow
async def test_answers_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew.bodies.servers.requesting.MAX_ANSWER", 10_000)
    huge = await refused(always(200, b" " * 20_000, "application/json"))
    assert (huge.type, huge.retryable) == ("resource exhausted", False)
    assert "more than 10,000 bytes" in huge.message


@pytest.mark.slow
async def test_a_server_that_does_not_answer() -> None:
    async def hang(scope: Any, receive: App, send: App) -> None:
        await asyncio.Event().wait()

    silent = await refused(hang, connect_s=0.1)
    assert silent.type == "timeout"
    async with serving(hang) as address:
        pass
    gone = await error_of(of(Server(name="gone", url=address), "x"))
    assert (gone.type, gone.retryable) == ("network", None)
    assert gone.message.endswith("is it running, and is the address right?")


PROGRAM = f"""
import socket, sys
sys.path.insert(0, {str(HERE)!r})
import uvicorn
from library_server import server
listening = socket.socket()
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.bind(("127.0.0.1", int(sys.argv[1])))
listening.listen()
print(listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="error")).run(sockets=[listening])
"""


def started(port: int = 0) -> tuple[subprocess.Popen[bytes], int]:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert program.stdout is not None
    return program, int(program.stdout.readline())


def ended(program: subprocess.Popen[bytes]) -> None:
    program.kill()
    program.wait()
    assert program.stdout is not None
    program.stdout.close()


@pytest.mark.slow
async def test_a_server_made_with_the_library_over_http(tmp_path: Path) -> None:
    program, port = started()
    server = Server(name="lib", url=f"http://127.0.0.1:{port}/mcp", trusted=True)
    try:
        tools = await server_tools(server)
        assert tools.get("lib.add").effects == "none"
        async with Engine("memory:") as engine:
            assert await result_of(tools.get("lib.add"), engine=engine, a=2) == {"sum": 3}
            calling = asyncio.create_task(error_of(tools.get("lib.slow"), engine=engine, folder=str(tmp_path)))
            await turns((tmp_path / "begun").exists)
            ended(program)
            assert (await calling).type == "network"
            assert (await error_of(tools.get("lib.add"), engine=engine, a=2)).type == "network"
            program, _ = started(port)
            assert await result_of(tools.get("lib.add"), engine=engine, a=3) == {"sum": 4}
            (tmp_path / "begun").unlink()
            limit = {"timeout": 0.5}
            late = await error_of(tools.get("lib.slow"), engine=engine, options=limit, folder=str(tmp_path))
            assert late.type == "timeout"
            await turns((tmp_path / "cancelled").exists)
    finally:
        ended(program)
