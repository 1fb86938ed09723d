"""A process that follows a run which another one drives; its arguments are DATABASE RUN AFTER.

It prints each item of the stream as a line of JSON, as soon as it is there.
"""

import asyncio
import sys

import msgspec

from clew import Engine


async def follow(database: str, run: str, after: int) -> None:
    async with Engine(database, drives=False) as engine:
        handle = await engine.open_run(run)
        async for item in handle.stream(("debug", "values"), after):
            print(msgspec.json.encode(item).decode(), flush=True)


def main() -> None:
    database, run, after = sys.argv[1:]
    asyncio.run(follow(database, run, int(after)))
