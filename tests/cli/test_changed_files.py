"""A graph file was changed since its run began: `clew run --on-change`."""

import asyncio
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

from clew.cli.exits import MEANINGS, USAGE
from clew.engine.engine import Engine
from clew.graphs.loading import load
from clew.kernel import events as e

GRAPH = """
import asyncio
from clew import END, START, StateGraph, append
from typing import Annotated

async def wait(state):
    if not Path("open").exists():
        await asyncio.Event().wait()
    return {"log": ["waited"]}

async def work(state):
    if not Path("mended").exists():
        raise ValueError("not yet")
    return {"log": ["worked"]}

async def more(state):
    return {"log": ["more"]}

g = StateGraph({"log": Annotated[list[str], append]}, name="changing")
last = START
for body in (BODIES):
    id = g.add_node(body, retry=RETRY)
    g.add_edge(last, id)
    last = id
g.add_edge(last, END)
"""


def written(bodies: str, retry: int = 1) -> str:
    return GRAPH.replace("BODIES", bodies).replace("RETRY", str(retry))


def rewrite(file: str, bodies: str, retry: int = 1) -> None:
    head, _, _ = Path(file).read_text().partition("import asyncio")
    Path(file).write_text(head + written(bodies, retry))
    for name, module in list(sys.modules.items()):  # another process would read it anew
        if (getattr(module, "__file__", None) or "").endswith(file):
            del sys.modules[name]
    importlib.invalidate_caches()


async def leave(file: str) -> None:
    """Begin a run, and go away while its first body is at work."""
    async with Engine("clew.db") as engine:
        run = await engine.start(load(file), id="r")
        async for recorded in run.events():
            if isinstance(recorded.event, e.AttemptStarted):
                break


def test_a_changed_file_is_told_and_gone_on_with_if_somebody_says_so(
    clew: Callable, graph_file: Callable[[str], str]
) -> None:
    file = graph_file(written("wait,"))
    asyncio.run(leave(file))
    Path("open").touch()
    rewrite(file, "wait, more")
    said = clew("run", file, "--id", "r", code=USAGE)
    assert (
        "run r exists with another graph: node more is new; edge wait -> END is gone; edge wait -> more"
        in said.err
    )
    assert "--on-change" in said.err
    said = clew("run", file, "--id", "r", "--on-change", "compatible")
    assert "run r goes on with a changed graph" in said.out
    assert "(forced)" not in said.out
    assert "more completed" in said.out
    assert re.search(r"^r +changing +completed", clew("ls").out, re.MULTILINE)


def test_a_failed_run_has_the_changed_graph_when_it_is_retried(
    clew: Callable, graph_file: Callable[[str], str]
) -> None:
    file = graph_file(written("work,"))
    clew("run", file, "--id", "r", code=1)
    Path("mended").touch()
    rewrite(file, "work, more", retry=2)
    said = clew("run", file, "--id", "r", "--on-change", "compatible", code=USAGE)
    assert "what has run was changed: work has changed (retry.max_attempts 1 -> 2). on_change (--on" in said.err
    said = clew("run", file, "--id", "r", "--on-change", "force", code=1)
    assert "run r has ended before, and has the changed graph now; to go on: clew retry r" in said.out
    again = clew("run", file, "--id", "r", code=1)
    assert "run r has ended before; --anew starts another one" in again.out
    said = clew("retry", "r")
    assert "more completed" in said.out


def test_the_words_are_those_of_the_engine(clew: Callable, graph_file: Callable[[str], str]) -> None:
    assert USAGE in MEANINGS
    file = graph_file(written("work,"))
    said = clew("run", file, "--on-change", "maybe", code=USAGE)
    assert "'strict', 'compatible', 'force'" in said.err
