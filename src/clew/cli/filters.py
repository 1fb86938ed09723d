"""Which runs a command means: the same options for listing runs and for what is done to many at once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clew.cli.options import pairs

if TYPE_CHECKING:
    from clew.engine.engine import Engine
    from clew.journal.records import RunFilter, RunRow

F = TypeVar("F", bound=Callable[..., Any])

CANCELLABLE = ("queued", "running", "paused", "stopping")
UNFINISHED = (*CANCELLABLE, "rolling_back")
RETRIABLE = ("completed", "failed", "cancelled")
ENDED = (*RETRIABLE, "rolled_back", "rollback_failed")
STATES = (*UNFINISHED, *ENDED)

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Age(click.ParamType[float]):
    """A span of time like ``30d``, ``12h``, ``90m``, ``45s`` or ``2w``, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", str(value))
        if found is None:
            self.fail(f"{value!r} is no span of time; write 45s, 90m, 12h, 30d or 2w", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


def filter_options(command: F) -> F:
    """Options by which runs are chosen; see `Selection.of`."""
    for option in reversed(
        [
            click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="In this state."),
            click.option("--graph", default="", metavar="NAME", help="Of this graph."),
            click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="With this label."),
            click.option(
                "--older", type=Age(), metavar="AGE",
                help="That ended (or, if they have not, were started) longer ago: 45s, 90m, 12h, 30d, 2w.",
            ),
            click.option(
                "--abandoned", is_flag=True, help="That have something to do, and whose process is gone."
            ),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def bulk_options(command: F) -> F:
    """Options of what is done to many runs at once."""
    command = click.option("--dry-run", is_flag=True, help="Only tell which runs are meant.")(command)
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(command)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Runs that fit all that is given.

    Attributes:
        states: any of these.
        graph: its name.
        labels: all of these.
        older_s: ended, or was started if it has not, more than so many seconds ago.
        abandoned: see `is_abandoned`.
        copies: imported runs are meant, too.
    """

    states: tuple[str, ...] = ()
    graph: str = ""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    older_s: float | None = None
    abandoned: bool = False
    copies: bool = True

    @classmethod
    def of(
        cls, states: tuple[str, ...], graph: str, labels: tuple[str, ...], older: float | None, abandoned: bool
    ) -> Selection:
        """What the options say."""
        wanted = pairs(labels, "--label")
        return cls(states=states, graph=graph, labels=wanted, older_s=older, abandoned=abandoned)

    @property
    def is_given(self) -> bool:
        """Whether anything was said."""
        return replace(self, copies=True) != Selection()

    def limited(self, states: tuple[str, ...], usual: tuple[str, ...], why: str, **whys: str) -> Selection:
        """The same, if it names only some of these states; with the usual ones if it names none.

        Args:
            states: that may be named.
            usual: those that are meant if none is.
            why: no other may.
            whys: why a certain one may not, if that is something else.

        Raises:
            click.UsageError: it names others.
        """
        wrong = [state for state in self.states if state not in states]
        if wrong:
            told = whys.get(wrong[0], why)
            raise click.UsageError(f"--state {wrong[0]}: {told}; states are {', '.join(states)}")
        return replace(self, states=self.states or usual)

    async def count(self, engine: Engine, now: float) -> int:
        """How many runs fit."""
        if self.abandoned or not self.copies:
            return len([None async for _ in self.rows(engine, now)])
        if self.older_s is None:
            return await engine.journal.count(self._filter())
        limit = now - self.older_s
        ended = await engine.journal.count(self._filter(ended_before=limit))
        return ended + await engine.journal.count(self._filter(created_before=limit, unfinished=True))

    async def rows(
        self, engine: Engine, now: float, *, before: str = "", at_once: int = 500
    ) -> AsyncIterator[RunRow]:
        """Their rows, newest first; each may be deleted when it has come."""
        from clew.engine.retention import each_row  # noqa: PLC0415 - not needed to parse a command

        alive = await engine.journal.live_owners(now) if self.abandoned else set[str]()
        limit = None if self.older_s is None else now - self.older_s
        # Who ended before the limit was created before it, too.
        wanted = self._filter(created_before=limit, unfinished=self.abandoned)
        async for row in each_row(engine.journal, wanted, before=before, at_once=at_once):
            if limit is not None and row.ended_at is not None and row.ended_at >= limit:
                continue
            if (row.imported and not self.copies) or (self.abandoned and not is_abandoned(row, alive, now)):
                continue
            yield row

    def _filter(self, **more: Any) -> RunFilter:
        from clew.journal.records import RunFilter  # noqa: PLC0415 - likewise

        return RunFilter(states=self.states, name=self.graph, labels=self.labels, **more)


def is_abandoned(row: RunRow, alive: set[str], now: float) -> bool:
    """Whether a run has something to do and nobody does it.

    A run that is paused, or only waits for people or for a moment to come, needs no process.

    Args:
        row: of the run.
        alive: ids of living owners.
        now: seconds since the epoch.
    """
    if row.ended_at is not None or row.imported or row.owner in alive or row.state == "paused":
        return False
    return not row.idle or (row.wake_at is not None and row.wake_at <= now)
