"""PL4 to PL6: nodes that call tools, by a real engine."""

import os
import sys
import threading
from pathlib import Path
from typing import Any, TypedDict

import pytest
from engine_kit import Gate, kinds, seen
from tools_for_nodes import die, exact, hang, refuse, told, where, where_apart, where_in_loop

from clew import (
    END,
    START,
    Engine,
    Graph,
    Permanent,
    Retry,
    Run,
    RunFailedError,
    StateGraph,
    call,
    fixed,
    item,
    rehearse,
    tool,
)
from clew.bodies.tools import builtin
from clew.bodies.tools.files import list_files, read_file, write_file
from clew.bodies.tools.programs import run as run_program
from clew.kernel import events as e
from clew.kernel.values import ErrorInfo

ONCE = Retry(max_attempts=3, backoff=fixed(0.0), jitter=0)


async def result_of(body: Any, **options: Any) -> Any:
    g = Graph("g")
    g.add(body, id="n", **options)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        return (await run.result())["n"]


async def error_of(body: Any, **options: Any) -> tuple[ErrorInfo, Run, list[str]]:
    g = Graph("g")
    g.add(body, id="n", **options)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        with pytest.raises(RunFailedError):
            await run.result()
        failed = await seen(run, e.NodeFailed, "n")
        return failed.error, run, await kinds(run, "n")


async def test_files_from_one_call_to_the_next(tmp_path: Path) -> None:
    g = Graph("g")
    folder = g.input("folder", str)
    done = g.add(call(write_file, path="{{ folder }}/a.txt", content="one\ntwo\n"), id="write", folder=folder)
    g.add(call(read_file, path=done["path"], start_line=2), id="read")
    g.map(call(read_file, path=item), over=g.add(call(list_files, path=folder), depends_on=[done]), id="all")
    async with Engine("memory:") as engine:
        result = await (await engine.start(g, {"folder": str(tmp_path)})).result()
    assert result["read"] == "two\n"
    assert result["all"] == ["one\ntwo\n"]


async def test_where_it_runs() -> None:
    here = os.getpid()
    assert await result_of(call(where_in_loop)) == {"pid": here, "thread": threading.main_thread().name}
    found = await result_of(call(where))
    assert found["pid"] == here
    assert found["thread"] != threading.main_thread().name


@pytest.mark.slow
async def test_a_process_is_another_one() -> None:
    assert (await result_of(call(where_apart)))["pid"] != os.getpid()
    assert (await result_of(call(where), timeout=20))["pid"] != os.getpid()


async def test_a_tool_takes_the_context() -> None:
    assert await result_of(call(told, text="x")) == "n: x"


async def test_calls_are_counted() -> None:
    g = Graph("g")
    g.map(call(told, text=item), over=["a", "b"], id="all")
    g.add(call(exact, count=1), id="one")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await run.result()
        used = [r.event async for r in run.events(live=False) if isinstance(r.event, e.UsageRecorded)]
    assert sorted(each.path for each in used) == ["all[0]", "all[1]", "one"]
    assert all(each.used == {"tool_invocations": 1.0} for each in used)


async def test_a_call_that_is_refused_is_none() -> None:
    g = Graph("g")
    g.add(call(exact, count="{{ n }}"), id="n", n=g.input("n"))
    async with Engine("memory:") as engine:
        run = await engine.start(g, {"n": "three"})
        with pytest.raises(RunFailedError):
            await run.result()
        assert "UsageRecorded" not in await kinds(run)


async def test_a_function_without_a_mark_is_a_tool_of_this_program() -> None:
    async def inner(a: int) -> int:
        return a + 1

    assert await result_of(call(inner, a=1)) == 2


async def test_a_dry_run_does_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert await result_of(rehearse(write_file, path=str(path), content="é")) == f"would make {path} (2 bytes)"
    assert not path.exists()


async def test_a_call_in_a_state_graph(tmp_path: Path) -> None:
    class State(TypedDict, total=False):
        path: str
        text: str

    (tmp_path / "x").write_text("content")
    g = StateGraph(State, name="s")
    g.add_node(call(read_file, path="{{ state.path }}"), id="read", sets={"text": "{{ output }}"})
    g.add_edge(START, "read")
    g.add_edge("read", END)
    async with Engine("memory:") as engine:
        result = await (await engine.start(g, {"path": str(tmp_path / "x")})).result()
    assert result["text"] == "content"


async def test_a_compensation_is_a_call(tmp_path: Path) -> None:
    def fail() -> None:
        raise Permanent("no")

    path = tmp_path / "x"
    path.write_text("before")
    g = Graph("g", rollback=True)
    before = g.add(call(read_file, path=str(path)), id="before")
    wrote = g.add(
        call(write_file, path=str(path), content="after"),
        compensate=call(write_file, path="{{ output.path }}", content=before),
        id="write",
        depends_on=[before],
    )
    g.add(fail, depends_on=[wrote])
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        with pytest.raises(RunFailedError):
            await run.result()
        await seen(run, e.RunRolledBack)
    assert path.read_text() == "before"


# What goes wrong -----------------------------------------------------------------------------------------


async def test_arguments_that_do_not_fit_are_told_with_their_path() -> None:
    g = Graph("g")
    g.add(call(exact, count="{{ n }}", names="{{ names }}"), id="n", n=g.input("n"), names=g.input("names"))
    async with Engine("memory:") as engine:
        run = await engine.start(g, {"n": "three", "names": ["a", 1]})
        with pytest.raises(RunFailedError):
            await run.result()
        error = (await seen(run, e.NodeFailed, "n")).error
    assert (error.type, error.retryable) == ("invalid parameters", False)
    told_of = 'arguments of exact: count: an integer is expected, not "three"; names[1]: text is expected, not 1'
    assert error.message == told_of
    assert "InvalidInputError" in error.classes


async def test_a_required_argument_of_a_failed_node() -> None:
    async def fail() -> Any:
        raise ValueError("no")

    g = Graph("g", on_error="continue")
    failed = g.add(fail)
    g.add(call(exact, count=failed), id="needs")
    g.add(call(exact, count=1, names=failed), id="does_not")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await run.result()
        error = (await seen(run, e.NodeFailed, "needs")).error
        status = {node.path: node.state for node in (await run.status()).nodes}
    assert error.type == "dependency failed"
    assert "the argument 'count' of exact comes from the node fail" in error.message
    assert status["does_not"] == "completed"


async def test_errors_have_their_kind_and_keep_their_class(tmp_path: Path) -> None:
    error, _, _ = await error_of(call(read_file, path=str(tmp_path / "gone")))
    assert (error.type, error.retryable) == ("tool failed", False)
    assert error.classes[:2] == ("tool failed", "Permanent")


@pytest.mark.slow
async def test_errors_in_processes() -> None:
    error, _, _ = await error_of(call(refuse, path="/x"))
    assert error.type == "permission denied"
    assert "PermissionError" in error.classes
    error, _, _ = await error_of(call(die))
    assert error.type == "system"
    assert "process died" in error.classes
    error, _, _ = await error_of(call(hang), timeout=1)
    assert error.type == "timeout"


@pytest.mark.slow
async def test_a_program_and_its_exit_code() -> None:
    argv = [sys.executable, "-S", "-c", "import sys; sys.exit(124)"]
    error, _, said = await error_of(call(run_program, command=argv), retry=ONCE)
    assert error.type == "timeout"
    assert said.count("AttemptStarted") == 3
    assert (await result_of(call(run_program, command="echo $((1 + 1))")))["stdout"] == "2\n"


@pytest.mark.parametrize(
    ("on", "attempts"),
    [("network", 3), ("ConnectionResetError", 3), ("OSError", 3), ("timeout", 1), ("ValueError", 1), ((), 3)],
)
async def test_retries_on_a_kind_or_a_class(on: Any, attempts: int) -> None:
    calls: list[int] = []

    @tool
    async def lose() -> None:
        calls.append(1)
        raise ConnectionResetError(104, "gone")

    error, _, _ = await error_of(call(lose), retry=Retry(max_attempts=3, backoff=fixed(0.0), jitter=0, on=on))
    assert error.type == "network"
    assert len(calls) == attempts


async def test_what_was_lost_with_its_process_is_not_guessed(url: str) -> None:
    gates: list[Gate] = []

    @tool(write=())
    async def pure() -> str:
        await gates[-1].wait()
        return "done"

    @tool
    async def acts() -> str:
        await gates[-1].wait()
        return "done"

    for each, end in ((pure, "completed"), (acts, "failed")):
        g = Graph(each.__name__)
        g.add(call(each), id="n")
        gates.append(Gate())
        async with Engine(url) as engine:
            run = await engine.start(g, id=each.__name__)
            await gates[-1].arrivals()
        gates.append(Gate())
        gates[-1].open()
        async with Engine(url, graphs=[g]) as engine:
            run = await engine.resume(each.__name__)
            if end == "completed":
                assert (await run.result())["n"] == "done"
            else:
                with pytest.raises(RunFailedError, match="whether it took effect is not known"):
                    await run.result()


async def test_a_program_that_has_lost_the_function_says_so(url: str) -> None:
    gate = Gate()

    async def wait() -> None:
        await gate.wait()

    async def inner() -> None: ...

    g = Graph("g")
    g.add(call(inner), id="n", depends_on=[g.add(wait)])
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    async with Engine(url) as engine:
        from clew import UnresolvedBodyError

        with pytest.raises(UnresolvedBodyError, match="no other process can find it by name"):
            await engine.resume("r")


async def test_all_builtin_tools_can_be_called_by_nodes() -> None:
    constants = {"string": "x", "integer": 1, "array": []}
    for each in builtin():
        required = {name: each.parameters["properties"][name] for name in each.parameters["required"]}
        arguments = {name: constants[schema.get("type", "string")] for name, schema in required.items()}
        g = Graph("g")
        g.add(call(each, **arguments))
        assert g.problems() == []
        g.spec()
