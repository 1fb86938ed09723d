"""DG4, DG6: what a failure means for the others, and retries."""

import asyncio

import pytest
from engine_bodies import double
from engine_kit import Gate, Later, count, history, kinds, seen

from clew import (
    Context,
    Engine,
    Graph,
    Permanent,
    Retry,
    Retryable,
    Run,
    RunFailedError,
    exponential,
    fixed,
)
from clew.kernel import events as e


async def boom(x: int = 0) -> int:
    raise ValueError("boom")


async def failed(run: Run) -> RunFailedError:
    with pytest.raises(RunFailedError) as caught:
        await run.result()
    return caught.value


async def states(run: Run) -> dict[str, str]:
    return {node.path: node.state for node in (await run.status()).nodes}


# Error policies --------------------------------------------------------------------------------------------


async def test_stop_graph_cancels_what_runs_and_starts_nothing_new() -> None:
    gate = Gate()

    async def hang() -> int:
        await gate.wait()
        return 1

    async def fails_then() -> None:
        await gate.arrivals()
        raise ValueError("boom")

    g = Graph("g")
    done = g.add(double, 4, id="done")
    g.add(double, g.add(hang), id="after")
    g.add(fails_then, depends_on=[done])
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        error = await failed(run)
        assert "fails_then" in str(error)
        assert "boom" in str(error)
        assert await states(run) == {
            "done": "completed", "hang": "cancelled", "after": "cancelled", "fails_then": "failed",
        }  # fmt: skip
        assert error.result.state == "failed"
        assert dict(error.result) == {"done": 8}
        assert error.result.failures["fails_then"].type == "ValueError"
        assert (await kinds(run)).count("RunFailed") == 1
        assert (await kinds(run))[-1] == "RunFailed"


async def test_skip_downstream_names_the_cause_and_lets_others_go_on() -> None:
    g = Graph("g", on_error="skip_downstream")
    near = g.add(double, g.add(boom), id="near")
    g.add(double, near, id="far")
    g.add(double, 3, id="other")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        error = await failed(run)
        assert dict(error.result) == {"other": 6}
        found = {n.path: (n.state, n.cause) for n in (await run.status()).nodes}
        assert found["near"] == found["far"] == ("skipped", "boom")


async def test_continue_tells_dependents_who_failed() -> None:
    async def reader(ctx: Context, x: int | None = 7) -> list[str | int | None]:
        return [x, *(f"{path}: {error.type}" for path, error in ctx.failed_upstream.items())]

    g = Graph("g", on_error="continue")
    g.returns(g.add(reader, x=g.add(boom)))
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        result = await run.result()
        assert result.output == [7, "boom: ValueError"]
        assert list(result.failures) == ["boom"]
        assert result.state == "completed"
        last = (await history(run))[-1].event
        assert isinstance(last, e.RunCompleted)
        assert (last.settled, last.failed) == (2, 1)


async def test_a_node_overrides_the_policy_of_its_graph() -> None:
    g = Graph("g")
    g.add(boom, id="harmless", on_error="continue")
    g.add(double, 2, depends_on=["harmless"])
    async with Engine("memory:") as engine:
        result = await (await engine.start(g)).result()
        assert dict(result) == {"double": 4}


@pytest.mark.parametrize("what", [SystemExit(3), KeyError("k"), BaseException("odd"), asyncio.CancelledError()])
async def test_whatever_a_body_raises_fails_its_node_and_nothing_else(what: BaseException) -> None:
    async def raises() -> None:
        raise what

    def raises_in_thread() -> None:
        raise what

    g = Graph("g", on_error="skip_downstream")
    g.add(raises)
    g.add(raises_in_thread)
    g.add(double, 1)
    async with Engine("memory:") as engine:
        error = await failed(await engine.start(g))
        assert sorted(error.result.failures) == ["raises", "raises_in_thread"]
        assert {x.type for x in error.result.failures.values()} == {type(what).__name__}
        assert dict(error.result) == {"double": 2}


async def test_an_error_that_cannot_be_written_does_not_lose_the_run(url: str) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    async def surrogate() -> None:
        print("\udcff")
        raise ValueError("\udcff\0")

    async def odd() -> None:
        raise Odd

    async def value() -> str:
        return "\udcff"

    g = Graph("g", on_error="skip_downstream")
    for body in (surrogate, odd, value):
        g.add(body)
    async with Engine(url) as engine:
        run = await engine.start(g)
        error = await failed(run)
        assert sorted(error.result.failures) == ["odd", "surrogate", "value"]
        assert [line.path async for line in run.logs()] == ["surrogate"]


# Retries ---------------------------------------------------------------------------------------------------


async def test_retries_up_to_the_limit_and_with_the_given_delays() -> None:
    seen_attempts: list[int] = []

    async def flaky(ctx: Context) -> int:
        seen_attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ValueError("not yet")
        return ctx.attempt

    g = Graph("g")
    g.add(flaky, retry=Retry(max_attempts=3, backoff=exponential(0.001), jitter=0))
    g.add(boom, retry=Retry(max_attempts=2, backoff=fixed(0.001), jitter=0), on_error="continue")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        assert (await run.result())["flaky"] == 3
        assert seen_attempts == [1, 2, 3]
        scheduled = [r.event for r in await history(run) if isinstance(r.event, e.RetryScheduled)]
        delays = [round(x.due - x.at, 4) for x in scheduled if x.path == "flaky"]
        assert delays == [0.001, 0.002]
        assert (await count(run))["AttemptStarted", "boom"] == 2
        assert (await run.status()).nodes[0].attempt == 3


async def test_retries_go_by_class_and_by_what_the_error_says() -> None:
    made: list[str] = []

    def raising(name: str, error: Exception) -> object:
        async def body() -> None:
            made.append(name)
            raise error

        body.__name__ = body.__qualname__ = name
        return body

    retry = Retry(max_attempts=2, backoff=fixed(0), on=[OSError], not_on=[FileNotFoundError])
    g = Graph("g", on_error="continue")
    for name, error in {
        "fits_by_base": ConnectionError("x"),
        "excluded": FileNotFoundError("x"),
        "other": KeyError("x"),
        "permanent": Permanent("x"),
        "retryable": Retryable("x"),
    }.items():
        g.add(raising(name, error), retry=retry)  # type: ignore[arg-type]
    async with Engine("memory:") as engine:
        await (await engine.start(g)).result()
    assert {name: made.count(name) for name in made} == {
        "fits_by_base": 2, "excluded": 1, "other": 1, "permanent": 1, "retryable": 2,
    }  # fmt: skip


async def test_a_servers_retry_after_is_honoured() -> None:
    async def busy() -> None:
        raise Retryable("busy", after_s=1234.0)

    g = Graph("g")
    g.add(busy, retry=Retry(max_attempts=2, backoff=fixed(0.001), jitter=0))
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        scheduled = await seen(run, e.RetryScheduled)
        assert scheduled.due - scheduled.at >= 1234
        assert await states(run) == {"busy": "retrying"}
        assert (await run.status()).nodes[0].error is not None


async def test_a_waiting_retry_survives_the_engine(url: str) -> None:
    clock, tries = Later(), []

    async def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("first")
        return "second"

    g = Graph("g")
    g.add(flaky, retry=Retry(max_attempts=2, backoff=fixed(3600), jitter=0))
    async with Engine(url, clock=clock) as engine:
        run = await engine.start(g, id="r")
        due = (await seen(run, e.RetryScheduled)).due
        assert (await engine.runs())[0].wake_at == due
    async with Engine(url, clock=clock, graphs=[g]) as engine:
        run = await engine.resume("r")
        assert await states(run) == {"flaky": "retrying"}
    assert len(tries) == 1
    clock.ahead_s = 3601
    async with Engine(url, clock=clock, graphs=[g]) as engine:
        run = await engine.resume("r")
        assert (await run.result())["flaky"] == "second"
        assert "AttemptInterrupted" not in await kinds(run)
    assert len(tries) == 2
