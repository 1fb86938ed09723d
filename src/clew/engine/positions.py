"""Which positions of a run are checkpoints: read off its events, by the policy of its graph."""

from __future__ import annotations

import msgspec

from clew.journal.records import Recorded
from clew.kernel import events as e
from clew.kernel.definition import CheckpointSpec
from clew.kernel.fold import fold
from clew.kernel.questions import DECISION
from clew.kernel.state import Run
from clew.kernel.topology import Topology
from clew.kernel.visits import Walk

#: What a millisecond, a unit of cost and side effects score.
MS_SCORE, COST_SCORE, EFFECTS_SCORE = 1.0, 1_000.0, 10_000.0


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A position of a run that there is a reason to return to.

    Attributes:
        seq: sequence number of its event; what that event says is part of it.
        at: when that was, in seconds since the epoch.
        step: how many steps of the run's state graph were made by then.
        why: ``start``, ``step``, ``barrier``, ``decision``, ``score``, ``named`` or ``end``.
        path: the visit that it is about: that was completed, that waits, that was decided on.
        next: the node that comes next.
        name: if somebody has given it one.
        by: who has.
    """

    seq: int
    at: float
    step: int
    why: str
    path: str = ""
    next: str = ""
    name: str = ""
    by: str = ""


class Checkpoints:
    """Finds the checkpoints of a run; events are shown to it in order.

    Args:
        topology: of its graph.
        run: its state, if whoever shows the events has folded them; they are folded here otherwise.
    """

    def __init__(self, topology: Topology, run: Run | None = None) -> None:
        routing = topology.routing
        self._policy = routing.spec.checkpoints if routing is not None else CheckpointSpec()
        self._folds = run is None
        self._run = run or Run("", topology)
        self._found: list[Checkpoint] = []
        self._score = 0.0

    def see(self, recorded: Recorded) -> Checkpoint | None:
        """The next event; the checkpoint that it makes, if it makes one."""
        known = len(self._found)
        if self._folds:
            fold(self._run, recorded.event)
        self._look(recorded)
        return self._found[-1] if len(self._found) > known else None

    def _look(self, recorded: Recorded) -> None:
        event = recorded.event
        match event:
            case e.NodeCompleted():
                self._weigh(event)
            case e.Routed(path="", source=source, target=target):
                self._step(recorded, source, target)
            case e.WaitOpened(key=key, path=path) if key == DECISION and self._policy.on_barrier:
                self._add(recorded, "barrier", path)
            case e.WaitResolved(key=key, path=path) if key == DECISION and self._policy.on_decision:
                self._decided = path
            case e.CheckpointTaken(name=name, path=path, by=by):
                self._add(recorded, "named", path, name=name, by=by)
            case e.RunCompleted() if self._policy.on_completion:
                self._add(recorded, "end")
            case _:
                pass

    #: The barrier that was decided on last, until the token goes on from it.
    _decided = ""

    def kept(self, now: float) -> list[Checkpoint]:
        """Those that the policy keeps, oldest first; named ones stay."""
        policy = self._policy
        own = [each for each in self._found if each.why != "named"]
        if policy.keep_s is not None:
            own = [each for each in own if now - each.at <= policy.keep_s]
        if policy.keep is not None:
            own = own[-policy.keep :] if policy.keep else []
        numbers = {each.seq for each in own}
        return [each for each in self._found if each.why == "named" or each.seq in numbers]

    def _weigh(self, event: e.NodeCompleted) -> None:
        visit = self._run.visits[event.path]
        taken_ms = 1_000 * (event.at - visit.started_at) if visit.started_at is not None else 0.0
        self._score += MS_SCORE * taken_ms + COST_SCORE * (event.cost or 0.0) + EFFECTS_SCORE * event.effects

    def _step(self, recorded: Recorded, source: str, target: str) -> None:
        policy = self._policy
        decided = bool(self._decided) and self._decided == source
        reached = policy.threshold > 0 and self._score >= policy.threshold
        if not source:
            if policy.every_step:
                self._add(recorded, "start", next_=target)
        elif decided:
            self._add(recorded, "decision", source, next_=target)
        elif policy.every_step or reached:
            self._add(recorded, "step" if policy.every_step else "score", source, next_=target)
        self._decided = ""

    def _add(
        self, recorded: Recorded, why: str, path: str = "", *, next_: str = "", name: str = "", by: str = ""
    ) -> None:
        root = self._run.root
        step = len(root.members) - bool(next_) if isinstance(root, Walk) else 0
        self._score = 0.0
        self._found.append(
            Checkpoint(
                seq=recorded.seq, at=recorded.event.at, step=step, why=why, path=path, next=next_, name=name, by=by
            )
        )
