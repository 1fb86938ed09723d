"""Four ways of watching a run: a live picture, plain lines, JSON lines, and nothing.

A view is given every item of the run's feed and the time some times a second. It writes, and decides nothing.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import IO, Protocol

import msgspec
from rich.console import Console
from rich.text import Text

from clew.cli.board import Board
from clew.cli.narrating import TOLD_PER_MAP, Narrator
from clew.cli.painter import Painter
from clew.cli.screen import error_line, frame
from clew.cli.symbols import ASCII, UNICODE
from clew.cli.undoing import undone_by
from clew.cli.waits import standing
from clew.cli.words import plain
from clew.engine.feed import Ephemeral, Output
from clew.journal.records import Recorded
from clew.kernel import events as e

#: Frames per second at most, and the share of the time that drawing them may take.
FRAMES_PER_S = 10
_SHARE = 0.1


class View(Protocol):
    """Watches one run.

    Attributes:
        board: the run.
        notice: shown below a picture as long as it is set.
        state: shown instead of the run's state when it is set.
    """

    board: Board
    notice: str
    state: str

    def take(self, item: Recorded | Ephemeral) -> None:
        """Something happened."""
        ...

    def tick(self, now: float) -> None:
        """Time goes on."""
        ...

    def say(self, text: str) -> None:
        """Something that the person who watches should know."""
        ...

    def close(self, now: float) -> None:
        """Nothing more comes."""
        ...


class Quiet:
    """Shows nothing but remarks, and those on the error channel."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.notice = ""
        self.state = ""

    def take(self, item: Recorded | Ephemeral) -> None:
        """See `View`."""
        self.board.take(item)

    def tick(self, now: float) -> None:
        """See `View`."""
        self.board.tick(now)

    def say(self, text: str) -> None:
        """See `View`."""
        write(sys.stderr, plain(text) + "\n")

    def close(self, now: float) -> None:
        """See `View`."""


class Plain(Quiet):
    """One line per event that a person would tell.

    Args:
        board: of the run.
        out: where the lines go.
        tee: what bodies print is told as well.
        name: put before each line, when several runs are told at once.
        db: added as ``--db`` to commands that are suggested.
    """

    def __init__(self, board: Board, out: IO[str], *, tee: bool = False, name: str = "", db: str = "") -> None:
        super().__init__(board)
        self._narrator = Narrator(board, db)
        self._out = out
        self._tee = tee
        self._name = f"{name}: " if name else ""

    def take(self, item: Recorded | Ephemeral) -> None:
        """See `View`."""
        self.board.take(item)
        if isinstance(item, Recorded):
            self._lines(self._narrator.tell(item))
        elif self._tee and isinstance(item, Output):
            write(self._out, f"{teed(item)}\n")

    def tick(self, now: float) -> None:
        """See `View`."""
        self.board.tick(now)
        self._lines(self._narrator.tick(now))

    def say(self, text: str) -> None:
        """See `View`."""
        write(self._out, f"{self._name}{plain(text)}\n")

    def _lines(self, lines: Iterator[str]) -> None:
        for line in lines:
            write(self._out, f"{self._name}{line}\n")


class JsonLines(Quiet):
    """Each new event and ephemeral item as one line of JSON."""

    def __init__(self, board: Board, out: IO[str]) -> None:
        super().__init__(board)
        self._out = out

    def take(self, item: Recorded | Ephemeral) -> None:
        """See `View`."""
        self.board.take(item)
        if not isinstance(item, Recorded):
            write(self._out, msgspec.json.encode(item).decode() + "\n")
        elif item.seq > self.board.caught_up:
            write(self._out, f'{{"seq":{item.seq},{msgspec.json.encode(item.event).decode()[1:]}\n')


class Live(Quiet):
    """A picture at the foot of the terminal; failures, remarks and output scroll by above it."""

    def __init__(
        self, board: Board, console: Console, *, notice: str = "", tee: bool = False, db: str = ""
    ) -> None:
        super().__init__(board)
        self._db = db
        self.notice = notice
        self._painter = Painter(console)
        self._painter.__enter__()
        self._symbols = ASCII if console.options.ascii_only else UNICODE
        self._above: list[Text] = []
        self._failures = 0
        self._tee = tee
        self._next_at = 0.0

    def take(self, item: Recorded | Ephemeral) -> None:
        """See `View`."""
        self.board.take(item)
        if isinstance(item, Recorded):
            if type(item.event) is e.NodeFailed and item.seq > self.board.caught_up:
                self._failed(item.event)
        elif self._tee and isinstance(item, Output):
            self._above.append(Text(teed(item)))

    def tick(self, now: float) -> None:
        """See `View`."""
        self.board.tick(now)
        if time.monotonic() >= self._next_at:
            self._paint(now)

    def say(self, text: str) -> None:
        """See `View`."""
        self._above.append(Text(plain(text)))

    def close(self, now: float) -> None:
        """See `View`."""
        self.notice = ""
        self._paint(now)
        self._painter.close()

    def _failed(self, event: e.NodeFailed) -> None:
        visit = self.board.run.visits[event.path]
        if visit.inner is not None and visit.inner.failed:
            return  # its members have been told
        self._failures += 1
        if self._failures <= TOLD_PER_MAP:
            attempts = f" after {event.attempt} attempts" if event.attempt > 1 else ""
            sign = self._symbols.states[visit.state]
            what = f"{undone_by(visit)} could not be undone" if visit.undoes else f"{plain(event.path)} failed"
            told = Text.assemble((f"{sign} ", "bold red"), f"{what}{attempts}: ")
            self._above.append(told.append(error_line(event.error), "red"))
        if self._failures == TOLD_PER_MAP:
            self.say("further failures are only counted here")

    def _paint(self, now: float) -> None:
        began = time.monotonic()
        width, height = self._painter.size
        lines = frame(
            self.board,
            width=width,
            height=height,
            now=now,
            state=self.state,
            notice=self.notice,
            hints=[] if self.board.run.ended else [*standing(self.board, self._db)],
            symbols=self._symbols,
        )
        above, self._above = self._above, []
        self._painter.paint(lines, above)
        ended = time.monotonic()
        self._next_at = ended + max(1 / FRAMES_PER_S, (ended - began) / _SHARE)


def teed(item: Output) -> str:
    """A line that a body printed, with its name before it."""
    return f"{plain(item.path)} | {plain(item.text)}"


def write(out: IO[str], text: str) -> None:
    """Write at once; once the reader has left, nothing is written any more, and nothing fails because of it."""
    try:
        out.write(text)
        out.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out.fileno())
        os.close(nowhere)
