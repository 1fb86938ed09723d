"""Which cases there are, and how they are repeated: in rounds, each repetition in a process of its own.

A round measures every case once, a floor right before what is compared with it. So whatever drifts (heat,
neighbours, the disk) drifts for all, and a ratio is taken within a round before the median is.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]

WORKLOADS = ("chain", "fan", "layers", "runs")
#: One repetition that takes longer than so many seconds hangs.
PATIENCE_S = 600
#: Floors of each mode, the first of them the one that the aims speak of.
FLOORS: dict[str, tuple[str, ...]] = {
    "memory": ("bare",),
    "process": ("each", "grouped"),
    "full": ("each", "grouped"),
}
#: Of SQLite, by mode.
SYNCHRONOUS = {"process": "NORMAL", "full": "FULL"}


class Case(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one process measures.

    Attributes:
        work: name of the workload.
        subject: ``clew``, or one of the floors.
        mode: ``memory``, ``process`` or ``full``.
        nodes: size, where a workload has several: nodes, events, runs or processes.
    """

    work: str
    subject: str
    mode: str
    nodes: int = 0

    def __str__(self) -> str:
        return " ".join([self.work, *([f"{self.nodes:,}"] if self.nodes else []), self.mode, self.subject])


Measured = dict[str, float]
Results = dict[Case, list[Measured]]


class Spread(msgspec.Struct, frozen=True):
    """A median with the least and the greatest of what it is the median of."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of some values."""
        values = list(values)
        return cls(statistics.median(values), min(values), max(values))


def speed_cases(works: Sequence[str]) -> list[Case]:
    """The cases of the table of speed, floors first."""
    return [
        Case(work, subject, mode)
        for work in works
        for mode, floors in FLOORS.items()
        for subject in (*floors, "clew")
    ]


def measure(cases: Sequence[Case], rounds: int, folder: Path, tell: Callable[[int, Case], None]) -> Results:
    """Measure all cases, `rounds` times."""
    results: Results = {case: [] for case in cases}
    for number in range(1, rounds + 1):
        for case in cases:
            tell(number, case)
            results[case].append(measure_once(case, folder))
    return results


def measure_once(case: Case, folder: Path) -> Measured:
    """Measure a case in a new process and a new folder."""
    place = tempfile.mkdtemp(dir=folder)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.one", msgspec.json.encode(case).decode(), place],
            cwd=ROOT,
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise SystemExit(f"{case}: not done after {PATIENCE_S} s\n{(error.stderr or b'').decode()}") from None
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if done.returncode:
        raise SystemExit(f"{case}: exit {done.returncode}\n{done.stderr}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=dict[str, float])


def ratio(results: Results, case: Case, floor: Case, field: str = "seconds") -> Spread:
    """How many times what a floor takes a case takes, round by round."""
    return Spread.of(a[field] / b[field] for a, b in zip(results[case], results[floor], strict=True))
