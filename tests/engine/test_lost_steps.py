"""PL10: a step under way when its attempt was lost is made again, probed, put to a person, or failed."""

from collections.abc import Callable
from typing import Any

import pytest
from engine_kit import Gate, Later, count, history, kinds, seen

from clew import Context, Engine, Graph, Happened, InvalidInputError, Retry, Run, RunFailedError, fixed
from clew.kernel import events as e
from clew.kernel.values import ErrorInfo


async def failure(run: Run, node: str = "sell") -> ErrorInfo:
    with pytest.raises(RunFailedError) as caught:
        await run.result()
    return caught.value.result.failures[node]


class Shop:
    """A body with one step that acts on the outside world, which remembers it; the first makings never return.

    Attributes:
        charged: what was really done, by idempotency key, once for each time.
        hang: so many makings take effect and do not return; with `before`, they take none either.
    """

    def __init__(self, hang: int = 1, before: bool = False, **options: Any) -> None:
        self.charged: list[str] = []
        self.made = 0
        self.hang, self.before = hang, before
        self.options = options
        self.probes: list[str] = []
        self.gate = Gate()
        self.graph = Graph("shop")
        self.graph.add(self.sell, retry=Retry(max_attempts=2, backoff=fixed(0)))

    async def sell(self, ctx: Context) -> str:
        key = ctx.key_for("charge")
        return await ctx.step("charge", self.charge, key, **self.options)  # type: ignore[no-any-return]

    async def charge(self, key: str) -> str:
        self.made += 1
        if not self.before or self.made > self.hang:
            self.charged.append(key)
        if self.made <= self.hang:
            await self.gate.wait()
        return f"receipt {self.made}"

    def find(self, key: str) -> Happened[str] | None:
        self.probes.append(key)
        return Happened("found") if key in self.charged else None

    async def lose(self, url: str, times: int = 1) -> None:
        """Let so many processes end while the step is made."""
        for number in range(1, times + 1):
            async with Engine(url, graphs=[self.graph]) as engine:
                run = await engine.start(self.graph, id="r")
                if number > 1 and self.options.get("on_interrupt") == "ask":
                    await answer(run, "retry")
                await self.gate.arrivals(number)

    async def go_on(self, url: str, then: Callable[[Run], Any]) -> Any:
        """What becomes of it in another process."""
        async with Engine(url, graphs=[self.graph]) as engine:
            return await then(await engine.resume("r"))


async def answer(run: Run, value: object) -> str:
    """Answer the one question of a run as soon as it is asked; the key of the question."""
    while not (questions := await run.questions()):
        await seen(run, e.WaitOpened, after=(await run.status()).seq)
    await run.answer(value, by="ann")
    return questions[0].key


async def receipt(run: Run) -> str:
    return (await run.result())["sell"]  # type: ignore[no-any-return]


async def test_that_a_step_begins_is_durable_before_it_acts(url: str) -> None:
    shop = Shop(hang=0, effect=True)
    begun: list[bool] = []

    async def looks(key: str) -> str:
        async with Engine(url, drives=False) as other:
            begun.append("StepStarted" in await kinds(await other.open_run("r")))
        return await Shop.charge(shop, key)

    shop.charge = looks  # type: ignore[method-assign]
    async with Engine(url) as engine:
        run = await engine.start(shop.graph, id="r")
        assert await receipt(run) == "receipt 1"
        events = [r.event for r in await history(run) if isinstance(r.event, e.StepStarted | e.StepCompleted)]
        assert [type(event).__name__ for event in events] == ["StepStarted", "StepCompleted"]
        assert events[0].digest == events[1].digest
        assert isinstance(events[1], e.StepCompleted)
        assert events[1].effect
    assert begun == [True]


async def test_steps_that_only_read_are_not_announced() -> None:
    shop = Shop(hang=0)
    async with Engine("memory:") as engine:
        run = await engine.start(shop.graph)
        await receipt(run)
        assert "StepStarted" not in await kinds(run)


@pytest.mark.parametrize("options", [{"effect": True}, {"on_interrupt": "retry"}])
async def test_made_again_with_the_same_idempotency_key(url: str, options: dict[str, Any]) -> None:
    shop = Shop(**options)
    await shop.lose(url)
    assert await shop.go_on(url, receipt) == "receipt 2"
    assert len(shop.charged) == 2
    assert len(set(shop.charged)) == 1


# Probes ----------------------------------------------------------------------------------------------------


async def test_a_probe_that_finds_it(url: str) -> None:
    shop = Shop()
    shop.options = {"probe": shop.find}
    await shop.lose(url)

    async def then(run: Run) -> str:
        found = await receipt(run)
        assert (await count(run))["StepCompleted", "sell"] == 1
        return found

    assert await shop.go_on(url, then) == "found"
    assert len(shop.charged) == 1
    assert shop.probes == shop.charged


async def test_a_probe_that_does_not_find_it(url: str) -> None:
    shop = Shop(hang=2, before=True)

    async def find(key: str) -> Happened[str] | None:
        return shop.find(key)

    shop.options = {"probe": find, "on_interrupt": "probe"}
    await shop.lose(url, times=2)
    assert await shop.go_on(url, receipt) == "receipt 3"
    assert len(shop.charged) == 1
    assert len(shop.probes) == 2


async def test_what_a_probe_found_is_recorded(url: str) -> None:
    shop, gate, blocked = Shop(), Gate(), True

    async def body(ctx: Context) -> str:
        found: str = await ctx.step("charge", shop.charge, "k", probe=shop.find)
        if blocked:
            await gate.wait()
        return found

    shop.graph = Graph("again")
    shop.graph.add(body, id="sell")
    await shop.lose(url)
    await shop.go_on(url, lambda _: gate.arrivals())
    blocked = False
    assert await shop.go_on(url, receipt) == "found"
    assert shop.probes == ["k"]


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ("yes", "a probe returns Happened(output)"),
        (Happened({1}), "a set has no order"),
        (Happened(5), "Expected `str`, got `int`"),
    ],
)
async def test_a_probe_that_says_something_else(url: str, answers: object, told: str) -> None:
    shop = Shop(probe=lambda key: answers)
    await shop.lose(url)
    error = await shop.go_on(url, failure)
    assert told in error.message
    assert len(shop.charged) == 1


async def test_a_probe_that_fails_is_asked_again(url: str) -> None:
    shop = Shop()

    def find(key: str) -> Happened[str] | None:
        if not shop.probes:
            shop.probes.append("failed")
            raise ConnectionError("the service is away")
        return shop.find(key)

    shop.options = {"probe": find}
    await shop.lose(url)
    assert await shop.go_on(url, receipt) == "found"
    assert len(shop.charged) == 1


async def test_a_step_of_a_stopped_attempt_is_in_doubt_too() -> None:
    shop = Shop()
    shop.options = {"probe": shop.find}
    shop.graph = Graph("slow")
    shop.graph.add(shop.sell, timeout=0.05, retry=Retry(max_attempts=2, backoff=fixed(0)))
    async with Engine("memory:") as engine:
        assert await receipt(await engine.start(shop.graph)) == "found"
    assert len(shop.charged) == 1


# People ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "got", "charges"),
    [({"done": "by hand"}, "by hand", 1), ("retry", "receipt 2", 2)],
)
async def test_a_person_says_what_became_of_it(url: str, said: object, got: str, charges: int) -> None:
    shop = Shop(on_interrupt="ask")
    await shop.lose(url)

    async def then(run: Run) -> Any:
        await seen(run, e.AttemptSuspended)  # who waits for a person holds no slot
        assert await answer(run, said) == "#step charge"
        return await receipt(run)

    assert await shop.go_on(url, then) == got
    assert len(shop.charged) == charges


async def test_the_question_outlives_the_engine_and_its_answer_too(url: str) -> None:
    shop, clock = Shop(on_interrupt="ask"), Later()
    await shop.lose(url)
    await shop.go_on(url, lambda run: seen(run, e.AttemptSuspended))

    async def then(run: Run) -> None:
        question = (await run.questions())[0]
        assert (
            "step 'charge' of sell was under way when an attempt before attempt 2 was lost"
            in question.question.text
        )
        await run.answer({"done": "by hand"}, shown=question.digest)

    async with Engine(url, drives=False) as telling:
        await then(await telling.open_run("r"))
    async with Engine(url, graphs=[shop.graph], clock=clock) as engine:
        run = await engine.resume("r")
        assert await receipt(run) == "by hand"
        assert (await count(run))["WaitOpened", "sell"] == 1
    assert len(shop.charged) == 1


async def test_a_verdict_serves_one_making(url: str) -> None:
    shop = Shop(hang=2, on_interrupt="ask")
    await shop.lose(url, times=2)  # the first is answered by "retry", and the making after that is lost, too

    async def then(run: Run) -> str:
        assert await answer(run, {"done": "at last"}) == "#step charge (2)"
        return await receipt(run)

    assert await shop.go_on(url, then) == "at last"
    assert shop.made == 2


async def test_a_person_who_says_that_it_failed_is_asked_again_in_a_retry(url: str) -> None:
    shop = Shop(on_interrupt="ask")
    await shop.lose(url)

    async def then(run: Run) -> str:
        await answer(run, "fail")
        error = await failure(run)
        assert error.type == "interrupted"
        assert "said by ann to have failed" in error.message
        assert (await count(run))["RetryScheduled", "sell"] == 0
        await run.retry()
        await answer(run, {"done": "after all"})
        return await receipt(run)

    assert await shop.go_on(url, then) == "after all"
    assert len(shop.charged) == 1


async def test_answers_that_mean_nothing_are_refused(url: str) -> None:
    shop = Shop(on_interrupt="ask")
    await shop.lose(url)

    async def then(run: Run) -> None:
        await seen(run, e.AttemptSuspended)
        for said, told in (("maybe", '"fail" or a mapping is expected'), ({"done": 5}, "text is expected, not 5")):
            with pytest.raises(InvalidInputError, match=told):
                await run.answer(said)
        with pytest.raises(InvalidInputError, match='not "done"'):  # its value is text, and none is given
            await run.answer("done")
        await run.cancel()

    await shop.go_on(url, then)


async def test_a_step_without_a_value_is_simply_done(url: str) -> None:
    shop, gate = Shop(), Gate()

    async def delete() -> None:
        await gate.wait()

    async def body(ctx: Context) -> str:
        return f"{await ctx.step('delete', delete, on_interrupt='ask')}"

    shop.graph = Graph("deletes")
    shop.graph.add(body, id="sell")
    async with Engine(url) as engine:
        await engine.start(shop.graph, id="r")
        await gate.arrivals()

    async def then(run: Run) -> str:
        await answer(run, "done")
        return await receipt(run)

    assert await shop.go_on(url, then) == "None"


# Failing ---------------------------------------------------------------------------------------------------


async def test_one_that_fails_stays_in_doubt_until_the_declaration_is_changed(url: str) -> None:
    shop = Shop(on_interrupt="fail")
    await shop.lose(url)

    async def then(run: Run) -> str:
        for _ in range(2):
            error = await failure(run)
            assert error.type == "interrupted"
            assert error.retryable is False
            assert "step 'charge' was under way when an attempt of its node was lost" in error.message
            assert "StepError" in error.classes
            await run.retry()
        await failure(run)
        shop.options = {"probe": shop.find}
        await run.retry()
        return await receipt(run)

    assert await shop.go_on(url, then) == "found"
    assert len(shop.charged) == 1


async def test_a_body_that_catches_it_does_not_get_round_it(url: str) -> None:
    shop = Shop(on_interrupt="fail")

    async def body(ctx: Context) -> str:
        try:
            return await ctx.step("charge", shop.charge, "k", on_interrupt="fail")  # type: ignore[no-any-return]
        except Exception as error:
            raise RuntimeError(f"attempt {ctx.attempt}") from error

    shop.graph = Graph("stubborn")
    shop.graph.add(body, id="sell", retry=Retry(max_attempts=3, backoff=fixed(0)))
    await shop.lose(url)
    assert (await shop.go_on(url, failure)).message == "attempt 4"
    assert len(shop.charged) == 1


# Declarations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "options", "told"),
    [
        (("k", str), {"on_interrupt": "never"}, "on_interrupt is retry, probe, ask, fail, not 'never'"),
        (("k", str), {"on_interrupt": "probe"}, "needs probe="),
        (("k", str), {"on_interrupt": "ask", "probe": str}, "on_interrupt='ask' needs no probe"),
        (("k", str), {"probe": 5}, "a probe is a function, not 5"),
        (("k", 5), {}, "step 'k' calls a function, not 5"),
        ((str, 5), {}, "the step needs a key, which is text"),
        (("#k", str), {}, "'#k' of the step begins with '#'; such keys are Clew's own"),
    ],
)
async def test_what_does_not_go_together(args: tuple[Any, ...], options: dict[str, Any], told: str) -> None:
    async def body(ctx: Context) -> None:
        with pytest.raises(Exception) as caught:  # at the call, not when it is awaited
            ctx.step(*args, **options)
        raise caught.value

    g = Graph("g")
    g.add(body, id="sell")
    async with Engine("memory:") as engine:
        error = await failure(await engine.start(g))
        assert told in error.message
        assert error.type == "invalid input"


async def test_keys_of_steps_are_stable_and_differ() -> None:
    async def body(ctx: Context) -> list[str]:
        return [ctx.key_for("a"), ctx.key_for("a"), ctx.key_for("b"), ctx.idempotency_key]

    g = Graph("g")
    g.add(body, id="one")
    g.add(body, id="two")
    async with Engine("memory:") as engine:
        result = await (await engine.start(g)).result()
    keys = [*result["one"], *result["two"]]
    assert result["one"][0] == result["one"][1]
    assert len(set(keys)) == 6
    assert {len(key) for key in keys} == {32}
