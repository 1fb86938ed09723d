"""Which positions of a run of a state graph are checkpoints by themselves, as people say it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from clew.graphs.names import did_you_mean
from clew.graphs.policies import count_problems, flag_problems, number_problems, seconds_problems
from clew.kernel.definition import CheckpointSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """Which positions are named; a run can be taken back to every other one, too.

    Attributes:
        every_step: after each step.
        on_barrier: where a decision is waited for.
        on_decision: after a decision.
        on_completion: at the end.
        threshold: after a step, when what was done since the last checkpoint scores at least this; 0 is never. A
            millisecond scores 1, a unit of cost (`Update.cost`) 1,000, side effects (`Update.effects`) 10,000.
        keep: how many of the newest are listed; None is all.
        keep_for: for how long they are listed, in seconds; None is for ever.
    """

    every_step: bool = True
    on_barrier: bool = True
    on_decision: bool = True
    on_completion: bool = True
    threshold: float = 0
    keep: int | None = None
    keep_for: float | None = None

    def spec(self) -> CheckpointSpec:
        """The same as the kernel reads it."""
        return CheckpointSpec(
            every_step=self.every_step,
            on_barrier=self.on_barrier,
            on_decision=self.on_decision,
            on_completion=self.on_completion,
            threshold=float(self.threshold),
            keep=self.keep,
            keep_s=None if self.keep_for is None else float(self.keep_for),
        )


PRESETS: dict[str, Checkpoints] = {
    "conservative": Checkpoints(),
    "minimal": Checkpoints(every_step=False, threshold=100),
    "manual": Checkpoints(every_step=False, on_barrier=False, on_decision=False, on_completion=False),
}


def checkpoint_problems(checkpoints: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with what was given for `checkpoints`, as (field, sentence)."""
    if isinstance(checkpoints, Checkpoints):
        for each in fields(Checkpoints)[:4]:
            yield from flag_problems(f"checkpoints.{each.name}", getattr(checkpoints, each.name))
        yield from number_problems("checkpoints.threshold", checkpoints.threshold, 0)
        if checkpoints.keep is not None:
            yield from count_problems("checkpoints.keep", checkpoints.keep, 1)
        yield from seconds_problems("checkpoints.keep_for", checkpoints.keep_for)
    elif checkpoints not in [*PRESETS]:
        near = did_you_mean(str(checkpoints), PRESETS)
        words = ", ".join(PRESETS)
        yield "checkpoints", f"is one of {words}, or Checkpoints(…), not {checkpoints!r}{near}"


def checkpoints_of(checkpoints: Any) -> Checkpoints:
    """What was given, presets by their names."""
    return checkpoints if isinstance(checkpoints, Checkpoints) else PRESETS[str(checkpoints)]
