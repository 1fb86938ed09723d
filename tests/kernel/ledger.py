"""What is told from outside about lost attempts, messages, exclusive keys and effects, and what must follow.

`Ledger` reads events as an accountant does: it knows what was lost, sent, taken and begun, and asserts that the
machine neither forgets nor invents any of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel.definition import OnInterrupt
from clew.kernel.groups import has_room
from clew.kernel.machine import Machine
from clew.kernel.questions import IN_DOUBT
from clew.kernel.state import Run
from clew.kernel.states import NodeState, RunState
from clew.kernel.values import Value
from clew.kernel.visits import Visit

DOUBTFUL = {OnInterrupt.PROBE, OnInterrupt.ASK}
#: Keys of waits for exclusive keys begin with this.
LOCK = "lock"


class Ledger:
    """Follows one run.

    Attributes:
        doubts: visits whose last attempt was lost, and nobody has said yet what became of it.
        lost: attempts that were lost with their process, or stopped for a pause, and not yet told so.
        spare: attempts that visits may make besides those of their retry policy.
        taken: waits for exclusive keys that were told to be over.
        effects: steps that act on the outside world and have begun, by visit.
        sent: messages by name, in the order in which they were sent.
        held: who has received which message.
    """

    def __init__(self) -> None:
        self.doubts: set[str] = set()
        self.lost: set[tuple[str, int]] = set()
        self.spare: Counter[str] = Counter()
        self.taken: set[tuple[str, str]] = set()
        self.effects: defaultdict[str, set[str]] = defaultdict(set)
        self.sent: dict[str, list[str]] = {}
        self.held: dict[str, str] = {}

    def lose(self, visit: Visit) -> None:
        """An attempt is lost with its process."""
        self.lost.add((visit.path, visit.attempt))
        if visit.node.spec.on_interrupt in DOUBTFUL:
            self.doubts.add(visit.path)

    def new_generation(self) -> None:
        """The run is retried."""
        self.spare.clear()
        self.effects.clear()

    # ------------------------------------------------------------------ events

    def heed(self, event: e.AnyEvent, run: Run) -> None:
        """Enter one event of the last decision."""
        match event:
            case e.AttemptStarted(path=path, probe=probe):
                how = run.visits[path].node.spec.on_interrupt
                assert probe is (path in self.doubts), f"{path} is started on a guess"
                assert not probe or how is OnInterrupt.PROBE, f"{path} is to be asked about and is probed"
            case e.AttemptInterrupted(path=path, attempt=attempt):
                self.lost.remove((path, attempt))
                self.spare[path] += 1
            case e.DoubtCleared(path=path):
                self.doubts.remove(path)
                self.spare[path] += 1
            case e.NodeCompleted(path=path):
                self.doubts.discard(path)
            case e.WaitOpened(path=path, key=key):
                if key == IN_DOUBT:
                    assert path in self.doubts
                    assert run.visits[path].node.spec.on_interrupt is OnInterrupt.ASK
            case e.WaitResolved():
                self._heed_resolved(event)
            case e.MessageArrived(name=name, value=value):
                self.sent.setdefault(name, []).append(text(value))
            case e.ScopeOpened(path=path):
                for inner in [inner for inner in self.effects if inner.startswith(f"{path}/")]:
                    del self.effects[inner]
            case e.StepStarted(path=path, key=key):
                self.effects[path].add(key)
            case e.StepCompleted(path=path, key=key, effect=True):
                self.effects[path].add(key)
            case e.StepFailed(path=path, key=key):
                self.effects[path].discard(key)
            case _:
                pass

    def _heed_resolved(self, event: e.WaitResolved) -> None:
        assert (event.outcome == "taken") is event.key.startswith(LOCK)
        if event.outcome == "taken":
            self.taken.remove((event.path, event.key))
        if event.key == IN_DOUBT:
            self.doubts.remove(event.path)
        if event.outcome == "received":
            self.held[text(event.value)] = event.path

    def begins(self, command: c.StartAttempt) -> None:
        """A body is started; what it is told of effects is all of them."""
        assert command.probe is (command.path in self.doubts)
        if command.probe:
            assert not command.steps
        else:
            assert self.effects[command.path] <= command.steps.keys(), f"an effect of {command.path} is forgotten"

    # ------------------------------------------------------------------ after each decision

    def check(self, machine: Machine, events: list[e.AnyEvent]) -> None:
        """Compare with the machine's state."""
        run = machine.run
        for path in self.doubts & run.visits.keys():
            visit = run.visits[path]
            assert visit.in_doubt, f"{visit!r} was lost, and nobody asks"
            assert visit.state is not NodeState.COMPLETED
        for visit in run.visits.values():
            assert visit.path in self.doubts or not visit.in_doubt
        self.taken.clear()
        self._check_messages(run, events)
        assert machine.is_idle is is_at_rest(machine)

    def _check_messages(self, run: Run, events: list[e.AnyEvent]) -> None:
        """Each message lies in its mailbox, or is held by one visit, or was used up by one that has completed."""
        completed = {event.path for event in events if isinstance(event, e.NodeCompleted)}
        lying = {name: [text(message.value) for message in box] for name, box in run.mail.items()}
        held = {json: path for path, _, json in received(run)}
        everywhere = [json for box in lying.values() for json in box] + [json for _, _, json in received(run)]
        assert len(everywhere) == len(set(everywhere)), "a message is in two places"
        for json, path in list(self.held.items()):
            if json not in held:  # given back, or used up
                del self.held[json]
                assert path in completed or any(json in box for box in lying.values()), f"{json} is lost"
        assert held == self.held
        for name, sent in self.sent.items():
            box = lying.pop(name, [])
            assert box == [json for json in sent if json in set(box)], f"messages called {name} lie in disorder"
            self.sent[name] = [json for json in sent if json in box or json in held]
        assert not lying, "messages that nobody sent"
        self._check_order(run, events)

    def _check_order(self, run: Run, events: list[e.AnyEvent]) -> None:
        """Messages are received in the order in which they were sent, unless some are given back meanwhile."""
        if any(isinstance(event, e.ScopeOpened) for event in events):
            return
        last: dict[str, int] = {}
        for event in events:
            if isinstance(event, e.WaitResolved) and event.outcome == "received":
                name, number = split(event.value)
                assert number > last.get(name, -1)
                last[name] = number
        for box in run.mail.values():
            name, number = split(box[0].value)
            assert number > last.get(name, -1), "an older message was passed over"


def text(message: Value | None) -> str:
    """What a message says."""
    assert message is not None
    return bytes(message.json).decode()


def split(message: Value | None) -> tuple[str, int]:
    """A message says its name and number: ``"a 7"``."""
    name, number = text(message).strip('"').split()
    return name, int(number)


def received(run: Run) -> Iterator[tuple[str, str, str]]:
    """The messages that visits hold: address, name and text."""
    for path, visit in run.visits.items():
        for wait in (visit.waits or {}).values():
            if wait.outcome == "received":
                yield path, wait.name, text(wait.value)


def is_at_rest(machine: Machine) -> bool:
    """Whether nothing is under way and nothing could start, told without the machine's own queues."""
    run = machine.run
    outstanding = machine.outstanding()
    if run.ended or any(isinstance(command, c.StartAttempt) for command in outstanding):
        return False
    if run.state is RunState.PAUSED:
        return True
    if any(isinstance(command, c.Gather) for command in outstanding):
        return False
    for visit in run.visits.values():
        if visit.state is NodeState.READY and (visit.is_map or has_room(visit)):
            return False
        if any(wait.kind == "key" and not wait.outcome for wait in (visit.waits or {}).values()):
            return False
    return True


def at_hand(run: Run) -> list[str]:
    """Steps of a paused run that can be executed by hand, two at most; a map may be listed twice by that."""
    ready = [visit.path for visit in run.in_turn() if visit.state is NodeState.READY and not visit.is_map]
    return [*ready[:1], *ready[1:][-1:]]
