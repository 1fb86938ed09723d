"""An attempt that was lost with its process, and the probe that finds out whether it took effect."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from engine_bodies import looks_for_file, writes_file
from engine_kit import Gate, count, history, kinds

from clew import Context, Engine, Graph, Happened, Retry, Run, RunFailedError, fixed, shell
from clew.kernel import events as e
from clew.kernel.values import ErrorInfo


async def failure(run: Run, node: str = "pay") -> ErrorInfo:
    with pytest.raises(RunFailedError) as caught:
        await run.result()
    return caught.value.result.failures[node]


class Bank:
    """A node whose first attempt is lost; with `paid` after it took effect.

    Attributes:
        payments: what took effect.
    """

    def __init__(self, probe: Any = None, paid: bool = True, **options: Any) -> None:
        self.payments: list[str] = []
        self.paid = paid
        self.gate = Gate()
        self.graph = Graph("bank")
        self.graph.add(self.pay, id="pay", probe=probe or self.find, amount=5, to="ann", **options)

    async def pay(self, ctx: Context, amount: int, to: str) -> str:
        first = not self.gate.came
        if not first or self.paid:
            self.payments.append(ctx.idempotency_key)
        if first:
            await self.gate.wait()
        return f"paid {amount} to {to}"

    async def find(self, ctx: Context, to: str) -> Happened[str] | None:
        ctx.log(f"looking for a payment to {to}")
        return Happened(f"found for {to}") if ctx.idempotency_key in self.payments else None

    async def lose(self, url: str) -> None:
        async with Engine(url) as engine:
            await engine.start(self.graph, id="r")
            await self.gate.arrivals()


async def test_what_took_effect_is_not_done_again(url: str) -> None:
    bank = Bank()
    await bank.lose(url)
    async with Engine(url, graphs=[bank.graph]) as engine:
        run = await engine.resume("r")
        assert (await run.result())["pay"] == "found for ann"
        started = [r.event for r in await history(run) if isinstance(r.event, e.AttemptStarted)]
        assert [event.probe for event in started] == [False, True]
        assert [line.text async for line in run.logs("pay")] == ["looking for a payment to ann"]
    assert len(bank.payments) == 1


async def test_what_did_not_take_effect_is_done(url: str) -> None:
    bank = Bank(paid=False)
    await bank.lose(url)
    async with Engine(url, graphs=[bank.graph]) as engine:
        run = await engine.resume("r")
        assert (await run.result())["pay"] == "paid 5 to ann"
        assert "DoubtCleared" in await kinds(run, "pay")
    assert len(bank.payments) == 1


async def test_a_probe_may_be_a_plain_function_of_anything(url: str) -> None:
    bank = Bank(lambda **inputs: Happened(sorted(inputs)))
    await bank.lose(url)
    async with Engine(url, graphs=[bank.graph]) as engine:
        assert (await (await engine.resume("r")).result())["pay"] == ["amount", "to"]


async def test_a_probe_that_fails_is_tried_again(url: str) -> None:
    tries: list[int] = []

    def away(ctx: Context) -> Happened[str] | None:
        tries.append(ctx.attempt)
        if len(tries) == 1:
            raise ConnectionError("the bank does not answer")
        return Happened("at last")

    bank = Bank(away, retry=Retry(max_attempts=2, backoff=fixed(0)))
    await bank.lose(url)
    async with Engine(url, graphs=[bank.graph]) as engine:
        run = await engine.resume("r")
        assert (await run.result())["pay"] == "at last"
        assert (await count(run))["RetryScheduled", "pay"] == 1
    assert tries == [2, 3]
    assert len(bank.payments) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (True, "invalid input", "a probe returns Happened(output)"),
        ("found", "invalid input", "this one returned 'found'"),
        (Happened({1, 2}), "unstorable", "a set has no order"),
    ],
)
async def test_a_probe_that_says_something_else(url: str, answer: object, kind: str, told: str) -> None:
    bank = Bank(lambda: answer)
    await bank.lose(url)
    async with Engine(url, graphs=[bank.graph]) as engine:
        error = await failure(await engine.resume("r"))
        assert error.type == kind
        assert told in error.message
    assert len(bank.payments) == 1


@pytest.mark.parametrize("what", ["step", "sleep", "ask", "receive"])
async def test_a_probe_only_looks(url: str, what: str) -> None:
    async def acts(ctx: Context) -> Any:
        calls: dict[str, Any] = {
            "step": lambda: ctx.step("k", str),
            "sleep": lambda: ctx.sleep(1),
            "ask": lambda: ctx.ask("k"),
            "receive": lambda: ctx.receive("k"),
        }
        await calls[what]()

    bank = Bank(acts)
    await bank.lose(url)
    async with Engine(url, graphs=[bank.graph]) as engine:
        error = await failure(await engine.resume("r"))
        assert "this is the node's probe, which only looks" in error.message


async def test_the_probe_of_a_program(url: str, tmp_path: Path) -> None:
    note = tmp_path / "note"
    asked: list[str] = []

    def find(name: str) -> Happened[dict[str, Any]] | None:
        asked.append(name)
        return Happened({"exit_code": 0, "stdout": "", "stderr": ""}) if note.exists() else None

    g = Graph("program")
    g.add(shell("touch {{ name }}; sleep 1000"), id="touch", name=str(note), probe=find)
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        while not note.exists():  # noqa: ASYNC110 - a program tells nobody
            await asyncio.sleep(0)
    async with Engine(url, graphs=[g]) as engine:
        assert (await (await engine.resume("r")).result())["touch"]["exit_code"] == 0
    assert asked == [str(note)]


@pytest.mark.slow
@pytest.mark.parametrize("exists", [True, False])
async def test_a_probe_with_a_time_limit_runs_in_a_process(url: str, tmp_path: Path, exists: bool) -> None:
    note = tmp_path / "note"
    g = Graph("processes")
    g.add(writes_file, str(note), exists, timeout=60, probe=looks_for_file, id="write")
    async with Engine(url) as engine:
        run = await engine.start(g, id="r")
        async for _ in run.feed():
            if (tmp_path / "note.begun").exists():
                break
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        assert (await run.result())["write"] == ("found" if exists else "written again")
