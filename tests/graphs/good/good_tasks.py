"""What the graph files of this folder run."""

from typing import TypedDict

from clew import Context, Happened


class Page(TypedDict):
    title: str
    links: list[str]


async def fetch(url: str, depth: int = 1) -> Page:
    return {"title": url, "links": [url] * depth}


def summarise(text: str, words: int = 10) -> str:
    return " ".join(text.split()[:words])


def name_of(page: Page) -> str:
    return page["title"]


def report(title: str, summaries: list[str], links: list[str]) -> dict[str, str]:
    return {"title": title, "text": "\n".join([*summaries, *links])}


async def pay(order: str, ctx: Context) -> str:
    return f"{order} for {ctx.run_id}"


def paid(order: str) -> Happened[str] | None:
    return Happened(order) if order else None
