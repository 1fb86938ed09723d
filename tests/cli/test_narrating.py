"""A run in lines: one per event worth telling, none per item of a map."""

import re

import graphs_to_watch
from graphs_to_watch import recorded_run

from clew.cli.board import Board
from clew.cli.narrating import TOLD_PER_MAP, Narrator
from clew.graphs import Graph
from clew.journal.records import Recorded
from clew.kernel import events as e
from clew.kernel.values import NONE, Value


def lines_of(graph: Graph, recorded: list[Recorded] | None = None, caught_up: int = 0) -> list[str]:
    board = Board(graph.spec())
    board.caught_up = caught_up
    narrator = Narrator(board)
    lines: list[str] = []
    for each in recorded or recorded_run(graph):
        board.take(each)
        lines += narrator.tell(each)
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
    assert all(line.isprintable() for line in lines)
    return [re.sub(r"\d+(\.\d)? (ms|s)\b", "T", line[9:]) for line in lines]


def test_a_chain_is_told_from_start_to_end() -> None:
    told = lines_of(graphs_to_watch.chain())
    assert told[0].startswith("run chain-")
    assert told[0].endswith(" of graph chain started: 5 nodes")
    assert told[1:4] == ["n0 started", "n0 completed in T", "n1 started"]
    assert len(told) == 11


def test_history_is_not_told_again() -> None:
    graph = graphs_to_watch.chain()
    recorded = recorded_run(graph)
    assert len(lines_of(graph, recorded, caught_up=recorded[-3].seq)) == 1


def test_items_are_counted_and_their_failures_told() -> None:
    told = lines_of(graphs_to_watch.collecting(10))
    assert "odd_fails started: 10 items" in told
    assert "odd_fails[3] failed: ValueError: 3 is odd," in told
    assert "odd_fails completed in T (10 items, 5 failed)" in told
    assert not any("[2]" in line for line in told)


def test_the_failures_of_a_map_do_not_flood() -> None:
    told = lines_of(graphs_to_watch.collecting(200))
    assert sum("] failed" in line for line in told) == TOLD_PER_MAP
    assert told.count("odd_fails: further failures of its items are only counted") == 1
    assert "odd_fails completed in T (200 items, 100 failed)" in told


def test_retries_say_when_and_why() -> None:
    told = lines_of(graphs_to_watch.nested())
    assert "research/second_time failed (attempt 1), attempt 2 in T: ConnectionError: busy" in told
    assert "research/second_time completed in T, in 2 attempts" in told


def test_skipped_nodes_say_why() -> None:
    told = lines_of(graphs_to_watch.skipping())
    assert "research skipped because bad failed" in told
    assert "never skipped because bad failed" in told


def of_a_map(items: int, seconds_each: float) -> list[Recorded]:
    """A run of `collecting` with a clock of its own."""
    at = 1_000.0
    done = Value(json=NONE.json)
    events: list[e.AnyEvent] = [
        e.RunAdmitted(at=at, run="r", graph="h", definition="d"),
        e.RunStarted(at=at),
        e.AttemptStarted(at=at, path="numbers"),
        e.NodeCompleted(at=at, path="numbers", output=done),
        e.MapOpened(at=at, path="odd_fails", count=items),
    ]
    for i in range(items):
        events.append(e.AttemptStarted(at=at, path=f"odd_fails[{i}]"))
        at += seconds_each
        events.append(e.NodeCompleted(at=at, path=f"odd_fails[{i}]", output=done))
    return [Recorded(number, event) for number, event in enumerate(events, 1)]


def test_a_map_tells_how_far_it_is_at_every_twentieth_part() -> None:
    told = lines_of(graphs_to_watch.collecting(), of_a_map(100, 1.0))
    steps = [line for line in told if line.startswith("odd_fails: ")]
    assert len(steps) == 19
    assert steps[0].startswith("odd_fails: 5 of 100 items (5 %)")


def test_a_slow_map_tells_how_far_it_is_every_few_seconds() -> None:
    told = lines_of(graphs_to_watch.collecting(), of_a_map(1_000, 1.0))
    steps = [line for line in told if line.startswith("odd_fails: ")]
    assert steps[0].startswith("odd_fails: 5 of 1,000 items (1 %)")
    assert 30 < len(steps) < 100


def test_a_quick_map_tells_little() -> None:
    told = lines_of(graphs_to_watch.collecting(), of_a_map(1_000, 0.001))
    assert not [line for line in told if line.startswith("odd_fails: ")]


def test_silence_is_broken() -> None:
    graph = graphs_to_watch.collecting()
    board = Board(graph.spec())
    narrator = Narrator(board)
    for each in of_a_map(10, 1.0)[:6]:
        board.take(each)
        told = [*narrator.tell(each)]
    assert not told
    assert [*narrator.tick(1_020.0)] == []
    (line,) = narrator.tick(1_040.0)
    assert line.endswith("1 of 12 nodes done; under way: odd_fails[0] (40.0 s)")
    assert [*narrator.tick(1_041.0)] == []
