"""A graph whose definition was swept from the journal is stored again with the next run of it."""

import pytest
from engine_bodies import double

from clew import Engine, Graph
from clew.errors import UnknownRunError
from clew.journal.memory import MemoryJournal


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_definition_that_was_swept_comes_along_again(kind: str, url: str) -> None:
    g = Graph("g")
    g.add(double, g.input("x", int))
    async with Engine(MemoryJournal() if kind == "memory" else url) as engine:
        await (await engine.start(g, {"x": 1}, id="first")).result()
        row = await engine.journal.row("first")
        assert row is not None
        await engine.journal.delete("first", row.created_at)
        assert (await engine.journal.sweep(row.created_at + 3_600, dry_run=True)).blobs == 1
        await engine.journal.sweep(row.created_at + 3_600)
        again = await engine.start(g, {"x": 2}, id="second")
        assert dict(await again.result()) == {"double": 4}
        after = await engine.journal.row("second")
        assert after is not None
        assert await engine.journal.blob(after.definition)
        assert (after.definition, after.epoch) == (row.definition, 1)
        with pytest.raises(UnknownRunError):
            await engine.open_run("first")
