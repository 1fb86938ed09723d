"""What does not fit a state graph at run time: what people are told, and where they see it."""

import re
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from engine_kit import history, seen
from state_kit import State, add_a, chain, routes, waits_at

from clew import (
    END,
    START,
    Engine,
    GraphError,
    InvalidInputError,
    RefusedError,
    Run,
    RunConflictError,
    RunFailedError,
    StateGraph,
    Update,
    append,
    greatest,
    merge,
    total,
)
from clew.kernel import events as e
from clew.kernel.questions import DECISION


def odd(old: Any, new: Any) -> Any:
    raise ValueError("odd")


def unordered(old: Any, new: Any) -> Any:
    return {1, 2}


def added(old: int | None, new: int) -> int:
    return (old or 0) + new


KEYS = {
    "log": Annotated[list[str], append],
    "sum": Annotated[int, total],
    "top": Annotated[Any, greatest],
    "notes": Annotated[dict[str, int], merge],
    "odd": Annotated[Any, odd],
    "unordered": Annotated[Any, unordered],
    "added": Annotated[Any, added],
    "n": int,
}


def returning(update: Any, **options: Any) -> StateGraph:
    """One node `a` that returns this; its edges are to be added."""

    async def a(state: Any) -> Any:
        return update

    graph = StateGraph(KEYS, name="g", **options)
    graph.add_node(a)
    graph.add_edge(START, "a")
    return graph


async def fails(engine: Engine, graph: StateGraph, inputs: dict[str, Any] | None = None) -> tuple[Run, str]:
    """The error of a run that fails: the same in the result, in the status and in its last event."""
    run = await engine.start(graph, inputs or {}, id="r")
    with pytest.raises(RunFailedError) as failed:
        await run.result()
    status, last = await run.status(), (await history(run))[-1].event
    assert isinstance(last, e.RunFailed)
    assert status.state == failed.value.result.state == "failed"
    assert status.error == last.error
    assert str(failed.value) == f"run r failed: {last.error.message}"
    return run, last.error.message


# What is written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("update", "kind", "told"),
    [
        ({"log": "x"}, "state", "what is written to 'log' has to be a list, because its reducer is append"),
        ({"notes": [1]}, "state", "what is written to 'notes' has to be an object, because its reducer is merge"),
        ({"sum": "x"}, "state", "what is written to 'sum' has to be a number"),
        ({"top": "x"}, "state", "'top' is 1, and max cannot take \"x\""),
        ({"odd": 1}, "ValueError", "the reducer of 'odd' raised ValueError: odd"),
        ({"unordered": 1}, "unstorable", "the reducer of 'unordered' raised unstorable: $: a set has no order"),
        ({"added": "x"}, "invalid input", "the reducer added: what is written: Expected `int`, got `str`"),
        ({"nope": 1}, "state", "'nope' is no key of the state of g; it has added, log, n, notes"),
        (5, "unstorable", "a node of a state graph returns what it changes (a mapping by key, or an Update)"),
        ({"n": {1}}, "unstorable", "changes.n: a set has no order and no JSON form"),
        (Update({"n": 1}, delete="n"), "unstorable", "changes.n: it is written and deleted at once"),
    ],
)
async def test_what_a_node_writes_and_does_not_fit_fails_the_node_and_changes_nothing(
    update: Any, kind: str, told: str
) -> None:
    graph = returning(update)
    graph.add_edge("a", END)
    async with Engine("memory:") as engine:
        run, message = await fails(engine, graph, {"top": 1})
        assert message.startswith("a: ")
        assert told in message
        status, _ = await run.node("a")
        assert (status.state, status.error and status.error.type) == ("failed", kind)
        failed = await seen(run, e.NodeFailed, "a")
        assert message == f"a: {failed.error.message}"
        (seq,) = [r.seq for r in await history(run) if isinstance(r.event, e.NodeFailed)]
        assert (await run.at(seq)).state == {"top": 1}


async def test_what_does_not_fit_is_a_failure_like_any_other_with_a_way_out() -> None:
    graph = returning({"sum": "x", "n": 1})
    graph.add_node(_one, "b")
    graph.add_fallback("a", "b")
    graph.add_edge("a", END)
    graph.add_edge("b", END)
    async with Engine("memory:") as engine:
        run = await engine.start(graph)
        assert dict(await run.result()) == {"n": 1}
        (taken,) = [event for event in await routes(run) if event.why == "fallback"]
        assert taken.error is not None
        assert "has to be a number" in taken.error.message


async def test_a_reducer_that_cannot_put_branches_together_fails_them_together() -> None:
    async def one(state: Any) -> Any:
        return {"top": 1, "n": 1}

    async def two(state: Any) -> Any:
        return {"top": "two"}

    graph = StateGraph(KEYS, name="g")
    graph.add_parallel("both", [one, two])
    graph.add_edge(START, "both")
    graph.add_edge("both", END)
    async with Engine("memory:") as engine:
        run, message = await fails(engine, graph)
        assert message == "both: 'top' is 1, and max cannot take \"two\""
        assert [each.state for each in (await run.status()).nodes] == ["failed", "completed", "completed"]


async def test_a_mended_reducer_and_a_retry_go_on() -> None:
    broken = [True]

    def reducer(old: Any, new: int) -> int:
        if broken:
            raise ConnectionError("not there yet")
        return (old or 0) + new

    graph = StateGraph({"n": Annotated[int, reducer]}, name="g")
    graph.add_node(_one, "a")
    graph.add_edge(START, "a")
    graph.add_edge("a", END)
    async with Engine("memory:") as engine:
        run, message = await fails(engine, graph)
        assert message == "a: the reducer of 'n' raised ConnectionError: not there yet"
        broken.clear()
        await run.retry()
        assert dict(await run.result()) == {"n": 1}


async def _one(state: Any) -> Any:
    return {"n": 1}


@pytest.mark.parametrize("by", ["a node", "its start"])
async def test_a_state_that_is_too_large(by: str) -> None:
    graph = returning({"log": ["x" * 2_000]} if by == "a node" else {}, max_state_bytes=1_000)
    graph.add_edge("a", END)
    async with Engine("memory:") as engine:
        _, message = await fails(engine, graph, {"log": ["x" * 2_000]} if by == "its start" else None)
        assert "the state of g would have 2,006 bytes, more than its limit of 1,000" in message
        assert "raise StateGraph(max_state_bytes=...), or keep large things elsewhere" in message


async def test_a_decision_that_makes_the_state_too_large_is_refused_and_the_barrier_waits_on() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(chain("review", add_a, max_state_bytes=1_000))
        await waits_at(run)
        with pytest.raises(RefusedError, match=r"would have 2,\d+ bytes, more than its limit of 1,000"):
            await run.approve(changes={"log": ["x" * 2_000]})
        with pytest.raises(RefusedError, match="the state has no key nope; it has log, number"):
            await run.modify({"nope": 1})
        await run.approve(changes={"log": ["short"]})
        assert (await run.result())["log"] == ["short", "a"]


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"log": "x"}, "input 'log': Expected `array`, got `str`"),
        ({"nope": 1}, "it has no input 'nope'; did you mean 'notes'?"),
        ({"n": {1}}, "input 'n': $: a set has no order|input 'n': Expected `int`"),
    ],
)
async def test_a_start_on_what_is_no_such_state_starts_nothing(inputs: dict[str, Any], told: str) -> None:
    graph = returning({})
    graph.add_edge("a", END)
    async with Engine("memory:") as engine:
        with pytest.raises(GraphError, match="|".join(map(re.escape, told.split("|")))):
            await engine.start(graph, inputs)
        assert not await engine.runs()


#: Each condition, and what it gave.
NO_EDGE = (
    'no edge of a can be taken: to END if state["n"] > 5: gave false; to a if state.n < 0: gave false; '
    'to END if state["n"] = 7: gave 1, not 7; to a if state["n"] = 1: gave 1, not "1"'
)


# Where the token goes --------------------------------------------------------------------------------------


def edge_that_raises(graph: StateGraph) -> None:
    graph.add_edge("a", "a", when=lambda state: state["sum"] > 3)
    graph.add_edge("a", END)


def expression_without_a_value(graph: StateGraph) -> None:
    graph.add_edge("a", "a", when="{{ state.sum > 3 }}")
    graph.add_edge("a", END)


def no_edge(graph: StateGraph) -> None:
    graph.add_edge("a", END, when=lambda state: state["n"] > 5)
    graph.add_edge("a", "a", when="{{ state.n < 0 }}")
    graph.add_router("a", lambda state: state["n"], {7: END, "1": "a"})


def no_end(graph: StateGraph) -> None:
    graph.add_edge("a", "a", when=lambda _: True)
    graph.add_edge("a", END)


def limited_edge(graph: StateGraph) -> None:
    graph.add_edge("a", "a", when=lambda _: True, max_visits=2)
    graph.add_edge("a", END)


@pytest.mark.parametrize(
    ("edges", "kind", "told"),
    [
        (
            edge_that_raises,
            "condition",
            "the condition of the edge a -> a (state[\"sum\"] > 3) raised MissingKeyError: the state has no 'sum'",
        ),
        (
            expression_without_a_value,
            "condition",
            "the condition of the edge a -> a (state.sum > 3) raised ExpressionError",
        ),
        (
            no_edge,
            "route",
            NO_EDGE,
        ),
        (no_end, "limit", "g has made 5 steps, as many as it may (max_steps), and would go on with a; raise"),
        (limited_edge, "limit", "the edge a -> a was taken 2 times, as often as it may be (max_visits)"),
    ],
)
async def test_a_token_that_cannot_go_on_says_why(edges: Callable[..., None], kind: str, told: str) -> None:
    graph = returning({"n": 1}, max_steps=5)
    edges(graph)
    async with Engine("memory:") as engine:
        run, message = await fails(engine, graph)
        assert told in message
        status = await run.status()
        assert status.error is not None
        assert status.error.type == kind
        assert {node.state for node in status.nodes} == {"completed"}  # no node is to blame
        assert (await run.at(status.seq)).state == {"n": 1}


@pytest.mark.parametrize(
    ("update", "told"),
    [
        (Update(goto="b"), "a names 'b' to go on with, and its edges lead to END; add an edge to it"),
        (Update(fallback=True), "a asks for its fallback edge, and has none; add_fallback gives it one"),
    ],
)
async def test_a_node_that_names_no_way(update: Update, told: str) -> None:
    graph = returning(update)
    graph.add_edge("a", END)
    async with Engine("memory:") as engine:
        _, message = await fails(engine, graph)
        assert message == told


async def test_a_mended_condition_and_a_retry_go_on_from_where_the_token_stood() -> None:
    broken, entered = [True], []

    async def a(state: State) -> State:
        entered.append("a")
        return {"number": 1}

    def is_done(state: State) -> bool:
        if broken:
            raise ConnectionError("not there yet")
        return True

    graph = StateGraph(State, name="g")
    graph.add_node(a)
    graph.add_node(add_a)
    graph.add_edge(START, "a")
    graph.add_edge("a", "add_a", when=is_done)
    graph.add_edge("a", END)
    graph.add_edge("add_a", END)
    async with Engine("memory:") as engine:
        run, message = await fails(engine, graph)
        assert message == "the condition of the edge a -> add_a (is_done) raised ConnectionError: not there yet"
        broken.clear()
        await run.retry()
        assert dict(await run.result()) == {"number": 1, "log": ["a"]}
    assert entered == ["a"]


# What people say -------------------------------------------------------------------------------------------


async def test_decisions_that_no_barrier_waits_for_are_refused() -> None:
    graph = chain("review", add_a, "publish")
    async with Engine("memory:") as engine:
        run = await engine.start(graph)
        shown = (await waits_at(run)).digest
        for address in ("nowhere", "review[1]", "review/deeper", "review#x", "add_a"):
            with pytest.raises(RefusedError, match=r"it has no barrier '.*'; its barriers: publish, review"):
                await run.approve(address)
        with pytest.raises(RefusedError, match="is not what was shown; look at it again"):
            await run.approve(shown="another digest")
        with pytest.raises(
            RefusedError, match=r"there is no node 'nowhere' to go on with; there are review, add_a"
        ):
            await run.reroute("nowhere")
        with pytest.raises(RefusedError, match="does not ask review '#decision' now"):
            await run.answer(True, "review", DECISION)
        await run.approve(by="ann", shown=shown)
        await waits_at(run, "publish")
        with pytest.raises(
            RefusedError, match=r"review does not wait .* any more: it was decided \(approve by ann\)"
        ):
            await run.reject("review", "too late")
        await run.reject()
        assert (await run.result())["publish.approved"] is False
        with pytest.raises(RefusedError, match=r"it has ended \(completed\)"):
            await run.approve("publish")
        with pytest.raises(RefusedError, match="waits at no barrier now"):
            await run.approve()


async def test_a_decision_at_one_of_several_barriers_has_to_say_which() -> None:
    graph = StateGraph(State, name="g")
    graph.add_parallel("both", {"left": chain("review"), "right": chain("review")})
    graph.add_edge(START, "both")
    graph.add_edge("both", END)
    async with Engine("memory:") as engine:
        run = await engine.start(graph)
        await seen(run, e.WaitOpened, "both/right/review")
        with pytest.raises(
            InvalidInputError,
            match=r"waits at several barriers, say which is meant: both/left/review, both/right/",
        ):
            await run.approve()
        await run.approve("both/right/review")
        await run.approve()
        assert (await run.result()).state == "completed"


# Looking back ----------------------------------------------------------------------------------------------


async def test_positions_that_do_not_exist_cannot_be_looked_at_or_forked() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(chain(add_a), id="r")
        await run.result()
        end = (await run.status()).seq
        for seq in (0, -1, end + 1):
            with pytest.raises(InvalidInputError, match=rf"run r has no event {seq}; it has 1 to {end}"):
                await engine.fork("r", seq)
            with pytest.raises(InvalidInputError, match=rf"run r has no event {seq}; it has 1 to {end}"):
                await run.at(seq)
            with pytest.raises(InvalidInputError, match=rf"run r has no event {seq}; it has 1 to {end}"):
                await run.diff(1, seq)
        with pytest.raises(RefusedError, match="cannot be forked after its event"):
            await engine.fork("r", end)
        with pytest.raises(RunConflictError, match="run r exists; give the fork another id"):
            await engine.fork("r", 4, id="r")
        with pytest.raises(RefusedError, match="'nope' is no key of the state"):
            await engine.fork("r", 4, changes={"nope": 1})
        assert [row.run for row in await engine.runs()] == ["r"]
