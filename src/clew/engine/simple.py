"""One graph, once, in memory: for scripts, tests and first steps."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from clew.engine.engine import Engine
from clew.engine.status import Result
from clew.graphs.written import WrittenGraph


async def run_graph(graph: WrittenGraph, inputs: Mapping[str, Any] | None = None, **options: Any) -> Result:
    """Run a graph in memory and return its result; `options` are those of `Engine`."""
    async with Engine("memory:", **options) as engine:
        run = await engine.start(graph, inputs)
        return await run.result()


def run_sync(graph: WrittenGraph, inputs: Mapping[str, Any] | None = None, **options: Any) -> Result:
    """`run_graph` for programs without an event loop."""
    return asyncio.run(run_graph(graph, inputs, **options))
