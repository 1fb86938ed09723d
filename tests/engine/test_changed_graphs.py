"""A run that exists is asked for with a changed graph: refused with the difference, or gone on with (SG9)."""

from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

import pytest
from changed_kit import Wider, changes, first, made, routed, second, third
from engine_kit import Gate, kinds
from state_kit import State, add_a, chain, waits_at

from clew import END, START, Engine, Graph, StateGraph, append, replace
from clew.errors import InvalidInputError, RunConflictError, RunFailedError
from clew.journal.memory import MemoryJournal


@pytest.fixture(autouse=True)
def _nothing_is_made() -> None:
    made.clear()


# Strict ---------------------------------------------------------------------------------------------------


async def test_a_changed_graph_is_refused_with_the_difference(url: str) -> None:
    async with Engine(url) as engine:
        run = await engine.start(chain(first, "ok", second), id="r")
        await waits_at(run)
        with pytest.raises(RunConflictError) as caught:
            await engine.start(chain(first, "ok", third), id="r")
        assert str(caught.value) == (
            "run r exists with another graph: node second is gone; node third is new; edge ok -> second is gone; "
            "edge second -> END is gone; edge ok -> third is new; edge third -> END is new. Give this one another "
            "id, or say on_change (--on-change): compatible goes on with the changed graph if what has run is "
            "unchanged, force in any case"
        )
        with pytest.raises(RunConflictError, match="node second is gone"):
            await engine.resume("r", chain(first, "ok", third))
        await run.approve()
        await run.result()
        with pytest.raises(RunConflictError, match="node second is gone"):
            await engine.start(chain(first, "ok", third), id="r")
    assert made == {"first": 1, "second": 1}


async def test_a_changed_graph_of_dependencies_is_refused_in_any_case(url: str) -> None:
    def graph(retry: int) -> Graph:
        g = Graph("g")
        g.add(broken_plain, g.input("x", int), retry=retry)
        return g

    async with Engine(url) as engine:
        run = await engine.start(graph(1), {"x": 1}, id="r")
        with pytest.raises(RunFailedError):
            await run.result()
        with pytest.raises(RunConflictError) as caught:
            await engine.start(graph(2), {"x": 1}, id="r")
        assert str(caught.value) == (
            "run r exists with another graph: node broken_plain: retry.max_attempts 1 -> 2. Give this one another "
            "id"
        )
        for how in ("compatible", "force"):
            with pytest.raises(
                RunConflictError, match="only a run of a state graph can go on with a changed graph"
            ):
                await engine.start(graph(2), {"x": 1}, id="r", on_change=how)


async def broken_plain(x: int) -> int:
    raise ValueError("boom")


async def test_other_words_are_refused(url: str) -> None:
    async with Engine(url) as engine:
        with pytest.raises(InvalidInputError, match="on_change='maybe': write strict, compatible, force"):
            await engine.start(chain(first), on_change="maybe")
        assert await engine.runs() == []


# Compatible -----------------------------------------------------------------------------------------------


async def test_a_run_that_waits_goes_on_with_what_comes_after(url: str) -> None:
    async with Engine(url) as engine:
        await waits_at(await engine.start(chain(first, "ok"), id="r"))
    after = chain(first, "ok", second)
    async with Engine(url) as engine:
        run = await engine.start(after, id="r", on_change="compatible", by="ann")
        (changed,) = await changes(run)
        assert (changed.by, changed.forced, changed.graph) == ("ann", False, after.hash)
        row = await engine.journal.row("r")
        assert row is not None
        assert (row.graph, row.definition) == (after.hash, changed.definition)
        again = await engine.start(after, id="r")
        await run.approve()
        assert (await again.result())["log"] == ["first", "second"]
        assert len(await changes(run)) == 1
    assert made == {"first": 1, "second": 1}


async def test_what_has_run_may_not_have_changed(url: str) -> None:
    class Other(TypedDict, total=False):
        log: Annotated[list[str], replace]
        number: int

    other = StateGraph(Other, name="chain")
    other.add_node("first", third, retry=3)
    other.add_barrier("ok", "sure?")
    for source, target in ((START, "first"), ("first", "ok"), ("ok", END)):
        other.add_edge(source, target)
    async with Engine(url) as engine:
        run = await engine.start(chain(first, "ok", second), id="r")
        await waits_at(run)
        with pytest.raises(RunConflictError) as caught:
            await engine.start(other, id="r", on_change="compatible")
        assert str(caught.value) == (
            "run r does not go on with the changed graph, because what has run was changed: first has changed "
            "(body.ref changed_kit:first -> changed_kit:third, retry.max_attempts 1 -> 3); ok has "
            "changed (barrier.text ok? -> sure?); the key log was written and has changed (reducer append -> "
            "replace). on_change (--on-change) force goes on all the same"
        )
        assert await changes(run) == []
        await run.approve()
        assert (await run.result())["log"] == ["first", "second"]


async def test_parts_of_sub_graphs_that_did_not_run_may_change(url: str) -> None:
    def graph(*bodies: Any, **options: Any) -> StateGraph:
        sub = StateGraph(State, name="sub")
        ids = [sub.add_barrier(x, "?") if isinstance(x, str) else sub.add_node(x, **options) for x in bodies]
        for source, target in zip([START, *ids], [*ids, END], strict=True):
            sub.add_edge(source, target)
        return routed(("part", sub))

    async with Engine(url) as engine:
        run = await engine.start(graph(first, "ok", second), id="r")
        await waits_at(run)
        with pytest.raises(RunConflictError, match=r"part/first has changed \(retry\.max_attempts 1 -> 2\)\. on"):
            await engine.start(graph(first, "ok", second, retry=2), id="r", on_change="compatible")
        await engine.start(graph(first, "ok", third), id="r", on_change="compatible")
        await run.approve()
        assert (await run.result())["log"] == ["first", "third"]
    assert made == {"first": 1, "third": 1}


async def test_inputs_are_compared_as_before(url: str) -> None:
    def say(state: Any) -> dict[str, Any]:
        return {"log": ["said"]}

    without = {"log": Annotated[list[str], append], "mood": str}
    async with Engine(url) as engine:
        run = await engine.start(chain(say, "ok"), {"number": 1}, id="r")
        await waits_at(run)
        changed = chain(say, "ok", schema=Wider)
        with pytest.raises(RunConflictError, match='mood was nothing, now "sad"'):
            await engine.start(changed, {"number": 1, "mood": "sad"}, id="r", on_change="compatible")
        with pytest.raises(RunConflictError, match="number was 1, now 2"):
            await engine.start(changed, {"number": 2}, id="r", on_change="force")
        with pytest.raises(RunConflictError, match="number was 1, now nothing"):
            await engine.start(changed, id="r", on_change="force")
        with pytest.raises(RunConflictError, match="the key number was written and is gone"):
            await engine.resume("r", chain(say, "ok", schema=without), on_change="compatible")
        assert await changes(run) == []
        await engine.start(changed, {"number": 1}, id="r", on_change="compatible")
        await engine.resume("r", chain(say, "ok", schema=without), on_change="force")
        await run.approve()
        assert dict(await run.result()) == {"log": ["said"], "ok.approved": True}


async def test_a_new_key_with_a_default_begins_with_it(url: str) -> None:
    @dataclass
    class Old:
        log: Annotated[list[str], append] = field(default_factory=list[str])

    @dataclass
    class New:
        log: Annotated[list[str], append] = field(default_factory=list[str])
        mood: str = "glad"

    def tell(state: Any) -> dict[str, Any]:
        return {"log": [state["mood"]]}

    async with Engine(url) as engine:
        run = await engine.start(chain("ok", schema=Old), id="r")
        await waits_at(run)
        await engine.start(chain("ok", tell, schema=New), id="r", on_change="compatible")
        await run.approve()
        assert dict(await run.result()) == {"log": ["glad"], "mood": "glad", "ok.approved": True}


async def test_what_was_lost_with_its_process_goes_on_with_the_changed_graph() -> None:
    journal, gate = MemoryJournal(), Gate()

    async def held(state: State) -> State:
        made["held"] += 1
        await gate.wait()
        return {"log": ["held"]}

    engine = Engine(journal)
    await engine.open()
    await engine.start(routed(held), id="r")
    await gate.arrivals()
    await engine.close()
    gate.open()
    async with Engine(journal) as engine:
        run = await engine.start(routed(held, second), id="r", on_change="compatible")
        assert (await run.result())["log"] == ["held", "second"]
        told = await kinds(run)
        assert told.index("DefinitionChanged") == told.index("OwnershipTaken") - 1
    assert made == {"held": 2, "second": 1}


# Force ----------------------------------------------------------------------------------------------------


async def test_a_forced_change_keeps_what_has_run(url: str) -> None:
    async with Engine(url) as engine:
        run = await engine.start(chain(first, second, "ok", add_a), id="r")
        await waits_at(run)
        then = (await run.status()).seq
    after = StateGraph(Wider, name="renamed")
    after.add_barrier("ok", "now?")
    after.add_node("second", third, retry=2)
    after.add_edge(START, "second")
    after.add_edge("second", "ok")
    after.add_edge("ok", "second", when=lambda state: state["log"].count("third") < 2)
    after.add_edge("ok", END)
    async with Engine(url) as engine:
        run = await engine.resume("r", after, on_change="force", by="ann")
        row = await engine.journal.row("r")
        assert row is not None
        assert (row.name, row.graph, row.state) == ("renamed", after.hash, "running")
        (changed,) = await changes(run)
        assert (changed.forced, changed.by) == (True, "ann")
        assert [node.path for node in (await run.status()).nodes] == ["first", "second", "ok"]
        assert (await run.barriers())[0].text == "now?"
    async with Engine(url, graphs=[after]) as engine:
        run = await engine.resume("r")
        await run.approve("ok")
        await waits_at(run, "ok#2")
        assert [node.path for node in (await run.status()).nodes] == ["first", "second", "ok", "second#2", "ok#2"]
        await run.approve(standing=True)
        assert (await run.result())["log"] == ["first", "second", "third", "third"]
        before = await engine.travel.at("r", then)
        assert before.status.graph == "chain"
        assert before.state == {"log": ["first", "second"]}
        assert [point.next for point in await engine.travel.checkpoints("r") if point.next][:3] == [
            "first", "second", "ok",
        ]  # fmt: skip
    assert made == {"first": 1, "second": 1, "third": 2}


async def test_what_was_forced_once_is_not_asked_about_again(url: str) -> None:
    async with Engine(url) as engine:
        run = await engine.start(chain(first, second, "ok"), id="r")
        await waits_at(run)

        def graph(retry: int) -> StateGraph:
            g = routed(("second", third), second={"retry": retry})
            g.add_barrier("ok", "ok?")
            g.add_edge("second", "ok", when=lambda state: True)
            g.add_edge("ok", END)
            return g

        with pytest.raises(RunConflictError, match=r"first is gone; second has changed \(body.ref .*, retry"):
            await engine.start(graph(2), id="r", on_change="compatible")
        await engine.start(graph(2), id="r", on_change="force")
        await engine.start(graph(3), id="r", on_change="compatible")
        assert [change.forced for change in await changes(run)] == [True, False]
        await run.approve()
        assert (await run.result())["log"] == ["first", "second"]


async def test_a_fork_from_before_the_change_has_the_graph_of_then(url: str) -> None:
    old, new = chain(first, "ok", second), chain(first, "ok", third)
    async with Engine(url, graphs=[old]) as engine:
        run = await engine.start(old, id="r")
        await waits_at(run)
        then = (await run.status()).seq
        await engine.start(new, id="r", on_change="compatible")
        early = await engine.fork("r", then, id="early")
        late = await engine.fork("r", id="late")
        for fork, graph, log in ((early, old, ["first", "second"]), (late, new, ["first", "third"])):
            row = await engine.journal.row(fork.id)
            assert row is not None
            assert row.graph == graph.hash
            await fork.approve()
            assert (await fork.result())["log"] == log
        await run.approve()
        assert (await run.result())["log"] == ["first", "third"]
    assert made == {"first": 1, "second": 1, "third": 2}


async def test_a_fork_can_go_on_with_another_graph(url: str) -> None:
    old, new = chain(first, second, "ok"), chain(first, third)
    async with Engine(url, graphs=[old]) as engine:
        run = await engine.start(old, id="r")
        await waits_at(run)
        points = {point.next: point.seq for point in await engine.travel.checkpoints("r")}
        with pytest.raises(RunConflictError, match="cannot go on with the changed graph: it is at second, which"):
            await engine.fork("r", points["second"], id="f", graph=new, on_change="force")
        with pytest.raises(RunConflictError, match="run r exists with another graph: node second is gone; "):
            await engine.fork("r", points["first"], id="f", graph=new)
        assert await engine.journal.row("f") is None
        fork = await engine.fork("r", points["first"], id="f", graph=new, on_change="compatible", by="ann")
        assert (await fork.result())["log"] == ["first", "third"]
        row = await engine.journal.row("f")
        assert row is not None
        assert row.graph == new.hash
        same = await engine.fork("r", points["second"], id="g", graph=old)
        await waits_at(same)
        assert await changes(same) == []
        await engine.start(new, id="f")
        with pytest.raises(RunConflictError):
            await engine.start(new, id="r")
    assert made == {"first": 2, "second": 2, "third": 1}


async def test_the_node_that_the_run_is_at_cannot_be_forced_away(url: str) -> None:
    async with Engine(url) as engine:
        run = await engine.start(chain(first, "ok", second), id="r")
        await waits_at(run)
        with pytest.raises(RunConflictError) as caught:
            await engine.start(chain(first, second), id="r", on_change="force")
        assert str(caught.value) == (
            "run r cannot go on with the changed graph: it is at ok, which the changed graph does not have: fork "
            "it from an earlier checkpoint, or, if it waits at a barrier, reroute it first"
        )
        await run.approve()
        await run.result()
