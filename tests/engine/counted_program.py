"""A program of real work with counted effects, for tests that kill it: python counted_program.py ROLE DATABASE …

Roles:
    ``work DATABASE RUN EFFECTS``: start the run, or go on with it, and print its result.
    ``answer DATABASE``: answer each question that any run asks, until the standard input ends.

Its graph has a chain, maps whose items run in the loop and in threads, programs of the shell, a body with steps
and sleeps between them, and a body that asks. Each effect is one line at the end of a file, which no crash takes
back.
"""

import asyncio
import contextlib
import os
import sys

from clew import ClewError, Context, Engine, Graph, shell

LINKS, ITEMS, THREADS, PROGRAMS, STEPS = 8, 24, 8, 6, 8
#: Lines in the file of effects when nothing disturbs the run.
EFFECTS = LINKS + ITEMS + THREADS + PROGRAMS + STEPS + 1


def effect(what: str) -> None:
    """Do something that cannot be undone, and say so."""
    line = what.encode() + b"\n"
    place = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(place, line)
    os.close(place)
    os.write(int(os.environ["TOLD"]), line)


async def link(x: int, ctx: Context) -> int:
    effect(f"{ctx.run_id} {ctx.path}")
    await asyncio.sleep(0)
    return x + 1


async def item(x: int, ctx: Context) -> int:
    await asyncio.sleep(0)
    effect(f"{ctx.run_id} {ctx.path}")
    return x * 2


def threaded(x: int, ctx: Context) -> int:
    effect(f"{ctx.run_id} {ctx.path}")
    return x


async def shopping(ctx: Context) -> int:
    total = 0
    for number in range(STEPS):
        total += await ctx.step(
            f"buy {number}", buy, f"{ctx.run_id} {ctx.path} step {number}", number, effect=True
        )
        await ctx.sleep(0.005, key=f"rest {number}")
    return total


async def buy(what: str, number: int) -> int:
    effect(what)
    return number


async def asks(ctx: Context) -> int:
    answer: int = await ctx.ask("How many?", type=int)
    effect(f"{ctx.run_id} {ctx.path}")
    return answer


async def summed(parts: list[list[int]], ends: list[int], told: list[dict[str, object]]) -> int:
    return sum(map(sum, parts)) + sum(ends) + sum(int(str(said["stdout"])) for said in told)


def graph() -> Graph:
    g = Graph("counted", max_concurrency=4)
    last = g.add(link, 0, id="link0")
    for number in range(1, LINKS):
        last = g.add(link, last, id=f"link{number}")
    items = g.map(item, over=list(range(ITEMS)), id="items")
    threads = g.map(threaded, over=list(range(THREADS)), id="threads")
    name = g.input("name", str)
    programs = [
        g.add(
            shell(f'echo {{{{ run }}}} program{number} >> "$EFFECTS"; echo {number}'),
            id=f"program{number}",
            run=name,
            on_interrupt="retry",
        )
        for number in range(PROGRAMS)
    ]
    ends = [last, g.add(shopping), g.add(asks)]
    g.returns(g.add(summed, [items, threads], ends, programs))
    return g


async def work(database: str, run: str) -> None:
    async with Engine(database, graphs=[graph()]) as engine:
        handle = await engine.start(graph(), {"name": run}, id=run)
        result = await handle.result()
        print("result", result.output, flush=True)


async def answer(database: str) -> None:
    """Answer what is asked; each time as a process of its own would, which opens the journal and leaves it."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(sys.stdin, lambda: ended.done() or ended.set_result(None))
    while not ended.done():
        async with Engine(database, drives=False) as engine:
            for row in await engine.runs(states=("running",)):
                handle = await engine.open_run(row.run)
                for question in await handle.questions():
                    with contextlib.suppress(ClewError):
                        await handle.answer(7, question.node, question.key, by="somebody")
        await asyncio.wait([ended], timeout=0.05)


if __name__ == "__main__":
    if sys.argv[1] == "work":
        os.environ["EFFECTS"] = sys.argv[4]
        asyncio.run(work(sys.argv[2], sys.argv[3]))
    else:
        asyncio.run(answer(sys.argv[2]))
