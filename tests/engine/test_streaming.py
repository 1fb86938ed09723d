"""SG7: what a run tells while it goes on, kind by kind."""

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from engine_bodies import double, numbers
from engine_kit import Gate
from stream_kit import State, brief, collect, fails, line, of, one, paper, plain, plan_b, sound, step, told, until

from clew import (
    END,
    START,
    Context,
    Engine,
    Graph,
    InvalidInputError,
    Retry,
    RunFailedError,
    StateGraph,
    Update,
    branch,
    fixed,
)
from clew.engine import stream_items as i
from clew.engine.node_items import NodeItem
from clew.engine.state_changes import Delta
from clew.engine.traces import span_id, trace_id

# Graphs and nodes -------------------------------------------------------------------------------------------


async def test_a_run_from_its_start_to_its_end() -> None:
    g = line(step)
    g.add_edge("step", "step", when=lambda s: s["round"] < 2)
    items = await told(g, {"text": "x"})
    first, last = items[0], items[-1]
    assert brief(items, i.GraphStarted, i.EdgeTaken, i.NodeStarted, i.NodeFinished, i.GraphEnded, i.Complete) == [
        "GraphStarted", "EdgeTaken", "NodeStarted step", "NodeFinished step", "EdgeTaken", "NodeStarted step#2",
        "NodeFinished step#2", "EdgeTaken", "GraphEnded", "Complete",
    ]  # fmt: skip
    assert (first.graph, first.kind, first.generation) == ("line", "state", 1)
    assert [(x.node, x.step, x.attempt, x.span_id) for x in of(items, i.NodeStarted)] == [
        ("step", 1, 1, span_id("r", "step", 1)),
        ("step", 2, 1, span_id("r", "step#2", 1)),
    ]
    assert {x.parent_id for x in of(items, i.NodeStarted)} == {first.span_id}
    assert [(x.source, x.target, x.why) for x in of(items, i.EdgeTaken)] == [
        ("", "step", "edge"), ("step", "step", "condition"), ("step#2", "", "edge"),
    ]  # fmt: skip
    assert one(items, i.GraphEnded).outcome == "completed"
    assert last.trace_id == trace_id("r")
    assert last.state == {"text": "x", "log": ["step", "step"], "round": 2}
    assert last.outputs is None
    assert [(x.path, x.state, x.step, x.attempts, x.next, x.why) for x in last.log] == [
        ("step", "completed", 1, 1, "step", "condition"),
        ("step#2", "completed", 2, 1, "", "edge"),
    ]
    assert last.duration_s == one(items, i.GraphEnded).duration_s >= max(x.duration_s for x in last.log) >= 0


async def test_the_state_and_its_changes() -> None:
    async def forgets(state: State) -> Update:
        return Update({"log": ["bye"]}, delete="text", cost=1.5, effects=True)

    items = await told(line(step, forgets), {"text": "x"})
    assert [(x.source, x.begins, x.changes) for x in of(items, i.StateChanged)] == [
        ("", True, {"text": Delta(value="x")}),
        ("step", False, {"log": Delta(value=["step"]), "round": Delta(value=1)}),
        ("forgets", False, {"log": Delta(items=["bye"], at=1), "text": Delta(deleted=True)}),
    ]
    assert plain(of(items, i.StateChanged)[-1])["changes"] == {
        "log": {"items": ["bye"], "at": 1},
        "text": {"deleted": True},
    }
    assert [x.state for x in of(items, i.Values)] == [
        {"text": "x"},
        {"text": "x", "log": ["step"], "round": 1},
        {"log": ["step", "bye"], "round": 1},
    ]
    done = one(items, i.NodeFinished, "forgets")
    assert (done.cost, done.effects) == (1.5, True)


async def test_what_writes_the_same_changes_nothing() -> None:
    async def same(state: State) -> dict[str, Any]:
        return {"text": "x", "log": []}

    items = await told(line(step, same), {"text": "x"})
    assert of(items, i.Values)[-1].seq == one(items, i.NodeFinished, "step").seq


async def test_attempts_that_fail_and_are_made_again() -> None:
    tries: list[int] = []

    async def flaky(state: State, ctx: Context) -> dict[str, Any]:
        tries.append(ctx.attempt)
        if ctx.attempt < 3:
            raise OSError("not yet")
        return {}

    g = StateGraph(State)
    g.add_node(flaky, retry=Retry(max_attempts=3, backoff=fixed(0)))
    g.add_edge(START, "flaky")
    g.add_edge("flaky", END)
    items = await told(g)
    assert brief(items, i.NodeStarted, i.NodeRetrying, i.NodeFinished) == [
        "NodeStarted flaky", "NodeRetrying flaky", "NodeStarted flaky", "NodeRetrying flaky", "NodeStarted flaky",
        "NodeFinished flaky",
    ]  # fmt: skip
    assert [(x.attempt, x.discards) for x in of(items, i.NodeStarted)] == [(1, False), (2, True), (3, True)]
    assert len({x.span_id for x in of(items, i.NodeStarted)}) == 3
    again = of(items, i.NodeRetrying)[0]
    assert again.error is not None
    assert (again.error.message, again.due) == ("not yet", again.at)
    assert items[-1].log[0].attempts == 3


async def test_a_node_that_fails_for_good_ends_the_run() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(line(step, fails), id="r")
        with pytest.raises(RunFailedError):
            await run.result()
        items = await sound(run)
        assert brief(items)[-4:] == ["NodeFailed fails", "GraphStopping", "GraphEnded", "Error"]
        assert one(items, i.NodeFailed).error.message == "boom"
        assert one(items, i.GraphEnded).outcome == "failed"
        last = items[-1]
        assert last.state == {"log": ["step"], "round": 1}
        assert "boom" in last.error.message
        assert [(x.path, x.state, x.error) for x in last.log] == [
            ("step", "completed", ""),
            ("fails", "failed", "boom"),
        ]

        await run.retry()
        with pytest.raises(RunFailedError):
            await run.result()
        items = await sound(run)
        assert [x.generation for x in of(items, i.GraphStarted)] == [1, 2]
        assert len({x.span_id for x in of(items, i.GraphStarted)}) == 2
        assert [x.attempt for x in of(items, i.NodeStarted, "fails")] == [1, 2]
        assert {x.trace_id for x in of(items, i.Error)} == {trace_id("r")}


async def test_a_run_that_is_cancelled_and_one_that_is_paused() -> None:
    gate = Gate()

    async def held(state: State) -> None:
        await gate.wait()

    async with Engine("memory:") as engine:
        run = await engine.start(line(step, held))
        await gate.arrivals()
        await run.pause(by="eva")
        await run.resume(by="ada")
        await run.cancel("enough", by="eva")
        await run.wait_ended()
        items = await sound(run)
        assert one(items, i.GraphPaused).by == "eva"
        assert one(items, i.GraphResumed).by == "ada"
        assert one(items, i.GraphStopping).reason == "cancel"
        assert one(items, i.NodeCancelled).path == "held"
        assert not of(items, i.NodeFailed)
        assert isinstance(items[-1], i.Cancelled)
        assert items[-1].reason == "enough by eva"
        assert [x.state for x in items[-1].log] == ["completed", "cancelled"]


# Branches ---------------------------------------------------------------------------------------------------


async def test_branches_of_every_kind() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(paper(), {"topic": "cats"})
        await until(run, i.BarrierWaiting)
        await run.approve("review")
        await run.result()
        items = await sound(run)
    opened = one(items, i.ParallelStarted, "research")
    assert (opened.kind, opened.count, opened.branches) == ("parallel", 3, ("library", "search", "index"))
    begun = {x.branch: x for x in of(items, i.BranchStarted) if x.parallel == "research"}
    assert {name: (x.path, x.index, x.step) for name, x in begun.items()} == {
        "library": ("research/library", 0, 2),
        "search": ("research/search", 1, 2),
        "index": ("research/index", 2, 2),
    }
    ended = {x.branch: x for x in of(items, i.BranchEnded) if x.parallel == "research"}
    assert {name: x.outcome for name, x in ended.items()} == {
        "library": "completed", "search": "completed", "index": "failed",
    }  # fmt: skip
    assert ended["index"].error is not None
    assert one(items, i.ParallelJoined, "research").counts == {"completed": 2, "failed": 1}
    warning = one(items, i.PartialFailure)
    assert (warning.path, warning.failed, warning.count, warning.paths) == ("research", 1, 3, ("research/index",))
    inner = one(items, i.GraphStarted, "research/search")
    assert (inner.graph, inner.kind, inner.span_id) == ("search", "state", begun["search"].span_id)
    assert [x.begins for x in of(items, i.StateChanged, "research/search")] == [True, False, False]
    assert [x.step for x in of(items, i.NodeStarted) if x.node == "look"] == [1, 2]
    merged = next(x for x in of(items, i.StateChanged, "") if x.source == "research")
    assert merged.changes["found"] == Delta(value=["cats in a book", "a page", "a page"])
    items_of_map = of(items, i.BranchStarted)[3:]
    assert one(items, i.ParallelStarted, "sections").kind == "map"
    assert [(x.path, x.branch, x.node) for x in items_of_map] == [
        (f"sections[{n}]", str(n), "sections") for n in range(3)
    ]
    in_log = [x.path for x in items[-1].log]
    assert "research/search/look#2" in in_log
    assert "sections" in in_log
    assert "sections[0]" not in in_log


async def test_a_branch_that_is_tried_again_is_one_branch() -> None:
    async def flaky(state: State, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise OSError("not yet")

    g = StateGraph(State)
    g.add_parallel("both", {"flaky": branch(flaky, retry=Retry(max_attempts=2, backoff=fixed(0))), "step": step})
    g.add_edge(START, "both")
    g.add_edge("both", END)
    items = await told(g)
    assert [x.branch for x in of(items, i.BranchStarted)] == ["flaky", "step"]
    assert [x.attempt for x in of(items, i.NodeStarted, "both/flaky")] == [1, 2]
    ended = one(items, i.BranchEnded, "both/flaky")
    assert (ended.outcome, ended.attempt) == ("completed", 2)


async def test_losers_of_a_failure_are_told() -> None:
    gate = Gate()

    async def held(state: State) -> None:
        await gate.wait()

    async def sleeps(state: State, ctx: Context) -> None:
        await ctx.sleep(3600)

    async def fails_then(state: State) -> None:
        await gate.arrivals()
        raise ValueError("boom")

    g = StateGraph(State)
    g.add_parallel("both", {"held": held, "sleeps": sleeps, "fails": branch(fails_then)})
    g.add_edge(START, "both")
    g.add_edge("both", END)
    items = await told(g)
    assert {x.branch: x.outcome for x in of(items, i.BranchEnded)} == {
        "held": "cancelled", "sleeps": "cancelled", "fails": "failed",
    }  # fmt: skip
    joined = one(items, i.ParallelJoined)
    assert (joined.outcome, joined.counts) == ("failed", {"cancelled": 2, "failed": 1})
    assert one(items, i.GraphStopping, "both").reason == "failed"
    assert not of(items, i.PartialFailure)


# Warnings ---------------------------------------------------------------------------------------------------


async def asks_for_it(state: State) -> Update:
    return Update(fallback=True)


@pytest.mark.parametrize("why", ["failed", "asked", "no_edge", "limit"])
async def test_a_fallback_is_told_with_its_reason(why: str) -> None:
    g = StateGraph(State)
    first = g.add_node(
        {"failed": fails, "asked": asks_for_it}.get(why, step), "first", max_visits=2, on_limit="fallback"
    )
    g.add_node(plan_b)
    g.add_edge(START, first)
    if why == "limit":
        g.add_edge(first, first)
    elif why == "no_edge":
        g.add_edge(first, END, when=lambda s: False)
    else:
        g.add_edge(first, END)
    g.add_fallback(first, "plan_b")
    g.add_edge("plan_b", END)
    items = await told(g)
    warning = one(items, i.Degraded)
    assert (warning.why, warning.path, warning.target) == (why, "", "plan_b")
    assert warning.source == ("first#2" if why == "limit" else "first")
    said = {"failed": "boom", "limit": "visited 2 times"}.get(why)
    assert (warning.error is not None) is (said is not None)
    assert warning.error is None or str(said) in warning.error.message
    assert not of(items, i.PartialFailure)
    assert isinstance(items[-1], i.Complete)
    assert next(x for x in items[-1].log if x.next == "plan_b").why == "fallback"


# Dependency graphs ------------------------------------------------------------------------------------------


async def test_a_dependency_graph_with_all_that_it_can_have() -> None:
    async def picky(x: int) -> int:
        if x == 1:
            raise ValueError("not this one")
        return x

    async def tells(x: list[int]) -> str:
        return "x" * 5_000

    inner = Graph("inner")
    inner.returns(inner.add(double, inner.input("x", int)))
    g = Graph("outer", on_error="skip_downstream")
    items_ = g.map(picky, over=g.add(numbers, 3), on_item_error="collect")
    g.add(tells, items_, id="large")
    g.add(inner, x=4, id="sub")
    g.add(double, g.add(picky, 1, id="bad"), id="after")
    got = await told(g)
    assert [x.kind for x in of(got, i.GraphStarted)] == ["dependency", "dependency"]
    assert {x.node: x.value for x in of(got, i.NodeOutput)} == {
        "numbers": [0, 1, 2], "picky": [0, 2], "large": "x" * 5_000, "sub": 8,
    }  # fmt: skip
    assert not of(got, i.Values)
    assert {x.step for x in of(got, i.NodeStarted)} == {None}
    assert one(got, i.NodeSkipped).cause == "bad"
    assert one(got, i.ParallelJoined).counts == {"completed": 2, "failed": 1}
    assert {x.path: x.paths for x in of(got, i.PartialFailure)} == {"picky": ("picky[1]",)}
    last = got[-1]
    assert last.outputs["large"] == "x" * 5_000
    assert last.state is None
    assert {x.path for x in last.log} == {"numbers", "picky", "large", "sub", "sub/double", "bad"}
    assert all(x.next is None for x in last.log)


async def test_a_state_graph_within_a_dependency_graph() -> None:
    g = Graph("outer")
    inner = StateGraph(State, name="inner")
    inner.add_node(step)
    inner.add_edge(START, "step")
    inner.add_edge("step", END)
    g.add(inner, id="talk", inputs={"text": "hello"})
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await run.result()
        items = await sound(run)
        changes = await collect(run, "changes")
    assert [(x.path, x.begins) for x in changes] == [("talk", True), ("talk", False)]
    assert one(items, i.NodeOutput).value == {"text": "hello", "log": ["step"], "round": 1}
    assert one(items, i.NodeStarted, "talk/step").step == 1


# Modes ------------------------------------------------------------------------------------------------------


async def test_each_mode_shows_its_own() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(line(step))
        await run.result()
        assert {type(x) for x in await collect(run, "values")} == {i.Values}
        assert {type(x) for x in await collect(run, "changes")} == {i.StateChanged}
        assert await collect(run, "custom") == []
        debug = await collect(run, "debug")
        assert not of(debug, i.Values)
        assert of(debug, i.StateChanged)
        both = await collect(run, "values", "changes")
        assert [type(x) for x in both] == [i.StateChanged, i.Values] * 2
        assert [item.state async for item in run.stream()] == [{}, {"log": ["step"], "round": 1}]  # type: ignore[union-attr]
        for wrong in ("value", ("debug", "all"), ()):
            with pytest.raises(InvalidInputError, match="values, changes, custom, debug"):
                run.stream(wrong)  # type: ignore[arg-type]


# Documents --------------------------------------------------------------------------------------------------


def test_every_item_is_documented_with_its_fields() -> None:
    page = (Path(__file__).parents[2] / "docs" / "streams.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for kind in get_args(i.StreamItem):
        common = next(base for base in kind.__mro__ if base in {NodeItem, i.Ending, i.Item, msgspec.Struct})
        known = {*getattr(common, "__struct_fields__", ()), "seq"}
        (row,) = [line for line in rows if f"`{kind.__name__}`" in line.split("|")[1]]
        assert not [name for name in kind.__struct_fields__ if name not in known and f"`{name}`" not in row], row
