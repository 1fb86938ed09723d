"""The random outside of state graphs: bodies that write, name their way and fall back; people who decide.

Besides all that `outside` asserts: states and ways are those that `reckoning` calculates, decisions are used once
each, no more branches are under way than may be, and a machine that was restored decides the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial

from laws import IMAGE
from msgspec import Raw, json
from outside import ERRORS, VALUE, Action, Body, Outside
from reckoning import Reckoning
from routed_worlds import fitting
from trip_laws import still_command
from trip_rules import TripRules, raw

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel import snapshot
from clew.kernel.addresses import bare, segments
from clew.kernel.barriers import _barriers
from clew.kernel.definition import GraphSpec
from clew.kernel.machine import Decision, Machine
from clew.kernel.questions import DECISION
from clew.kernel.topology import Node
from clew.kernel.visits import Visit, Walk
from clew.kernel.writes import Judgement, Update

KINDS = ("approve", "approve", "reject", "modify", "reroute", "maybe")


def attempts(decision: Decision) -> list[c.Command]:
    """The commands that do not depend on what was asked for before: who goes on asks for all items again."""
    again = (c.ExpandMap, c.TakeSnapshot)
    return [still_command(command) for command in decision.commands if not isinstance(command, again)]


class Travellers(Outside):
    """Drives one run of a state graph, or of a graph with state graphs in it.

    Attributes:
        reckoning: calculates beside the machine.
        gathering: groups that something is read for.
        answers: what the gate said in this call, in order.
        kept: decisions that were given early and not used yet, by address.
        deciding: the barrier that is decided on in this call.
    """

    def __init__(self, spec: GraphSpec, choices: bytes) -> None:
        self.reckoning = Reckoning(spec)
        self.gathering: set[str] = set()
        self.answers: defaultdict[str, list[bool]] = defaultdict(list)
        self.kept: set[str] = set()
        self.deciding = ""
        super().__init__(spec, choices, TripRules())

    # ------------------------------------------------------------------ what may happen

    def actions(self) -> list[Action]:
        if self.machine.run.ended:
            return super().actions()
        gathers = [partial(self.gather, path) for path in sorted(self.gathering)]
        decisions = [partial(self.decide, path) for path in self.asking()]
        first: list[Action] = [*gathers, *decisions]
        early = [self.decide_early] if self.pick((False, True)) else []
        return [*first, *self.usual(bool(first)), *first, *early]

    def usual(self, optional: bool) -> list[Action]:
        """What happens in every run; nothing, if only something else can."""
        if optional and not (self.bodies or self.asleep or self.expanding or self.machine.run.ready):
            return [self.take_over, self.tick_late, self.pause, self.snapshot, self.stale]
        return super().actions()

    def asking(self) -> list[str]:
        """The barriers that wait."""
        visits = self.machine.run.visits.items()
        return sorted(path for path, visit in visits if visit.is_barrier and visit.open_wait(DECISION))

    def waits(self, kind: str) -> list[tuple[str, str, c.Wait]]:
        return [wait for wait in super().waits(kind) if wait[1] != DECISION]

    def outcomes(self, body: Body) -> list[Action]:
        usual = super().outcomes(body)
        return [*[usual[0]] * 12, *usual]  # a token that never goes on meets nothing

    def result(self, body: Body) -> s.AttemptSucceeded:
        path, attempt = body
        visit = self.machine.run.visits[path]
        if visit.group.walk is None:
            return super().result(body)
        update = self.update(visit, visit.group.walk)
        return s.AttemptSucceeded(path=path, attempt=attempt, output=VALUE, update=update)

    def update(self, visit: Visit, walk: Walk) -> Update:
        """What a body returns: mostly what fits."""
        names = [key for key in walk.topology.routing.keys if fitting(key)]
        changes = {name: self.fitting(name) for name in (self.pick(names), self.pick(names))}
        strange = self.pick(
            (*[""] * 9, "wrong", "unknown", "delete", "delete", "nothing", "goto", "goto", "fallback")
        )
        match strange:
            case "wrong":
                changes[self.pick(names)] = raw("strange")
            case "unknown":
                changes["unknown"] = raw(1)
            case "nothing":
                return Update()
            case "delete":
                return Update(changes=changes, delete=(self.pick(names),), cost=1.5, effects=True)
            case "goto":
                return Update(changes=changes, goto=self.pick(["", *walk.topology.index, "unknown"]))
            case "fallback":
                return Update(changes=changes, fallback=True)
            case _:
                pass
        return Update(changes=changes)

    def fitting(self, name: str) -> Raw:
        return raw(self.pick(fitting(name)))

    def gather(self, path: str) -> None:
        """What is read for a group is there, or cannot be read."""
        self.gathering.discard(path)
        visit = self.machine.run.visits[path]
        walk = visit.inner if isinstance(visit.inner, Walk) else visit.group.walk
        assert walk is not None
        names = [key for key in walk.topology.routing.keys if fitting(key)]
        name = self.pick(names)
        fits = raw({name: json.decode(self.fitting(name))})
        strange = self.pick((raw({}), raw({"n": 1, "unknown": 2}), raw([1]), raw({name: "strange"})))
        read = s.Gathered(path=path, json=self.pick((*[fits] * 6, strange)))
        signal = self.pick((*[read] * 7, s.Gathered(path=path, error=ERRORS[0])))
        self.over.append(signal)
        self.hand(signal)

    # ------------------------------------------------------------------ deciding

    def judgement(self, walk: Walk | None) -> Judgement:
        kind = self.pick(KINDS)
        names = [key for key in walk.topology.routing.keys if fitting(key)] if walk is not None else ["n"]
        changes: dict[str, Raw] = {}
        if kind == "modify" or self.pick((False, False, True)):
            name = self.pick([*names, "unknown"])
            changes[name] = self.pick((self.fitting(self.pick(names)), raw("strange")))
        targets = ["", *walk.topology.index] if walk is not None else ["", "a"]
        target = self.pick([*targets, "nowhere"]) if kind == "reroute" else ""
        delete = (self.pick(names),) if self.pick((False, False, False, True)) else ()
        return Judgement(kind=kind, changes=changes, target=target, delete=delete, reason="because")

    def decide(self, path: str) -> None:
        """Somebody decides where a decision is waited for: at once or late, on what it is or what it was."""
        visit = self.machine.run.visits[path]
        walk, wait = visit.group.walk, (visit.waits or {})[DECISION]
        assert walk is not None
        judgement = self.judgement(walk)
        recorded, shown = self.now, self.pick((wait.digest, wait.digest, "", "another"))
        self.now += self.pick((0.0, 0.0, 5.0))
        at = self.pick((None, recorded))
        late = wait.due is not None and wait.due <= (self.now if at is None else at)
        if self.pick((False,) * 7 + (True,)):
            self.hand(s.Decide(barrier=path, judgement=judgement, by="us", standing=True))
            return
        self.deciding = path
        decision = self.hand(s.Decide(barrier=path, judgement=judgement, by="me", shown=shown, at=at))
        self.deciding = ""
        resolved = [x for x in decision.events if isinstance(x, e.WaitResolved) and x.path == path]
        understood = judgement.kind != "maybe"
        if not understood or (shown == "another" and not late) or self.unfit(visit, walk, judgement):
            assert decision.refusals
        if late and understood:
            assert decision.refusals
            assert resolved[0].outcome == "expired"
        if decision.refusals:
            assert not resolved or late
        else:
            assert (resolved[0].outcome, resolved[0].by, resolved[0].kept) == ("answered", "me", False)

    def unfit(self, visit: Visit, walk: Walk, judgement: Judgement) -> bool:
        """Whether a decision makes no sense at a barrier."""
        is_branch = visit.group is not walk
        named = {*judgement.changes, *judgement.delete}
        return (
            (is_branch and judgement.kind in {"modify", "reroute"})
            or (
                judgement.kind == "reroute"
                and bool(judgement.target)
                and judgement.target not in walk.topology.index
            )
            or not named <= walk.topology.routing.keys.keys()
        )

    def decide_early(self) -> None:
        """Somebody decides on a barrier that may not have been reached, or may never be."""
        known = sorted(_barriers(self.topology))
        if not known:
            return
        path = self.pick(known).replace("[KEY]", self.pick(("[0]", "[k/0]", "[k/1]")))
        path += self.pick(("", "#2", "#1", "#3"))
        visit = self.machine.run.visits.get(path.removesuffix("#1"))
        if visit is not None and visit.open_wait(DECISION):
            return  # that is `decide`
        standing = self.pick((False, False, False, True))
        signal = s.Decide(barrier=path, judgement=self.judgement(None), by="us", standing=standing)
        decision = self.hand(signal)
        if not decision.refusals:
            (kept,) = (x for x in decision.events if isinstance(x, e.DecisionKept))
            assert kept.barrier == (bare(path) if standing else path.removesuffix("#1"))

    # ------------------------------------------------------------------ performing

    def gate(self, path: str, node: Node) -> bool:
        answer = super().gate(path, node)
        self.answers[path].append(answer)
        return answer

    def hand(self, *signals: s.AnySignal) -> Decision:
        due = Counter(timer.due for timer in self.machine.run.timers if timer.due <= self.now)
        twin = self.twin()
        self.answers.clear()
        self.reckoning.hear(*signals)
        decision = super().hand(*signals)
        self.reckoning.heed(decision.events)
        self.reckoning.compare(self.machine.run)
        if max(due.values(), default=0) > 1:
            return decision  # what is due at the very same moment happens in any order
        again = twin.handle(signals, self.now)
        assert again.events == decision.events, "a restored machine decides otherwise"
        assert attempts(again) == attempts(decision)
        assert again.refusals == decision.refusals
        return decision

    def twin(self) -> Machine:
        """A machine that was restored from a snapshot of now; its gate says what that of the live one said."""
        data = IMAGE.decode(json.encode(snapshot.image(self.machine.run)))
        run = snapshot.revive(data, self.topology)
        return Machine(self.topology, run, lambda path, _: self.answers[path].pop(0), self.rules)

    def heed(self, event: e.AnyEvent) -> None:
        passed = isinstance(event, e.NodeCompleted) and event.path in self.done
        assert not passed, f"{event} was done already"
        super().heed(event)
        match event:
            case e.DecisionKept(barrier=barrier, standing=False):
                assert barrier not in self.kept, "two decisions are kept for one visit"
                self.kept.add(barrier)
            case e.WaitResolved(key=key, path=path, kept=kept, standing=standing) if key == DECISION:
                if kept and not standing:
                    self.kept.remove(path)
                elif event.outcome == "answered" and not kept:
                    assert path == self.deciding, "nobody has decided"
                    self.deciding = ""
            case _:
                pass

    def perform(self, command: c.Command) -> None:
        if isinstance(command, c.Gather):
            assert command.path not in self.gathering
            self.gathering.add(command.path)
        else:
            super().perform(command)

    def take_over(self) -> None:
        self.gathering.clear()
        super().take_over()

    def compare(self) -> None:
        super().compare()
        run = self.machine.run
        awaited = {x.path for x in self.machine.outstanding() if isinstance(x, c.Gather)}
        self.gathering &= awaited
        assert awaited == self.gathering
        assert set(run.kept) - {path for path in run.kept if path.endswith("#*")} == self.kept
        self.count_branches()

    def count_branches(self) -> None:
        """No more branches of a node have bodies at work than may have."""
        at_work: Counter[tuple[str, int]] = Counter()
        branches: set[tuple[str, str, int]] = set()
        for path, _ in self.bodies:
            parts = segments(path)
            for depth in range(1, len(parts)):
                above = "/".join(parts[:depth])
                graph = self.reckoning.node_at(above)[0].graph
                if graph is not None and graph.branches:
                    branches.add((above, parts[depth].partition("[")[0], graph.max_concurrency))
        for above, _, limit in branches:
            at_work[above, limit] += 1
        assert all(count <= limit for (_, limit), count in at_work.items()), (
            f"too many branches at once: {at_work}"
        )
