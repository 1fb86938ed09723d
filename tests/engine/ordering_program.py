"""A program that is killed by whom it asks: python ordering_program.py DATABASE HOST PORT HOW.

Its graph orders something from an HTTP service: by a tool, by a node that is a request, or in a step of a body, as
HOW says; each with a probe that asks the service what it has. Then it fails, and what it ordered is given back.
Without "fails" in HOW it ends well.
"""

import asyncio
import http.client
import json
import sys
from typing import Any

from clew import Context, Engine, Graph, Happened, RunFailedError, call, tool
from clew import http as http_


def request(method: str, order: str, at: str) -> tuple[int, Any]:
    """Ask the service; status and content."""
    connection = http.client.HTTPConnection(at, timeout=20)
    try:
        connection.request(method, f"/orders/{order}")
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read() or b"null")
    finally:
        connection.close()


@tool(network=["127.0.0.1"])
def place_order(order: str, at: str) -> dict[str, Any]:
    """Order something.

    Args:
        order: its name.
        at: host and port of the service.
    """
    return ordered(order, at)


def ordered(order: str, at: str) -> dict[str, Any]:
    """What the service says to an order."""
    status, made = request("POST", order, at)
    assert status == 201
    return {"status": status, "body": made}


def find_order(order: str, at: str) -> Happened[dict[str, Any]] | None:
    """Whether the service has it."""
    status, made = request("GET", order, at)
    return Happened({"status": 201, "body": made}) if status == 200 else None


def give_back(order: str, at: str) -> None:
    """Undo it: what is not there any more is given back already."""
    status, _ = request("DELETE", order, at)
    assert status in {200, 404}


async def buy(order: str, at: str, ctx: Context) -> dict[str, Any]:
    """The same as a step of a body."""
    how: dict[str, Any] = {"probe": find_order, "compensate": give_back}
    made: dict[str, Any] = await ctx.step("order", in_thread, order, at, **how)
    return made


async def in_thread(order: str, at: str) -> dict[str, Any]:
    """Order it without keeping the loop from its work."""
    return await asyncio.to_thread(ordered, order, at)


def fails(made: dict[str, Any]) -> None:
    """The end of a run that is undone."""
    raise ValueError(f"{made['body']['order']} is not what was wanted")


def graph(at: str, how: str) -> Graph:
    """The graph."""
    g = Graph("ordering", rollback=True)
    given = {"order": "A-1", "at": at}
    bodies = {
        "tool": call(place_order, order="{{ order }}", at="{{ at }}"),
        "http": http_("POST", "http://{{ at }}/orders/{{ order }}"),
        "step": buy,
    }
    kind = how.split(maxsplit=1)[0]
    undoing = {} if kind == "step" else {"probe": find_order, "compensate": give_back}
    made = g.add(bodies[kind], id="order", **given, **undoing)
    if "fails" in how:
        g.add(fails, made)
    else:
        g.returns(made["body"]["order"])
    return g


async def main(database: str, at: str, how: str) -> None:
    """Run it to its end, and say what came of it."""
    async with Engine(database) as engine:
        run = await engine.start(graph(at, how), id="r")
        try:
            print("completed", (await run.result()).output)
        except RunFailedError as error:
            print(error.result.state, *sorted(info.type for info in error.result.failures.values()))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
