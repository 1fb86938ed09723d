"""Where the time goes: ``python -m benchmarks.shares WORKLOAD MODE`` samples a workload and adds up by layer.

A timer interrupts the program every millisecond of its time and looks at the stack; the innermost frame that
belongs to a layer is what counts. Compiled code (msgspec, SQLite, the selector) counts for the line that calls
it. Sampling in the process itself tells less than a profiler from outside, and bends less.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from benchmarks.one import time_clew
from benchmarks.plan import FLOORS, WORKLOADS, Case
from benchmarks.workloads import RUNS, shape_of

EVERY_S = 0.001

#: Layers by parts of file names; the first that fits counts.
LAYERS = {
    "SQLite": ("clew/journal/sqlite",),
    "journal in memory": ("clew/journal/memory",),
    "encode and decode": ("clew/codec", "clew/journal/upcast"),
    "definition": ("clew/kernel/topology", "clew/engine/definitions", "clew/graphs/graph", "clew/graphs/hashing"),
    "kernel": ("clew/kernel/",),
    "capture and context": ("clew/workers/capture", "clew/bodies/output", "clew/engine/context", "engine/logbook"),
    "start and result": ("clew/engine/engine", "clew/engine/run", "clew/engine/looking", "clew/engine/status"),
    "attempts": ("engine/attempts", "engine/workshop", "engine/inputs", "engine/secrets", "bodies/functions"),
    "driver": ("clew/engine/",),
    "asyncio": ("/asyncio/", "/selectors.py"),
}


class Sampler:
    """Counts samples by layer, and by line, while it is on.

    Args:
        wall: by the clock on the wall, waiting for the disk included; else by the time of the processor.
    """

    def __init__(self, *, wall: bool) -> None:
        self.layers: Counter[str] = Counter()
        self.lines: Counter[str] = Counter()
        self._timer = signal.ITIMER_REAL if wall else signal.ITIMER_PROF
        signal.signal(signal.SIGALRM if wall else signal.SIGPROF, self._sample)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Sample inside."""
        signal.setitimer(self._timer, EVERY_S, EVERY_S)
        try:
            yield
        finally:
            signal.setitimer(self._timer, 0)

    def _sample(self, _signal: int, frame: FrameType | None) -> None:
        while frame is not None:
            name = frame.f_code.co_filename
            layer = next((layer for layer, parts in LAYERS.items() if any(part in name for part in parts)), "")
            if layer:
                self.layers[layer] += 1
                where = f"{'/'.join(Path(name).parts[-2:])}:{frame.f_lineno} {frame.f_code.co_name}"
                self.lines[where] += 1
                return
            frame = frame.f_back
        self.layers["the rest"] += 1


async def sample(case: Case, sampler: Sampler, seconds: float) -> int:
    """Repeat a workload under the sampler; how often it was."""
    shape = shape_of(case.work)
    runs = RUNS if case.work == "runs" else 0
    end = time.monotonic() + seconds
    repetitions = 0
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder:
            await time_clew(case, shape, Path(folder) / "sampled.db", runs, sampler.on())
        repetitions += 1
    return repetitions


def main() -> None:
    """Sample what the command line says and print shares."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shares", description="Where the time goes.")
    parser.add_argument("work", choices=WORKLOADS)
    parser.add_argument("mode", choices=FLOORS)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--wall", action="store_true", help="count waiting for the disk, too")
    parser.add_argument("--lines", type=int, default=0, help="also the so many lines with most samples")
    asked = parser.parse_args()
    sampler = Sampler(wall=asked.wall)
    repetitions = asyncio.run(sample(Case(asked.work, "clew", asked.mode), sampler, asked.seconds))
    total = sampler.layers.total()
    print(f"{asked.work}, {asked.mode}: {total} samples of {repetitions} repetitions")
    for counter, most in ((sampler.layers, None), (sampler.lines, asked.lines)):
        for name, count in counter.most_common(most):
            print(f"{count / total:6.1%}  {name}")


if __name__ == "__main__":
    main()
