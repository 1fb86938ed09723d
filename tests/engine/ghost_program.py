"""A program that is stopped and wakes up as a ghost; its functions are found by name, so it is imported:
python -c "import ghost_program; ghost_program.main()" DATABASE RUN…

It drives the runs, tells on its output when their bodies are under way, lets them go on when a line comes on
its standard input, and tells at last what has become of each run. Its lease is short.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable

from clew import ClewError, Context, Engine, Graph, shell
from clew.engine import keeper
from clew.journal import ownership

#: Length of a lease in seconds, here and in the process that takes over.
LEASE_S = 1.0


class Door:
    """What bodies of this process wait for."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.tell: Callable[[str], object] = lambda _: None


door = Door()


def effect(what: str) -> None:
    """Do something that cannot be undone."""
    place = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(place, what.encode() + b"\n")
    os.close(place)


async def steps(ctx: Context) -> int:
    """A step that nothing is appended before: only the lease says whether it may be made."""
    door.tell(f"{ctx.run_id} {ctx.path} is under way")
    try:
        await door.open.wait()
        await ctx.step("step", effect, f"{ctx.run_id} step of attempt {ctx.attempt}")
    except asyncio.CancelledError:
        door.tell(f"{ctx.run_id} {ctx.path} was stopped")
        raise
    return ctx.attempt


async def silent(ctx: Context) -> int:
    """It works on without anything that would be appended."""
    door.tell(f"{ctx.run_id} {ctx.path} is under way")
    try:
        if ctx.attempt == 1 and ctx.run_id.startswith("lost"):
            await asyncio.Event().wait()
        await door.open.wait()
    except asyncio.CancelledError:
        door.tell(f"{ctx.run_id} {ctx.path} was stopped")
        raise
    return ctx.attempt


def graph() -> Graph:
    g = Graph("haunted")
    g.add(steps)
    g.add(silent)
    hangs = 'mkdir "$EFFECTS.d" && echo $$ > "$EFFECTS.pid" && exec sleep 600'
    g.add(
        shell(f"case {{{{ run }}}} in lost) {hangs};; esac; true"),
        id="program",
        run=g.input("run", str),
        on_interrupt="retry",
    )
    return g


async def haunt(database: str, runs: list[str]) -> None:
    door.tell = lambda text: os.write(1, text.encode() + b"\n")  # what bodies print is kept with their runs
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, door.open.set)
    async with Engine(database, graphs=[graph()]) as engine:
        handles = [await engine.start(graph(), {"run": run}, id=run) for run in runs]
        results = await asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
        for handle, result in zip(handles, results, strict=True):
            assert not isinstance(result, BaseException) or isinstance(result, ClewError), result
            what = f"{type(result).__name__}: {result}" if isinstance(result, ClewError) else "completed"
            door.tell(f"{handle.id} {what}")


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    keeper.LEASE_S = ownership.LEASE_S = LEASE_S
    asyncio.run(haunt(sys.argv[1], sys.argv[2:]))
