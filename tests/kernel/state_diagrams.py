"""Draws docs/states.md from the tables of `clew.kernel.states`: ``python tests/kernel/state_diagrams.py``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from clew.kernel.states import NODE_TRANSITIONS, RUN_ENDED, RUN_TRANSITIONS, SETTLED, NodeState, RunState

PAGE = Path(__file__).parents[2] / "docs" / "states.md"

TEXT = """# States of runs and nodes

Drawn from the tables in `src/clew/kernel/states.py` by `tests/kernel/state_diagrams.py`; a test compares.
What a table does not hold raises `IllegalTransition` and changes nothing.

## Runs

{runs}

- **queued**: the run is being admitted; nobody sees it in this state.
- **running**: work goes on, or waits for time, people or slots.
- **paused**: attempts under way finish, or are stopped to be made again; nothing new starts and only the time
  limits of attempts pass.
- **stopping**: the run is to end (a failure, a time limit, a cancel); what is under way has been told to stop.
- **completed**, **failed**, **cancelled**: the run has ended. `retry` opens a new generation: completed work
  stays.
- **rolling_back**: what the run did is undone, by the compensations that were declared. It is neither paused nor
  cancelled; whoever takes the run up goes on with it.
- **rolled_back**: all that can be undone is. It is the end: such a run is not retried.
- **rollback_failed**: some of what the run did remains. It can be rolled back again, and then only that is tried.

## Nodes

A *visit* of a node, an item of a map, a map or a sub-graph: all have the same states.

{nodes}

- **pending**: something it depends on has not settled.
- **ready**: it may start as soon as there is a slot. A body that waited and was woken is ready, too. If its last
  attempt was lost, what starts may be its probe, or a question instead of it.
- **running**: an attempt is under way; for a map or sub-graph: its members are.
- **waiting**: all that its body does is sleep or wait for an answer, a message or an exclusive key. It holds no
  slot and needs no process. Or a person is asked whether a lost attempt took effect.
- **retrying**: an attempt failed, and the next one is due at a known time.
- **stopping**: it was told to stop and has not said yet that it has. A result that comes in meanwhile counts.
- **completed**: it is done and its output is stored.
- **failed**: no attempt is left.
- **skipped**: it is not made because of a failure upstream, which its `cause` names.
- **cancelled**: its graph or map ended early.
- From a settled state to **pending**: the run is retried, and this visit is made again.
"""


def diagram(transitions: Mapping[StrEnum, frozenset[StrEnum]], first: StrEnum, last: frozenset[StrEnum]) -> str:
    """A Mermaid state diagram of one table."""
    lines = [f"    [*] --> {first}"]
    for source, targets in transitions.items():
        lines += [f"    {source} --> {target}" for target in transitions if target in targets]
    lines += [f"    {state} --> [*]" for state in transitions if state in last]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def page() -> str:
    """The whole document."""
    return TEXT.format(
        runs=diagram(RUN_TRANSITIONS, RunState.QUEUED, RUN_ENDED),
        nodes=diagram(NODE_TRANSITIONS, NodeState.PENDING, SETTLED),
    )


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
