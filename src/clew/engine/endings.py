"""What is told at the end of a run: what was done, in which order and for how long, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping

from clew.engine.places import attempts_of, is_in_map, kind_of, step_of
from clew.engine.stream_items import LogEntry
from clew.kernel.resolve import output_of
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.values import DictOf
from clew.kernel.visits import Scope, Visit

#: Entries of a run's log that are told.
ENTRIES = 1_000


def duration(since: float | None, until: float | None) -> float | None:
    """Seconds from one moment to another, in whole microseconds; None if one of them is not known."""
    return round(until - since, 6) if since is not None and until is not None else None


def outputs_of(run: Run, scope: Scope) -> DictOf:
    """The recipe of the outputs of a graph's nodes by id, as far as there are."""
    done = (visit for visit in scope.members if visit is not None and visit.state is NodeState.COMPLETED)
    return DictOf({visit.node.spec.id: output_of(run, visit) for visit in done})


def log_of(
    run: Run, routes: Mapping[str, tuple[str, str]], reached: Mapping[str, float], openings: Mapping[str, int]
) -> tuple[tuple[LogEntry, ...], int]:
    """The last entries of a run's log, and how many came before them.

    Args:
        run: as it ended.
        routes: where the token went from a visit, and why.
        reached: when barriers were.
        openings: how often what has no attempts of its own has begun.
    """

    def entry(visit: Visit, started: float) -> LogEntry:
        target, why = routes.get(visit.path, (None, ""))
        return LogEntry(
            path=visit.path,
            node=visit.node.spec.id,
            kind=kind_of(visit),
            state=visit.state.value,
            step=step_of(visit),
            attempts=attempts_of(visit, openings),
            started_at=started,
            duration_s=duration(started, visit.ended_at),
            next=target,
            why=why,
            error=visit.error.message if visit.error is not None else "",
        )

    begun = [
        (started, visit)
        for visit in run.visits.values()
        if (started := reached.get(visit.path, visit.started_at)) is not None and not is_in_map(visit)
    ]
    begun.sort(key=lambda each: each[0])
    return tuple(entry(visit, started) for started, visit in begun[-ENTRIES:]), max(0, len(begun) - ENTRIES)
