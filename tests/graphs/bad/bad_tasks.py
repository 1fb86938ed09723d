"""What the graph files of this folder run."""

from typing import TypedDict


class Page(TypedDict):
    title: str
    links: list[str]


async def fetch(url: str, depth: int = 1) -> Page:
    return {"title": url, "links": [url] * depth}


def summarise(text: str) -> str:
    return text


def combine(parts: list[str]) -> str:
    return "".join(parts)


def lines(count: int):
    yield from range(count)


NAMES = ["fetch"]


def found(text: str): ...
