"""Before a body of any kind is entered, its exclusive key is its own; what is recorded is not waited for again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Gate, Meter, count

from clew import Context, Engine, Graph, RunFailedError, shell
from clew.testing import VirtualClock, run_virtual


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (True, "a key is a number, or text of 1 to 1000 characters, but not true"),
        ("", 'but not ""'),
        ("x" * 1001, "text of 1 to 1000 characters"),
        (["a"], 'but not ["a"]'),
    ],
)
async def test_keys_that_are_none(value: object, told: str) -> None:
    async def body(k: Any) -> None:
        raise AssertionError("the body was entered")

    g = Graph("g")
    g.add(body, g.input("k", Any), id="body", exclusive="{{ k }}")
    async with Engine("memory:") as engine:
        run = await engine.start(g, {"k": value})
        with pytest.raises(RunFailedError) as caught:
            await run.result()
        error = caught.value.result.failures["body"]
        assert error.type == "invalid input"
        assert told in error.message


async def test_numbers_are_keys_and_programs_take_them_too(tmp_path: Path) -> None:
    g = Graph("g", max_concurrency=3)
    line = "mkdir {{ place }} && sleep 0.01 && rmdir {{ place }}"  # the second at once would fail
    g.map(shell(line), over={"n": [7, 7, 7]}, place=g.input("place", str), id="m", exclusive="{{ n }}")
    async with Engine("memory:") as engine:
        run = await engine.start(g, {"place": str(tmp_path / "held")})
        assert [each["exit_code"] for each in (await run.result())["m"]] == [0, 0, 0]


async def test_a_key_that_was_taken_is_not_waited_for_again(url: str) -> None:
    gate, blocked = Gate(), True

    async def body() -> str:
        if blocked:
            await gate.wait()
        return "done"

    g = Graph("g")
    g.add(body, exclusive="k")
    async with Engine(url) as engine:
        await engine.start(g, id="r")
        await gate.arrivals()
    blocked = False
    async with Engine(url, graphs=[g]) as engine:
        run = await engine.resume("r")
        assert (await run.result())["body"] == "done"
        found = await count(run)
        assert found["AttemptInterrupted", "body"] == 1
        assert found["WaitOpened", "body"] == found["WaitResolved", "body"] == 1


def test_waiting_for_the_key_is_none_of_the_bodys_time() -> None:
    async def main() -> None:
        meter, loop = Meter(), asyncio.get_running_loop()

        async def body(ctx: Context) -> int:
            with meter:
                over = asyncio.Event()
                loop.call_later(9, over.set)
                await over.wait()
            return 1

        g = Graph("g", max_concurrency=5)
        g.map(body_of(body), over=[1, 2, 3, 4, 5], id="m", exclusive="k", timeout=10)
        async with Engine("memory:", clock=VirtualClock(loop)) as engine:  # type: ignore[arg-type]
            assert (await (await engine.start(g)).result())["m"] == [1] * 5
        assert meter.most == 1
        assert loop.time() == pytest.approx(45, abs=1)

    run_virtual(main())


def body_of(body: Any) -> Any:
    async def item(x: int, ctx: Context) -> int:
        return await body(ctx)  # type: ignore[no-any-return]

    return item
