"""Items of a map are named by a function of them, also by one whose parameters cannot be read."""

import pytest
from engine_bodies import double

from clew import Engine, Graph, RunFailedError


def mapped(key: object, over: list[int]) -> Graph:
    g = Graph("named")
    items = g.input("items", list[int], default=over)
    g.map(double, over=items, key=key)
    return g


async def test_builtins_can_name_items() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(mapped(str, [7, 9]))
        assert (await run.result())["double"] == [14, 18]
        assert (await run.node("double[9]"))[1] == 18


async def test_a_key_function_that_fails_fails_its_map() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(mapped(hex, [1, 1]))
        with pytest.raises(RunFailedError, match="items 0 and 1 of the map have the same key '0x1'"):
            await run.result()
