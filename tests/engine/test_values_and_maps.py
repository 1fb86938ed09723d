"""Values by annotation, live and after recovery alike; large ones; maps over lists and over maps."""

import asyncio
from typing import Any

import engine_values as v
import pytest
from engine_bodies import double, numbers, total
from engine_kit import Gate, Meter, count, history, kinds, seen, turns

from clew import Engine, Graph, GraphError, Run, RunFailedError, run_graph
from clew.kernel import events as e


async def failed(run: Run) -> RunFailedError:
    with pytest.raises(RunFailedError) as caught:
        await run.result()
    return caught.value


# Values ----------------------------------------------------------------------------------------------------


def typed(gate: Gate) -> Graph:
    """Values that pass from body to body; in the middle of it something waits."""

    async def held() -> int:
        await gate.wait()
        return 1

    g = Graph("typed")
    parts = {"model": g.add(v.make_model), "pair": g.add(v.make_pair), "ids": g.add(v.make_ids)}
    before = g.add(v.told, point=g.add(v.make_point, 3), **parts, id="before", plain=g["make_pair"])
    late = g.add(held, depends_on=[before])
    g.add(v.told, point=g["make_point"], **parts, id="after", plain=g["make_pair"], depends_on=[late])
    g.add(v.told_in_thread, point=g["make_point"], **parts, depends_on=[late])
    g.add(v.told_in_thread, point=g["make_point"], **parts, id="in_process", timeout=60, depends_on=[late])
    return g


async def test_live_and_recovered_runs_see_the_same_types(url: str) -> None:
    gate = Gate()
    g = typed(gate)
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    gate.open()
    async with Engine(url, graphs=[g]) as engine:
        result = await (await engine.resume("r")).result()
    assert result["before"] == result["after"]
    expected = [
        "Point(x=3, at=datetime.datetime(2026, 1, 2, 3, 4, 5))",
        "Model(name='m', points=[1, 2])",
        "(1, <Colour.RED: 'red'>)",
        "[UUID('00000000-0000-0000-0000-000000000001')]",
    ]
    assert result["after"] == [*expected, "[1, 'red']"]
    assert result["told_in_thread"] == result["in_process"] == expected
    # A result is plain data.
    assert result["make_point"] == {"x": 3, "at": "2026-01-02T03:04:05"}


async def test_large_values_are_stored_once_and_picked_apart(url: str) -> None:
    big = [{"n": n, "text": "x" * 100} for n in range(1000)]

    async def make() -> list[dict[str, Any]]:
        return big

    async def number(part: dict[str, Any]) -> int:
        return part["n"]  # type: ignore[no-any-return]

    g = Graph("g")
    made = g.add(make)
    g.add(number, made[7])
    g.add(double, made[8]["n"], id="deep")
    g.returns([g.map(number, over=made, id="m"), made])
    async with Engine(url) as engine:
        run = await engine.start(g)
        result = await run.result()
        assert result["number"] == 7
        assert result["deep"] == 16
        assert result.output == [list(range(1000)), big]
        completed = await seen(run, e.NodeCompleted, "make")
        assert completed.output.blob
        assert completed.output.size > 100_000
        assert (await seen(run, e.MapOpened)).items is None


async def test_large_inputs_of_a_run(url: str) -> None:
    g = Graph("g")
    g.returns(g.add(total, g.input("xs", list[int])))
    async with Engine(url) as engine:
        run = await engine.start(g, {"xs": list(range(5_000))}, id="r")
        assert (await run.result()).output == sum(range(5_000))
        await engine.start(g, {"xs": list(range(5_000))}, id="r")


@pytest.mark.parametrize(
    ("value", "path"),
    [({"a": [1, {2}]}, "$.a[1]"), (float("nan"), "$"), ({1: "x"}, "$"), (object(), "$"), ([b"x", print], "$[1]")],
)
async def test_what_cannot_be_stored_fails_where_it_is_returned(value: Any, path: str) -> None:
    async def returns() -> Any:
        return value

    def in_thread() -> Any:
        return value

    g = Graph("g", on_error="skip_downstream")
    g.add(returns)
    g.add(in_thread)
    async with Engine("memory:") as engine:
        error = await failed(await engine.start(g))
        for info in error.result.failures.values():
            assert info.type == "unstorable"
            assert info.message.startswith(path)


async def test_inputs_that_do_not_fit_are_refused_before_anything_runs() -> None:
    g = Graph("g")
    g.add(double, g.input("x", int))
    async with Engine("memory:") as engine:
        for inputs in ({}, {"x": "no number"}, {"x": 1, "y": 2}):
            with pytest.raises(GraphError):
                await engine.start(g, inputs)
        assert await engine.runs() == []


async def test_an_output_that_does_not_fit_its_reader_fails_the_reader() -> None:
    async def anything() -> Any:
        return "text"

    g = Graph("g", on_error="skip_downstream")
    g.add(double, g.add(anything))
    async with Engine("memory:") as engine:
        error = await failed(await engine.start(g))
        assert error.result.failures["double"].type == "invalid input"


# Maps ------------------------------------------------------------------------------------------------------


async def test_ten_thousand_items(url: str) -> None:
    meter = Meter()

    async def item(x: int) -> int:
        with meter:
            await asyncio.sleep(0)
        return x * 2

    g = Graph("g", max_concurrency=50)
    g.returns(g.add(total, g.map(item, over=g.add(numbers, 10_000))))
    async with Engine(url, durability="process") as engine:
        run = await engine.start(g)
        assert (await run.result()).output == 9_999 * 10_000
        status = await run.status()
        assert status.counts["total"] == status.counts["completed"] == 10_002
        assert status.nodes[1].members == {"completed": 10_000}
    assert meter.most == 50


async def test_keys_name_the_items() -> None:
    async def item(x: dict[str, Any]) -> str:
        return str(x["name"])

    people = [{"name": "ann"}, {"name": "bob"}]
    g = Graph("g")
    g.map(item, over=people, key="name", id="m")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        assert (await run.result())["m"] == ["ann", "bob"]
        assert (await run.node("m[bob]"))[1] == "bob"


@pytest.mark.parametrize(
    ("over", "key", "why"),
    [
        ([{"k": 1}, {"k": 1}], "k", "the same key '1'"),
        ([{"k": 1}, {}], "k", "no field 'k'"),
        ({"a": 1}, None, "runs over a list"),
        ("text", None, "runs over a list"),
    ],
)
async def test_maps_that_cannot_be_opened_fail_with_the_reason(over: Any, key: str | None, why: str) -> None:
    async def make() -> Any:
        return over

    async def item(x: Any) -> Any:
        return x

    g = Graph("g")
    g.map(item, over=g.add(make), key=key, id="m")
    async with Engine("memory:") as engine:
        error = await failed(await engine.start(g))
        assert why in error.result.failures["m"].message


async def some_fail(x: int) -> int:
    if x % 2:
        raise ValueError(f"odd {x}")
    return x


async def test_fail_fast_stops_at_the_first() -> None:
    gate, stopped = Gate(), []

    async def item(x: int) -> int:
        if x == 1:
            await gate.arrivals()
            raise ValueError("one")
        try:
            await gate.wait()
        finally:
            stopped.append(x)
        return x

    g = Graph("g", max_concurrency=2)
    g.map(item, over=[0, 1, 2, 3], id="m")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        error = await failed(run)
        assert list(error.result.failures) == ["m[1]"]
        assert stopped == [0]
        assert (await run.status()).nodes[0].members == {"cancelled": 3, "failed": 1}


async def test_collect_keeps_the_successes() -> None:
    g = Graph("g")
    g.map(some_fail, over=[0, 1, 2, 3], on_item_error="collect", id="m")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        result = await run.result()
        assert sorted(result.failures) == ["m[1]", "m[3]"]
        assert [x for x in result["m"] if x is not None] == [0, 2]


async def test_a_map_over_a_map_flows_item_by_item() -> None:
    last = Gate()

    async def first(x: int) -> int:
        if x == 2:
            await last.wait()
        return x

    g = Graph("g", max_concurrency=10)
    one = g.map(first, over=[0, 1, 2], id="one")
    two = g.map(double, over=one, id="two")
    g.returns(g.map(double, over=two, id="three"))
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await seen(run, e.NodeCompleted, "three[0]")
        await seen(run, e.NodeCompleted, "three[1]")
        assert (await run.status()).nodes[0].members == {"completed": 2, "running": 1}
        last.open()
        assert (await run.result()).output == [0, 4, 8]


async def test_the_concurrency_of_a_map_is_its_own() -> None:
    meter, gate = Meter(), Gate()

    async def item(x: int) -> None:
        with meter:
            await gate.wait()

    g = Graph("g", max_concurrency=10)
    g.map(item, over=list(range(6)), max_concurrency=2, id="m")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await gate.arrivals(2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert meter.inside == 2
        gate.open()
        await run.result()
    assert meter.most == 2


async def test_maps_of_nothing_and_of_constants() -> None:
    g = Graph("g")
    nothing = g.map(double, over=[], id="nothing")
    g.returns([g.add(total, nothing), g.map(double, over=nothing, id="again"), g.map(double, over=[5], id="five")])
    assert (await run_graph(g)).output == [0, [], [10]]


async def test_a_map_that_was_interrupted_goes_on_with_what_is_left(url: str) -> None:
    gate, made = Gate(), []

    async def item(x: int) -> int:
        if x >= 3:
            await gate.wait()
        made.append(x)
        return x

    g = Graph("g", max_concurrency=2)
    g.map(item, over=g.add(numbers, 6), id="m")
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals(2)
    gate.open()
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        assert (await run.result())["m"] == list(range(6))
        found = await count(run)
        assert sum(n for (kind, _), n in found.items() if kind == "AttemptInterrupted") == 2
        assert found["MapOpened", "m"] == 1
    assert sorted(made) == list(range(6))


async def test_progress_counts_items_that_become_known() -> None:
    seen_totals: list[tuple[int, int]] = []

    class Looks:
        async def emit(self, observed: Any) -> None:
            seen_totals.append((observed.settled, observed.total))

    g = Graph("g")
    g.map(double, over=g.add(numbers, 5))
    async with Engine("memory:", observers=[Looks()]) as engine:
        run = await engine.start(g)
        await run.result()
        events = await history(run)
        await turns(lambda: len(seen_totals) == len(events))
        assert seen_totals[-1] == (6, 6)
        assert (await kinds(run))[-1] == "RunCompleted"
