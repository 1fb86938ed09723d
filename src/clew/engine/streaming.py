"""Streams of what events meant, for people and programs that watch runs; see `Run.stream`.

The facts themselves are streamed by `feed`. Here they are folded and told by a narrator of each consumer's own, so
that a consumer that comes late, or again, is told the same as one that was there all the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Literal, Protocol, get_args

import msgspec

from clew.engine.feed import Ephemeral
from clew.engine.narrator import Narrator
from clew.engine.scribe import Told
from clew.engine.stream_items import (
    Custom,
    NodeOutput,
    NodeProgress,
    NodeStarted,
    StateChanged,
    StreamItem,
    Values,
)
from clew.errors import InvalidInputError, StorageError
from clew.journal.records import Recorded
from clew.kernel.topology import Topology
from clew.kernel.values import Binding

#: What of a run is streamed; see `Run.stream`.
Mode = Literal["values", "changes", "custom", "debug"]

#: Modes in which nothing is shown that is no fact.
FACTS_ONLY = frozenset({"values", "changes"})
#: Events that are folded in one go, before others have their turn in the loop.
AT_ONCE = 100


class Reading(Protocol):
    """What is read of a run besides its events."""

    async def topology(self, run: str) -> Topology:
        """The compiled definition that it began with."""
        ...

    async def plain(self, binding: Binding) -> object:
        """A stored value as plain data."""
        ...


def modes_of(mode: Mode | Sequence[Mode]) -> frozenset[str]:
    """The modes that are asked for.

    Raises:
        InvalidInputError: there is no such mode, or none is given.
    """
    given = [mode] if isinstance(mode, str) else [*mode]
    known = get_args(Mode)
    wrong = [each for each in given if each not in known]
    if wrong or not given:
        named = ", ".join(repr(each) for each in wrong) or "nothing"
        raise InvalidInputError(f"a stream has modes {', '.join(known)} (or several of them), and not {named}")
    return frozenset(given)


async def narrated(
    run: str,
    source: AsyncGenerator[Recorded | Ephemeral, None],
    reading: Reading,
    modes: frozenset[str],
    after: int,
) -> AsyncGenerator[StreamItem, None]:
    """What the events of a run meant, as far as the modes ask for it.

    Args:
        run: its id.
        source: all its events from the first one on.
        reading: reads the rest.
        modes: as `modes_of` gives them.
        after: number of the last event that is not shown.

    Raises:
        StorageError: the events do not fit the run's graph or each other.
    """
    async with aclosing(source) as items:
        narrator = Narrator(run, await reading.topology(run), values="values" in modes)
        async for item in items:
            if not isinstance(item, Recorded):
                custom = narrator.tell_ephemeral(item) if narrator.run.seq >= after else None
                if custom is not None and _is_shown(custom, modes):
                    yield custom
                continue
            told = _tell(narrator, item)
            shown = [each for each in told if item.seq > after and _is_shown(each.item, modes)]
            for place, each in enumerate(shown, 1):
                yield await _completed(each, reading, more=place < len(shown))
            if item.seq % AT_ONCE == 0:
                await asyncio.sleep(0)


def _tell(narrator: Narrator, recorded: Recorded) -> list[Told]:
    try:
        return narrator.tell(recorded)
    except Exception as error:  # whatever it is: what was written does not hold together
        raise StorageError(
            f"event {recorded.seq} of run {narrator.run.id} does not fit its graph or the events before it "
            f"({error!r}); was the database edited? Restore it from a copy"
        ) from error


def _is_shown(item: StreamItem, modes: frozenset[str]) -> bool:
    match item:
        case Values() | NodeOutput():
            return "values" in modes
        case StateChanged():
            return "changes" in modes or "debug" in modes
        case Custom() | NodeProgress():
            return "custom" in modes or "debug" in modes
        case NodeStarted(discards=True):
            return "custom" in modes or "debug" in modes
        case _:
            return "debug" in modes


async def _completed(told: Told, reading: Reading, *, more: bool) -> StreamItem:
    changes: dict[str, object] = {"more": True} if more else {}
    if told.reads is not None:
        changes[told.field] = await reading.plain(told.reads)
    return msgspec.structs.replace(told.item, **changes) if changes else told.item
