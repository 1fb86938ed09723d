"""A rollback told in lines of text: why it began, each thing that is undone, and what could not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from clew.cli import undoing
from clew.cli.board import Board
from clew.cli.screen import error_line
from clew.cli.words import count, duration, percent, plain
from clew.kernel import events as e
from clew.kernel.visits import Visit

#: Compensations up to which each is told; of more, how many are made at every such part, and what fails.
EACH, PARTS = 50, 20


def begun(board: Board, event: e.RollbackStarted) -> Iterator[str]:
    """The rollback begins, or what it could not undo is tried again."""
    run = board.run
    by = f", asked by {plain(event.by)}" if event.by else ""
    why = f" because it failed ({error_line(run.error)})" if event.why == "failed" else by
    left = undoing.size(run) - undoing.made(run)
    todo = (
        f"{count(left, 'thing')} {'is' if left == 1 else 'are'} to be undone" if left else "nothing can be undone"
    )
    yield f"run {plain(run.id)} is rolled back{why}: {todo}"


def of_compensation(board: Board, visit: Visit, event: e.AnyEvent) -> Iterator[str]:
    """The lines for an event of a compensation."""
    many = undoing.size(board.run) > EACH
    teller = _ALWAYS.get(type(event)) or (None if many else _ONE_BY_ONE.get(type(event)))
    if teller is not None:
        yield from teller(visit, event)
    elif many and isinstance(event, e.NodeCompleted):
        made, whole = undoing.made(board.run), undoing.size(board.run)
        if made * PARTS // whole != (made - 1) * PARTS // whole:
            yield f"{made:,} of {count(whole, 'thing')} undone ({percent(made, whole)})"


def _started(visit: Visit, event: e.AttemptStarted) -> Iterator[str]:
    attempt = f", attempt {event.attempt}" if event.attempt > 1 else ""
    yield f"{undoing.undone_by(visit)} is being undone ({undoing.called(visit)}{attempt})"


def _completed(visit: Visit, event: e.NodeCompleted) -> Iterator[str]:
    attempts = f", in {count(event.attempt, 'attempt')}" if event.attempt > 1 else ""
    since = visit.started_at if visit.started_at is not None else event.at
    yield f"{undoing.undone_by(visit)} is undone, in {duration(event.at - since)}{attempts}"


def _failed(visit: Visit, event: e.NodeFailed) -> Iterator[str]:
    attempts = f" in {count(event.attempt, 'attempt')}" if event.attempt > 1 else ""
    yield f"{undoing.undone_by(visit)} could not be undone{attempts}: {error_line(event.error)}"


def _retried(visit: Visit, event: e.RetryScheduled) -> Iterator[str]:
    wait = duration(max(0.0, event.due - event.at))
    again = f"(attempt {event.attempt}), attempt {event.attempt + 1} in {wait}"
    yield f"{undoing.undone_by(visit)} could not be undone {again}: {error_line(event.error)}"


def _interrupted(visit: Visit, event: e.AttemptInterrupted) -> Iterator[str]:
    what = undoing.undone_by(visit)
    yield f"{what}: attempt {event.attempt} to undo it was under way when its process ended"


_ONE_BY_ONE: dict[type, Callable[[Visit, Any], Iterator[str]]] = {
    e.AttemptStarted: _started,
    e.NodeCompleted: _completed,
    e.RetryScheduled: _retried,
}
_ALWAYS: dict[type, Callable[[Visit, Any], Iterator[str]]] = {
    e.NodeFailed: _failed,
    e.AttemptInterrupted: _interrupted,
}
