"""A process that waits at a barrier, and says so, to be killed there: python barrier_program.py DATABASE."""

import asyncio
import sys

from state_kit import State, add_a, add_b, waits_at

from clew import END, START, Engine, StateGraph

#: How long people have, in seconds.
TIMEOUT_S = 3_600.0


def graph(default: str = "reject") -> StateGraph:
    """Something to decide on, and a barrier at which that is done within an hour."""
    g = StateGraph(State, name="g")
    g.add_node(add_a)
    g.add_barrier("review", "Publish it?", shows="log", timeout=TIMEOUT_S, default=default)
    g.add_node(add_b)
    for source, target in ((START, "add_a"), ("add_a", "review"), ("review", "add_b"), ("add_b", END)):
        g.add_edge(source, target)
    return g


async def main(database: str) -> None:
    async with Engine(database) as engine:
        run = await engine.start(graph(), id="r")
        await waits_at(run)
        print("it waits", flush=True)
        await run.result()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
