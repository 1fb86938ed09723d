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
