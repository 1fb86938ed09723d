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

#: Drafts until a person approves; what cannot be published is kept.
ARTICLE = """
from typing import Annotated, TypedDict
from clew import END, START, StateGraph, append

class Article(TypedDict, total=False):
    topic: str
    drafts: Annotated[list[str], append]
    score: float
    place: str

async def draft(state: Article) -> dict:
    print("drafting about", state["topic"])
    number = len(state.get("drafts", [])) + 1
    return {"drafts": [f"{state['topic']} {number}"], "score": number / 2}

async def publish(state: Article) -> dict:
    raise ConnectionError("the server does not answer")

async def keep(state: Article) -> dict:
    return {"place": "on disk"}

g = StateGraph(Article, name="article", description="Writes an article.")
g.add_node(draft)
g.add_node(publish)
g.add_node(keep)
g.add_barrier("review", "Good enough?\\nThink twice.", shows=["topic", "drafts"], timeout=7_000)
g.add_edge(START, "draft")
g.add_edge("draft", "review")
g.add_edge("review", "draft", when="{{ not state['review.approved'] }}")
g.add_edge("review", "publish")
g.add_edge("publish", END)
g.add_fallback("publish", "keep")
g.add_edge("keep", END)
"""

#: Two barriers that wait at once, and conditions that only the file's own graph has.
LAWYERS = """
from typing import TypedDict
from clew import END, START, StateGraph, barrier

class Text(TypedDict, total=False):
    text: str

g = StateGraph(Text, name="lawyers")
g.add_parallel("ask", {"legal": barrier("Is it legal?"), "taste": barrier("Is it nice?", shows="text")})
g.add_edge(START, "ask")
g.add_edge("ask", END, when=lambda state: state["legal.approved"])
g.add_edge("ask", "ask")
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

#: Fails unless somebody is at home; what undoes `pack` fails unless the depot is open. Each tells what it did.
SHOP = """
import asyncio
from clew import Context, undo

def tell(what: str) -> None:
    with open("told", "a") as file:
        print(what, file=file)

async def pay(order: str) -> str:
    tell("pay")
    return f"R-{order}"

async def pay_back(order: str, output: str) -> None:
    tell(f"pay back {output}")

async def pack(order: str) -> str:
    return "box"

async def unpack(output: str) -> None:
    tell("unpack")
    while Path("slow").exists() and not Path("open").exists():
        await asyncio.sleep(0.01)
    if not Path("open").exists():
        raise ConnectionError("the depot is closed")

async def look(order: str) -> int:
    return 1

async def deliver(receipt: str, ctx: Context) -> str:
    await ctx.step("book", book, "van", compensate=unbook)
    print("on the road")
    while Path("traffic").exists():
        await asyncio.sleep(0.01)
    if not Path("home").exists():
        raise ValueError("nobody is at home")
    return "delivered"

async def book(what: str) -> str:
    return what

async def unbook(what: str) -> None:
    tell(f"unbook {what}")

async def collect(output: str | None) -> None:
    tell(f"collect {output}")

g = Graph("shop", rollback=Path("automatic").exists())
order = g.input("order", str, default="A")
receipt = g.add(pay, order, compensate=pay_back)
box = g.add(pack, order, compensate=undo(unpack, retry=Retry(max_attempts=2, backoff=fixed(0.01))))
g.add(look, order)
g.add(deliver, receipt, depends_on=box, compensate=collect)
"""
