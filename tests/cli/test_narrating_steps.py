"""State graphs in lines: where they go on and why, what is waited for, decided and changed."""

import asyncio

import steps_to_watch
from graphs_to_watch import recorded_run
from steps_to_watch import recorded_review, reviewed, wait_for_barriers
from test_narrating import lines_of

from clew.cli.board import Board
from clew.cli.narrating import Narrator
from clew.cli.summing_up import ended, stopped
from clew.engine.engine import Engine
from clew.engine.status import Result
from clew.graphs import StateGraph
from clew.journal.records import Recorded
from clew.kernel import events as e


def test_a_loop_is_told_with_its_reasons() -> None:
    told = lines_of(steps_to_watch.loop())
    assert told[0].endswith(" of state graph loop started: 1 node, at most 50 steps")
    assert told[1:] == [
        "draft started",
        "draft completed in T: drafts +1, score=0.5",
        "draft -> draft#2, because state.score < 1",
        "draft#2 started",
        "draft#2 completed in T: drafts +1, score=1.0",
    ]


def test_parts_of_a_state_graph_are_told() -> None:
    told = lines_of(steps_to_watch.parts())
    assert "inner started" in told
    assert "inner/both started: 2 branches" in told
    assert "inner/both completed in T (2 branches): notes +2, meta: 1 field, words=5" in told
    assert "check/breaks failed: ValueError: it broke," in told
    assert any(line.startswith("check completed in T (3 branches, 1 failed): ") for line in told)
    assert "count started: 3 items" in told
    assert "count[1] failed: ValueError: no words" in told
    assert not any(line.startswith("again[") for line in told)  # state graphs in a map are not told step by step


def test_what_is_degraded_is_said() -> None:
    told = [line for line in lines_of(steps_to_watch.degraded()) if "->" in line]
    limit = "asks_for_less was visited once, as often as it may be (max_visits, max_iterations)"
    assert told == [
        "degraded: breaks -> asks_for_less, the fallback",
        "degraded: asks_for_less -> draft, the fallback, which it asked for",
        f"degraded: draft -> draft#2, the fallback, because {limit}",
        "names_the_end -> END, as the node said",
    ]


def test_a_barrier_is_told_with_the_command_that_decides() -> None:
    told = lines_of(reviewed(), recorded_review())
    run = told[0].split()[1]
    how = f"to decide: clew approve {run} review (or reject, modify, reroute)"
    assert told[3:6] == [
        f"review waits for a decision: Good enough?; {how}",
        "review: rejected by ann: too short",
        "review -> draft#2, because not state['review.approved']",
    ]
    again = "review#2 waits for a decision: Good enough?; " + how.replace(" review ", " 'review#2' ")
    number = next(each.seq for each in recorded_review() if isinstance(each.event, e.CheckpointTaken))
    assert told[8:] == [
        again,
        'the state was changed by bob: topic="dogs"',
        again,
        f"checkpoint nearly by bob, at event {number}",
        "review#2: approved by cleo",
    ]


def test_decisions_that_were_given_before_are_told_when_they_are_used() -> None:
    async def drive() -> list[Recorded]:
        async with Engine("memory:") as engine:
            run = await engine.start(reviewed())
            await wait_for_barriers(run)
            await run.reject("review#2", "again", by="ann")
            await run.reject(by="bob")
            await wait_for_barriers(run)
            await run.approve(standing=True)
            await run.result()
            return [recorded async for recorded in run.events(live=False)]

    told = lines_of(reviewed(), asyncio.run(drive()))
    assert "review#2: rejected by ann: again, for when it is reached" in told
    assert "review#2: rejected by ann: again (decided before)" in told
    assert "review: approved, each time" in told
    assert "review#3: approved (standing)" in told
    assert sum("waits for a decision" in line for line in told) == 2  # review#2 never did


def test_who_leaves_is_told_what_is_waited_for() -> None:
    recorded = recorded_review()
    place = next(n for n, each in enumerate(recorded) if isinstance(each.event, e.WaitOpened))
    board = Board(reviewed().spec())
    for each in recorded[: place + 1]:
        board.take(each)
    run = board.run.id
    how = f"to decide: clew approve {run} review (or reject, modify, reroute)"
    assert stopped(board, "") == [
        f"run {run} stopped: 1 node is done and is kept",
        f"review waits for a decision: Good enough?; {how}",
        f"to go on: clew resume {run}",
    ]
    narrator = Narrator(board)
    board.caught_up = board.run.seq
    again = Narrator(board)
    assert [*narrator.tick(1e9)] == []
    (line,) = again.tick(1e9)
    assert "review waits for a decision" in line
    assert [*again.tick(2e9)] == []


def summary(graph: StateGraph, recorded: list[Recorded]) -> list[str]:
    board = Board(graph.spec())
    for each in recorded:
        board.take(each)
    failures = {each.path: each.error for each in board.failures}
    result = Result(board.run.id, board.run.state, {}, {"a": 1}, failures)
    return [line.plain for line in ended(board, result, "", 0)]


def test_a_summary_counts_steps_and_says_what_was_gone_on_from() -> None:
    graph = steps_to_watch.degraded()
    told = summary(graph, recorded_run(graph))
    assert " after 5 steps: 4 completed, 1 failed" in told[0]
    assert told[1] == "  breaks  ValueError: it broke,  -> asks_for_less, the fallback"
    assert told[2] == "  degraded: asks_for_less -> draft, the fallback, which it asked for"
    assert told[3].startswith("  degraded: draft -> draft#2, the fallback, because asks_for_less was visited")
    assert not any("clew retry" in line for line in told)


def test_the_error_of_a_run_is_told_if_no_failure_says_it() -> None:
    failing = steps_to_watch.failing()
    told = summary(failing, recorded_run(failing))
    assert not any(line.startswith("  ValueError: inner") for line in told)
    assert any(line.startswith("  inner/both/breaks  ValueError: it broke,") for line in told)
    assert any("clew retry" in line for line in told)
    endless = StateGraph(steps_to_watch.Paper, name="endless", max_steps=3)
    endless.add_node(steps_to_watch.draft)
    endless.add_edge("__start__", "draft")
    endless.add_edge("draft", "draft", when="{{ state.score < 99 }}")
    endless.add_edge("draft", "__end__")
    told = summary(endless, recorded_run(endless))
    assert told[1].startswith("  limit: endless has made 3 steps, as many as it may (max_steps)")


def test_a_changed_graph_is_said() -> None:
    graph = reviewed()
    changed = steps_to_watch.reviewed(timeout=9.0)
    recorded = recorded_review()
    place = next(n for n, each in enumerate(recorded) if isinstance(each.event, e.WaitOpened))
    event = e.DefinitionChanged(at=1e9, graph="h", definition="d", spec=changed.spec(), by="ann", forced=True)
    told = lines_of(graph, [*recorded[: place + 1], Recorded(place + 2, event)])
    assert told[-1].endswith(" goes on with a changed graph by ann, although what had run was changed, too")
