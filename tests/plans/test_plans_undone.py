"""Random plans that fail at random, and are undone: then the world is what it was, but for what is told to remain."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outside_worlds import OUTSIDE, Outside
from random_plans import KEYS, SPACE, Steps, Writer, steps

from clew import Engine, Run, RunFailedError
from clew.kernel import events as e


async def facts(engine: Engine, outside: Outside) -> dict[str, Any]:
    """All that there is outside."""
    notes = engine.memory(SPACE)
    memory = {entry.key: entry.value for entry in await notes.search()}
    return {**outside.facts(), "memory": memory}


async def prepared(engine: Engine, outside: Outside) -> dict[str, Any]:
    """A world with something in it."""
    for number in range(KEYS):
        await engine.memory(SPACE).store(f"k{number}", {"old": number})
    for number in range(1, 12, 2):
        (outside.folder / f"file{number}").write_text("old")
    return await facts(engine, outside)


async def ended(run: Run) -> str:
    """How a run that is rolled back by itself or by us has ended."""
    try:
        await run.result()
    except RunFailedError as error:
        if error.result.state.startswith("roll"):
            return error.result.state
    await run.rollback()
    await run.wait_ended()
    return (await run.status()).state


async def remaining(run: Run) -> list[str]:
    """What is told to remain, as the addresses of what was to undo it."""
    events = [recorded.event async for recorded in run.events(live=False)]
    if not isinstance(events[-1], e.RollbackFailed):
        return []
    return sorted(f"{x.path}#undo[{x.step}]" if x.step else f"{x.path}#undo" for x in events[-1].remaining)


async def undone(url: str, folder: Path, written: Steps, on_error: str, *, automatic: bool) -> None:
    """Run a plan, undo it, and look at what is there then."""
    outside = Outside(folder)
    OUTSIDE.set(outside)
    plan = Writer(folder, on_error, automatic=automatic).whole(written)
    async with Engine(url) as engine:
        before = await prepared(engine, outside)
        run = await engine.start(plan)
        state = await ended(run)
        remain = await remaining(run)
        assert remain == sorted(outside.hopeless)
        assert state == ("rollback_failed" if remain else "rolled_back")
        left = outside.marks.copy()
        outside.marks.clear()
        assert await facts(engine, outside) == before
        assert {of for mark in left for of in undoing_of(mark, remain)} <= set(remain)
        assert all(undoing_of(mark, remain) for mark in left)
        errors = [each.path for each in await run.rollback_plan() if each.error]
        assert len(errors) == len(remain)
        assert all(each.undone or each.error for each in await run.rollback_plan() if each.how)
        if not remain:
            assert not left
            return
        outside.marks |= left
        outside.healed = True
        await run.rollback()
        await run.wait_ended()
        assert (await run.status()).state == "rolled_back"
        assert await facts(engine, outside) == before
        assert set(outside.undone.values()) == {1}


def undoing_of(mark: str, remain: list[str]) -> list[str]:
    """Those of what remains that were to take a mark away."""
    path, _, key = mark.partition(" ")
    own = {f"{path}#undo", f"{path}#undo[{key}]"}
    return [each for each in remain if each in own or path.startswith(f"{each.removesuffix('#undo')}/")]


def try_one(journal: str, written: Steps, on_error: str, *, automatic: bool) -> None:
    place = Path(tempfile.mkdtemp())
    try:
        (place / "files").mkdir()
        url = "memory:" if journal == "memory" else f"sqlite:///{place}/clew.db"
        asyncio.run(undone(url, place / "files", written, on_error, automatic=automatic))
    finally:
        shutil.rmtree(place)


POLICIES = st.sampled_from(("stop_graph", "skip_downstream", "continue"))


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(steps(), POLICIES, st.booleans())
def test_after_a_rollback_the_world_is_what_it_was(written: Steps, on_error: str, automatic: bool) -> None:
    try_one("memory", written, on_error, automatic=automatic)
