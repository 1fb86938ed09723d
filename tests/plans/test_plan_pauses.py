"""Steps that only wait: for a person, for a time, for a message; and steps that work on the memory."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from plan_kit import failure_of, output_of, plan, told

from clew import Engine, Plan, Run, RunFailedError
from clew.kernel import events as e
from clew.testing import VirtualClock, VirtualLoop, run_virtual


async def asked(run: Run) -> None:
    """Until it waits for something."""
    async for recorded in run.events():
        if isinstance(recorded.event, e.AttemptSuspended):
            return
    raise AssertionError("it did not wait")


async def answered(written: Plan, answer: Any, inputs: dict[str, Any] | None = None) -> Any:
    async with Engine("memory:") as engine:
        run = await engine.start(written, inputs or {})
        await asked(run)
        await run.answer(answer)
        return (await run.result()).output


def asks(*given: Any, **options: Any) -> Plan:
    p = plan()
    p.returns([p.ask(*given, **options, id="a")])
    return p


@pytest.mark.parametrize(
    ("given", "options", "answer"),
    [
        (("confirm", "sure?"), {}, True),
        (("confirm", "sure?"), {"required": False}, False),
        (("input", "who?"), {}, "ann"),
        (("input", "how many?"), {"type": int}, 3),
        (("input", "which?"), {"type": "list[str]"}, ["a"]),
        (("choice", "which?"), {"choices": ["a", 2]}, 2),
        (("choice", "which?"), {"choices": "{{ ['x', 'y'] }}"}, "y"),
    ],
)
async def test_questions(given: Any, options: Any, answer: Any) -> None:
    assert await answered(asks(*given, **options), answer) == [answer]


async def test_a_no_is_an_error_unless_it_is_an_answer() -> None:
    with pytest.raises(RunFailedError) as caught:
        await answered(asks("confirm", "publish 1.2?"), False)
    error = caught.value.result.failures["a"]
    assert (error.type, error.retryable) == ("user cancelled", False)
    assert error.message == "'publish 1.2?' was answered with no"


async def test_texts_of_questions_name_steps_and_inputs() -> None:
    p = plan()
    p.input("who", str)
    p.step("size", text="{{ input.who }}")
    p.ask("input", "{{ input.who }} has {{ size }} letters?", id="a")
    async with Engine("memory:") as engine:
        run = await engine.start(p, {"who": "ann"})
        await asked(run)
        (question,) = await run.questions()
        assert (question.node, question.question.text) == ("a", "ann has 3 letters?")
        (node,) = [node for node in (await run.status()).nodes if node.id == "a"]
        assert (node.kind, node.state) == ("ask", "waiting")
        await run.answer("yes")
        await run.result()


async def test_information_is_shown_and_not_waited_for() -> None:
    p = asks("information", "that is {{ 1 + 1 }}")
    async with Engine("memory:") as engine:
        run = await engine.start(p)
        assert (await run.result()).output == ["that is 2"]
        assert [line.text.strip() async for line in run.logs("a")] == ["that is 2"]


def clock() -> VirtualClock:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return VirtualClock(loop)


def virtual(written: Plan) -> tuple[Any, float]:
    """What comes of a plan, and how long that took in seconds."""

    async def go() -> tuple[Any, float]:
        async with Engine("memory:", clock=clock()) as engine:
            run = await engine.start(written)
            try:
                output: Any = (await run.result()).output
            except RunFailedError as error:
                output = next(iter(error.result.failures.values()))
            status = await run.status()
            assert status.started_at is not None
            assert status.ended_at is not None
            return output, status.ended_at - status.started_at

    return run_virtual(go())


def test_nobody_answers() -> None:
    assert virtual(asks("choice", "which?", choices=[1, 2], default=2, timeout="1m")) == ([2], 60.0)
    assert virtual(asks("input", "who?", default=None, timeout=5)) == ([None], 5.0)
    error, seconds = virtual(asks("input", "who?", timeout=7))
    assert (error.type, seconds) == ("timeout", 7.0)


@pytest.mark.parametrize(
    ("given", "seconds"), [(90, 90.0), ("5m", 300.0), ("{{ 2 * 3 }}", 6.0), ("{{ '2' }}m", 120.0)]
)
def test_waits_for_a_while(given: Any, seconds: float) -> None:
    p = plan()
    p.wait(given, id="w")
    assert virtual(p) == ({"w": None}, seconds)


def test_waits_for_a_time() -> None:
    async def go() -> float:
        now = clock()
        then = datetime.fromtimestamp(now.wall(), UTC) + timedelta(hours=2)
        p = plan()
        p.wait(until=then, id="w")
        p.wait(until="{{ '" + then.isoformat() + "' }}", id="v")
        p.wait(until="2001-01-01T00:00:00Z", id="past")
        async with Engine("memory:", clock=now) as engine:
            run = await engine.start(p)
            await run.result()
            status = await run.status()
            return status.ended_at - status.started_at  # pyright: ignore[reportOptionalOperand]

    assert run_virtual(go()) == pytest.approx(7200.0, abs=0.01)


async def test_waits_for_a_message() -> None:
    p = plan()
    p.returns(p.wait(message="go")["to"])
    async with Engine("memory:") as engine:
        run = await engine.start(p)
        await asked(run)
        await run.send("go", {"to": "town"})
        assert (await run.result()).output == "town"


def test_no_message_comes() -> None:
    p = plan()
    p.wait(message="go", timeout=5, default="stay", id="w")
    assert virtual(p) == ({"w": "stay"}, 5.0)
    q = plan()
    q.wait(message="go", timeout=5, id="w")
    error, _ = virtual(q)
    assert error.type == "timeout"


async def test_a_wait_that_is_none_fails_in_the_run() -> None:
    p = plan()
    p.input("given")
    p.wait("{{ input.given }}", id="w")
    error, _ = await failure_of(p, {"given": "soon"})
    assert "wait: seconds is a number, or 90s or 5m, not 'soon'" in error.message
    q = plan()
    q.input("given")
    q.ask("choice", "which?", choices="{{ input.given }}", id="a")
    error, _ = await failure_of(q, {"given": 3})
    assert "ask: choices is a list of what can be answered, not 3" in error.message


async def test_waits_go_on_after_a_restart(tmp_path: Any) -> None:
    journal = f"sqlite:///{tmp_path}/clew.db"
    p = plan()
    name = p.ask("input", "who?", id="a")
    p.returns(p.step("shout", text=name))
    async with Engine(journal) as engine:
        run = await engine.start(p)
        await asked(run)
    async with Engine(journal) as engine:
        run = await engine.resume(run.id)
        await run.answer("ann")
        assert (await run.result()).output == "ANN"


async def test_the_memory_outlives_runs() -> None:
    p = plan()
    p.input("fact", str)
    kept = p.memory("store", namespace="facts", key="a", value="{{ input.fact }}", id="kept")
    got = p.memory("get", namespace="facts", key="a", depends_on=kept)
    p.returns(p.step("shout", text=got))
    assert await output_of(p, {"fact": "so it goes"}) == "SO IT GOES"


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        (
            lambda p: p.ask("confrim", "x", id="s"),
            "it is one of confirm, input, choice, information, not 'confrim'; did you mean",
        ),
        (lambda p: p.ask("choice", "x", id="s"), "a choice needs choices, a list of what can be answered"),
        (lambda p: p.ask("choice", "x", choices=[], id="s"), "a choice needs choices"),
        (lambda p: p.ask("confirm", "x", choices=[1], id="s"), "confirm takes no choices; leave it out"),
        (lambda p: p.ask("information", "x", timeout=1, id="s"), "information takes no timeout; leave it out"),
        (lambda p: p.ask("input", "x", type="strr", id="s"), "there is no type 'strr'; did you mean 'str'?"),
        (lambda p: p.ask("input", "x", type=int, default="a", timeout=1, id="s"), "the default 'a' does not fit"),
        (
            lambda p: p.ask("input", "x", default="a", id="s"),
            "the default counts when there is no answer in time; say timeout",
        ),
        (
            lambda p: p.ask("choice", "x", choices=[1], default=2, timeout=1, id="s"),
            "the default 2 is none of the choices",
        ),
        (
            lambda p: p.ask("input", "x", timeout="soon", id="s"),
            "timeout is a number of seconds above 0, or 90s or 5m, not 'soon'",
        ),
        (lambda p: p.ask("input", "{{ who }}", id="s"), "'{{ who }}': there is no node 'who'"),
        (lambda p: p.wait(id="s"), "give just one of seconds, until and message"),
        (lambda p: p.wait(1, until="x", id="s"), "give just one of seconds, until and message"),
        (lambda p: p.wait(0, id="s"), "seconds is a number of seconds above 0"),
        (lambda p: p.wait(1, timeout=1, id="s"), "timeout and default are for messages; leave them out"),
        (
            lambda p: p.wait(until="tomorrow", id="s"),
            "until is 'tomorrow'; write a time like 2030-01-31T09:00:00+01:00",
        ),
        (
            lambda p: p.wait(until=datetime(2030, 1, 1), id="s"),  # noqa: DTZ001
            "until is 2030-01-01 00:00:00, without a time zone",
        ),
        (lambda p: p.wait(until=3, id="s"), "until is a time, not 3"),
        (lambda p: p.wait(message="", id="s"), "a message has a name, which is text, not ''"),
        (lambda p: p.wait(message="x", default=1, id="s"), "the default counts when no message comes in time"),
        (
            lambda p: p.memory("keep", namespace="x", id="s"),
            "the operation is one of store, update, delete, get, search",
        ),
        (lambda p: p.memory("get", namespace="x", id="s"), "get needs key="),
    ],
)
def test_what_cannot_be_waited_for(step: Any, wrong: str) -> None:
    p = plan()
    step(p)
    (problem,) = told(p)
    assert wrong in problem
    assert problem.startswith("node 's'")
