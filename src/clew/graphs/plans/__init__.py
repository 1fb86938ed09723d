"""Plans: dependency graphs whose nodes are steps, which may be written by people and by models.

A plan is a thin layer: its steps become nodes like all others, and its choices and loops state graphs.
"""

from __future__ import annotations

from clew.graphs.plans.loops import Loop
from clew.graphs.plans.plan import Plan

__all__ = ["Loop", "Plan"]
