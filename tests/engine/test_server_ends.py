"""Servers that do not come up, and servers that must not stay."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from engine_kit import is_alive, turns
from servers_kit import HERE, error_of, of, raw, result_of

from clew import Engine, GraphError, Server, ToolServerError, server_tools
from clew.kernel.values import ErrorInfo


async def refused(*command: str, **options: float) -> ErrorInfo:
    """The error of a call of a tool of a server that is none."""
    server = Server(name="bad", command=command, **options)
    error = await error_of(of(server, "x"))
    with pytest.raises(ToolServerError) as raised:
        await server_tools(server)
    assert str(raised.value) == error.message
    return error


@pytest.mark.slow
async def test_programs_that_are_no_servers() -> None:
    nothing = await refused("no-such-program")
    assert (nothing.type, nothing.retryable) == ("tool not found", False)
    assert nothing.message == (
        "server bad: there is no program no-such-program; is it installed, and on the PATH?"
    )
    assert await refused("/no/such/program") == await refused("/no/such/program")
    died = await refused("/bin/sh", "-c", "echo oh dear >&2; exit 3")
    assert died.type == "system"
    assert died.message.endswith("has ended with exit code 3; its last words:\noh dear")
    echo = await refused("/bin/cat")
    assert "does not speak as a server of tools does: Method not found" in echo.message
    babble = await refused("/bin/sh", "-c", "while true; do echo hello; done")
    assert "it prints what is none of the protocol, and was ended" in babble.message
    assert babble.message.endswith("hello / hello / hello")


@pytest.mark.slow
async def test_a_program_that_says_nothing() -> None:
    silent = await refused("/bin/sh", "-c", "echo welcome; sleep 1000", connect_s=0.1)
    assert silent.type == "timeout"
    assert silent.message == (
        "server bad: it has not come up within 0.1 s (connect_s); is it a server of tools?; "
        "it printed what is no message of the protocol: welcome"
    )


async def test_servers_whose_list_of_tools_is_wrong() -> None:
    with pytest.raises(
        ToolServerError, match=r"server raw: its list of tools does not end \(9 tools in \d+ pages"
    ):
        await server_tools(raw("endless"))
    with pytest.raises(ToolServerError, match="server raw: it has no tools"):
        await server_tools(raw("toolless"))


async def test_servers_that_are_not_described_well() -> None:
    with pytest.raises(GraphError) as raised:
        await server_tools(Server(name="a b"), Server(name="c", url="ftp://x", headers={"A": "b"}))
    assert raised.value.problems == [
        "a b: 'a b' cannot be its name: letters, digits, _ and -, and at most 32",
        "a b: it has either a command, which is started, or a url; give one of them",
        "c.url: 'ftp://x' is not an address that begins with http:// or https://",
    ]


async def test_an_engine_does_not_wait_for_servers_that_do_not_come_up() -> None:
    silent = Server(name="silent", command=("/bin/sh", "-c", "read line; echo; sleep 1000"), connect_s=1000.0)
    async with Engine("memory:") as engine:
        calling = asyncio.create_task(result_of(of(silent, "x"), engine=engine))
        await asyncio.sleep(0)
    with pytest.raises(Exception, match="engine"):
        await calling


async def test_of_many_servers_those_are_ended_that_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew.bodies.servers.pool.KEPT", 2)
    async with Engine("memory:") as engine:
        first, second, third = (of(raw(name=name), "who") for name in ("a", "b", "c"))
        pids = [int(await result_of(each, engine=engine)) for each in (first, second, first, third)]
        await turns(lambda: not is_alive(pids[1]))
        assert pids[0] == pids[2] == int(await result_of(first, engine=engine))


@pytest.mark.slow
async def test_nothing_is_left_when_the_engine_is_closed() -> None:
    stubborn = Server(name="stubborn", command=("/bin/sh", "-c", "trap '' TERM; sleep 1000 & cat; wait"))
    async with Engine("memory:") as engine:
        pid = int(await result_of(of(raw(), "who"), engine=engine))
        await error_of(of(stubborn, "x"), engine=engine)
    assert not is_alive(pid)


async def test_the_library_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)  # as the import system marks what is not there
    monkeypatch.setattr("clew.bodies.servers.find_spec", lambda _: None)
    with pytest.raises(Exception, match=r"server raw: .* not installed: pip install 'clew\[mcp\]'"):
        await server_tools(raw())
    async with Engine("memory:") as engine:
        with pytest.raises(Exception, match=r"pip install 'clew\[mcp\]'"):
            await result_of(of(raw(), "who"), engine=engine)


PROGRAM = f"""
import asyncio, sys
sys.path.insert(0, {str(HERE)!r})
from servers_kit import of, raw
from clew import Engine, Graph, call

async def main():
    g = Graph("g")
    who = g.add(call(of(raw(), "who")), id="who")
    g.add(call(of(raw(), "hang"), folder=sys.argv[1]), depends_on=[who])
    async with Engine("memory:") as engine:
        await (await engine.start(g)).result()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_nothing_is_left_when_the_engine_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, str(script), str(tmp_path)]) as program:  # noqa: ASYNC220 - it is killed
        await turns((tmp_path / "begun").exists)
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        servers = [int(pid) for pid in children if b"raw_server.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(servers) == 1
        program.send_signal(signal.SIGKILL)
        await turns(lambda: not is_alive(servers[0]))


async def test_a_call_that_is_cut_off_by_the_end_of_its_engine(tmp_path: Path) -> None:
    server = raw(env={"FOLDER": str(tmp_path)})
    async with Engine("memory:") as engine:
        calling = asyncio.create_task(result_of(of(server, "hang"), engine=engine, folder=str(tmp_path)))
        await turns((tmp_path / "begun").exists)
    with pytest.raises(Exception, match="engine"):
        await calling
