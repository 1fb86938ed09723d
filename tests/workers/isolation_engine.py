"""A program that runs one isolated step, to be killed by the tests: `python isolation_engine.py FOLDER CODE [ARG...]`."""  # noqa: E501

import asyncio
import sys

from clew.graphs.limits import Limits
from clew.workers.isolation.confinement import Confinement
from clew.workers.isolation.running import run_isolated
from clew.workers.isolation.warden import Warden


async def main(folder: str, code: str, *arguments: str) -> None:
    warden = Warden()
    confinement = Confinement(limits=Limits(wall_s=60), folder=folder)
    await run_isolated(
        [sys.executable, "-c", code, *arguments],
        confinement,
        warden=warden,
        sink=lambda _, data: print(data.decode(), end="", flush=True),
        on_start=lambda pid: print(f"pid {pid}", flush=True),
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
