"""A program to be killed: the plan of `examples/release`, in the folder of the repository.

    python killed_releases.py DATABASE SERVICE MOMENT

When the journal has so many events from the start of the rollback on, it kills itself, past all clean-up; never if
MOMENT is 0.
"""

import asyncio
import os
import signal
import sys

import release_kit  # noqa: F401 -- says where the example is

from clew import Engine, RunFailedError
from clew.kernel import events as e

# isort: split
import release


async def main(database, service, moment):
    async with Engine(database) as engine:
        run = await engine.start(release.plan, {"service": service}, id="r")
        seen = 0
        async for recorded in run.events():
            seen += bool(seen) or isinstance(recorded.event, e.RollbackStarted)
            if seen == moment > 0:
                os.kill(os.getpid(), signal.SIGKILL)
        try:
            await run.result()
        except RunFailedError as error:
            print(error.result.state)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
