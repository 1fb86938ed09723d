"""Draws a board for a terminal: a list of lines of text, never wider or higher than it is told.

Nothing here writes to a terminal or knows the time; `painter` puts the lines on the screen.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from clew.cli import undoing, words
from clew.cli.board import Board
from clew.cli.choosing import Line, choose, choose_steps, choose_undoing
from clew.cli.symbols import STYLES, UNICODE, Symbols
from clew.cli.usage import told_briefly, told_usage
from clew.cli.waits import told_wait
from clew.kernel.questions import DECISION
from clew.kernel.states import SETTLED, NodeState, RunState
from clew.kernel.values import ErrorInfo
from clew.kernel.visits import Visit, Walk

#: Lines that the frame keeps free below it, for the cursor.
_BELOW = 1
#: Columns that the figures beside the overall bar mostly need; so the bar keeps its length.
_FIGURES = 48
#: Columns of the time that a node took.
_TOOK = 12
#: Columns that are left to what a step wrote, however much is to be told of where it went.
_NOTE = 12
_DIM = "bright_black"


def frame(
    board: Board,
    *,
    width: int,
    height: int,
    now: float,
    state: str = "",
    notice: str = "",
    hints: Sequence[str] = (),
    symbols: Symbols = UNICODE,
) -> list[Text]:
    """The picture of a run at this moment.

    Args:
        board: the run.
        width: columns of the terminal.
        height: its lines.
        now: the time, in seconds since the epoch.
        state: what to say instead of the run's state.
        notice: what the person at the terminal should know now.
        hints: what the run waits for, and what to do about it.
        symbols: the alphabet.
    """
    height = max(4, height - _BELOW)
    top = [_header(board, now, state, width), _overall_of(board, width, now, symbols)]
    bottom = [Text(line, "blue") for line in _in_lines(hints, width)[: max(1, height // 4)]]
    bottom += [Text(words.plain(notice), _DIM)] if notice else []
    bottom = bottom[: height - len(top) - 1]
    room = height - len(top) - len(bottom)
    if room > 8:
        top.append(Text())
        room -= 1
        if bottom:
            bottom.insert(0, Text())
            room -= 1
    above: list[str] = []
    below: list[str] = []
    if board.is_walk and not board.compensations:
        lines, earlier = choose_steps(board, room)
        above = [f"{words.count(earlier, 'earlier step')}"] if earlier else []
    else:
        lines, hidden = choose_undoing(board, room) if board.compensations else choose(board, room)
        below = [", ".join(f"{number:,} {each}" for each, number in hidden.items())] if hidden else []
    name_width = min(
        max((len(words.plain(line.name)) + 2 * line.depth for line in lines), default=0), width * 2 // 5
    )
    rows = [Text(f"  {symbols.ellipsis} {text}", _DIM) for text in above]
    rows += [_row(board, line, name_width, width, now, symbols) for line in lines]
    rows += [Text(f"  {symbols.ellipsis} and {text}", _DIM) for text in below]
    return [_fitted(line, width, symbols) for line in (*top, *rows, *bottom)]


def _in_lines(hints: Sequence[str], width: int) -> list[str]:
    """Hints, each with its command on a line of its own where it would not fit otherwise."""
    lines: list[str] = []
    for hint in map(words.plain, hints):
        what, _, how = hint.rpartition("; ")
        lines += [hint] if len(hint) <= width or not what else [what, f"  {how}"]
    return lines


#: States of a compensation in which there is nothing to be told but what it calls.
_TELLS_CALL = frozenset({NodeState.PENDING, NodeState.READY, NodeState.COMPLETED})


def _header(board: Board, now: float, state: str, width: int) -> Text:
    run = board.run
    text = Text(f"{words.plain(run.id)}", "bold")
    if not run.id.startswith(run.topology.spec.name):
        text.append(f"  {words.plain(run.topology.spec.name)}", "default not bold")
    text.append(f"  {state or run.state}", STYLES["paused" if state else run.state])
    since = board.since or run.started_at
    if since is not None:
        text.append(f"  {words.duration((run.ended_at or now) - since)}", "not bold")
    if run.used:
        used = told_usage(run.used)
        if text.cell_len + len(used) + 2 > width:
            used = told_briefly(run.used)
        text.append(f"  {used}", f"not bold {_DIM}")
    return text


def _overall_of(board: Board, width: int, now: float, symbols: Symbols) -> Text:
    """The line below the header: how far the run is, or its rollback."""
    if board.compensations:
        return _undoing_overall(board, width, symbols)
    return _steps_overall(board, width, now) if board.is_walk else _overall(board, width, now, symbols)


def _undoing_overall(board: Board, width: int, symbols: Symbols) -> Text:
    """How far the rollback is."""
    run, whole = board.run, undoing.size(board.run)
    failed = len(run.undoing.failed) if run.undoing is not None else 0
    done = undoing.made(run)
    figures = [f"{done:,}/{whole:,} undone", words.percent(done, whole)]
    figures += [f"{failed:,} failed"] if failed else []
    told = "  ".join(figures)
    bar, rest = symbols.bar(
        done, whole, max(0, min(max(width - _FIGURES, width // 3), width - len(told) - 2, 100))
    )
    style = "red" if run.state is RunState.ROLLBACK_FAILED else "magenta"
    return Text.assemble((bar, style), (rest, _DIM), "  ", told)


def _overall(board: Board, width: int, now: float, symbols: Symbols) -> Text:
    run = board.run
    more = "" if board.is_total_known else "+"
    done, whole = run.settled, board.expected
    if board.foreseen.fraction is not None and not run.ended:
        done, whole = round(1_000 * board.foreseen.fraction), 1_000
    figures = [f"{run.settled:,}/{board.expected:,}{more}", words.percent(done, whole)]
    if more and whole == board.expected:
        figures.pop()
    rests = not run.running and (run.waiting > 0 or run.state is RunState.PAUSED)
    rate = None if rests else board.pace.rate(now, run.settled)
    if rate:
        figures.append(words.rate(rate))
    if run.failed:
        figures.append(f"{run.failed:,} failed")
    figures.append("" if rests else _time_left(board, now))
    told = "  ".join(filter(None, figures))
    room = min(max(width - _FIGURES, width // 3), width - len(told) - 2, 100)
    bar, rest = symbols.bar(done, whole, max(0, room))
    style = "red" if run.state == "failed" else "green"
    return Text.assemble((bar, style), (rest, _DIM), "  ", told)


def _steps_overall(board: Board, width: int, now: float) -> Text:
    """How far a state graph is; if it may go round, nobody knows how far it is to its end."""
    run = board.run
    walk, routing = run.root, run.topology.routing
    assert routing is not None
    if not isinstance(walk, Walk):
        return Text()
    figures = [f"step {len(walk.members):,} of at most {walk.steps_before + routing.spec.max_steps:,}"]
    if board.foreseen.fraction is not None and not run.ended:
        figures.append(words.percent(round(1_000 * board.foreseen.fraction), 1_000))
        figures += [told] if (told := _time_left(board, now)) else []
    if run.failed:
        figures.append(f"{run.failed:,} failed")
    passed = sorted(walk.passed.items(), key=lambda each: -each[1])
    again = [f"{words.plain(node)} {number}x" for node, number in passed if number > 1]
    text = Text("  ".join(figures))
    if again and text.cell_len + 10 < width:
        text.append(f"  {', '.join(again)}", _DIM)
    return text


def _time_left(board: Board, now: float) -> str:
    run = board.run
    if run.ended:
        return ""
    left = board.left_s(now)
    if left is not None:
        return f"{words.roughly(left)} left"
    return "time left unknown" if board.pace.rate(now, run.settled) is not None else ""


def _row(board: Board, line: Line, name_width: int, width: int, now: float, symbols: Symbols) -> Text:
    style = STYLES[line.state]
    name = _fitted(Text(words.plain(line.name)), name_width - 2 * line.depth, symbols)
    name.stylize("" if line.state not in (NodeState.PENDING, NodeState.SKIPPED) else _DIM)
    name.pad_right(max(0, name_width - 2 * line.depth - name.cell_len))
    took = f"{_spent(line, now):>{_TOOK}}"
    text = Text.assemble("  " * line.depth, (f"{symbols.states[line.state]} ", style), name)
    text.append(took, "" if line.state is NodeState.RUNNING else _DIM).append("  ")
    return text.append_text(_note(board, line, width - text.cell_len, now, symbols))


def _spent(line: Line, now: float) -> str:
    since = begun_at(line.visit) if line.visit is not None else None
    if line.visit is None or since is None:
        return ""
    return words.duration((line.visit.ended_at or now) - since)


def _note(board: Board, line: Line, room: int, now: float, symbols: Symbols) -> Text:
    visit = line.visit
    if visit is None:
        return Text()
    if visit.undoes is not None and line.state in _TELLS_CALL:
        return Text(undoing.called(visit), _DIM)
    if visit.group.walk is not None and line.state in SETTLED:
        return _step_note(board, line, room, symbols)
    if isinstance(visit.inner, Walk):
        return _walk_note(visit.inner)
    if visit.inner is not None:
        return _group_note(line, room, symbols)
    match line.state:
        case NodeState.RUNNING | NodeState.STOPPING:
            return _running_note(board, line, symbols)
        case NodeState.RETRYING:
            wait = max(0.0, (visit.retry_due or now) - now)
            again = f"attempt {visit.attempt + 1} in {words.duration(wait)}: "
            return Text.assemble((again, "yellow"), error_line(visit.error))
        case NodeState.FAILED:
            return Text.assemble(_attempts(visit.attempt), (error_line(visit.error), "red"))
        case NodeState.SKIPPED:
            return Text(f"because {words.plain(visit.cause)} failed", _DIM)
        case NodeState.WAITING:
            return Text(waits_of(visit, now), "blue")
        case NodeState.READY:
            return Text("ready", _DIM)
        case _:
            return Text(_attempts(visit.attempt).rstrip(": "), _DIM)


def _step_note(board: Board, line: Line, room: int, symbols: Symbols) -> Text:
    """What a step of a state graph did, or a branch of one: what it wrote, and where the run went on from it."""
    visit, journey = line.visit, board.journey
    assert visit is not None
    text = Text()
    if line.state is NodeState.FAILED:
        text.append(_attempts(visit.attempt)).append(error_line(visit.error), "red")
    elif line.state is NodeState.CANCELLED:
        text.append("cancelled", _DIM)
    else:
        text.append(journey.decisions.get(visit.path) or journey.notes.get(visit.path, ""))
    route = journey.route_from(visit)
    if route is None or route.why == "edge":
        return text
    told = Text(f"-> {route.told()}", "yellow" if route.why == "fallback" else _DIM)
    text = _fitted(text, max(_NOTE, room - told.cell_len - 2), symbols)
    return text.append("  " if text else "").append_text(told)


def _walk_note(walk: Walk) -> Text:
    """Where the token of a state graph is that is under way."""
    at = walk.last.path.removeprefix(walk.path).lstrip("/") if walk.last is not None else "its start"
    return Text(f"step {len(walk.members):,}, at {words.plain(at)}")


def begun_at(visit: Visit) -> float | None:
    """When a visit began; a barrier, when it asked for the decision that it got. None if it has not."""
    if visit.is_barrier:
        asked = [wait.since for key, wait in (visit.waits or {}).items() if key == DECISION]
        return asked[0] if asked else None
    return visit.started_at


def waits_of(visit: Visit, now: float) -> str:
    """What a visit waits for; of several things, what it began to wait for first."""
    found = [wait for wait in (visit.waits or {}).values() if not wait.outcome]
    if not found:
        return "waits"
    barrier = visit.node.spec.barrier if visit.is_barrier else None
    return told_wait(min(found, key=lambda wait: wait.opened), now, brief=True, barrier=barrier)


def _attempts(attempt: int) -> str:
    return f"{attempt} attempts: " if attempt > 1 else ""


def _running_note(board: Board, line: Line, symbols: Symbols) -> Text:
    visit = line.visit
    assert visit is not None
    text = Text("stopping  " if line.state is NodeState.STOPPING else "", "magenta")
    if visit.attempt > 1:
        text.append(f"attempt {visit.attempt}  ", "yellow")
    told = board.progress.get(visit.path)
    if told is not None and told.attempt == visit.attempt:
        done, rest = symbols.bar(round(told.fraction * 100), 100, 10)
        text.append(done, "cyan").append(rest, _DIM).append(f" {round(told.fraction * 100)} %  ", "not bold")
        text.append(words.gist(told.message))
    elif visit.undoes is not None:
        text.append(undoing.called(visit), _DIM)
    return text


def _group_note(line: Line, room: int, symbols: Symbols) -> Text:
    visit = line.visit
    assert visit is not None
    group = visit.inner
    assert group is not None
    size = len(group.members)
    parts = [(f"{group.settled:,}/{size:,}", "")]
    if group.active:
        parts.append((f"{group.active:,} running", "cyan"))
    if group.failed:
        parts.append((f"{len(group.failed):,} failed", "bold red"))
    if line.state is NodeState.FAILED and not group.failed:
        parts.append((error_line(visit.error), "red"))
    length = sum(len(part) + 2 for part, _ in parts)
    done, rest = symbols.bar(group.settled, size, max(0, min(24, room - length - 1)))
    text = Text.assemble((done, "green"), (rest, _DIM))
    for part, style in parts:
        text.append("  " if text else "").append(part, style or None)
    return text


def error_line(error: ErrorInfo | None) -> str:
    """An error in one line: its kind and the first line of its message."""
    if error is None:
        return ""
    message = words.gist(error.message)
    return f"{words.plain(error.type)}: {message}" if message else words.plain(error.type)


def _fitted(text: Text, width: int, symbols: Symbols) -> Text:
    if symbols is not UNICODE:
        text.plain = text.plain.replace(UNICODE.ellipsis, symbols.ellipsis)
    if text.cell_len > width:
        text.truncate(max(0, width - 1))
        text.rstrip()
        text.append(symbols.ellipsis if width > 0 else "")
    return text
