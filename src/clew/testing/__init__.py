"""Fakes for testing graphs and journals of one's own: time that does not pass, disks that fail, crashes.

    from clew.testing import run_virtual, FaultyJournal, Faults

Everything here is told by a seed or a plan what to do, so that a failure can be made again.
"""

from __future__ import annotations

from clew.testing.crashes import CrashPlan, SimulatedCrash, run_until_crash
from clew.testing.engines import CrashingEngine
from clew.testing.faults import Faults, FaultyJournal
from clew.testing.virtual_time import VirtualClock, VirtualLoop, run_virtual

__all__ = [
    "CrashPlan",
    "CrashingEngine",
    "Faults",
    "FaultyJournal",
    "SimulatedCrash",
    "VirtualClock",
    "VirtualLoop",
    "run_until_crash",
    "run_virtual",
]
