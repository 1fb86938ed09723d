"""A program to be killed: the plan of `examples/release`, in the folder of the repository.

    python killed_releases.py DATABASE SERVICE SINCE MOMENT

When the journal has so many events from the first one of the type SINCE on, it kills itself, past all clean-up; it
does not if MOMENT is 0.
"""

import asyncio
import os
import signal
import sys

import release_kit  # noqa: F401 -- says where the example is

from clew import Engine, RunFailedError

# isort: split
import release


async def main(database, service, since, moment):
    async with Engine(database) as engine:
        run = await engine.start(release.plan, {"service": service}, id="r")
        seen = 0
        async for recorded in run.events():
            seen += bool(seen) or type(recorded.event).__name__ == since
            if seen == moment > 0:
                os.kill(os.getpid(), signal.SIGKILL)
        try:
            print((await run.result()).state)
        except RunFailedError as error:
            print(error.result.state)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], int(sys.argv[4])))
