"""Driving runs from the command line: open an engine, choose a view, watch, sum up, exit."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import click
from rich.console import Console
from rich.text import Text

from clew import codec
from clew.cli import exits, summing_up
from clew.cli.board import Board
from clew.cli.interrupts import Interrupts
from clew.cli.options import pairs, told_db, url_of, who
from clew.cli.views import JsonLines, Live, Plain, Quiet, View, write
from clew.cli.watching import WarningsTo, Watched, board_of, goes_on, history_of, watch
from clew.cli.words import command, count, plain
from clew.engine.clock import Clock
from clew.engine.engine import Engine
from clew.engine.run import Run
from clew.engine.status import Result
from clew.errors import RunFailedError
from clew.graphs import WrittenGraph
from clew.graphs.loading import load
from clew.journal.records import RunRow
from clew.kernel.states import RunState

#: Attempts at once in this process, when nothing is said.
MAX_CONCURRENCY = 100
#: More runs than a database has.
_ALL = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How runs are driven and shown, as the options say."""

    db: str | None = None
    durability: str = "full"
    concurrency: int | None = None
    limits: tuple[str, ...] = ()
    tee: bool = False
    quiet: bool = False
    as_json: bool = False
    source: str | None = None
    on_change: str = "strict"

    @property
    def told_db(self) -> str:
        """What to add as ``--db`` to suggested commands."""
        return told_db(self.db)

    @cached_property
    def graph(self) -> WrittenGraph | None:
        """The graph that was named, which the functions of runs come from."""
        return load(self.source) if self.source is not None else None

    def load(self) -> None:
        """Import that graph now, when no loop is running: its module may start one.

        Raises:
            GraphError: it cannot be found or is not valid.
        """
        _ = self.graph

    def engine(self, url: str | None = None) -> Engine:
        """An engine that is not yet open."""
        limits, rates = dict[str, int](), dict[str, str]()
        for name, value in pairs(self.limits, "--limit").items():
            if "/" in value:
                rates[name] = value
            elif value.isdecimal():
                limits[name] = int(value)
            else:
                raise click.UsageError(f"--limit {name}={value}: write a number, or a rate like 60/minute")
        return Engine(
            url or url_of(self.db),
            graphs=[self.graph] if self.graph is not None else [],
            durability=self.durability,
            limits=limits,
            rates=rates,
            max_concurrency=self.concurrency or MAX_CONCURRENCY,
        )


class Session:
    """One engine, the views of its runs, and the person who may interrupt.

    Args:
        settings: what was asked for.
        engine: open.
        interrupts: listening.
    """

    def __init__(self, settings: Settings, engine: Engine, interrupts: Interrupts) -> None:
        self.settings = settings
        self.engine = engine
        self._interrupts = interrupts
        self._clock = Clock()
        self._console = Console(highlight=False, markup=False, emoji=False)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.now()

    @property
    def is_interrupted(self) -> bool:
        """Whether the person has asked to stop."""
        return self._interrupts.asked.is_set()

    @property
    def interrupted_code(self) -> int:
        """The exit code that says so."""
        return self._interrupts.exit_code

    async def wait_for(self, work: asyncio.Future[Any]) -> bool:
        """Wait for some work, or until the person asks to stop; whether the work is done."""
        asked = asyncio.create_task(self._interrupts.asked.wait())
        try:
            await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        if work.done():
            work.result()
        return work.done()

    async def resume(self, run: str) -> Run:
        """Take a run up that nobody drives; with the graph that was named, if one was.

        Raises:
            RunConflictError: it has another graph, and is not to go on with this one.
        """
        settings = self.settings
        return await self.engine.resume(run, settings.graph, on_change=settings.on_change, by=who(None))

    async def follow(
        self, run: Watched, *, before: RunRow | None, first: str = "", wanted: RunState = RunState.COMPLETED
    ) -> int:
        """Watch a run that goes on here to its end and sum up.

        Args:
            run: the run.
            before: its row before it was taken up here; None for a new run.
            first: said before anything else.
            wanted: the end that is a success.
        """
        row = await self.engine.journal.row(run.id)
        assert row is not None
        since = None if before is None else self._clock.now()
        board = await board_of(self.engine, row, caught_up=before.seq if before else 0, since=since)
        view = self._view(board, run.id)
        self._interrupts.last_words = "\n".join(
            [
                f"run {plain(run.id)} ended at once; what was under way counts as interrupted",
                self._how_to_go_on(run.id),
            ]
        )
        with _warnings(view):
            if first:
                view.say(first)
            over = await watch(self.engine, run, view, self._interrupts, self._clock)
        return await self._sum_up(run.run, board, wanted) if over else self._leave(board)

    async def follow_all(self) -> int:
        """Take up every unfinished run that nobody drives, and tell them all in plain lines."""
        engine = self.engine
        going = ("queued", "running", "stopping", "rolling_back")
        before = {row.run: row for row in await engine.runs(states=going, limit=_ALL)}
        runs = [Watched(engine, run) for run in await engine.resume_all() if run.id in before]
        waiting = len(before) - len(runs)
        if not runs:
            others = f" ({count(waiting, 'other')} only waits or cannot go on: clew ls)" if waiting else ""
            click.echo(f"there is no unfinished run that could go on here{others}", err=True)
            return exits.COMPLETED
        self._interrupts.last_words = f"{count(len(runs), 'run')} ended at once; to go on: clew resume --all"
        codes = await asyncio.gather(*(self._follow_one(run, before[run.id]) for run in runs))
        # Others that came to be due meanwhile are not interrupted.
        await engine.drain()
        return max(codes)

    async def _follow_one(self, run: Watched, row: RunRow) -> int:
        board = await board_of(self.engine, row, caught_up=row.seq, since=self._clock.now())
        settings = self.settings
        view: View = Plain(board, sys.stdout, tee=settings.tee, name=run.id, db=settings.told_db)
        if settings.as_json or settings.quiet:
            view = JsonLines(board, sys.stdout) if settings.as_json else Quiet(board)
        else:
            view.say(await goes_on(self.engine, row))
        over = await watch(self.engine, run, view, self._interrupts, self._clock)
        return await self._sum_up(run.run, board) if over else self._leave(board)

    def print_line(self, document: dict[str, Any]) -> None:
        """A line of JSON that is no event, if JSON is wanted."""
        if self.settings.as_json:
            write(sys.stdout, codec.encode(document).decode() + "\n")

    def left_to(self, row: RunRow) -> int:
        """Say that a run goes on in another process."""
        self.print_line({"type": "resumed", "run": row.run, "owner": row.owner})
        if not self.settings.as_json:
            click.echo(plain(f"run {row.run} goes on; another process drives it ({row.owner})"), err=True)
        return exits.COMPLETED

    async def show_ended(self, run: Run, row: RunRow, first: str, wanted: RunState = RunState.COMPLETED) -> int:
        """Sum up a run that had ended before."""
        board = await history_of(self.engine, row)
        if not self.settings.quiet and not self.settings.as_json:
            click.echo(plain(first))
        return await self._sum_up(run, board, wanted)

    def _view(self, board: Board, run: str) -> View:
        settings = self.settings
        if settings.as_json:
            return JsonLines(board, sys.stdout)
        if settings.quiet:
            return Quiet(board)
        if self._console.is_terminal and not self._console.is_dumb_terminal and not self._console.legacy_windows:
            notice = f"Ctrl-C stops; {self._how_to_go_on(run)}"
            return Live(board, self._console, notice=notice, tee=settings.tee, db=settings.told_db)
        return Plain(board, sys.stdout, tee=settings.tee, db=settings.told_db)

    async def _sum_up(self, run: Run, board: Board, wanted: RunState = RunState.COMPLETED) -> int:
        result = await _result_of(run)
        code = summing_up.exit_code(board, wanted)
        settings = self.settings
        if settings.as_json:
            write(sys.stdout, codec.encode(summing_up.document(board, result, code)).decode() + "\n")
            return code
        width = self._console.width if self._console.is_terminal else 0
        lines = summing_up.ended(board, result, settings.told_db, width)
        if settings.quiet:
            if board.run.state is RunState.COMPLETED:
                write(sys.stdout, codec.encode(result.output).decode() + "\n")
            elif code != exits.COMPLETED:
                write(sys.stderr, "\n".join(line.plain for line in lines) + "\n")
            return code
        if self._console.is_terminal:
            lines.insert(0, Text())
        self._print(lines)
        return code

    def _leave(self, board: Board) -> int:
        code = self._interrupts.exit_code
        if self.settings.as_json:
            write(sys.stdout, codec.encode(summing_up.document(board, None, code)).decode() + "\n")
        told = summing_up.stopped(board, self.settings.told_db)
        if self._console.is_terminal:
            told.insert(0, "")
        aside = self.settings.as_json or self.settings.quiet
        write(sys.stderr if aside else sys.stdout, "\n".join(map(plain, told)) + "\n")
        return code

    def _how_to_go_on(self, run: str) -> str:
        return f"to go on: {command('resume', run, db=self.settings.told_db)}"

    def _print(self, lines: list[Text]) -> None:
        try:
            for line in lines:
                self._console.print(line, soft_wrap=True)
        except SystemExit:
            pass  # rich's way of saying that the reader has left; the run's exit code counts


async def _result_of(run: Run) -> Result:
    try:
        return await run.result()
    except RunFailedError as error:
        return cast("Result", error.result)


class _warnings:  # noqa: N801 - reads as the statement it is
    """While entered, what Clew logs as warnings goes to a view."""

    def __init__(self, view: View) -> None:
        self._handler = WarningsTo(view)
        self._logger = logging.getLogger("clew")

    def __enter__(self) -> None:
        self._logger.addHandler(self._handler)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self._handler)


def drive(settings: Settings, url: str | None, work: Callable[[Session], Awaitable[int]]) -> int:
    """Open an engine, do some work with it, close it.

    Args:
        settings: of the engine and the views.
        url: of the journal, if it is not the one of the settings.
        work: what to do; returns the exit code.
    """
    settings.load()

    async def session() -> int:
        with Interrupts() as interrupts:
            async with settings.engine(url) as engine:
                return await work(Session(settings, engine, interrupts))

    return asyncio.run(session())


__all__ = ["Session", "Settings", "Watched", "drive", "goes_on"]
