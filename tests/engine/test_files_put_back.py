"""Files that nodes change, as they were before: recorded before the body is entered, put back by a rollback."""

import os
from pathlib import Path
from typing import Any, TypedDict

import pytest
from engine_kit import Gate, count, history, seen

from clew import (
    END,
    START,
    Context,
    Engine,
    Graph,
    GraphError,
    InvalidInputError,
    Retry,
    Run,
    RunFailedError,
    StateGraph,
    call,
    fixed,
    item,
    load,
    restore,
    shell,
    tool,
    undo,
)
from clew.kernel import events as e
from clew.kernel.questions import BEFORE


async def fails(after: Any = None) -> None:
    raise ValueError("on purpose")


async def write(path: str, text: str = "new") -> str:
    Path(path).write_text(text)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "files" / "a.txt"
    path.parent.mkdir()
    path.write_text("old")
    path.chmod(0o604)
    return path


async def ended(engine: Engine, graph: Any, **inputs: Any) -> Run:
    """A run that has failed and is rolled back, as far as it could be."""
    run = await engine.start(graph, inputs)
    with pytest.raises(RunFailedError):
        await run.result()
    return run


async def rolled_back(url: str, graph: Any, **inputs: Any) -> None:
    """The same, and all of it could be."""
    async with Engine(url) as engine:
        run = await ended(engine, graph, **inputs)
        assert (await run.status()).state == "rolled_back"


def failing(body: Any, *args: Any, **options: Any) -> Graph:
    """A graph with a node, and one that fails after it."""
    g = Graph("g", rollback=True)
    g.add(fails, g.add(body, *args, id="node", **options))
    return g


async def test_a_file_is_what_it_was(url: str, file: Path) -> None:
    def change(path: str) -> None:
        Path(path).write_text("new")
        Path(path).chmod(0o640)
        (file.parent / "made").mkdir()
        (file.parent / "made" / "more").touch()

    g = failing(change, str(file), compensate=restore("{{ path }}", str(file.parent / "made")))
    async with Engine(url) as engine:
        run = await ended(engine, g)
        assert (await run.status()).state == "rolled_back"
        assert (file.read_text(), file.stat().st_mode & 0o777) == ("old", 0o604)
        assert [path.name for path in file.parent.iterdir()] == ["a.txt"]
        (undone,) = [each for each in await run.rollback_plan() if each.path == "node"]
        assert (undone.how, undone.undone) == ("restore", True)
        kinds = [(type(r.event), getattr(r.event, "key", "")) for r in await history(run)]
        recorded = kinds.index((e.StepCompleted, BEFORE))
        assert kinds.index((e.AttemptStarted, "")) < recorded < kinds.index((e.NodeCompleted, ""))


async def test_large_content_is_kept_beside_the_events(url: str, file: Path) -> None:
    file.write_bytes(os.urandom(100_000))
    before = file.read_bytes()
    async with Engine(url) as engine:
        run = await ended(engine, failing(write, str(file), compensate=restore("{{ path }}")))
        assert file.read_bytes() == before
        (step,) = [r.event for r in await history(run) if isinstance(r.event, e.StepCompleted)]
        assert step.value.blob


async def test_paths_come_from_handles_items_and_other_nodes(url: str, file: Path) -> None:
    g = Graph("g", rollback=True)
    places = g.input("places", list)
    one = g.add(write, places[0], compensate=restore(places[0]), id="one")
    more = g.map(write, over=places, compensate=restore(item), id="more", depends_on=[one])
    program = shell("echo new > {{ to }}; false")
    g.add(program, to=one, compensate=restore("{{ to }}"), id="program", depends_on=[more])
    new = file.parent / "b.txt"
    await rolled_back(url, g, places=[str(file), str(new)])
    assert (file.read_text(), new.exists()) == ("old", False)


async def test_what_was_there_before_the_first_attempt_counts(url: str, file: Path) -> None:
    async def change(path: str, ctx: Context) -> None:
        Path(path).write_text(f"try {ctx.attempt}")
        if ctx.attempt < 3:
            raise ValueError("on purpose")

    again = Retry(max_attempts=3, backoff=fixed(0))
    g = failing(change, str(file), compensate=restore("{{ path }}"), retry=again)
    async with Engine(url) as engine:
        run = await ended(engine, g)
        assert file.read_text() == "old"
        found = await count(run)
        assert (found["AttemptStarted", "node"], found["StepCompleted", "node"]) == (3, 1)


async def test_it_counts_when_the_process_was_lost_or_the_run_is_retried(url: str, file: Path) -> None:
    gate, healed = Gate(), []

    async def change(path: str) -> None:
        Path(path).write_text("half")
        await gate.wait()
        if not healed:
            raise ValueError("on purpose")

    g = Graph("g")
    g.add(fails, g.add(change, str(file), id="node", compensate=restore("{{ path }}")))
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.start(g, id="r")
        await gate.arrivals()
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        await gate.arrivals(2)
        gate.open()
        await seen(run, e.RunFailed)
        healed.append(True)
        await run.retry()
        with pytest.raises(RunFailedError):
            await run.result()
        await run.rollback()
        await seen(run, e.RunRolledBack)
        assert file.read_text() == "old"
        assert (await count(run))["StepCompleted", "node"] == 1


async def test_a_tool_may_be_undone_so(url: str, file: Path) -> None:
    @tool
    async def overwrite(path: str) -> str:
        """Write over a file.

        Args:
            path: the file.
        """
        return await write(path)

    g = failing(call(overwrite, path="{{ file }}"), file=str(file), compensate=restore("{{ file }}"))
    await rolled_back(url, g)
    assert file.read_text() == "old"


async def test_a_step_may_be_undone_so(url: str, file: Path) -> None:
    async def body(ctx: Context) -> None:
        await ctx.step("write", write, str(file), compensate=restore(str(file)))
        await ctx.step("again", write, str(file), "newer", compensate=restore(str(file)))
        for wrong in (restore("{{ path }}"), shell("true")):
            with pytest.raises(InvalidInputError, match=r"restore\(…\)"):
                await ctx.step(f"wrong {wrong.kind}", write, str(file), compensate=wrong)

    await rolled_back(url, failing(body))
    assert file.read_text() == "old"


class Edits(TypedDict, total=False):
    file: str
    done: bool


async def edit(state: Edits) -> Edits:
    Path(state["file"]).write_text("new")
    return {"done": True, "file": "elsewhere"}


async def stop(state: Edits) -> Edits:
    raise ValueError("on purpose")


async def test_a_state_graph_names_files_by_its_state(url: str, file: Path) -> None:
    g = StateGraph(Edits, name="edits", rollback=True)
    g.add_node("edit", edit, compensate=restore("{{ state.file }}"))
    g.add_node("stop", stop)
    g.add_edge(START, "edit")
    g.add_edge("edit", "stop")
    g.add_edge("stop", END)
    await rolled_back(url, g, file=str(file))
    assert file.read_text() == "old"


async def test_relative_paths_mean_the_same_later(url: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()

    async def waits(after: str) -> None:
        await gate.wait()
        raise ValueError("on purpose")

    g = Graph("g", rollback=True)
    g.add(waits, g.add(write, "a.txt", compensate=restore("{{ path }}")))
    monkeypatch.chdir(file.parent)
    async with Engine(url) as engine:
        run = await engine.start(g)
        await gate.arrivals()
        monkeypatch.chdir("/")
        gate.open()
        await seen(run, e.RunRolledBack)
    assert file.read_text() == "old"


# What is not entered ----------------------------------------------------------------------------------------


async def test_a_body_is_not_entered_when_nothing_can_be_recorded(url: str, file: Path) -> None:
    os.mkfifo(file.parent / "pipe")
    (file.parent / "secret").write_text("token: hunter2-hunter2")
    wrong = {
        str(file.parent / "pipe"): "it is no file, link or folder",
        str(file.parent / "secret"): "holds <secret TOKEN>, which must not be stored; undo the node by a function",
        "": "a path to restore is text, not ''",
    }
    async with Engine(url, secrets={"TOKEN": "hunter2-hunter2"}) as engine:
        engine._secrets.lookup("TOKEN")
        for path, told in wrong.items():
            g = failing(write, str(file), path, compensate=restore("{{ text }}"))
            run = await ended(engine, g)
            assert told in (await seen(run, e.NodeFailed, "node")).error.message
            assert file.read_text() == "old"
            assert (await run.status()).state == "rolled_back"


async def test_what_cannot_be_put_back_is_told(url: str, file: Path) -> None:
    def replace_folder(path: str) -> None:
        file.unlink()
        file.parent.rmdir()
        file.parent.write_text("in the way")

    g = failing(replace_folder, str(file), compensate=undo(restore("{{ path }}"), retry=1))
    async with Engine(url) as engine:
        run = await ended(engine, g)
        (failed,) = [r.event for r in await history(run) if isinstance(r.event, e.RollbackFailed)]
        assert (failed.remaining[0].path, "File exists" in failed.remaining[0].why) == ("node", True)
        file.parent.unlink()
        await run.rollback()
        await seen(run, e.RunRolledBack)
        assert file.read_text() == "old"


@pytest.mark.parametrize("paths", [(), ("",), (5,), ("a",) * 101])
def test_paths_are_some_text(paths: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidInputError, match="restore: "):
        restore(*paths)


def test_what_is_wrong_is_told_before_anything_runs() -> None:
    inner = Graph("inner")
    inner.add(fails)
    g = Graph("g")
    g.add(restore("a"), id="body")
    g.add(inner, id="graph", compensate=restore("a"))
    g.add(write, "a", id="output", compensate=restore("{{ output }}"))
    g.add(write, "a", id="name", compensate=restore("{{ paht }}"))
    with pytest.raises(GraphError) as caught:
        g.spec()
    told = "\n".join(caught.value.problems)
    assert "node 'body': restore(…) puts files back in a rollback and is no body; give it as compensate=" in told
    assert "node 'graph', compensate: restore(…) is for a node with a body, and a graph is none" in told
    assert "node 'output', compensate.paths: which files are put back is told before the node has returned" in told
    assert "the node has no input 'paht'; did you mean 'path'?" in told


# Graph files ------------------------------------------------------------------------------------------------

FILE = """
name: edits
rollback: true
inputs: {file: str, more: list}
nodes:
  one:
    shell: echo new > {{ input.file }}
    compensate: {restore: "{{ input.file }}", retry: 2}
  two:
    shell: echo new | tee {{ input.more | join(' ') }}
    needs: one
    compensate: {restore: ["{{ input.more[0] }}", "{{ input.more[1] }}"]}
  three:
    shell: "false"
    needs: two
"""


async def test_graph_files_name_what_is_put_back(url: str, file: Path, tmp_path: Path) -> None:
    place = tmp_path / "edits.yaml"
    place.write_text(FILE)
    graph = load(place)
    spec = graph.spec()
    assert [node.compensation and node.compensation.before for node in spec.nodes] == [True, True, None]
    assert spec.nodes[0].compensation.retry.max_attempts == 2
    others = [file.parent / "b.txt", file.parent / "c.txt"]
    others[0].write_text("old, too")
    await rolled_back(url, graph, file=str(file), more=[str(other) for other in others])
    assert (file.read_text(), others[0].read_text(), others[1].exists()) == ("old", "old, too", False)


@pytest.mark.parametrize("wrong", ["[]", "{a: b}", "5", '" "', "{restore: a, shell: b}"])
def test_what_is_wrong_in_a_file_is_told_with_its_place(tmp_path: Path, wrong: str) -> None:
    place = tmp_path / "edits.yaml"
    how = wrong if "shell" in wrong else f"{{restore: {wrong}}}"
    place.write_text(f"name: edits\nnodes:\n  one:\n    shell: a\n    compensate: {how}\n")
    with pytest.raises(GraphError, match=r"edits\.yaml:5:\d+: .*compensate"):
        load(place)
