"""PL5: nodes that call tools of servers which are programs, by a real engine."""

import asyncio
import os
from pathlib import Path

import pytest
from engine_kit import history, is_alive, seen, turns
from servers_kit import error_of, library, of, raw, result_of

from clew import Engine, Graph, Retry, Run, RunFailedError, call, fixed, item, server_tools
from clew.engine.discovery import ask_servers
from clew.engine.stream_items import NodeProgress, NodeStarted
from clew.kernel import events as e

RAW = raw()


async def test_answers_of_each_kind() -> None:
    async with Engine("memory:") as engine:
        assert await result_of(of(RAW, "echo"), engine=engine, text="é {{ '\u2028' }}") == "é \u2028"
        assert await result_of(of(RAW, "told"), engine=engine) == "a\nb"
        assert await result_of(of(RAW, "structured"), engine=engine) == {"a": [1, None, 2.5, "é"]}
        assert await result_of(of(RAW, "empty"), engine=engine) is None
        assert await result_of(of(RAW, "pieces"), engine=engine) == [
            {"type": "text", "text": "a"},
            {"type": "resource_link", "name": "n", "uri": "file:///n"},
        ]


async def test_one_connection_for_all_calls_of_an_engine() -> None:
    g = Graph("g")
    g.map(call(of(RAW, "who"), n=item), over=[1, 2, 3], id="all")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        pids = {int(pid) for pid in (await run.result())["all"]}
        again = await result_of(of(RAW, "who"), engine=engine)
        assert pids == {int(again)}
        assert is_alive(int(again))
        assert await invocations(run) == 3
    assert not is_alive(int(again))


async def invocations(run: Run) -> float:
    events = [each.event for each in await history(run)]
    return sum(each.used.get("tool_invocations", 0.0) for each in events if isinstance(each, e.UsageRecorded))


async def test_tools_that_a_server_has_told() -> None:
    tools = await server_tools(RAW)
    assert [*ask_servers(RAW)] == [*tools]
    assert len(tools) == 18
    assert tools.get("raw.echo").description == "Does echo."
    wrong = Graph("wrong")
    wrong.add(call(tools.get("raw.echo"), text=3))
    assert wrong.problems()[0].endswith("text: text is expected, not 3")
    g = Graph("g")
    number = g.input("number", int)
    g.add(call(tools.get("raw.echo"), text=number), id="n")
    async with Engine("memory:") as engine:
        run = await engine.start(g, {"number": 3})
        failed = await seen(run, e.NodeFailed, "n")
        assert (failed.error.type, failed.error.retryable) == ("invalid parameters", False)
        assert "text: text is expected, not 3" in failed.error.message
        assert await invocations(run) == 0


async def test_errors_of_the_protocol() -> None:
    kinds = {
        -32602: ("invalid parameters", False),
        -32601: ("tool not found", False),
        -32603: ("tool failed", None),
        -32001: ("timeout", None),
        -32000: ("network", None),
        -1: ("tool failed", None),
    }
    async with Engine("memory:") as engine:
        for code, kind in kinds.items():
            error = await error_of(of(RAW, "error"), engine=engine, code=code)
            assert (error.type, error.retryable) == kind
            assert error.message == f"server raw: no (error {code})"


async def test_errors_of_tools() -> None:
    async with Engine("memory:") as engine:
        refused = await error_of(of(RAW, "refuse"), engine=engine)
        assert (refused.type, refused.message) == ("tool failed", "server raw: refuse: there is no more")
        unknown = await error_of(of(RAW, "ecko"), engine=engine)
        assert (unknown.type, unknown.retryable) == ("tool not found", False)
        assert unknown.message == "server raw: it has no tool 'ecko'; did you mean 'echo'?"


async def test_tools_that_come_later() -> None:
    async with Engine("memory:") as engine:
        assert await result_of(of(RAW, "change"), engine=engine) == "changed"
        assert await result_of(of(RAW, "new"), engine=engine) == "new"


async def test_answers_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew.bodies.servers.piping.MAX_MESSAGE", 100_000)
    async with Engine("memory:") as engine:
        junk = await error_of(of(RAW, "junk"), engine=engine)
        assert (junk.type, junk.classes[1]) == ("tool failed", "invalid output")
        assert junk.message.startswith("server raw: its answer is none of the protocol: content")
        unlike = await error_of(of(RAW, "unlike"), engine=engine)
        assert "'a' is a required property" in unlike.message
        deep = await error_of(of(RAW, "deep"), engine=engine, size=250)
        assert "it sent a message that cannot be read" in deep.message
        who = await result_of(of(RAW, "who"), engine=engine)
        huge = await error_of(of(RAW, "huge"), engine=engine, size=200_000)
        assert (huge.type, huge.retryable) == ("resource exhausted", False)
        assert "more than 100,000 bytes" in huge.message
        assert not is_alive(int(who))
        assert await result_of(of(RAW, "huge"), engine=engine, size=50_000) == "x" * 50_000


async def test_a_server_that_dies_comes_back(tmp_path: Path) -> None:
    async with Engine("memory:") as engine:
        died = await error_of(of(RAW, "die"), engine=engine, unless=str(tmp_path / "a"))
        assert died.type == "system"
        assert "process died" in died.classes
        assert "has ended with exit code 3; its last words:\noh dear" in died.message
        assert await result_of(of(RAW, "echo"), engine=engine, text="again") == "again"
        g = Graph("patient")
        again = Retry(max_attempts=2, backoff=fixed(0.0), on=["system"])
        g.add(call(of(RAW, "die"), unless=str(tmp_path / "b")), id="n", retry=again)
        assert (await (await engine.start(g)).result())["n"] == "alive"


async def test_a_server_that_was_killed_while_nothing_was_asked() -> None:
    async with Engine("memory:") as engine:
        first = int(await result_of(of(RAW, "who"), engine=engine))
        os.kill(first, 9)
        await turns(lambda: not is_alive(first))
        assert int(await result_of(of(RAW, "who"), engine=engine)) != first


async def test_a_hanging_call_is_cancelled_at_the_server(tmp_path: Path) -> None:
    server = raw(env={"FOLDER": str(tmp_path)})
    async with Engine("memory:") as engine:
        await result_of(of(server, "who"), engine=engine)  # it is there
        limit = {"timeout": 0.1}
        error = await error_of(of(server, "hang"), engine=engine, options=limit, folder=str(tmp_path))
        assert error.type == "timeout"
        assert await result_of(of(server, "echo"), engine=engine, text="there") == "there"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "cancelled"]


@pytest.mark.slow
async def test_a_server_that_does_not_listen_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "door")
    async with Engine("memory:") as engine:
        first = await result_of(of(RAW, "who"), engine=engine)
        for _ in range(3):  # more than its pipe holds
            given = {"door": str(tmp_path / "door"), "text": "x" * 1_000_000}
            error = await error_of(of(RAW, "deaf"), engine=engine, options={"timeout": 0.2}, **given)
            assert error.type == "timeout"
        assert await result_of(of(RAW, "who"), engine=engine) != first


async def test_a_cancelled_run_cancels_its_calls(tmp_path: Path) -> None:
    server = raw(env={"FOLDER": str(tmp_path)})
    g = Graph("g")
    g.add(call(of(server, "hang"), folder=str(tmp_path)), id="n")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await turns((tmp_path / "begun").exists)
        await run.cancel()
        with pytest.raises(RunFailedError, match="cancelled"):
            await run.result()
        assert await result_of(of(server, "echo"), engine=engine, text="there") == "there"
        assert (tmp_path / "cancelled").exists()


async def test_progress_is_told_and_is_a_sign_of_life(tmp_path: Path) -> None:
    door = tmp_path / "door"
    os.mkfifo(door)
    g = Graph("g")
    g.add(call(of(RAW, "steps"), door=str(door)), id="n", heartbeat=20)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        told: list[NodeProgress] = []
        async for each in run.stream("debug"):
            if isinstance(each, NodeStarted):
                await asyncio.to_thread(door.write_text, "open")
            elif isinstance(each, NodeProgress):
                told.append(each)
        assert [(each.fraction, each.message) for each in told] == [(0.25, "step 1"), (0.5, "step 2")]


async def test_secrets_are_filled_in_and_never_stored(url: str, tmp_path: Path) -> None:
    secret = "very-secret-indeed"
    server = raw(env={"TOKEN": "secret://KEY"})
    async with Engine(url, secrets={"KEY": secret}) as engine:
        error = await error_of(of(server, "variable"), engine=engine, name="TOKEN")
        assert "the value holds <secret KEY>" in error.message  # it was given, and what returns it fails
        assert await result_of(of(server, "variable"), engine=engine, name="KEY") == "(none)"
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    unknown = await error_of(of(server, "who"))
    assert (unknown.type, unknown.retryable) == ("permission denied", False)
    assert "secret://KEY is not known" in unknown.message


async def test_only_few_variables_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVATE_KEY", "hidden")
    assert await result_of(of(RAW, "variable"), name="PRIVATE_KEY") == "(none)"
    assert await result_of(of(RAW, "variable"), name="PATH") == os.environ["PATH"]


async def test_what_prints_something_else_too_is_borne() -> None:
    assert await result_of(of(raw("strays"), "echo"), text="x") == "x"


async def test_many_calls_at_once() -> None:
    g = Graph("g", max_concurrency=50)
    g.map(call(of(RAW, "echo"), text=item), over=[str(n) for n in range(200)], id="all")
    async with Engine("memory:") as engine:
        assert (await (await engine.start(g)).result())["all"] == [str(n) for n in range(200)]


@pytest.mark.slow
async def test_a_server_made_with_the_library(tmp_path: Path) -> None:
    tools = await server_tools(library())
    assert tools.get("lib.add").effects == "none"
    assert tools.get("lib.add").permissions.write == ()
    assert tools.get("lib.say").effects == "idempotent"
    async with Engine("memory:") as engine:
        assert await result_of(tools.get("lib.add"), engine=engine, a=2) == {"sum": 3}
        assert await result_of(tools.get("lib.say"), engine=engine, text="hello") == "hello"
        assert await result_of(tools.get("lib.wrapped"), engine=engine, count=2) == {"result": [0, 1]}
        assert await result_of(tools.get("lib.nothing"), engine=engine) is None
        assert (await result_of(tools.get("lib.draw"), engine=engine))[1]["mimeType"] == "image/png"
        refused = await error_of(tools.get("lib.refuse"), engine=engine, why="because")
        assert (refused.type, "Error executing tool refuse" in refused.message) == ("tool failed", True)
        pid = (await result_of(tools.get("lib.process"), engine=engine))["pid"]
        g = Graph("g")
        g.add(call(tools.get("lib.slow"), folder=str(tmp_path)), id="n", timeout=20)
        run = await engine.start(g)
        await turns((tmp_path / "begun").exists)
        os.kill(pid, 9)
        assert (await seen(run, e.NodeFailed, "n")).error.type == "system"
        second = await engine.start(g)
        (tmp_path / "begun").unlink()
        await turns((tmp_path / "begun").exists)
        await second.cancel()
        with pytest.raises(RunFailedError, match="cancelled"):
            await second.result()
        await turns((tmp_path / "cancelled").exists)
