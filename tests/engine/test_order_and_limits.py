"""DG2, DG3, DG9: nodes start when their own dependencies are done, and no more at once than is allowed."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from engine_bodies import double, numbers, total
from engine_kit import Gate, Later, Meter, ThreadGate, seen, turns

from clew import Engine, Graph, GraphError, run_graph, run_sync
from clew.engine.driver import Driver
from clew.kernel import events as e


async def test_a_slow_node_delays_only_its_descendants() -> None:
    gate = Gate()

    async def slow() -> int:
        await gate.wait()
        return 1

    async def quick(x: int = 0) -> int:
        return x

    g = Graph("g")
    waits = g.add(quick, g.add(slow), id="waits")
    last = g.add(quick, g.add(quick, g.add(quick, id="one"), id="two"), id="three")
    g.returns([waits, last])
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await gate.arrivals()
        await seen(run, e.NodeCompleted, "three")
        states = {n.id: n.state for n in (await run.status()).nodes}
        assert states == {
            "slow": "running", "waits": "pending", "one": "completed", "two": "completed", "three": "completed",
        }  # fmt: skip
        gate.open()
        assert (await run.result()).output == [1, 0]


async def test_data_is_the_dependency_also_inside_structures() -> None:
    g = Graph("g")
    a = g.add(double, 1, id="a")
    b = g.add(double, a, id="b")

    async def last(parts: dict[str, list[int]], one: int) -> int:
        return sum(parts["both"]) + one

    g.returns(g.add(last, {"both": [a, b]}, one=b))
    result = await run_graph(g)
    assert result.output == 2 + 4 + 4
    assert dict(result) == {"a": 2, "b": 4, "last": 10}


async def test_plain_order_without_data() -> None:
    order: list[str] = []

    async def first() -> None:
        order.append("first")

    async def second() -> None:
        order.append("second")

    g = Graph("g")
    g.add(first)
    g.add(second, depends_on=["first"])
    await run_graph(g)
    assert order == ["first", "second"]


def crowd(meter: Meter, gate: Gate, **options: object) -> Graph:
    """Ten bodies that want to run at once."""

    async def body(x: int) -> int:
        with meter:
            await gate.wait()
        return x

    g = Graph("crowd", max_concurrency=options.pop("run", 100))  # type: ignore[arg-type]
    for x in range(10):
        g.add(body, x, id=f"n{x}", **options)  # type: ignore[arg-type]
    return g


async def let_all_through(meter: Meter, gate: Gate, limit: int) -> None:
    await gate.arrivals(limit)
    for _ in range(50):
        await asyncio.sleep(0)
    assert meter.inside == meter.most == limit
    gate.open()


async def test_at_most_four_attempts_of_a_run_at_once() -> None:
    meter, gate = Meter(), Gate()
    async with Engine("memory:") as engine:
        run = await engine.start(crowd(meter, gate, run=4))
        await let_all_through(meter, gate, 4)
        assert len(await run.result()) == 10
    assert meter.most == 4


async def test_the_engine_bounds_all_its_runs_together() -> None:
    meter, gate = Meter(), Gate()
    async with Engine("memory:", max_concurrency=7) as engine:
        runs = [await engine.start(crowd(meter, gate)) for _ in range(5)]
        await let_all_through(meter, gate, 7)
        assert [len(await run.result()) for run in runs] == [10] * 5
    assert meter.most == 7


async def test_named_resources_bound_who_uses_them() -> None:
    meter, gate, free = Meter(), Gate(), Gate()
    async with Engine("memory:", limits={"llm": 3}) as engine:
        g = crowd(meter, gate, uses="llm")

        async def other() -> None:
            await free.wait()

        for x in range(5):
            g.add(other, id=f"free{x}")
        run = await engine.start(g)
        await free.arrivals(5)
        free.open()
        await let_all_through(meter, gate, 3)
        await run.result()
    assert meter.most == 3


async def test_units_of_a_resource() -> None:
    meter, gate = Meter(), Gate()
    async with Engine("memory:", limits={"gpu": 5}) as engine:
        run = await engine.start(crowd(meter, gate, uses={"gpu": 2}))
        await let_all_through(meter, gate, 2)
        await run.result()


async def test_who_wants_many_units_does_not_keep_its_own_run_from_using_few() -> None:
    gate, small = Gate(), Gate()

    async def holds(door: Gate) -> None:
        await door.wait()

    g = Graph("g")

    async def held() -> None:
        await gate.wait()

    async def large() -> str:
        return "large"

    async def little() -> str:
        await small.wait()
        return "little"

    g.add(held, uses={"gpu": 3})
    first = g.add(little, uses={"gpu": 1}, id="first")
    g.add(little, uses={"gpu": 1}, id="second", depends_on=[first])
    g.add(large, uses={"gpu": 4}, priority=-1)
    async with Engine("memory:", limits={"gpu": 4}) as engine:
        run = await engine.start(g)
        await gate.arrivals()
        await small.arrivals()
        small.open()
        await small.arrivals(2)
        gate.open()
        assert (await run.result())["large"] == "large"


async def test_priority_goes_first_when_slots_are_short() -> None:
    order: list[int] = []

    async def body(x: int) -> None:
        order.append(x)

    g = Graph("g", max_concurrency=1)
    for x in (1, 3, 2):
        g.add(body, x, id=f"n{x}", priority=x)
    await run_graph(g)
    assert order == [3, 2, 1]


async def test_rates_bound_starts_per_period() -> None:
    clock = Later()
    g = Graph("g", max_concurrency=10)
    started: list[int] = []

    async def body(x: int) -> None:
        started.append(x)

    for x in range(4):
        g.add(body, x, id=f"n{x}", uses="api")
    async with Engine("memory:", rates={"api": "2/hour"}, clock=clock) as engine:
        run = await engine.start(g)
        await seen(run, e.NodeCompleted, "n1")
        assert len(started) == 2
        clock.ahead_s = 3600.0
        engine._slots._offer_rate("api")  # the alarm of a loop whose clock cannot be put forward
        await run.result()
    assert sorted(started) == [0, 1, 2, 3]


async def test_a_rate_wakes_those_who_wait_for_it() -> None:
    g = Graph("g", max_concurrency=10)
    for x in range(12):
        g.add(double, x, id=f"n{x}", uses="api")
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with Engine("memory:", rates={"api": "10/second"}) as engine:
        run = await engine.start(g)
        assert len(await run.result()) == 12
    assert loop.time() - start >= 0.19


async def test_values_out_of_range_are_refused_when_an_engine_is_made() -> None:
    for options in ({"max_concurrency": 0}, {"limits": {"llm": 0}}, {"rates": {"llm": "often"}}):
        with pytest.raises(GraphError):
            Engine("memory:", **options)  # type: ignore[arg-type]


async def test_resources_that_the_engine_does_not_have_are_refused_before_anything_runs() -> None:
    g = Graph("g")
    g.add(double, 1, uses="gpu")
    too_many = Graph("g")
    too_many.add(double, 1, uses={"llm": 3})
    async with Engine("memory:", limits={"llm": 2}, graphs=[g]) as engine:
        with pytest.raises(GraphError, match="resource 'gpu' has no limit"):
            await engine.start(g)
        with pytest.raises(GraphError, match="3 units are asked for"):
            await engine.start(too_many)
        assert await engine.runs() == []


async def test_a_run_whose_resources_are_missing_here_is_not_taken_up(url: str) -> None:
    gate = Gate()

    async def body() -> None:
        await gate.wait()

    g = Graph("g")
    g.add(body, uses="gpu")
    async with Engine(url, limits={"gpu": 1}) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    async with Engine(url, graphs=[g]) as engine:
        with pytest.raises(GraphError, match="gpu"):
            await engine.resume("r")
        assert await engine.resume_all() == []
        assert "gpu" in (await engine.runs())[0].note
    gate.open()
    async with Engine(url, graphs=[g], limits={"gpu": 1}) as engine:
        await (await engine.resume("r")).result()


async def test_slots_of_threads_count_too() -> None:
    gates = [ThreadGate() for _ in range(3)]

    def body(x: int) -> int:
        gates[x].wait()
        return x

    g = Graph("g", max_concurrency=2)
    for x in range(3):
        g.add(body, x, id=f"n{x}")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await gates[0].here.wait()
        await gates[1].here.wait()
        assert not gates[2].here.is_set()
        gates[0].door.set()
        await gates[2].here.wait()
        gates[1].door.set()
        gates[2].door.set()
        assert dict(await run.result()) == {"n0": 0, "n1": 1, "n2": 2}


async def test_ready_nodes_of_a_paused_run_do_not_keep_slots_from_others() -> None:
    gate = Gate()

    async def held() -> None:
        await gate.wait()

    first = Graph("first")
    first.add(held)
    other = Graph("other")
    other.add(double, 2)
    async with Engine("memory:", max_concurrency=1) as engine:
        holder = await engine.start(first)
        await gate.arrivals()
        paused = await engine.start(other)
        waiting = await engine.start(other)
        await paused.pause()
        gate.open()
        await holder.result()
        assert (await waiting.result())["double"] == 4
        assert (await paused.status()).counts["total"] == 1
        await paused.resume()
        await paused.result()


async def test_a_run_that_is_lost_hands_its_turn_on() -> None:
    gate = Gate()

    async def held() -> None:
        await gate.wait()

    first = Graph("first")
    first.add(held)
    other = Graph("other")
    other.add(double, 2)
    async with Engine("memory:", max_concurrency=1) as engine:
        holder = await engine.start(first)
        await gate.arrivals()
        lost, waiting = await engine.start(other), await engine.start(other)
        driver = engine.driver_of(lost.id)
        assert driver is not None
        slots = engine._slots
        gate.open()
        # The turn is offered to the run in the very moment in which it is lost.
        await turns(lambda: driver not in slots._waiting.get("", {}))
        driver.lose(RuntimeError("gone"))
        await holder.result()
        assert (await waiting.result())["double"] == 4


def test_programs_without_a_loop() -> None:
    g = Graph("g")
    items = g.add(numbers, g.input("n", int, default=4))
    g.returns(g.add(total, g.map(double, over=items)))
    assert run_sync(g).output == 12
    assert run_sync(g, {"n": 2}).output == 2


async def test_sub_graphs_nested_and_mapped() -> None:
    inner = Graph("inner")
    q = inner.input("q", int)
    inner.returns(inner.add(double, inner.add(double, q, id="a"), id="b"))
    middle = Graph("middle")
    middle.returns({"in": middle.add(inner, q=middle.input("q", int), id="deep"), "raw": 7})
    g = Graph("outer")
    once = g.add(middle, q=1, id="once")
    many = g.map(middle, over={"q": [1, 2, 3]}, id="many")
    g.returns([once["in"], many])
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        result = await run.result()
        assert result.output == [4, [{"in": 4 * x, "raw": 7} for x in (1, 2, 3)]]
        status, value = await run.node("many[1]/deep/b")
        assert (status.state, value) == ("completed", 8)
        counts = (await run.status()).counts
        assert counts["total"] == counts["completed"] == 8


async def test_a_free_slot_is_offered_to_no_more_runs_than_can_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    decisions: Counter[str] = Counter()
    decide = Driver.decide

    def counted(driver: Driver) -> Any:
        decisions[driver.id] += 1
        return decide(driver)

    monkeypatch.setattr(Driver, "decide", counted)

    async def quick() -> int:
        await asyncio.sleep(0)
        return 1

    g = Graph("g")
    g.add(quick)
    async with Engine("memory:", max_concurrency=5) as engine:
        runs = await asyncio.gather(*(engine.start(g) for _ in range(300)))
        await asyncio.gather(*(run.result() for run in runs))
    # To be admitted and refused, to be offered a slot, to have ended.
    assert sum(decisions.values()) <= 4 * len(runs)
