"""One of several processes that work on one file: python -c "import shared_program; shared_program.main()" ROLE …

Roles:
    ``drive DATABASE NAME SECONDS SEED``: start runs of several kinds for so long, and print what became of each.
    ``resume DATABASE RUN BY``: let a paused run go on, wherever it is driven; ``refused`` if it does not.
"""

import asyncio
import os
import random
import sys

from clew import Context, Engine, Graph, RefusedError, Run, RunFailedError, shell

KINDS = ("plain", "sleeps", "asks", "receives")
#: Runs that one process has under way at once.
TOGETHER = 6


def effect(what: str) -> None:
    """Do something that cannot be undone."""
    place = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(place, what.encode() + b"\n")
    os.close(place)


async def item(x: int, ctx: Context) -> int:
    effect(f"{ctx.run_id} {ctx.path}")
    print("item", x)
    await asyncio.sleep(0)
    return x


async def waits(kind: str, ctx: Context) -> int:
    match kind:
        case "asks":
            got: int = await ctx.ask("How many?", type=int)
        case "receives":
            got = await ctx.receive("number", type=int)
        case _:
            await ctx.sleep(0.3 if kind == "sleeps" else 0.0)
            got = 0
    effect(f"{ctx.run_id} {ctx.path}")
    return got


async def summed(items: list[int], got: int, said: str) -> int:
    return sum(items) + got + int(said)


def graph() -> Graph:
    g = Graph("shared", max_concurrency=3)
    kind = g.input("kind", str)
    items = g.map(item, over=[1, 2, 3], id="items")
    said = g.add(shell("echo 10"), id="said", depends_on=items)
    g.returns(g.add(summed, items, g.add(waits, kind), said["stdout"]))
    return g


async def drive(database: str, name: str, seconds: float, seed: int) -> None:
    chance, loop = random.Random(seed), asyncio.get_running_loop()
    end = loop.time() + seconds
    async with Engine(database, graphs=[graph()]) as engine:

        async def one_after_another(place: int) -> None:
            number = 0
            while loop.time() < end:
                number += 1
                run = f"{name}-{place}-{number}"
                handle = await engine.start(graph(), {"kind": chance.choice(KINDS)}, id=run)
                print(run, await outcome(handle), flush=True)

        await asyncio.gather(*map(one_after_another, range(TOGETHER)))


async def outcome(run: Run) -> str:
    try:
        return f"completed {(await run.result()).output}"
    except RunFailedError as error:
        return error.result.state


async def resume(database: str, run: str, by: str) -> None:
    async with Engine(database, drives=False) as engine:
        try:
            await (await engine.open_run(run)).resume(by=by)
        except RefusedError:
            print("refused")


def main() -> None:
    role, *arguments = sys.argv[1:]
    if role == "drive":
        database, name, seconds, seed = arguments
        asyncio.run(drive(database, name, float(seconds), int(seed)))
    else:
        asyncio.run(resume(*arguments))
