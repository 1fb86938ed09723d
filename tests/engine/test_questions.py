"""Questions of bodies to people: durable, answered once, decoded by what the body wants, ended by a deadline."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Literal

import pytest
from engine_bodies import ask_for_answer
from engine_kit import Gate, Later, count, kinds, seen

from clew import (
    Context,
    Engine,
    Graph,
    InvalidInputError,
    QuestionExpiredError,
    RefusedError,
    Retry,
    Run,
    RunFailedError,
    StepConflictError,
    fixed,
)
from clew.kernel import events as e
from clew.kernel.values import ErrorInfo
from clew.testing import VirtualClock, VirtualLoop, run_virtual

SECRET = "hunter22-and-more"


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Review:
    stars: int
    note: str = ""


async def failure(run: Run, node: str) -> ErrorInfo:
    with pytest.raises(RunFailedError) as caught:
        await run.result()
    return caught.value.result.failures[node]


def asking(*args: Any, **options: Any) -> Graph:
    """A graph that asks one question and returns what it gets, told as text."""

    async def asks(ctx: Context) -> list[str]:
        got = await ctx.ask(*args, **options)
        return [type(got).__name__, str(got)]

    g = Graph("asking")
    g.add(asks)
    return g


@pytest.mark.parametrize(
    ("options", "answer", "got"),
    [
        ({}, "yes", ["str", "yes"]),
        ({"type": bool}, True, ["bool", "True"]),
        ({"type": int | None}, None, ["NoneType", "None"]),
        ({"type": Review}, {"stars": 3}, ["Review", "Review(stars=3, note='')"]),
        ({"type": Colour}, "red", ["Colour", "Colour.RED"]),
        ({"type": timedelta}, "PT90S", ["timedelta", "0:01:30"]),
        ({"type": Any}, {"free": [1]}, ["dict", "{'free': [1]}"]),
        ({"choices": ["a", "b"]}, "b", ["str", "b"]),
        ({"choices": [1, 2, None]}, 2, ["int", "2"]),
        ({"choices": [Colour.RED], "type": Colour}, "red", ["Colour", "Colour.RED"]),
        ({"type": Literal["on", "off"]}, "off", ["str", "off"]),
    ],
)
async def test_an_answer_is_what_the_body_wants(options: dict[str, Any], answer: object, got: list[str]) -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(asking("Well?", **options))
        await seen(run, e.WaitOpened)
        await run.answer(answer, by="ann")
        assert (await run.result())["asks"] == got
        answered = await seen(run, e.WaitResolved)
        assert (answered.outcome, answered.by, answered.key) == ("answered", "ann", "Well?")


async def test_who_waits_for_an_answer_holds_no_slot() -> None:
    other = Graph("other")
    other.add(quick)
    async with Engine("memory:", max_concurrency=1) as engine:
        run = await engine.start(asking("Well?"))
        await seen(run, e.AttemptSuspended)
        assert (await (await engine.start(other)).result())["quick"] == 1
        assert (await run.status()).nodes[0].state == "waiting"
        await run.answer("now")
        assert (await run.result())["asks"] == ["str", "now"]


async def quick() -> int:
    return 1


async def test_answers_that_do_not_fit_are_refused_and_the_question_stays() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(asking("Well?", type=Review))
        await seen(run, e.WaitOpened)
        with pytest.raises(InvalidInputError, match=r"\$\.stars: an integer is expected, not 1\.5"):
            await run.answer({"stars": 1.5})
        await run.answer({"stars": 1})
        assert (await run.result())["asks"][0] == "Review"
        with pytest.raises(RefusedError):
            await run.answer({"stars": 2})


async def test_an_answer_and_an_open_question_outlive_the_engine(url: str) -> None:
    entered: list[int] = []
    gate = Gate()

    async def body(ctx: Context) -> list[str]:
        entered.append(ctx.attempt)
        first: str = await ctx.ask("First?")
        if len(entered) == 1:
            await gate.wait()
        return [first, await ctx.ask("Second?")]

    g = Graph("g")
    g.add(body)
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        await seen(run, e.WaitOpened)
        await run.answer("one", by="ann")
        await gate.arrivals()  # the process ends after the answer, while the body works
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        await seen(run, e.AttemptSuspended, after=(await run.status()).seq - 2)
        digest = (await run.questions())[0].digest
    async with Engine(url, graphs=[g]) as engine:  # and now while it asks
        run = await engine.resume("r")
        question = (await run.questions())[0]
        assert (question.node, question.key, question.digest) == ("body", "Second?", digest)
        await run.answer("two", shown=digest)
        assert (await run.result())["body"] == ["one", "two"]
        found = await count(run)
        assert found["WaitOpened", "body"] == found["WaitResolved", "body"] == 2
        assert found["AttemptInterrupted", "body"] == 1
    assert entered == [1, 2, 2]


async def test_answers_are_kept_when_the_attempt_fails() -> None:
    async def body(ctx: Context) -> str:
        answer: str = await ctx.ask("Well?")
        if ctx.attempt == 1:
            raise ConnectionError("after the answer")
        return answer

    g = Graph("g")
    g.add(body, retry=Retry(max_attempts=2, backoff=fixed(0)))
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await seen(run, e.WaitOpened)
        await run.answer("once")
        assert (await run.result())["body"] == "once"
        assert (await count(run))["WaitOpened", "body"] == 1


# Deadlines -------------------------------------------------------------------------------------------------


def virtually(graph: Graph, answer: object = None, at_s: float = 0.0) -> tuple[Any, float]:
    """Run a graph in virtual time; its outputs or its failure, and how long it took. Answer after a while."""

    async def main() -> tuple[Any, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with Engine("memory:", clock=VirtualClock(loop)) as engine:
            run = await engine.start(graph)
            if at_s:
                due = asyncio.Event()
                loop.call_later(at_s, due.set)
                await due.wait()
                await run.answer(answer)
            try:
                result = await run.result()
            except RunFailedError as error:
                return error.result.failures, loop.time()
            return dict(result), loop.time()

    return run_virtual(main())


def test_an_answer_in_time_beats_the_default() -> None:
    values, _ = virtually(asking("Well?", deadline=60, default="none"), "in time", 59)
    assert values == {"asks": ["str", "in time"]}


@pytest.mark.parametrize(
    ("options", "got"),
    [({"default": "no"}, ["str", "no"]), ({"default": None}, ["NoneType", "None"]),
     ({"default": Review(1), "type": Review}, ["Review", "Review(stars=1, note='')"])],
)  # fmt: skip
def test_at_the_deadline_the_default_counts(options: dict[str, Any], got: list[str]) -> None:
    values, took_s = virtually(asking("Well?", deadline=60, **options))
    assert values == {"asks": got}
    assert took_s == pytest.approx(60, abs=1)


def test_without_a_default_the_deadline_is_an_error() -> None:
    failures, took_s = virtually(asking("Well?", deadline=60))
    assert failures["asks"].type == QuestionExpiredError.__name__
    assert "nobody has answered 'Well?' in time" in failures["asks"].message
    assert "TimeoutError" in failures["asks"].classes
    assert took_s == pytest.approx(60, abs=1)


async def test_the_deadline_counts_from_the_first_asking(url: str) -> None:
    clock = Later()
    g = asking("Well?", deadline=3600)
    async with Engine(url, clock=clock) as engine:
        run = await engine.start(g, id="r")
        due = (await seen(run, e.WaitOpened)).due
        await seen(run, e.AttemptSuspended)
    clock.ahead_s = 1800
    async with Engine(url, clock=clock, graphs=[g]) as engine:
        run = await engine.resume("r")
        assert (await run.questions())[0].due == due
    clock.ahead_s = 3601
    async with Engine(url, clock=clock, graphs=[g]) as engine:
        run = await engine.resume("r")
        assert (await failure(run, "asks")).type == "QuestionExpiredError"
        assert "AttemptInterrupted" not in await kinds(run)


# Keys ------------------------------------------------------------------------------------------------------


async def test_a_key_names_one_question(url: str) -> None:
    gate, text = Gate(), "Are you sure?"

    async def body(ctx: Context) -> str:
        answer: str = await ctx.ask(text, key="sure")
        await gate.wait()
        return answer

    g = Graph("g")
    g.add(body)
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        await seen(run, e.WaitOpened)
        await run.answer("yes")
        await gate.arrivals()
    text = "Are you quite sure?"
    async with Engine(url, graphs=[g]) as engine:
        error = await failure(await engine.resume("r"), "body")
        assert error.type == StepConflictError.__name__
        assert "question 'sure' was asked with another text" in error.message


async def test_an_open_question_is_not_changed_either(url: str) -> None:
    kind: Any = str

    async def body(ctx: Context) -> str:
        return str(await ctx.ask("Well?", type=kind))

    g = Graph("g")
    g.add(body)
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        await seen(run, e.AttemptSuspended)
    kind = int
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        await run.answer("yes")  # it fits what was asked then
        assert (await failure(run, "body")).type == StepConflictError.__name__


async def test_a_key_names_one_kind_of_wait(url: str) -> None:
    gate, changed = Gate(), False

    async def body(ctx: Context) -> None:
        if changed:
            await ctx.ask("Well?", key="k")
        await ctx.sleep(0, key="k")
        await gate.wait()

    g = Graph("g")
    g.add(body)
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    changed = True
    async with Engine(url, graphs=[g]) as engine:
        error = await failure(await engine.resume("r"), "body")
        assert "'k' is the key of a question, and was that of a sleep" in error.message


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Ship it?", "Ship it?"),
        ("# Heading\n  and   more", "Heading and more"),
        ("long " * 50, "long long long long long long long long long long … "),
        ("#", "… "),
    ],
)
async def test_the_key_is_the_text_shortened(text: str, key: str) -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(asking(text))
        opened = await seen(run, e.WaitOpened)
        assert opened.key.startswith(key)
        assert len(opened.key) <= 60
        assert (await run.questions())[0].question.text == text
        await run.cancel()


async def test_questions_at_once_are_answered_in_any_order() -> None:
    async def body(ctx: Context) -> list[str]:
        return await asyncio.gather(*(ctx.ask("Well?", key=f"q{n}") for n in range(3)))

    g = Graph("g")
    g.add(body)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await seen(run, e.AttemptSuspended)
        for number in (2, 0, 1):
            await run.answer(f"a{number}", key=f"q{number}")
        assert (await run.result())["body"] == ["a0", "a1", "a2"]


# What is wrong at the call ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "options", "told"),
    [
        (("",), {}, "a question is text"),
        ((7,), {}, "a question is text, not 7"),
        (("x" * 20_001,), {}, "longer than the limit of 20000"),
        (("Q",), {"type": object()}, "cannot be decoded to"),
        (("Q",), {"choices": []}, "choices are a list"),
        (("Q",), {"choices": "ab"}, "choices are a list"),
        (("Q",), {"choices": ["a", "a"]}, "the same choice is given twice"),
        (("Q",), {"choices": ["a"], "type": int}, "the choice 'a' does not fit"),
        (("Q",), {"choices": ["a"], "deadline": 1, "default": "b"}, "the default 'b' is no choice"),
        (("Q",), {"default": "x"}, "has a default but waits for ever; give deadline="),
        (("Q",), {"deadline": 1, "default": 5}, "its default does not fit"),
        (("Q",), {"deadline": -1}, "deadline is a number of seconds from 0 on, not -1"),
        (("Q",), {"deadline": "soon"}, "not 'soon'"),
        (("Q",), {"deadline": float("inf")}, "not inf"),
        (("Q",), {"key": "#k"}, "'#k' of the question begins with '#'; such keys are Clew's own"),
        (("Q",), {"key": ""}, "the question needs a key"),
        (("Q",), {"key": 7}, "not 7"),
        (("Q",), {"key": "k" * 501}, "1 to 500 characters"),
        ((f"Is it {SECRET}?",), {}, "secret TOKEN"),
    ],
)
async def test_what_is_wrong_with_a_question(args: tuple[Any, ...], options: dict[str, Any], told: str) -> None:
    async def body(ctx: Context) -> None:
        ctx.secret("TOKEN")
        with pytest.raises(Exception) as caught:  # at the call, not when it is awaited
            ctx.ask(*args, **options)
        raise caught.value

    g = Graph("g")
    g.add(body)
    async with Engine("memory:", secrets={"TOKEN": SECRET}) as engine:
        run = await engine.start(g)
        error = await failure(run, "body")
        assert told in error.message
        assert error.type in {"invalid input", "unstorable"}
        assert error.retryable is False
        assert "WaitOpened" not in await kinds(run)


async def test_questions_are_for_coroutines() -> None:
    def in_thread(ctx: Context) -> None:
        ctx.ask("Q")

    g = Graph("g", on_error="skip_downstream")
    g.add(in_thread)
    g.add(ask_for_answer)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        assert "make the body async" in (await failure(run, "in_thread")).message
        assert "make the body async" in (await failure(run, "ask_for_answer")).message
