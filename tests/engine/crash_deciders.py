"""What people decide at barriers: when they are asked, before they are asked, once for all, and by mistake.

What is said depends on the graph alone, so that it does not matter when it is said. Mistakes have to be refused,
whatever happens meanwhile; nothing in the history of a run may come from whoever makes them.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import msgspec
from crash_plans import Schedule
from crash_states import States

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.addresses import bare
from clew.kernel.questions import DECISION
from clew.kernel.values import Value
from clew.kernel.writes import Judgement

#: Who makes mistakes.
MALLORY = "mallory"
#: Mistakes that can be made at any time, and those that need a barrier that was decided on, or is open.
MISTAKES = ("unknown", "key", "target", "skip", "standing", "answer")
LATER_MISTAKES = ("again", "shown")


@dataclass
class Errand:
    """Something that somebody is to do, until it is seen to be done."""

    at: float
    flying: bool = False
    failed: bool = False


@dataclass
class Early(Errand):
    """A decision that is to be given before it is asked for."""

    barrier: str = ""
    standing: bool = False


@dataclass
class Mistake(Errand):
    """A decision that is to be refused."""

    what: str = ""


@dataclass
class Deciders:
    """Those who decide at the barriers of one run.

    Attributes:
        changed: barriers at which the state was changed.
        decided: barriers that were decided on, or whose time was over.
        open: digests of what is decided on now.
        kept: decisions that were given early, by barrier and whether they are standing.
    """

    states: States
    schedule: Schedule
    changed: set[str] = field(default_factory=set)
    decided: set[str] = field(default_factory=set)
    open: dict[str, str] = field(default_factory=dict)
    kept: set[tuple[str, bool]] = field(default_factory=set)
    early: list[Early] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)

    def __post_init__(self) -> None:
        schedule, dice = self.schedule, random.Random(f"deciders {self.schedule.seed}")
        self._barriers = [path for path in self.states.places if self.states.asking(path) is not None]
        if not self._barriers:
            return
        ready = [path for path in self._barriers if self._may_come_early(path)]
        for _ in range(schedule.early if ready else 0):
            path = dice.choice(ready) + dice.choice(("", "#1", "#2"))
            self.early.append(Early(dice.choice((0.0, dice.uniform(0, 10))), barrier=path))
        fixed = [path for path in self._barriers if self._may_stand(path)]
        if schedule.standing and fixed:
            at = dice.choice((0.0, dice.uniform(0, 10)))
            self.early.append(Early(at, barrier=dice.choice(fixed), standing=True))
        cancelled = any(meddling.what == "cancel" for meddling in schedule.meddling)
        kinds = MISTAKES + LATER_MISTAKES[: 1 if cancelled else 2]
        self.mistakes = [Mistake(dice.uniform(0, 20), what=dice.choice(kinds)) for _ in range(schedule.wrong)]
        self._dice = dice

    def _may_come_early(self, path: str) -> bool:
        """Whether the address of a barrier without items is that of a visit, and people are there in time."""
        asking = self.states.asking(path)
        assert asking is not None
        places = [self.states.places.get(path[:end]) for end, char in enumerate(path + "/") if char == "/"]
        in_map = any(place is not None and place.stop.kind == "subs" for place in places)
        return asking.when != "late" and not in_map and self._is_own(path)

    @staticmethod
    def _is_own(path: str) -> bool:
        """Whether it is in a state graph that is the whole run, so that it is never made anew."""
        return path.startswith("s")

    def _may_stand(self, path: str) -> bool:
        """Whether the same is said at each visit of a barrier, and people are there in time."""
        asking = self.states.asking(path)
        assert asking is not None
        return asking.when != "late" and asking.says not in {"modify", "reject_once"}

    # ------------------------------------------------------------------ hearing

    def hear(self, event: e.AnyEvent) -> None:
        """Something was recorded."""
        match event:
            case e.WaitOpened(key=key, path=path, digest=digest) if key == DECISION:
                self.open[path] = digest
            case e.WaitResolved(key=key, path=path, value=value) if key == DECISION:
                self.open.pop(path, None)
                assert value is not None
                if msgspec.json.decode(value.json, type=Judgement).kind == "modify":
                    self.changed.add(path)
                else:
                    self.decided.add(path)
            case e.DecisionKept(barrier=barrier, standing=standing):
                self.kept.add((barrier, standing))
            case _:
                pass

    def is_done(self, early: Early) -> bool:
        """Whether an early decision was taken, or came too late to be one."""
        path = early.barrier.removesuffix("#1")
        return (path, early.standing) in self.kept or (not early.standing and path in self.decided)

    # ------------------------------------------------------------------ saying

    def judged(self, path: str) -> Judgement:
        """What people say to a barrier that they come to."""
        said = self.states.said(path, path in self.changed)
        changes = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in said.changes}
        target = "" if said.target == "__end__" else said.target
        return Judgement(kind=said.kind, reason=said.reason, changes=changes, target=target)

    def decision(self, path: str, *, shown: str = "", standing: bool = False) -> s.Decide:
        """The same as a signal."""
        judged = self.judged(path.removesuffix("#1"))
        return s.Decide(barrier=path, judgement=judged, by="ada", shown=shown, standing=standing)

    def after_change(self, path: str) -> s.Decide | None:
        """What is said besides by who changes the state, and will not be there when it is asked about again."""
        if self.judged(path).kind != "modify":
            return None
        return s.Decide(barrier=path, judgement=Judgement(kind="approve"), by="ada")

    def mistaken(self, what: str) -> Any:
        """A signal that has to be refused; None if there is nothing to be mistaken about."""
        path = self._dice.choice(self._barriers)
        approve = Judgement(kind="approve")
        match what:
            case "unknown":
                return s.Decide(barrier=f"{path}/nowhere", judgement=approve, by=MALLORY)
            case "key":
                wrong = Judgement(kind="approve", changes={"no such key": msgspec.Raw(b"1")})
                return s.Decide(barrier=path, judgement=wrong, by=MALLORY)
            case "target":
                return s.Decide(barrier=path, judgement=Judgement(kind="reroute", target="nowhere"), by=MALLORY)
            case "skip":
                return s.Decide(barrier=path, judgement=Judgement(kind="skip"), by=MALLORY)
            case "standing":
                changes = {"total": msgspec.Raw(b"0")}
                judged = Judgement(kind="modify", changes=changes)
                return s.Decide(barrier=bare(path), judgement=judged, by=MALLORY, standing=True)
            case "answer":
                value = Value(json=msgspec.Raw(b'"approve"'))
                return s.Answer(path=path, key=DECISION, value=value, by=MALLORY)
            case "again" if decided := sorted(filter(self._is_own, self.decided)):
                return s.Decide(barrier=decided[0], judgement=approve, by=MALLORY)
            case "shown" if self.open:
                return s.Decide(barrier=min(self.open), judgement=approve, by=MALLORY, shown="something else")
            case _:
                return None
