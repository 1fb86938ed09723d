"""Random plans that fail at random, and are undone: then the world is what it was, but for what remains."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outside_worlds import OUTSIDE, Outside
from random_plans import KEYS, SPACE, Act, Part, Steps, Writer, steps

from clew import Engine, Run, RunFailedError
from clew.kernel import events as e
from clew.testing import VirtualClock, VirtualLoop, run_virtual


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
    OUTSIDE["now"] = outside
    plan = Writer(folder, on_error, automatic=automatic).whole(written)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Engine(url, clock=VirtualClock(loop)) as engine:
        before = await prepared(engine, outside)
        run = await engine.start(plan)
        state = await ended(run)
        remain = await remaining(run)
        assert remain == sorted(outside.hopeless), [x.error for x in await run.rollback_plan()]
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
    """The same in a world and on a journal of its own."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "files")
        folder.mkdir()
        url = "memory:" if journal == "memory" else f"sqlite:///{place}/clew.db"
        run_virtual(undone(url, folder, written, on_error, automatic=automatic))


#: Plans with everything in them.
SOME: dict[str, Steps] = {
    "fails": (
        Act("tool"),
        Act("function", "first", after=1),
        Act("file", "first", after=1),
        Act("memory"),
        Act("steps", "first", "first", after=2),
        Act("map", "well", "first", after=1),
        Act("tool", "after", after=63),
    ),
    "ends well": (
        Part("loop", (Act("file"), Act("tool", "first"), Act("memory", after=1)), times=3),
        Part("choice", (Act("tool"), Part("loop", (Act("function"),))), (Act("file"),), times=1, after=1),
        Part("whole", (Act("bare"), Act("bare", "first")), after=2),
        Part("graph", (Act("map"), Act("steps", after=1)), after=4),
    ),
    "remains": (
        Act("tool", undoing="never"),
        Part("whole", (Act("bare"), Act("bare")), undoing="never"),
        Part("loop", (Act("function", undoing="never"), Act("file", after=1)), times=2, after=1),
        Act("steps", "after", "never", after=1),
        Act("map", "before", "never", after=2),
    ),
}
POLICIES = ("stop_graph", "skip_downstream", "continue")


@pytest.mark.parametrize("journal", ["memory", "sqlite"])
@pytest.mark.parametrize("name", SOME)
def test_after_the_rollback_of_a_plan_the_world_is_what_it_was(name: str, journal: str) -> None:
    try_one(journal, SOME[name], "continue", automatic=name == "fails")


@settings(max_examples=5)
@given(written=steps(), on_error=st.sampled_from(POLICIES), automatic=st.booleans())
def test_after_a_rollback_the_world_is_what_it_was(written: Steps, on_error: str, automatic: bool) -> None:
    try_one("memory", written, on_error, automatic=automatic)


@pytest.mark.slow
@pytest.mark.parametrize(("journal", "count"), [("memory", 300), ("sqlite", 100)])
def test_after_many_rollbacks_the_world_is_what_it_was(journal: str, count: int) -> None:
    @settings(max_examples=count, suppress_health_check=list(HealthCheck))
    @given(written=steps(), on_error=st.sampled_from(POLICIES), automatic=st.booleans())
    def try_them(written: Steps, on_error: str, automatic: bool) -> None:
        try_one(journal, written, on_error, automatic=automatic)

    try_them()
