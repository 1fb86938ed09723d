"""What a rollback would do, does and has left of a run, as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from rich.text import Text

from clew.cli.board import Board
from clew.cli.columns import Cell, in_columns
from clew.cli.screen import error_line
from clew.cli.symbols import STYLES, UNICODE
from clew.cli.undoing import called, made, size, told_call, undone_by, what
from clew.cli.words import count, duration, gist, plain
from clew.engine.undoables import Undoable
from clew.kernel.states import NodeState
from clew.kernel.undoing import irreversible
from clew.kernel.visits import Visit

#: Lines of a plan, and things that a summary names.
LINES, NAMED = 100, 10

_DIM = "bright_black"


def plan_lines(plan: Sequence[Undoable], *, full: bool = False) -> list[Text]:
    """What a rollback would do, in order, and what it could not, one line each."""
    limit = len(plan) if full else LINES
    todo = [each for each in plan if each.how and not each.undone]
    done = sum(each.undone for each in plan)
    lines: list[Text] = []
    if todo:
        lines.append(Text("it would undo, in this order:"))
        rows = [_planned(number, each) for number, each in enumerate(islice(todo, limit), 1)]
        lines += in_columns(rows, right=frozenset({0}))
        lines += _more(len(todo) - limit)
    else:
        lines.append(Text("it would undo nothing" + (": all that can be is undone" if done else "")))
    if any(each.uncertain and not each.undone for each in plan):
        lines.append(Text("what is uncertain may have taken effect, wholly or in part", _DIM))
    if done and todo:
        lines.append(Text(f"{count(done, 'thing')} {'is' if done == 1 else 'are'} undone already", _DIM))
    for title, remaining in (
        ("it cannot undo what is irreversible:", [each for each in plan if each.irreversible]),
        (
            "it leaves what declares no compensation:",
            [each for each in plan if not each.how and not each.irreversible],
        ),
    ):
        if remaining:
            lines.append(Text(title))
            rows = [[f"  {what(each.path, each.step)}", _doubt(each)] for each in islice(remaining, limit)]
            lines += [*in_columns(rows), *_more(len(remaining) - limit)]
    return lines


def _planned(number: int, each: Undoable) -> list[Cell]:
    doubt = _doubt(each)
    if each.error:
        doubt = Text(f"could not be undone before: {gist(each.error)}", "red")
    return [
        f"  {number}",
        Text(what(each.path, each.step), "bold"),
        Text(told_call(each.how, each.call), _DIM),
        doubt,
    ]


def _doubt(each: Undoable) -> Text:
    """Why it is not known whether something took effect."""
    if not each.uncertain:
        return Text()
    told = "its step was lost" if each.step else _STOOD.get(each.state, f"it is {each.state}")
    return Text(f"uncertain: {told}", "yellow")


_STOOD = {
    "failed": "it failed",
    "cancelled": "it was cancelled",
    "running": "it is under way",
    "stopping": "it is being stopped",
    "ready": "it was interrupted",
    "retrying": "it failed",
    "waiting": "it waits",
}


def _more(number: int) -> list[Text]:
    return [Text(f"  … and {number:,} more; --json lists all", _DIM)] if number > 0 else []


def remaining_lines(plan: Sequence[Undoable], width: int) -> list[Text]:
    """What a rollback that is over could not undo; cut at `width` columns unless that is 0."""
    left = [each for each in plan if each.irreversible or (each.how and not each.undone)]
    lines: list[Text] = []
    for each in left[:NAMED]:
        why = "irreversible" if each.irreversible else gist(each.error) or "not undone"
        line = Text.assemble("  not undone: ", (what(each.path, each.step), "bold"), "  ", (why, "red"))
        if width:
            line.truncate(max(width, 40), overflow="ellipsis")
        lines.append(line)
    if len(left) > NAMED:
        lines.append(Text(f"  … and {count(len(left) - NAMED, 'more thing')} not undone"))
    return lines


def undone_lines(board: Board, now: float, *, full: bool) -> list[Text]:
    """The compensations of a run, one line each, and what a rollback has left."""
    run = board.run
    if run.undoing is None:
        return []
    by = f", asked by {plain(board.rollback.by)}" if board.rollback is not None and board.rollback.by else ""
    lines = [Text(), Text(f"rollback{by}: {made(run):,} of {count(size(run), 'thing')} undone")]
    shown = board.compensations if full else board.compensations[:LINES]
    rows = [_undone_row(visit, now) for visit in shown]
    lines += in_columns(rows, right=frozenset({3, 4})) if rows else []
    if len(board.compensations) > len(shown):
        lines.append(
            Text(f"   … and {count(len(board.compensations) - len(shown), 'more')}; --full shows all", _DIM)
        )
    return lines + [
        Text.assemble("⊘  ", (plain(visit.path), "bold"), ("  irreversible", "red")) for visit in irreversible(run)
    ]


def _undone_row(visit: Visit, now: float) -> list[Cell]:
    took = duration((visit.ended_at or now) - visit.started_at) if visit.started_at is not None else ""
    remark = Text("" if visit.state is NodeState.COMPLETED else visit.state.value, _DIM)
    if visit.error is not None and visit.state in (NodeState.FAILED, NodeState.RETRYING):
        remark = Text(error_line(visit.error), "red")
    sign = Text(UNICODE.states[visit.state], STYLES[visit.state])
    tries = f"{visit.attempt}" if visit.attempt > 1 else ""
    return [sign, undone_by(visit), Text(called(visit), _DIM), tries, took, remark]
