"""The picture: as wide and as high as it is told, and with what matters in it."""

import io

import graphs_to_watch
import pytest
from graphs_to_watch import board_of, recorded_run
from rich.console import Console
from rich.text import Text

from clew.cli.board import Board
from clew.cli.choosing import choose
from clew.cli.painter import Painter
from clew.cli.screen import frame
from clew.cli.symbols import ASCII
from clew.engine.feed import Progress
from clew.graphs import Graph
from clew.journal.records import Recorded
from clew.kernel import events as e
from clew.kernel.states import NodeState
from clew.kernel.values import ErrorInfo

SIZES = [(80, 24), (200, 50), (40, 10), (20, 5)]


def picture(board: Board, width: int = 80, height: int = 24, now: float = 0.0, **more) -> str:
    """The frame as a terminal of this size shows it."""
    lines = frame(board, width=width, height=height, now=now, **more)
    assert len(lines) < height
    console = Console(record=True, width=width, height=height, file=io.StringIO(), force_terminal=True)
    for line in lines:
        assert line.cell_len <= width
        console.print(line)
    text = console.export_text()
    assert len(text.splitlines()) == len(lines)  # nothing was wrapped
    return text


def midway(graph: Graph, until: type) -> Board:
    """A board that has taken events up to the first one of a type."""
    board = Board(graph.spec())
    for recorded in recorded_run(graph):
        board.take(recorded)
        if isinstance(recorded.event, until):
            return board
    raise AssertionError(until)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", graphs_to_watch.ALL)
def test_every_moment_fits_every_terminal(make, size) -> None:
    graph = make()
    board = Board(graph.spec())
    picture(board, *size)
    for recorded in recorded_run(graph):
        board.take(recorded)
        picture(board, *size, now=recorded.event.at + 100)


def test_few_nodes_stand_in_the_order_of_the_graph() -> None:
    graph = graphs_to_watch.chain()
    board = midway(graph, e.NodeCompleted)
    names = [line.split()[1] for line in picture(board, now=board.run.started_at + 1).splitlines()[3:]]
    assert names == ["n0", "n1", "n2", "n3", "n4"]


def test_a_map_is_one_line_with_a_bar_and_counts() -> None:
    graph = graphs_to_watch.collecting(10)
    board = board_of(graph, recorded_run(graph))
    line = next(line for line in picture(board).splitlines() if "odd_fails" in line)
    assert line.startswith("✓ odd_fails")
    assert "━━━" in line
    assert line.endswith("10/10  5 failed")


def test_what_a_body_tells_is_shown_beside_it() -> None:
    graph = graphs_to_watch.chain()
    board = midway(graph, e.AttemptStarted)
    board.take(Progress("n0", 1, 0.4, "reading \x1b[2Jpage 4\nand more"))
    text = picture(board, now=board.run.started_at + 2.5)
    assert "● n0       2.5 s  ━━━━────── 40 %  reading page 4\n" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
def test_of_a_thousand_nodes_the_telling_ones_are_shown(size) -> None:
    graph = graphs_to_watch.wide(1_000)
    board = Board(graph.spec())
    for recorded in recorded_run(graph):
        board.take(recorded)
        if board.run.settled == 275:
            break
    text = picture(board, *size, now=board.run.started_at + 5)
    assert len(board.rows[NodeState.RUNNING]) == 25
    assert text.count("\n● ") == (25 if size[1] == 50 else 16)
    assert text.count("\n✗ ") == 3
    assert "ValueError: 201 is odd," in text
    hidden = text.splitlines()[-1]
    assert hidden.startswith("  … and ")
    assert "pending" in hidden
    assert "completed" in hidden
    assert "275/1,000  27 %  3 failed" in text


def test_choosing_looks_at_no_more_than_it_shows() -> None:
    graph = graphs_to_watch.wide(1_000)
    board = board_of(graph, recorded_run(graph))
    lines, hidden = choose(board, 20)
    assert len(lines) == 19
    assert [line.state for line in lines[:10]] == [NodeState.FAILED] * 10
    assert hidden == {NodeState.COMPLETED: 990 - 9}


def test_members_of_an_open_map_fill_the_room() -> None:
    graph = graphs_to_watch.collecting(10)
    board = Board(graph.spec())
    for recorded in recorded_run(graph):
        board.take(recorded)
        if len(board.live) == 3 and board.run.settled > 2:
            break
    lines = picture(board, now=board.run.started_at + 1).splitlines()
    members = [line for line in lines if line.startswith("  ● [")]
    assert len(members) == 3


def test_the_time_left_is_not_guessed_before_a_map_has_told_its_items() -> None:
    graph = graphs_to_watch.collecting(10)
    board = midway(graph, e.AttemptStarted)
    now = board.run.started_at
    for second in range(20):
        board.tick(now + second)
    text = picture(board, now=now + 20)
    assert "0/2+" in text
    assert "time left unknown" in text
    assert "%" not in text.splitlines()[1]


def test_terminals_without_unicode_get_letters() -> None:
    graph = graphs_to_watch.nested()
    board = board_of(graph, recorded_run(graph))
    assert picture(board, symbols=ASCII).isascii()


def test_the_notice_is_the_last_line() -> None:
    board = Board(graphs_to_watch.chain().spec())
    lines = picture(board, notice="Ctrl-C stops", state="stopping").splitlines()
    assert lines[-1] == "Ctrl-C stops"
    assert "stopping" in lines[0]


class Screen:
    """The least of a terminal: a cursor, lines that are overwritten, and two ways of clearing."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines = [""]
        self.row = 0

    def feed(self, text: str) -> None:
        import re

        for part in re.findall(r"\x1b\[\??[0-9]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
            if part == "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
            elif part.endswith("A") and part.startswith("\x1b"):
                self.row = max(0, self.row - int(part[2:-1]))
            elif part == "\x1b[2K":
                self.lines[self.row] = ""
            elif part == "\x1b[J":
                del self.lines[self.row + 1 :]
                self.lines[self.row] = ""
            elif not part.startswith("\x1b") and part != "\r":
                self.lines[self.row] += part


def test_frames_are_drawn_over_each_other_and_remarks_stay() -> None:
    out = io.StringIO()
    console = Console(file=out, width=40, height=10, force_terminal=True, color_system=None)
    with Painter(console) as painter:
        painter.paint([Text("one"), Text("two"), Text("three")])
        painter.paint([Text("ONE"), Text("TWO")], above=[Text("a remark")])
        painter.paint([Text("uno"), Text("due"), Text("tre")])
    screen = Screen(40)
    screen.feed(out.getvalue())
    assert screen.lines == ["a remark", "uno", "due", "tre", ""]
    assert out.getvalue().endswith("\x1b[?25h")


def test_a_narrower_window_has_wrapped_the_last_frame() -> None:
    out = io.StringIO()
    console = Console(file=out, width=40, height=10, force_terminal=True, color_system=None)
    with Painter(console) as painter:
        painter.paint([Text("x" * 40), Text("y" * 15)])
        console.width = 20
        out.truncate(0)
        painter.paint([Text("z")])
        assert "\x1b[3A" in out.getvalue()  # two lines for the x, one for the y


def test_errors_are_one_line() -> None:
    from clew.cli.screen import error_line

    assert error_line(ErrorInfo("ValueError", "\n\x1b[31mno\x1b[0m\tgood\nmore")) == "ValueError: no good"
    assert error_line(ErrorInfo("KeyError", "")) == "KeyError"
    assert error_line(None) == ""


def test_a_frame_of_a_large_run_costs_as_much_as_one_of_a_small_run() -> None:
    """Counted, not timed: the visits that are looked at for a frame."""
    graph = graphs_to_watch.wide(2_000)
    board = Board(graph.spec())
    for recorded in recorded_run(graph):
        board.take(recorded)
    seen = 0

    class Counted(dict):
        def values(self):
            nonlocal seen
            for value in super().values():
                seen += 1
                yield value

    board.run.visits = Counted(board.run.visits)
    board.live = Counted(board.live)
    frame(board, width=80, height=24, now=0.0)
    assert seen < 100


def test_recorded_events_are_what_boards_take() -> None:
    board = Board(graphs_to_watch.chain().spec())
    board.take(Recorded(1, e.RunAdmitted(at=0.0, run="r", graph="h", definition="d")))
    assert board.run.id == "r"
