"""A probe is a function like a body: a run whose probe cannot be found goes on nowhere, and says so."""

import pytest
from engine_bodies import double
from engine_kit import Gate

from clew import Engine, Graph, UnresolvedBodyError


async def test_a_run_without_its_probe_is_parked(url: str) -> None:
    gate = Gate()

    async def held(x: int) -> int:
        await gate.wait()
        return x

    g = Graph("held")
    g.add(double, g.add(held, 1), probe=lambda x: None)
    inner = Graph("inner")
    inner.add(double, 1, probe=lambda x: None)
    g.add(inner)
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    async with Engine(url) as engine:
        with pytest.raises(UnresolvedBodyError) as caught:
            await engine.resume("r")
        note = (await engine.runs())[0].note
    for missing in ("held@held/held", "<lambda>@held/double:probe", "<lambda>@inner/double:probe"):
        assert f"{missing} is a lambda, or a function made by another" in str(caught.value)
        assert missing in note
