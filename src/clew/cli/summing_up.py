"""What is said when a run has ended, or when its watcher leaves: counts, failures, the result, what to do next."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.text import Text

from clew import codec
from clew.cli import exits, undoing
from clew.cli.board import Board
from clew.cli.narrating_steps import is_kept
from clew.cli.rollback_lines import remaining_lines
from clew.cli.screen import error_line
from clew.cli.symbols import STYLES
from clew.cli.usage import told_usage
from clew.cli.waits import standing
from clew.cli.words import command, count, duration, plain, shortened
from clew.engine.status import Result
from clew.engine.undoables import undoables
from clew.kernel.states import NodeState, RunState
from clew.kernel.undoing import order
from clew.kernel.values import ErrorInfo
from clew.kernel.visits import Walk

#: Failures that the summary lists; the others are counted.
LISTED = 10
#: Characters of the result that are shown.
SHOWN = 400


def leaf_counts(board: Board) -> dict[str, int]:
    """Nodes and items by state; what never had its turn because the run ended is counted with them."""
    run = board.run
    leaves = (visit for visit in run.visits.values() if not visit.is_group and visit.undoes is None)
    counts = Counter(visit.state.value for visit in leaves)
    never = run.total - undoing.size(run) - sum(counts.values())
    if never > 0:
        counts[NodeState.CANCELLED.value if run.ended else NodeState.PENDING.value] += never
    return {state.value: counts[state.value] for state in NodeState if counts[state.value]}


def ended(board: Board, result: Result, db: str, width: int) -> list[Text]:
    """The last lines about a run that has ended; failures are cut at `width` columns unless that is 0."""
    run = board.run
    assert run.ended_at is not None
    since = board.since if board.since is not None and board.since <= run.ended_at else run.started_at
    spent = duration(run.ended_at - (since or run.ended_at))
    counts = leaf_counts(board)
    told = ", ".join(f"{number:,} {state}" for state, number in counts.items()) or "it had no nodes"
    ended_how = run.state.value.replace("_", " ")
    text = Text.assemble(
        "run ", (plain(run.id), "bold"), " ", (_ENDS.get(run.state, ended_how), STYLES[run.state])
    )
    steps = f" after {count(len(run.root.members), 'step')}" if isinstance(run.root, Walk) else ""
    lines = [text.append(f" in {spent}{steps}: {told}{_undone(board)}")]
    if run.reason:
        lines.append(Text(f"  {plain(run.reason)}"))
    elif board.rollback is not None and board.rollback.by:
        lines.append(Text(f"  asked by {plain(board.rollback.by)}"))
    elif run.error is not None and not _is_told(board, run.error, result):
        lines.append(Text(f"  {error_line(run.error)}", "red"))
    if run.used:
        lines.append(Text(f"  used: {told_usage(run.used)}"))
    lines += _failures(board, result, width)
    lines += _degraded(board)
    if run.undoing is not None:
        lines += remaining_lines(undoables(run), width)
    if run.state is RunState.COMPLETED:
        lines += _result(board, result, db)
    lines += _what_next(board, result, db)
    return lines


_ENDS = {RunState.ROLLED_BACK: "was rolled back", RunState.ROLLBACK_FAILED: "could not be rolled back"}


def _undone(board: Board) -> str:
    """How much of the run is undone."""
    if board.run.undoing is None:
        return ""
    made, whole = undoing.made(board.run), undoing.size(board.run)
    return f"; {made:,} undone" if made == whole else f"; {made:,} of {whole:,} undone"


def _failures_of(board: Board, result: Result) -> dict[str, ErrorInfo]:
    """What failed, but for compensations: these are told with what is not undone."""
    visits = board.run.visits
    return {
        path: error for path, error in result.failures.items() if path not in visits or visits[path].undoes is None
    }


def _is_told(board: Board, error: ErrorInfo, result: Result) -> bool:
    """Whether the error of a run is that of a failure that is listed: a state graph may have gone on from it."""
    if not board.is_walk:
        return bool(_failures_of(board, result))
    return any(error.message.endswith(f"{path}: {each.message}") for path, each in result.failures.items())


def _degraded(board: Board) -> list[Text]:
    """Where a state graph went on by a fallback although nothing had failed."""
    visits = board.run.visits
    found = [
        Text(f"  degraded: {plain(source) or 'START'} -> {route.told()}", "yellow")
        for (_, source), route in board.journey.routes.items()
        if route.why == "fallback" and (source not in visits or visits[source].state is not NodeState.FAILED)
    ]
    more = len(found) - LISTED
    return found[:LISTED] + ([Text(f"  … and {count(more, 'more fallback')}")] if more > 0 else [])


def _failures(board: Board, result: Result, width: int) -> list[Text]:
    lines: list[Text] = []
    failures = _failures_of(board, result)
    for path, error in list(failures.items())[:LISTED]:
        line = Text.assemble("  ", (plain(path), "bold"), "  ", (error_line(error), "red"))
        visit = board.run.visits.get(path)
        if visit is not None and visit.attempt > 1:
            line.append(f" ({visit.attempt} attempts)", "bright_black")
        if visit is not None and (route := board.journey.route_from(visit)) is not None:
            line.append(f"  -> {route.told()}", "yellow")
        if width:
            line.truncate(max(width, 40), overflow="ellipsis")
        lines.append(line)
    more = len(failures) - LISTED
    if more > 0:
        lines.append(Text(f"  … and {count(more, 'more failure')}"))
    return lines


def _result(board: Board, result: Result, db: str) -> list[Text]:
    if result.output is None or result.output == {}:
        return []
    text = codec.encode(result.output).decode()
    if len(text) <= SHOWN:
        return [Text(f"result: {plain(text)}")]
    where = command("show", board.run.id, "--state" if board.is_walk else "--full", db=db)
    return [
        Text(f"result: {plain(shortened(text, SHOWN // 2))}"),
        Text(f"  ({count(len(text), 'character')}; all of it: {where})"),
    ]


def _what_next(board: Board, result: Result, db: str) -> list[Text]:
    run = board.run
    hints: list[tuple[str, str]] = []
    if result.failures:
        hints.append(("what it printed", command("logs", run.id, next(iter(result.failures)), db=db)))
        if len(result.failures) > LISTED:
            hints.append(("all failures", command("show", run.id, db=db)))
    if run.undoing is not None:
        if undoing.can_be_tried_again(run):
            hints.append(("undo the rest", command("rollback", run.id, db=db)))
    elif run.state is not RunState.COMPLETED or (result.failures and not board.is_walk):
        hints.append(("try again", command("retry", run.id, db=db) + "   (completed nodes are kept)"))
        if run.root is not None and order(run).members:
            hints.append(
                ("undo it", command("rollback", run.id, db=db) + "   (--dry-run lists what would be undone)")
            )
    width = max((len(what) for what, _ in hints), default=0) + 1
    return [Text(f"{what + ':':<{width}} {how}", "bright_black") for what, how in hints]


def stopped(board: Board, db: str) -> list[str]:
    """The last lines when the watcher leaves a run that has not ended."""
    run = board.run
    told = [f"run {run.id} stopped: {is_kept(board, 'are done')}"]
    told += standing(board, db)
    if run.state is not RunState.PAUSED:
        told.append(f"to go on: {command('resume', run.id, db=db)}")
    return told


def document(board: Board, result: Result | None, exit_code: int) -> dict[str, Any]:
    """The same as data, the last line of ``--json``."""
    run = board.run
    failures = result.failures if result is not None else {}
    return {
        "type": "summary",
        "run": run.id,
        "graph": run.topology.spec.name,
        "state": run.state.value,
        "exit": exit_code,
        "generation": run.generation,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "total": run.total,
        "counts": leaf_counts(board),
        "used": dict(run.used),
        "error": error_line(run.error) or run.reason or None,
        "failures": [
            {"path": path, "type": error.type, "message": error.message} for path, error in failures.items()
        ],
        "output": result.output if result is not None else None,
        **undoing.document(run),
    }


def exit_code(board: Board, wanted: RunState = RunState.COMPLETED) -> int:
    """What the state of an ended run means for the exit code; `wanted` is the one that is a success."""
    if board.run.state is wanted:
        return exits.COMPLETED
    return exits.OF_STATE[board.run.state.value] or exits.FAILED
