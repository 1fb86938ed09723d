"""Positions of a run as they are typed: the number of an event, or the name of a checkpoint."""

from __future__ import annotations

from clew.engine.engine import Engine
from clew.errors import InvalidInputError
from clew.graphs.names import did_you_mean, listed
from clew.journal.records import RunRow


async def position(engine: Engine, row: RunRow, text: str) -> int:
    """The number of the event that a position is after.

    Args:
        engine: open.
        row: of the run.
        text: a number from 1, or the name of a checkpoint: the last one of this name.

    Raises:
        InvalidInputError: the run has no such event, and no such checkpoint.
    """
    if text.isdecimal():
        if not 1 <= int(text) <= row.seq:
            raise InvalidInputError(f"run {row.run} has no event {text}; it has 1 to {row.seq}")
        return int(text)
    run = await engine.open_run(row.run)
    names = {each.name: each.seq for each in await run.checkpoints() if each.name}
    if text not in names:
        known = did_you_mean(text, names) or (
            f"; it has {listed(names, last='and')}" if names else "; it has none"
        )
        raise InvalidInputError(f"run {row.run} has no checkpoint {text!r}{known}. Or give the number of an event")
    return names[text]
