"""A program that is killed: python killed_program.py DATABASE EFFECTS. It says on its output what it has done.

Its graph has a chain, maps whose items run in the loop, in threads and in processes, and a body with steps.
Each effect is one line at the end of a file, which no crash takes back.
"""

import asyncio
import contextlib
import os
import sys

from clew import Context, Engine, Graph, node


def effect(ctx: Context, what: str = "") -> None:
    """Do something that cannot be undone, and say so."""
    line = f"{ctx.path} {what}".strip().encode() + b"\n"
    place = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(place, line)
    os.close(place)
    with contextlib.suppress(OSError):  # a worker process has not inherited it
        os.write(int(os.environ["TOLD"]), line)


async def link(x: int, ctx: Context) -> int:
    effect(ctx)
    await asyncio.sleep(0)
    return x + 1


async def item(x: int, ctx: Context) -> int:
    await asyncio.sleep(0)
    effect(ctx)
    return x * 2


def threaded(x: int, ctx: Context) -> int:
    effect(ctx)
    return x


@node(timeout=60)
def processed(x: int, ctx: Context) -> int:
    effect(ctx, f"in {os.getpid()}")
    return x


async def shopping(ctx: Context, x: int) -> int:
    total = 0
    for number in range(5):
        total += await buy(ctx, number)
    await ctx.sleep(0.01)
    return total


async def buy(ctx: Context, number: int) -> int:
    async def act(n: int) -> int:
        effect(ctx, f"step {n}")
        return n

    return await ctx.step(f"buy {number}", act, number, effect=True)  # type: ignore[no-any-return]


async def summed(parts: list[list[int]], last: int) -> int:
    return sum(map(sum, parts)) + last


def graph() -> Graph:
    g = Graph("killed", max_concurrency=4)
    last = g.add(link, 0, id="link0")
    for number in range(1, 12):
        last = g.add(link, last, id=f"link{number}")
    items = g.map(item, over=list(range(25)), id="items")
    again = g.map(item, over=items, id="again")
    threads = g.map(threaded, over=list(range(6)), id="threads")
    processes = g.map(processed, over=list(range(4)), id="processes")
    shop = g.add(shopping, last)
    g.returns(g.add(summed, [items, again, threads, processes], shop))
    return g


async def main(database: str) -> None:
    async with Engine(database, graphs=[graph()]) as engine:
        run = await engine.start(graph(), id="r")
        result = await run.result()
        print("result", result.output, flush=True)


if __name__ == "__main__":
    os.environ["EFFECTS"] = sys.argv[2]
    asyncio.run(main(sys.argv[1]))
