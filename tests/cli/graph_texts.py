"""Graphs as the text of Python files."""

HEAD = """
from pathlib import Path
from clew import Graph, Retry, fixed, node

"""

SMALL = """
async def one(n: int) -> int:
    print("one got", n)
    return n

async def twice(n: int) -> int:
    return 2 * n

g = Graph("small", description="Doubles a number.")
n = g.input("n", int, default=3, description="any number")
g.returns({"double": g.add(twice, g.add(one, n))})
"""

FAILING = """
async def first() -> int:
    return 1

async def second(x: int) -> int:
    if not Path("mended").exists():
        raise ValueError("not\\x1b[31m yet\\x1b[0m\\nand more")
    return x + 1

g = Graph("failing")
g.add(second, g.add(first), id="again", retry=Retry(max_attempts=2, backoff=fixed(0.01)))
"""

#: Asks a person, then waits for a message.
ASKING = """
from clew import Context

async def price(items: int) -> int:
    return 10 * items

async def approve(total: int, ctx: Context) -> bool:
    answer = await ctx.ask(f"Pay {total} euros?", key="pay", choices=["yes", "no"], deadline=7_000, default="no")
    return answer == "yes"

async def receipt(ok: bool, ctx: Context) -> str:
    number = await ctx.receive("receipt") if ok else "none"
    return await ctx.step("book", book, number)

async def book(number) -> str:
    return f"receipt {number}"

g = Graph("order")
g.returns(g.add(receipt, g.add(approve, g.add(price, g.input("items", int, default=3)))))
"""

#: Asks twice at once, once for a number.
ASKING_TWICE = """
from clew import Context

async def size(ctx: Context) -> int:
    return await ctx.ask("How many?", key="n", type=int)

async def name(ctx: Context) -> str:
    return await ctx.ask("Whose?\\nWrite a name.", key="who")

g = Graph("twice")
g.add(size)
g.add(name)
"""

#: Its one node has an effect, which a person is asked about if it is lost.
DOUBTFUL = """
import asyncio, os

@node(on_interrupt="ask")
async def charge() -> str:
    with open("charges", "a") as file:
        print("charged", file=file)
    print("charge is under way")
    while not os.path.exists("go"):
        await asyncio.sleep(0.01)
    return "charged"

g = Graph("doubtful")
g.returns(g.add(charge))
"""
