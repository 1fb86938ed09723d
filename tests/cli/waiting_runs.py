"""Runs as an earlier process has left them: waiting, paused, abandoned."""

import asyncio

from clew.engine.engine import Engine
from clew.graphs.loading import load
from clew.kernel import events as e
from clew.kernel.questions import DECISION


def leave_waiting(
    file: str, run: str, waits: int = 1, db: str = "clew.db", wait: str = DECISION, **inputs: object
) -> None:
    """Drive a run in this process until so many of its visits wait, then let go of it in good order."""

    async def drive() -> None:
        async with Engine(db) as engine:
            handle = await engine.start(load(file), inputs, id=run)
            waiting = 0
            async for recorded in handle.events():
                event = recorded.event
                waiting += isinstance(event, e.AttemptSuspended)
                waiting += isinstance(event, e.WaitOpened) and event.key == wait
                if waiting == waits:
                    return

    asyncio.run(drive())
