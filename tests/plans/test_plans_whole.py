"""Plans as people use them: from the command line, over restarts, undone; where they stand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plan_kit import plan

from clew import Engine, Happened, Plan, RunFailedError, UnknownRunError, check, load, tool
from clew.cli.main import call
from clew.kernel import events as e

done: list[str] = []  # what tools did, in order


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


@tool(effects="idempotent")
async def put(name: str) -> str:
    """Put something somewhere."""
    done.append(f"put {name}")
    return f"place of {name}"


@tool(effects="idempotent")
async def take(name: str, place: str) -> None:
    """Take it away."""
    done.append(f"take {name} from {place}")


@tool(effects="none")
async def refuse(why: str) -> str:
    """Fail."""
    raise PermissionError(why)


def undoable() -> Plan:
    """Puts things, in a branch and in a loop, and then fails."""
    p = Plan("undoable", tools=[put, take, refuse], rollback=True)

    def place(part: Plan, name: str) -> None:
        part.step("put", name=name, compensate=part.call("take", name="{{ name }}", place="{{ output }}"))

    p.input("go", bool)
    first = p.choose("{{ input.go }}", lambda then: place(then, "branch"), lambda other: place(other, "other"))
    many = p.loop(lambda body: place(body, "number {{ iteration }}"), times=2, depends_on=first)
    p.step("refuse", why="not today", depends_on=many, id="last")
    return p


async def test_steps_in_branches_and_loops_are_undone_in_reverse() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(undoable(), {"go": True})
        with pytest.raises(RunFailedError):
            await run.result()
        await run.wait_ended()
        status = await run.status()
    assert done == [
        "put branch",
        "put number 1",
        "put number 2",
        "take number 2 from place of number 2",
        "take number 1 from place of number 1",
        "take branch from place of branch",
    ]
    assert status.state == "rolled_back"
    assert status.failed_at == "last"
    assert status.error is not None
    assert (status.error.type, status.error.message) == ("permission denied", "last: not today")


async def test_where_a_failed_plan_stands() -> None:
    p = plan()
    p.step("add", left=1, id="fine")
    p.choose("{{ fine }}", lambda then: then.step("break_down", text="gone", id="b"), id="c")
    p.step("add", left="{{ c }}", id="after")
    async with Engine("memory:") as engine:
        run = await engine.start(p)
        with pytest.raises(RunFailedError):
            await run.result()
        status = await run.status()
        by_path = {node.path: node for node in status.nodes}
        with pytest.raises(UnknownRunError):
            await engine.open_run("nobody")
    assert (status.state, status.failed_at) == ("failed", "c/then/b")
    assert status.error is not None
    assert status.error.type == "network"
    assert {path: node.state for path, node in by_path.items()} == {
        "fine": "completed",
        "c": "failed",
        "c/then": "failed",
        "c/then/b": "failed",
        "after": "cancelled",
    }
    error = by_path["c/then/b"].error
    assert error is not None
    assert (error.type, error.message, error.retryable) == ("network", "gone", None)
    assert "ConnectionResetError" in error.classes
    assert "break_down" in error.traceback


async def test_a_loop_goes_on_after_a_restart_and_does_nothing_again(tmp_path: Path) -> None:
    journal = f"sqlite:///{tmp_path}/clew.db"

    def body(inner: Plan) -> None:
        first = inner.step("put", name="{{ iteration ~ (previous or '') }}")
        told = inner.wait(message="go", depends_on=first)
        inner.step("put", name=told, id="last")

    p = Plan("p", tools=[put])
    p.returns(p.loop(body, times=2))
    async with Engine(journal) as engine:
        run = await engine.start(p)
        await run.send("go", "a")
        await suspended(run, 2)
    async with Engine(journal) as engine:
        run = await engine.resume(run.id)
        await run.send("go", "b")
        assert (await run.result()).output == "place of b"
    assert done == ["put 1", "put a", "put 2place of a", "put b"]


async def suspended(run: Any, times: int) -> None:
    """Until it waits for the so many-th time."""
    waits = 0
    async for recorded in run.events():
        opened = recorded.event
        waits += isinstance(opened, e.AttemptSuspended) and "#2" in opened.path
        if waits:
            return
    raise AssertionError(f"it has not waited {times} times")


async def test_a_retry_goes_on_inside_of_branches_and_loops() -> None:
    broken = ["yes"]

    async def mend(name: str) -> str:
        if broken:
            raise PermissionError("not yet")
        return name

    p = Plan("p", tools=[put, mend])

    def body(inner: Plan) -> None:
        first = inner.step("put", name="{{ 'n' ~ iteration }}", id="first")
        inner.choose(
            "{{ iteration == 2 }}",
            lambda then: then.step("mend", name=first),
            lambda other: other.step("put", name=first),
        )

    p.returns(p.loop(body, times=3))
    async with Engine("memory:") as engine:
        run = await engine.start(p)
        with pytest.raises(RunFailedError):
            await run.result()
        assert (await run.status()).failed_at == "repeat/body#2/choice/then/mend"
        broken.clear()
        await run.retry()
        assert (await run.result()).output == "place of place of n3"
    assert done == ["put n1", "put place of n1", "put n2", "put n3", "put place of n3"]


async def test_files_and_memory_are_what_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("VERSION").write_text("1.0", "utf-8")
    text = """
    inputs: {version: str}
    rollback: true
    steps:
      - {memory: store, with: {namespace: releases, key: last, value: "{{ input.version }}"}}
      - if: "{{ input.version != '1.0' }}"
        then:
          - tool: write_file
            with: {path: VERSION, content: "{{ input.version }}"}
            compensate: {restore: "{{ path }}"}
      - {shell: "cat VERSION && exit 3", needs: [choice, memory]}
    """
    Path("p.yaml").write_text(text, "utf-8")
    async with Engine("memory:") as engine:
        run = await engine.start(load("p.yaml"), {"version": "1.1"})
        with pytest.raises(RunFailedError):
            await run.result()
        await run.wait_ended()
        status = await run.status()
        assert status.state == "rolled_back"
        assert await anext(line.text.strip() async for line in run.logs("shell")) == "1.1"
    assert Path("VERSION").read_text("utf-8") == "1.0"


async def test_a_probe_takes_what_the_step_is_given(tmp_path: Path) -> None:
    p = Plan("p", tools=[put])

    async def is_there(name: str) -> Happened[str] | None:
        done.append(f"looked for {name}")

    p.step("put", name="x", id="s", probe=is_there, checks=[check(file="{{ name | replace('x', '.') }}")])
    (node,) = p.spec().nodes
    assert sorted(node.inputs) == ["#check 0", "name"]
    async with Engine(f"sqlite:///{tmp_path}/clew.db") as engine:
        assert (await (await engine.start(p)).result())["s"] == "place of x"


# The command line ----------------------------------------------------------------------------------------------

FILE = """
name: small
inputs: {n: int}
steps:
  - id: many
    loop: {times: "{{ input.n }}", steps: [{shell: "echo {{ iteration }}"}], returns: "{{ shell.stdout }}"}
  - {id: c, if: "{{ input.n > 5 }}", then: [{shell: "echo {{ many }}"}], else: [{ask: {information: few}}]}
returns: ["{{ many | trim }}", "{{ c }}"]
"""


@pytest.fixture
def clew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(FILE, "utf-8")

    def run(*arguments: str, code: int = 0) -> str:
        assert call([*arguments]) == code, capfd.readouterr()
        return capfd.readouterr().out

    return run


def test_clew_graph_shows_what_is_inside_of_steps(clew: Callable[..., str]) -> None:
    assert clew("graph", "small.yaml").splitlines() == [
        "graph small",
        "inputs:",
        "  n: int",
        "2 nodes in 2 layers:",
        "   1  many  (loop: input.n times)",
        "        body:",
        "          shell  (shell)",
        "   2  c  (choice: input.n > 5)   after many",
        "        then:",
        "          shell  (shell)",
        "        else:",
        "          ask  (ask)",
    ]
    assert "choice: input.n" in load("small.yaml").mermaid()


def test_clew_run_and_show(clew: Callable[..., str]) -> None:
    assert json.loads(clew("run", "small.yaml", "--input", "n=2", "--id", "r", "--quiet")) == ["2", "few"]
    shown = clew("show", "r")
    lines = {line.split()[1]: line for line in shown.splitlines() if line.startswith(("✓", "↷"))}
    assert "loop" in lines["many"]
    assert "choice" in lines["c"]
    assert "skipped" in lines["c/then"]


def test_clew_graph_tells_all_that_is_wrong(clew: Callable[..., str]) -> None:
    Path("small.yaml").write_text(FILE.replace("shell: ", "shel: "), "utf-8")
    assert call(["graph", "small.yaml"]) == 2
    del clew


async def test_a_check_of_a_plan_in_a_plan(tmp_path: Path) -> None:
    inner = plan("inner")
    inner.step("add", left=inner.input("left", float), checks=[check(file=str(tmp_path))], id="a")
    outer = plan("outer")
    outer.returns(outer.add(inner, left=outer.step("add", left=1)))
    async with Engine("memory:") as engine:
        assert (await (await engine.start(outer)).result()).output == {"a": 3}
