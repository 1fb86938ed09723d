"""What the tests of tools of servers share: programs, and such as answer over HTTP in the test."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from engine_kit import seen

from clew import Engine, Graph, RunFailedError, Server, Tool, call
from clew.kernel import events as e
from clew.kernel.values import ErrorInfo

HERE = Path(__file__).parent
App = Callable[..., Awaitable[None]]


def raw(*wrong: str, **options: Any) -> Server:
    """The server by hand."""
    command = (sys.executable, "-S", "-E", str(HERE / "raw_server.py"), *wrong)
    return Server(**{"name": "raw", "command": command, **options})


def library() -> Server:
    """The server that is made with the library."""
    return Server(name="lib", command=(sys.executable, str(HERE / "library_server.py")), trusted=True)


def of(server: Server, name: str) -> Tool:
    """A tool of a server that was not asked what it takes."""
    return Tool(name=f"{server.name}.{name}", server=server, remote=name)


async def result_of(tool: Tool, *, engine: Engine | None = None, **arguments: Any) -> Any:
    """What a node returns that calls a tool."""
    g = Graph("g")
    g.add(call(tool, **arguments), id="n")
    if engine is not None:
        return (await (await engine.start(g)).result())["n"]
    async with Engine("memory:") as own:
        return (await (await own.start(g)).result())["n"]


async def error_of(
    tool: Tool, *, engine: Engine | None = None, options: Any = None, **arguments: Any
) -> ErrorInfo:
    """The error of a node that calls a tool."""
    g = Graph("g")
    g.add(call(tool, **arguments), id="n", **(options or {}))
    if engine is None:
        async with Engine("memory:") as own:
            return await _error(g, own)
    return await _error(g, engine)


async def _error(graph: Graph, engine: Engine) -> ErrorInfo:
    run = await engine.start(graph)
    with pytest.raises(RunFailedError):
        await run.result()
    return (await seen(run, e.NodeFailed, "n")).error


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[str]:
    """Serve an ASGI application in this loop; its address."""
    import uvicorn

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=0, lifespan="off"))
    server.capture_signals = nullcontext
    begun = asyncio.Event()
    startup = server.startup

    async def start(*args: Any, **options: Any) -> None:
        await startup(*args, **options)
        begun.set()

    server.startup = start
    task = asyncio.create_task(server.serve(sockets=[listening]))
    await begun.wait()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await task
        listening.close()


async def answer(send: App, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
    """Answer a request."""
    fields = {"content-type": kind, **headers}
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


async def asked(receive: App) -> dict[str, Any]:
    """What a request asks for."""
    body = b""
    while True:
        part: Any = await receive()
        body += part.get("body", b"")
        if not part.get("more_body"):
            return json.loads(body) if body else {}
