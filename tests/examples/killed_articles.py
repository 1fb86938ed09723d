"""A program to be killed: the pipeline of `examples/article`; it tells each event, and each body that is entered.

    python killed_articles.py DATABASE FOLDER OUT ENTERED

Events are told on standard output, one line each; each entry of a body is a line of the file ENTERED, written past
all buffers, so that it is there although the process dies at once.
"""

import asyncio
import os
import sys
import threading

import article_kit  # noqa: F401 -- says where the example is
import articles

from clew import Engine

PATIENCE_S = 0.3
BODIES = (
    *(articles.find, articles.overview, articles.read, articles.score, articles.draft, articles.wording),
    *(articles.readability, articles.length, articles.links, articles.revise, articles.lead, articles.write),
)
NAMES = {body.__code__: body.__name__ for body in BODIES}


def watch(file):
    """Write down each body that is entered in a thread, with its text and its part."""
    place = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def entered(frame, event, _):
        if event == "call" and frame.f_code in NAMES:
            given = frame.f_locals
            of = "" if isinstance(given["state"], articles.Texts) else given["state"]["file"]
            os.write(place, f"{NAMES[frame.f_code]} {of} {given.get('part', '')}\n".encode())

    threading.setprofile(entered)


async def main(database, folder, out):
    graph = articles.all_articles(articles.one_article(PATIENCE_S))
    async with Engine(database) as engine:
        run = await engine.start(graph, {"folder": folder, "out": out, "limit": 40}, id="r")
        async for recorded in run.events():
            print(recorded.seq, type(recorded.event).__name__, flush=True)
        print("result", (await run.result()).state, flush=True)


if __name__ == "__main__":
    watch(sys.argv[4])
    asyncio.run(main(*sys.argv[1:4]))
