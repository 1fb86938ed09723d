"""A run that exists is asked for with a changed graph: refused with the difference, or gone on with (SG9)."""

import asyncio
import io
from collections import Counter
from contextlib import aclosing
from typing import Annotated, Any, TypedDict

import pytest
from engine_kit import Gate, history, kinds, seen, turns
from state_kit import State, add_a, add_b, chain, waits_at

from clew import END, START, Engine, Graph, Run, StateGraph, append, replace
from clew.engine import drivers
from clew.errors import InvalidInputError, RefusedError, RunBusyError, RunConflictError, RunFailedError
from clew.journal.memory import MemoryJournal
from clew.kernel import events as e
from clew.kernel import machine
from clew.testing import (
    CrashingEngine,
    CrashPlan,
    Faults,
    FaultyJournal,
    VirtualClock,
    run_until_crash,
    run_virtual,
)

made: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _nothing_is_made() -> None:
    made.clear()


class Wider(TypedDict, total=False):
    """The state with one key more."""

    log: Annotated[list[str], append]
    number: int
    mood: str


async def first(state: State) -> State:
    made["first"] += 1
    return {"log": ["first"]}


async def second(state: State) -> State:
    made["second"] += 1
    return {"log": ["second"]}


async def third(state: State) -> State:
    made["third"] += 1
    return {"log": ["third"]}


async def broken(state: State) -> State:
    made["broken"] += 1
    raise ValueError("boom")


async def changes(run: Run) -> list[e.DefinitionChanged]:
    return [each.event for each in await history(run) if isinstance(each.event, e.DefinitionChanged)]


def routed(*nodes: Any, name: str = "chain", schema: Any = State, **options: Any) -> StateGraph:
    """Nodes by id one after the other."""
    graph = StateGraph(schema, name=name)
    ids = []
    for node in nodes:
        id_, body = node if isinstance(node, tuple) else (node.__name__, node)
        ids.append(graph.add_node(id_, body, **options.get(id_, {})))
    for source, target in zip([START, *ids], [*ids, END], strict=True):
        graph.add_edge(source, target)
    return graph


# Strict ---------------------------------------------------------------------------------------------------


async def test_a_changed_graph_is_refused_with_the_difference(url: str) -> None:
    async with Engine(url) as engine:
        run = await engine.start(chain(first, "ok", second), id="r")
        await waits_at(run)
        with pytest.raises(RunConflictError) as caught:
            await engine.start(chain(first, "ok", third), id="r")
        assert str(caught.value) == (
            "run r exists with another graph: node second is gone; node third is new; edge ok -> second is gone; edge "
            "second -> END is gone; edge ok -> third is new; edge third -> END is new. Give this one another id, or "
            "say on_change (--on-change): compatible goes on with the changed graph if what has run is unchanged, "
            "force in any case"
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
            "run r exists with another graph: node broken_plain: retry.max_attempts 1 -> 2. Give this one another id"
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
            "(body.ref test_changed_graphs:first -> test_changed_graphs:third, retry.max_attempts 1 -> 3); ok has "
            "changed (barrier.text ok? -> sure?); the key log was written and has changed (reducer append -> replace)"
            ". on_change (--on-change) force goes on all the same"
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


async def test_new_keys_have_their_defaults_and_inputs_are_compared_as_before(url: str) -> None:
    schema = {"log": Annotated[list[str], append], "mood": str}

    def mood(state: Any) -> dict[str, Any]:
        return {"log": [state["mood"]]}

    class Moody(TypedDict, total=False):
        log: Annotated[list[str], append]
        number: int

    async with Engine(url) as engine:
        run = await engine.start(chain(first, "ok"), {"number": 1}, id="r")
        await waits_at(run)
        with pytest.raises(RunConflictError, match='mood was nothing, now "sad"'):
            await engine.start(
                chain(first, "ok", mood, schema=Wider),
                {"number": 1, "mood": "sad"},
                id="r",
                on_change="compatible",
            )
        with pytest.raises(RunConflictError, match="number was 1, now 2"):
            await engine.start(chain(first, "ok", schema=Wider), {"number": 2}, id="r", on_change="force")
        with pytest.raises(RunConflictError, match="number was 1, now nothing"):
            await engine.start(chain(first, "ok", schema=Wider), id="r", on_change="force")
        with pytest.raises(RunConflictError, match="the key number was written and is gone"):
            await engine.resume("r", chain(first, "ok", mood, schema=schema), on_change="compatible")
        assert await changes(run) == []


async def test_a_new_key_with_a_default_begins_with_it(url: str) -> None:
    from dataclasses import dataclass, field

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


async def test_the_node_that_the_run_is_at_cannot_be_forced_away(url: str) -> None:
    async with Engine(url) as engine:
        run = await engine.start(chain(first, "ok", second), id="r")
        await waits_at(run)
        with pytest.raises(RunConflictError) as caught:
            await engine.start(chain(first, second), id="r", on_change="force")
        assert str(caught.value) == (
            "run r cannot go on with the changed graph: it is at ok, which the changed graph does not have: fork it "
            "from an earlier checkpoint, or, if it waits at a barrier, reroute it first"
        )
        await run.approve()
        await run.result()


# Where the run stands -------------------------------------------------------------------------------------


async def test_a_paused_run_stays_paused(url: str) -> None:
    gate = Gate()

    async def held(state: State) -> State:
        await gate.wait()
        return {"log": ["held"]}

    async with Engine(url) as engine:
        run = await engine.start(routed(held, second), id="r")
        await gate.arrivals()
        await run.pause()
        with pytest.raises(RunBusyError, match="run r is under way in this process; its graph can change while"):
            await engine.start(routed(held, second, third), id="r", on_change="compatible")
        gate.open()
        await seen(run, e.NodeCompleted, "held")
        await engine.start(routed(held, second, third), id="r", on_change="compatible")
        assert (await run.status()).state == "paused"
        await run.resume()
        assert (await run.result())["log"] == ["held", "second", "third"]
    assert made == {"second": 1, "third": 1}


async def test_a_parked_run_changes_and_who_looks_on_sees_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "MAX_IDLE", 0)
    monkeypatch.setattr(drivers, "COUNT_S", 0.0)
    told: list[str] = []

    async with Engine(url) as engine:
        run = await engine.start(chain(first, "ok"), id="r")

        async def look() -> None:
            async with aclosing(run.events()) as events:
                async for recorded in events:
                    told.append(type(recorded.event).__name__)  # noqa: PERF401 - as it comes

        looking = asyncio.create_task(look())
        await waits_at(run)
        await turns(lambda: engine.driver_of("r") is None)
        with pytest.raises(RunConflictError, match="first is gone"):
            await engine.start(chain("ok"), id="r", on_change="compatible")
        await engine.start(chain(first, "ok", second), id="r", on_change="compatible")
        await run.approve()
        assert (await run.result())["log"] == ["first", "second"]
        await looking
        assert told.count("DefinitionChanged") == 1
        assert "OwnershipTaken" not in told
        assert told[-1] == "RunCompleted"


async def test_a_run_that_another_process_drives_is_busy(url: str) -> None:
    async with Engine(url) as one, Engine(url) as other:
        run = await one.start(chain(first, "ok"), id="r")
        await waits_at(run)
        with pytest.raises(RunBusyError, match="run r is being driven by"):
            await other.start(chain(first, "ok", second), id="r", on_change="compatible")
        with pytest.raises(RunBusyError, match="run r is being driven by"):
            await other.resume("r", chain(first, "ok", second), on_change="force")
        with pytest.raises(RunConflictError, match="node second is new"):
            await other.start(chain(first, "ok", second), id="r")
        await run.approve()
        assert (await run.result())["log"] == ["first"]


async def test_an_engine_that_drives_nothing_can_change_a_run(url: str) -> None:
    after = chain(first, "ok", second)
    async with Engine(url) as engine:
        await waits_at(await engine.start(chain(first, "ok"), id="r"))
    async with Engine(url, drives=False) as engine:
        await engine.resume("r", after, on_change="compatible")
        assert engine.driver_of("r") is None
    async with Engine(url) as engine:
        run = await engine.resume("r")
        assert len(await changes(run)) == 1
        await run.approve()
        assert (await run.result())["log"] == ["first", "second"]


async def test_a_failed_run_is_retried_with_the_changed_graph(url: str) -> None:
    async with Engine(url) as engine:
        run = await engine.start(routed(first, ("work", broken)), id="r")
        with pytest.raises(RunFailedError, match="boom"):
            await run.result()
        after = routed(first, ("work", second), third)
        with pytest.raises(RunConflictError, match=r"work has changed \(body\.ref \S+:broken -> \S+:second\)"):
            await engine.start(after, id="r", on_change="compatible")
        again = await engine.start(after, id="r", on_change="force")
        assert (await again.status()).state == "failed"
        with pytest.raises(RunFailedError, match="boom"):
            await run.result()
        await again.retry()
        assert (await run.result())["log"] == ["first", "second", "third"]
    assert made == {"first": 1, "broken": 1, "second": 1, "third": 1}


async def test_a_run_that_found_no_way_on_goes_on_with_an_edge_more(url: str) -> None:
    def graph(*, mended: bool) -> StateGraph:
        g = StateGraph(State, name="g")
        g.add_node(first)
        g.add_edge(START, "first")
        g.add_edge("first", END, when=lambda state: len(state["log"]) > 5)
        if mended:
            g.add_node(second)
            g.add_edge("first", "second")
            g.add_edge("second", END)
        return g

    async with Engine(url) as engine:
        run = await engine.start(graph(mended=False), id="r")
        with pytest.raises(RunFailedError, match="no edge of first can be taken"):
            await run.result()
        await (await engine.start(graph(mended=True), id="r", on_change="compatible")).retry()
        assert (await run.result())["log"] == ["first", "second"]
    assert made == {"first": 1, "second": 1}


@pytest.mark.parametrize("how", ["compatible", "force"])
async def test_a_completed_run_stays_as_it_is(url: str, how: str) -> None:
    async with Engine(url) as engine:
        before = chain(first)
        run = await engine.start(before, id="r")
        await run.result()
        again = await engine.start(chain(second), id="r", on_change=how)
        assert (await again.result())["log"] == ["first"]
        await engine.resume("r", chain(second), on_change=how)
        row = await engine.journal.row("r")
        assert row is not None
        assert row.graph == before.hash
        assert await changes(run) == []
    assert made == {"first": 1}


# Again and again ------------------------------------------------------------------------------------------


async def test_a_run_changes_again_and_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With snapshots in between: each is read with the graph that it was made under."""
    monkeypatch.setattr(machine, "SNAPSHOT_EVENTS", 4)
    one, other = chain(first, "ok", second), chain(add_a, first, "ok", third, add_b)
    async with Engine(url) as engine:
        await waits_at(await engine.start(one, id="r"))
    for number, graph in enumerate((other, one, other, one), 1):
        async with Engine(url) as engine:
            run = await engine.start(graph, id="r", on_change="force")
            assert len(await changes(run)) == number
            assert [node.path for node in (await run.status()).nodes] == ["first", "ok"]
            if number == 2:  # as if everything before it had never been thought of
                assert (await engine.looking.folded("r")).visits["first"].node.former == -1
            await run.modify({"number": number})
        async with Engine(url) as engine:
            assert (await engine.travel.at("r", (await run_of(engine)).seq)).state == {
                "log": ["first"],
                "number": number,
            }
            assert await engine.journal.snapshot("r") is not None
    async with Engine(url) as engine:
        run = await engine.resume("r")
        await run.approve()
        assert (await run.result())["log"] == ["first", "second"]
    assert made == {"first": 1, "second": 1}


async def run_of(engine: Engine) -> Any:
    row = await engine.journal.row("r")
    assert row is not None
    return row


async def test_a_changed_run_is_exported_with_all_its_graphs(url: str) -> None:
    file = io.BytesIO()
    async with Engine(url) as engine:
        run = await engine.start(chain(first, "ok", second), id="r")
        await waits_at(run)
        then = (await run.status()).seq
        await engine.start(chain("ok", third), id="r", on_change="force")
        await run.approve()
        await run.result()
        await engine.archive.export_run("r", file)
    file.seek(0)
    async with Engine("memory:") as engine:
        await engine.archive.import_run(file)
        assert (await engine.travel.at("r", then)).status.counts["completed"] == 1
        copy = await engine.open_run("r")
        assert (await copy.result())["log"] == ["first", "third"]
        with pytest.raises(RefusedError, match="imported copy"):
            await engine.resume("r", chain("ok"), on_change="force")


# Deaths ---------------------------------------------------------------------------------------------------


class Sticky(MemoryJournal):
    """A journal that survives its engine."""


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("of", ["commit", "call"])
def test_a_death_at_each_moment_of_a_change(of: str, *, durable: bool) -> None:
    """Wherever the process dies, the run has the old graph or the new one, and comes to the same end."""
    before, after = chain(add_a, "ok", add_b), chain(add_a, "ok", add_a)

    def live(journal: MemoryJournal, main: Any, crash: CrashPlan, start_s: float) -> Any:
        faulty = FaultyJournal(journal, Faults(crash=crash))

        async def life() -> Any:
            asyncio.get_running_loop().set_exception_handler(lambda _, __: None)
            clock = VirtualClock(asyncio.get_running_loop())

            async def within() -> Any:
                async with CrashingEngine(faulty, clock=clock) as engine:
                    return await main(engine)

            return await run_until_crash(within(), faulty.crashed)

        return run_virtual(life(), start_s=start_s)

    async def begin(engine: Engine) -> None:
        await waits_at(await engine.start(before, id="r"))

    async def change(engine: Engine) -> str:
        await engine.start(after, id="r", on_change="compatible")
        return "changed"

    async def end(engine: Engine) -> tuple[list[str], int]:
        run = await engine.start(after, id="r", on_change="compatible")
        await run.approve()
        return (await run.result())["log"], len(await changes(run))

    at, deaths = 1, 0
    while True:
        journal = Sticky()
        live(journal, begin, CrashPlan(), 0.0)
        crash = CrashPlan(**{f"at_{of}": at, "durable": durable})
        if live(journal, change, crash, 100.0) == "changed":
            break
        deaths += 1
        assert live(journal, end, CrashPlan(), 1_000.0) == (["a", "a"], 1)
        at += 1
    assert deaths >= (1 if of == "commit" else 5)
