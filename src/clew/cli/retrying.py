"""Many runs taken up again in one process: some at a time, each told in one line when it has ended."""

from __future__ import annotations

import asyncio
from collections import Counter

import click

from clew.cli import exits
from clew.cli.bulk import Tally, Wish, told
from clew.cli.driving import Session
from clew.cli.progress import Progress
from clew.cli.telling import say
from clew.cli.words import count, duration, gist, plain
from clew.engine.engine import Engine
from clew.errors import ClewError, StorageError
from clew.journal.records import RunRow

#: Runs that are driven at the same time.
AT_ONCE = 50


async def retry_all(session: Session, wish: Wish, number: int) -> int:
    """Retry the runs of a wish and wait for their ends, or until the person has had enough; the exit code."""
    tally, states, progress = Tally(), Counter[str](), Progress(number)
    rows = wish.selection.rows(session.engine, session.now())
    reading = asyncio.Lock()

    async def hand() -> None:
        while not session.is_interrupted:
            async with reading:
                row = await anext(rows, None)
            if row is None:
                return
            try:
                after = await _retry(session.engine, row.run)
            except StorageError:
                raise
            except ClewError as error:
                tally.failures[row.run] = str(error)
            else:
                tally.done += 1
                states[after.state] += 1
                if not session.settings.quiet and not wish.as_json:
                    click.echo(_line(after))
            progress.tell(wish.done, tally.done + len(tally.failures))

    hands = [asyncio.create_task(hand()) for _ in range(AT_ONCE)]
    try:
        if not await session.wait_for(asyncio.gather(*hands)):
            progress.close()
            await session.engine.drain()
            say(f"stopped: {count(tally.done, 'run')} ended; to go on with the others: clew resume --all")
            return session.interrupted_code
    finally:
        for each in hands:
            each.cancel()
        await asyncio.gather(*hands, return_exceptions=True)
        progress.close()
    code = told(wish, tally)
    if not wish.as_json:
        say(", ".join(f"{number:,} {state}" for state, number in states.items()) or "none ended")
    return code if states.total() == states["completed"] else exits.FAILED


async def _retry(engine: Engine, run: str) -> RunRow:
    handle = await engine.open_run(run)
    await handle.retry(by="clew retry")
    await handle.wait_ended()
    return await engine.looking.row(run)


def _line(row: RunRow) -> str:
    spent = duration(row.ended_at - row.started_at) if row.ended_at and row.started_at else ""
    why = f": {gist(row.error)}" if row.error else ""
    return plain(f"run {row.run} {row.state} after {spent}{why}")
