"""Summarise texts as `articles.py` does, and ask about each summary at the terminal.

    python examples/article/review.py docs out/articles

Press Enter if a summary is good; otherwise say why it is not: shorter; other sentences; not 2 and 4; or words that
it should be about. What nobody has decided in an hour counts as good. End the program when you like (Ctrl-C, or
worse) and start it again: it goes on where it was, and asks nothing twice. Somebody else may decide meanwhile in
another terminal, with `clew approve` and `clew reject` on the same database.
"""

from __future__ import annotations

import asyncio
import getpass
import sys
import threading
from contextlib import suppress
from pathlib import Path

from articles import all_articles, one_article

from clew import Engine, RefusedError, Run
from clew.engine.status import OpenBarrier

g = all_articles(one_article(patience_s=3_600))


async def main(folder: str, out: str, database: str) -> None:
    """Start the pipeline, or go on with it, and ask until nothing is left to be decided.

    Args:
        folder: of the texts.
        out: the folder to write the reports to.
        database: where runs are kept.
    """
    Path(database).parent.mkdir(parents=True, exist_ok=True)
    labels = {"folder": folder, "out": out}
    async with Engine(database, graphs=[g]) as engine:
        unfinished = await engine.runs(states=("running", "stopping"), graph=g.name, labels=labels)
        if unfinished:
            run = await engine.resume(unfinished[0].run)
            print(f"run {run.id} goes on")
        else:
            run = await engine.start(g, {"folder": folder, "out": out}, labels=labels)
            print(f"run {run.id} has begun")
        asking = asyncio.create_task(ask_about_all(run))
        try:
            result = await run.result()
        finally:
            asking.cancel()
        print(f"the overview is {result['overview']}")


async def ask_about_all(run: Run) -> None:
    """Ask about one summary after the other, until the run has ended or nobody is there to answer."""
    async for _ in run.events():
        while waiting := await run.barriers():
            print(told(waiting[0], len(waiting)))
            answer = await typed_line()
            if answer is None:
                print("nobody is there to decide: each summary has its hour")
                return
            await decide(run, waiting[0], answer)


async def decide(run: Run, barrier: OpenBarrier, answer: str) -> None:
    """Give the run an answer, unless somebody else has been quicker."""
    by = getpass.getuser()
    try:
        if answer:
            await run.reject(barrier.path, answer, by=by, shown=barrier.digest)
        else:
            await run.approve(barrier.path, by=by, shown=barrier.digest)
    except RefusedError as error:
        print(error)


def told(barrier: OpenBarrier, waiting: int) -> str:
    """A summary as it is put to people."""
    shown = barrier.shows
    lines = [f"\n{shown['file']}   ({waiting} to decide, {shown['draft']['words']} words)"]
    lines += [f"  {place}. {sentence}" for place, sentence in enumerate(shown["draft"]["sentences"], 1)]
    lines += [f"  remark: {finding['says']}" for finding in shown.get("findings", [])]
    return "\n".join([*lines, "Enter if it is good, else why not: "])


async def typed_line() -> str | None:
    """The next line that is typed; None if there is none any more. Ending the program need not wait for it."""
    loop = asyncio.get_running_loop()
    typed = loop.create_future()

    def read() -> None:
        line = sys.stdin.readline()
        with suppress(RuntimeError):  # the program ends, and nobody wants the line
            loop.call_soon_threadsafe(give, line.strip() if line else None)

    def give(line: str | None) -> None:
        if not typed.done():
            typed.set_result(line)

    threading.Thread(target=read, daemon=True).start()
    return await typed


if __name__ == "__main__":
    arguments = dict(enumerate(sys.argv))
    asyncio.run(
        main(arguments.get(1, "docs"), arguments.get(2, "out/articles"), arguments.get(3, "out/articles.db"))
    )
