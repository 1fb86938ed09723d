"""What a run waits for, in words; and answers as they are typed."""

import asyncio

import click
import msgspec
import pytest
from graphs_to_watch import board_of, recorded_run
from test_narrating import lines_of

from clew.cli.asking import Asked
from clew.cli.board import Board
from clew.cli.narrating import Narrator
from clew.cli.screen import frame, waits_of
from clew.cli.waits import (
    answer_command,
    choices_of,
    read_answer,
    read_json,
    standing,
    told_choices,
    told_deadline,
    told_wait,
)
from clew.engine.questions import question_of
from clew.errors import InvalidInputError
from clew.graphs import Graph
from clew.journal.records import Recorded
from clew.kernel import events as e
from clew.kernel.commands import Wait
from clew.kernel.questions import Question, question_of_doubt
from clew.kernel.values import ErrorInfo, Value
from clew.kernel.visits import Visit


async def asks(ctx=None) -> str:
    return await ctx.ask("Which colour?\nTake a warm one.", key="colour", choices=["red", "blue"])


async def two(ctx=None) -> list:

    return await asyncio.gather(ctx.ask("One?", key="a", type=int), ctx.ask("Two?", key="b", type=bool))


async def item(n: int, ctx=None) -> str:
    return await ctx.ask(f"Item {n}?", key="ok")


async def answered(run, count: int = 1) -> None:
    """Answer what a run asks, when it asks so much."""
    waiting = 0
    async for recorded in run.events():
        waiting += isinstance(recorded.event, e.AttemptSuspended)
        if waiting == count:
            break
    questions = await run.questions()
    for question in questions:
        choices = choices_of(question.question)
        kind = msgspec.json.decode(question.question.schema).get("type")
        value = choices[0] if choices else {"integer": 3, "boolean": True}.get(kind, "text")
        await run.answer(value, question.node, question.key, by="ann")


def one() -> Graph:
    graph = Graph("one")
    graph.add(asks)
    return graph


def test_a_question_and_its_answer_are_told() -> None:
    told = lines_of(one(), recorded_run(one(), answered))
    run = told[0].split()[1]
    assert told[1:4] == [
        "asks started",
        f"asks asks: Which colour? (red, blue); to answer: clew answer {run} asks red",
        "asks was answered by ann",
    ]


def test_several_questions_of_a_node_are_told_by_key() -> None:
    graph = Graph("two")
    graph.add(two)
    told = "\n".join(lines_of(graph, recorded_run(graph, lambda run: answered(run, 1))))
    assert "two asks: One? (an integer); to answer: clew answer " in told
    assert "two asks: Two? (true or false); to answer: clew answer " in told
    assert " two VALUE --key b" in told


def test_the_questions_of_a_map_do_not_flood() -> None:
    graph = Graph("many")
    graph.map(item, over=[*range(30)], max_concurrency=30)
    recorded = recorded_run(graph, lambda run: answered(run, 30))
    told = lines_of(graph, recorded)
    assert sum(" asks: Item" in line for line in told) == 20
    assert sum("item: more is asked by its items; all of it: clew answer" in line for line in told) == 1


def before_the_answer(graph: Graph, count: int = 1) -> Board:
    recorded = recorded_run(graph, lambda run: answered(run, count))
    suspended = [place for place, each in enumerate(recorded) if isinstance(each.event, e.AttemptSuspended)]
    return board_of(graph, recorded[: suspended[count - 1] + 1])


def test_a_board_knows_what_is_asked() -> None:
    graph = Graph("many")
    graph.map(item, over=[*range(5)], max_concurrency=5)
    board = before_the_answer(graph, 5)
    assert [(visit.path, key) for visit, key, _ in board.asking()] == [(f"item[{n}]", "ok") for n in range(5)]
    told = [*standing(board, "x.db")]
    assert len(told) == 4
    assert told[0] == f"item[0] asks: Item 0?; to answer: clew answer {board.run.id} 'item[0]' VALUE --db x.db"
    assert told[-1] == f"more is asked; all of it: clew answer {board.run.id} --db x.db"
    board._count_again()
    assert len([*board.asking()]) == 5
    stop = e.GroupStopping(at=1.0, path="", reason="cancel", error=ErrorInfo(type="cancelled", message=""))
    seq = board.run.seq
    board.take(Recorded(seq + 1, stop))
    for n in range(5):
        board.take(Recorded(seq + 2 + n, e.NodeCancelled(at=1.0, path=f"item[{n}]", reason="cancel")))
    assert [*board.asking()] == []


def test_a_picture_shows_what_is_asked() -> None:
    board = before_the_answer(one())
    lines = [line.plain for line in frame(board, width=100, height=20, now=9e9, hints=[*standing(board, "")])]
    assert any("asks: Which colour? (red, blue)" in line for line in lines[2:])
    assert lines[-1].startswith("asks asks: Which colour? (red, blue); to answer: clew answer one-")
    assert "/min" not in lines[1]  # it rests
    assert "unknown" not in lines[1]


def test_who_comes_later_is_told_what_is_asked() -> None:
    board = before_the_answer(one())
    board.caught_up = board.run.seq
    narrator = Narrator(board, "x.db")
    (line,) = narrator.tick(1.0)
    how = f"clew answer {board.run.id} asks red --db x.db"
    assert line.endswith(f"asks asks: Which colour? (red, blue); to answer: {how}")
    assert [*narrator.tick(1_000.0)] == []  # nothing new: no sign of life is needed


def paused(graph: Graph, *more: e.AnyEvent) -> list[str]:
    at = 1_000.0
    events: list[e.AnyEvent] = [
        e.RunAdmitted(at=at, run="r", graph="h", definition="d"),
        e.RunStarted(at=at),
        e.AttemptStarted(at=at, path="asks"),
        e.RunPaused(at=at, by="ann"),
        *more,
    ]
    return lines_of(graph, [Recorded(number, event) for number, event in enumerate(events, 1)])


def test_a_pause_is_told_with_what_it_stops() -> None:
    told = paused(
        one(),
        e.AttemptStopping(at=1.0, path="asks", reason="pause"),
        e.AttemptInterrupted(at=1.0, path="asks"),
        e.RunResumed(at=1.0, by="bob"),
    )
    assert told[2:] == [
        "run r is paused by ann; 1 attempt under way may finish; to go on: clew resume r",
        "asks is stopped for the pause, and is made again",
        "run r goes on after its pause by bob",
    ]


def test_doubts_are_told() -> None:
    question, digest = question_of_doubt("asks", 1)
    told = paused(
        one(),
        e.RunResumed(at=1.0),
        e.AttemptInterrupted(at=1.0, path="asks"),
        e.WaitOpened(at=1.0, path="asks", key="#interrupted", kind="answer", question=question, digest=digest),
    )
    assert told[-2] == "asks was interrupted: attempt 1 was under way when its process ended"
    assert told[-1].startswith(
        "asks asks: attempt 1 of asks was under way when its process ended. Did it take effect?"
    )
    assert told[-1].endswith("(retry, fail, done); to answer: clew answer r asks retry")


# Answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "text", "value"),
    [
        (question_of("?", str, None), "5", "5"),
        (question_of("?", str, None), '"5"', "5"),
        (question_of("?", int, None), "5", 5),
        (question_of("?", str, ["1", "2"]), "1", "1"),
        (question_of("?", int, [1, 2]), "1", 1),
        (question_of("?", bool, None), "true", True),
        (question_of("?", list[int], None), "[1, 2]", [1, 2]),
        (question_of("?", int | None, None), "null", None),
        (Question(text="?"), "5", 5),
        (Question(text="?"), "five", "five"),
        (Question(text="?"), "NaN", "NaN"),
    ],
)
def test_a_text_is_read_as_what_fits(question: Question, text: str, value: object) -> None:
    assert read_answer(question, text) == value
    assert type(read_answer(question, text)) is type(value)


def test_yes_and_no_are_true_and_false_unless_they_are_texts() -> None:
    question = question_of("?", bool, None)
    assert [read_answer(question, said) for said in ("yes", "Y", "true")] == [True] * 3
    assert [read_answer(question, said) for said in ("no", "n", "false")] == [False] * 3
    assert read_answer(question_of("?", str, None), "yes") == "yes"
    with pytest.raises(InvalidInputError, match="a boolean is expected"):
        read_answer(question, "perhaps")


def test_what_does_not_fit_is_refused_with_its_best_reading() -> None:
    with pytest.raises(InvalidInputError, match=r"an integer is expected, not 1\.5"):
        read_answer(question_of("?", int, None), "1.5")
    with pytest.raises(InvalidInputError, match='an integer is expected, not "one"'):
        read_answer(question_of("?", int, None), "one")
    assert [*read_json("[1]")] == [[1], "[1]"]


def test_what_is_wanted_is_told_in_parentheses() -> None:
    assert told_choices(question_of("?", str, ["a b", "c"])) == " (a b, c)"
    assert told_choices(question_of("?", int, [*range(20)])) == " (0, 1, 2, 3, 4, 5, 6, 7, …)"
    assert told_choices(question_of("?", float, None)) == " (a number)"
    assert told_choices(question_of("?", dict[str, int], None)) == " (a JSON object)"
    assert told_choices(question_of("?", str, None)) == ""
    assert told_choices(Question(text="?", schema=msgspec.Raw(b"true"))) == ""
    assert (
        answer_command("r", "a/b[c]", "k", question_of("?", str, ["a b"]), "")
        == "clew answer r 'a/b[c]' 'a b' --key k"
    )


def test_waits_are_told_with_their_times() -> None:
    told = told_wait(Wait(kind="timer", since=10.0, due=100.0), 40.0)
    assert told.startswith("sleeps, since 30.0 s, until ")
    assert told.endswith("(1 min to go)")
    assert told_wait(Wait(kind="timer", since=10.0, due=100.0), 40.0, brief=True) == "sleeps, 1 min to go"
    assert told_wait(Wait(kind="message", name="m", since=10.0), 40.0) == "waits for message m, since 30.0 s"
    assert told_wait(Wait(kind="key", name="k", since=10.0), 40.0, brief=True) == "waits for key k"
    assert told_wait(Wait(kind="answer", question=Value(blob="0" * 64)), 40.0) == "asks: something"
    assert told_deadline(1_000.0, None, 2_000.0).endswith("(now), then it fails")
    assert told_deadline(1_000.0, "1", 940.0).endswith("(in 1 min), then: 1")
    due = Wait(kind="answer", question=Value(blob="0" * 64), due=100.0, default=Value(blob="1" * 64, size=7))
    assert told_wait(due, 40.0).endswith("(in 1 min), then: 7 bytes")


def test_a_prompt_asks_again() -> None:

    asked = Asked(
        node="n",
        key="k",
        question=question_of("?", int, None),
        since=0.0,
        due=None,
        default=None,
        digest="",
        now=0.0,
    )
    assert asked.read_typed("5") == 5
    with pytest.raises(click.UsageError, match="an integer is expected"):
        asked.read_typed("five")


def test_a_visit_that_waits_for_nothing_known_says_so() -> None:

    board = before_the_answer(one())
    visit: Visit = board.run.visits["asks"]
    visit.waits = None
    assert waits_of(visit, 0.0) == "waits"
