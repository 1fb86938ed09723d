"""A random outside: bodies that succeed, fail, sleep and ask; people; time; processes that die.

`Outside` knows its bodies, so that it can tell when the machine forgets one or starts one twice. Every choice is
one byte; when the bytes are used up it chooses plainly, so that every run ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from laws import Witness, is_whole, kept_by_retry, may_start
from ledger import LOCK, Ledger, at_hand
from msgspec import Raw

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.machine import Decision, Machine
from clew.kernel.questions import IN_DOUBT
from clew.kernel.reducing import Rules
from clew.kernel.snapshot import image
from clew.kernel.states import NodeState, RunState
from clew.kernel.topology import Node, Topology, compile_graph
from clew.kernel.values import ErrorInfo, Value

T = TypeVar("T")
Body = tuple[str, int]
Action = Callable[[], None]

VALUE = Value(json=Raw(b"1"))
ERRORS = (
    ErrorInfo(type="ValueError", message="boom", classes=("ValueError", "Exception")),
    ErrorInfo(type="KeyError", message="gone", classes=("KeyError", "Exception")),
    ErrorInfo(type="Busy", message="later", retryable=True, retry_after_s=3.0),
    ErrorInfo(type="Permanent", message="never", retryable=False),
)
VERDICTS = (b'"retry"', b'"done"', b'"fail"', b'{"done":{"x":1}}', b'"perhaps"', b'{"don":1}', b'{"done":1,"x":2}')
NONSENSE = VERDICTS[-3:]


class Outside:
    """Drives one run.

    Attributes:
        machine: the live one; replaced at a takeover.
        bodies: attempts that really run, with the reason for which they were told to stop, or "".
        asleep: suspended bodies that are still in memory.
        expanding: maps whose items are being found.
        over: signals about attempts that are over; each must change nothing.
        started: attempts per visit in this generation.
        ledger: what was lost, sent, taken and begun.
        done: completed leaves that must not be started again.
    """

    def __init__(self, spec: c.Any, choices: bytes, rules: Rules | None = None) -> None:
        self.topology: Topology = compile_graph(spec)
        self.rules = rules
        self.choices = iter(choices)
        self.used_up = False
        self.now = 1_000.0
        self.epoch = 1
        self.machine = Machine(self.topology, gate=self.gate, rules=rules)
        self.witness = Witness(self.machine, rules)
        self.bodies: dict[Body, str] = {}
        self.asleep: set[Body] = set()
        self.expanding: set[str] = set()
        self.over: list[s.AnySignal] = []
        self.started: Counter[str] = Counter()
        self.ledger = Ledger()
        self.messages = 0
        self.done: set[str] = set()
        self.closed = False
        self.ended: set[Body] = set()
        self.ever: set[Body] = set()

    # ------------------------------------------------------------------ choosing

    def pick(self, options: Sequence[T]) -> T:
        """Choose; the first option is the plain one."""
        byte = next(self.choices, None)
        self.used_up |= byte is None
        return options[(byte or 0) % len(options)]

    def gate(self, path: str, node: Node) -> bool:
        """Refuse at random, and always while `closed`."""
        return not self.closed and self.pick((True, True, True, False))

    def run(self, bound: int = 3_000) -> None:
        """Drive the run to its end and assert everything on the way."""
        self.hand(s.Admit(run="run", graph="hash", definition="digest", inputs={"x": VALUE}))
        for _ in range(bound):
            if self.machine.run.ended and not (self.can_be_retried() and self.pick((False, True))):
                return
            self.pick(self.actions())()
        raise AssertionError("the run does not end")

    def can_be_retried(self) -> bool:
        run = self.machine.run
        assert run.root is not None
        return not self.used_up and not all(is_whole(member) for member in run.root.members)

    def actions(self) -> list[Action]:
        """All that may happen now; the first one brings the run nearer to its end."""
        run = self.machine.run
        if run.ended:
            return [self.retry_run]
        plain: list[Action] = []
        if run.state is RunState.PAUSED:
            plain.append(partial(self.hand, s.Resume()))
            plain += [partial(self.hand, s.Execute(path=path)) for path in at_hand(run)]
        plain += [partial(self.expand, path) for path in sorted(self.expanding)]
        for body, stop in self.bodies.items():
            plain += [partial(self.acknowledge, body)] if stop else self.outcomes(body)
        for body in sorted(self.asleep):
            by_itself = self.outcomes(body)
            plain += [by_itself[0], *by_itself[-len(ERRORS) :]] if self.pick((False, True)) else []
        plain += [partial(self.answer, path, key) for path, key, _ in self.waits("answer")]
        plain += [partial(self.take_key, path, key) for path, key, _ in self.waits("key")]
        plain += [partial(self.send, wait.name) for _, _, wait in self.waits("message")]
        if self.machine.wake_at is not None:
            plain.append(self.tick)
        plain += [partial(self.hand, s.SlotsFreed())] if run.ready else []
        assert plain, f"nothing is left to wait for: {run.root!r}"
        wild = [self.stale, self.tick_late, self.take_over, self.snapshot, self.batch]
        wild += [self.pause, self.retry_too_early, partial(self.send, "a"), partial(self.send, "b")]
        return plain * 2 + wild + [self.cancel] * (run.seq > 40)

    # ------------------------------------------------------------------ what happens

    def outcomes(self, body: Body) -> list[Action]:
        """What a body that runs may do next."""
        path, attempt = body
        where = {"path": path, "attempt": attempt}
        success = partial(self.succeed, body)
        failures = [partial(self.end, body, s.AttemptFailed(**where, error=error)) for error in ERRORS]
        lock = partial(self.hand, s.OpenWait(**where, key=LOCK, kind="key", name="printer"))
        visit = self.machine.run.visits[path]
        if visit.probing:
            absent = partial(self.end, body, s.ProbedAbsent(**where))
            return [success, absent, absent, lock, partial(self.idle, body), *failures]
        silent = visit.node.spec.heartbeat_s is not None and body in self.bodies
        receive = partial(s.OpenWait, **where, kind="message")
        return [
            *[success] * 4,
            *[partial(self.hand, s.HeartbeatMissed(**where))] * silent,
            partial(self.hand, s.StepBegun(**where, key="sent", digest="d")),
            partial(self.hand, s.StepEnded(**where, key="sent", digest="d", value=VALUE, effect=True)),
            partial(self.hand, s.StepEnded(**where, key="sent", digest="d", error=ERRORS[0])),
            partial(self.hand, receive(key="mail", name="a")),
            partial(self.hand, receive(key="more", name="a", due=self.now + 3, default=VALUE)),
            partial(self.hand, receive(key="other", name="b")),
            lock,
            partial(self.hand, s.StepEnded(**where, key="paid", digest="d", value=VALUE, effect=True)),
            partial(self.hand, s.StepEnded(**where, key="read", digest="d", value=VALUE)),
            partial(self.hand, s.StepEnded(**where, key="lost", digest="d", error=ERRORS[0])),
            partial(self.hand, s.OpenWait(**where, key="nap", kind="timer", due=self.now + 2)),
            partial(self.hand, s.OpenWait(**where, key="ask", kind="answer", question=VALUE)),
            partial(
                self.hand,
                s.OpenWait(**where, key="soon", kind="answer", due=self.now + 3, digest="seen", default=VALUE),
            ),
            partial(self.idle, body),
            partial(self.idle, body),
            *failures,
        ]

    def succeed(self, body: Body) -> None:
        self.end(body, self.result(body))

    def result(self, body: Body) -> s.AttemptSucceeded:
        """What a body returns."""
        path, attempt = body
        return s.AttemptSucceeded(path=path, attempt=attempt, output=VALUE)

    def end(self, body: Body, signal: s.AnySignal) -> None:
        self.bodies.pop(body, None)
        self.asleep.discard(body)
        self.over.append(signal)
        self.hand(signal)

    def acknowledge(self, body: Body) -> None:
        """A body that was told to stop: it does, or it was quicker."""
        path, attempt = body
        stopped = s.AttemptStopped(path=path, attempt=attempt)
        failed = s.AttemptFailed(path=path, attempt=attempt, error=ERRORS[0])
        late = self.result(body)
        absent = s.ProbedAbsent(path=path, attempt=attempt)
        probing = self.machine.run.visits[path].probing
        if self.bodies[body] == "pause":
            self.ledger.lost.add(body)  # unless it was quicker, or is stopped for another reason meanwhile
        self.end(body, self.pick((stopped, stopped, failed, absent if probing else late, late)))
        self.ledger.lost.discard(body)

    def idle(self, body: Body) -> None:
        """A body that waits for all that it opened says so; for nothing, if it opened nothing."""
        path, attempt = body
        waits = self.machine.run.visits[path].waits or {}
        keys = tuple(key for key, wait in waits.items() if not wait.outcome)
        self.hand(s.AttemptIdle(path=path, attempt=attempt, keys=keys))

    def expand(self, path: str) -> None:
        self.expanding.discard(path)
        count = self.pick((2, 0, 1, 3, 6, 4))
        keys = tuple(f"k/{i}" for i in range(count)) if self.pick((False, True)) else ()
        items = Value(json=Raw(b"[1,2,3,4,5,6]")) if self.pick((True, False)) else None
        found = s.MapExpanded(path=path, count=count, keys=keys, items=items)
        lost = s.MapExpanded(path=path, error=ERRORS[0])
        signal = self.pick((found, found, found, found, lost))
        self.over.append(signal)
        self.hand(signal)

    def waits(self, kind: str) -> list[tuple[str, str, c.Wait]]:
        """The waits of a kind that somebody outside may end."""
        visits = self.machine.run.visits.items()
        waits = ((path, key, wait) for path, v in visits for key, wait in (v.waits or {}).items())
        open_ = (x for x in waits if x[2].kind == kind and not x[2].outcome)
        return sorted((x for x in open_ if not self.machine.run.visits[x[0]].stop), key=lambda x: x[:2])

    def answer(self, path: str, key: str) -> None:
        """Somebody answers: at once or late, to what is asked or to what was asked before, sense or nonsense."""
        wait = (self.machine.run.visits[path].waits or {})[key]
        json = self.pick(VERDICTS) if key == IN_DOUBT else b"1"
        recorded, shown = self.now, self.pick((wait.digest, wait.digest, "", "another"))
        self.now += self.pick((0.0, 0.0, 4.0))
        at = self.pick((None, recorded))
        value = Value(json=Raw(json))
        decision = self.hand(s.Answer(path=path, key=key, value=value, by="me", shown=shown, at=at))
        late = wait.due is not None and wait.due <= (self.now if at is None else at)
        of_another = shown == "another" and wait.digest != "another"
        assert bool(decision.refusals) is (late or of_another or json in NONSENSE)
        resolved = [x.outcome for x in decision.events if isinstance(x, e.WaitResolved) and x.path == path]
        if not decision.refusals:
            assert resolved[:1] == ["answered"]
        elif late and not of_another:
            assert resolved[:1] == ["expired"]

    def take_key(self, path: str, key: str) -> None:
        self.ledger.taken.add((path, key))
        self.hand(s.KeyTaken(path=path, key=key))

    def send(self, name: str) -> None:
        self.messages += 1
        self.hand(s.Send(name=name, value=Value(json=Raw(b'"%s %d"' % (name.encode(), self.messages))), by="you"))

    def pause(self) -> None:
        self.hand(s.Pause(stop_attempts=self.pick((False, True, True))))

    def tick(self) -> None:
        assert self.machine.wake_at is not None
        self.now = max(self.now, self.machine.wake_at)
        self.hand(s.Tick())
        wake_at = self.machine.wake_at
        assert wake_at is None or wake_at > self.now, "what was due is still due"

    def tick_late(self) -> None:
        self.now += self.pick((1.0, 2.5, 30.0))
        self.hand(s.Tick())

    def cancel(self) -> None:
        self.hand(s.Cancel(by="somebody"))

    def batch(self) -> None:
        """Several outcomes reach the machine at once."""
        signals: list[s.AnySignal] = [s.Tick()]
        for body, stop in list(self.bodies.items())[:3]:
            path, attempt = body
            ended: s.AnySignal = s.AttemptFailed(path=path, attempt=attempt, error=self.pick(ERRORS))
            if stop or self.pick((False, True)):
                ended = self.result((path, attempt))
            del self.bodies[body]
            self.ended.add(body)  # and may be told to stop because of another signal of this batch
            signals.append(ended)
        self.over += signals[1:]
        self.hand(*signals)

    def stale(self) -> None:
        """A signal about something that is over changes nothing."""
        # Which asking for a map's items an answer belongs to cannot be told; any of them will do.
        asked = {x.path for x in self.machine.outstanding() if isinstance(x, c.ExpandMap | c.Gather)}
        over = [x for x in self.over if not isinstance(x, s.MapExpanded | s.Gathered) or x.path not in asked]
        if not over:
            return
        before = image(self.machine.run)
        self.closed = True
        decision = self.machine.handle([self.pick(over)], self.now)
        self.closed = False
        self.witness.observe(decision)
        assert decision.events == []
        assert image(self.machine.run) == before

    def retry_too_early(self) -> None:
        self.closed = True
        assert self.machine.handle([s.RetryRun()], self.now).events == []
        self.closed = False

    def retry_run(self) -> None:
        root = self.machine.run.root
        assert root is not None
        self.done = kept_by_retry(root)
        self.started.clear()
        self.ledger.new_generation()
        self.hand(s.RetryRun(by="somebody"))

    def snapshot(self) -> None:
        self.witness.take_snapshot()

    def take_over(self) -> None:
        """The process dies; another one goes on from the events, or from a snapshot and the rest."""
        self.epoch += 1
        run = self.pick((self.witness.folded, self.witness.revived))
        events = self.witness.events
        self.witness.machine = self.machine = Machine(self.topology, run, self.gate, self.rules)
        self.witness.folded = Machine.restore(self.topology, None, events).run
        self.witness.revived = self.witness.copy()
        for path, _ in self.bodies:
            self.ledger.lose(self.machine.run.visits[path])
        self.bodies.clear()
        self.asleep.clear()
        self.expanding.clear()
        self.hand(s.TakeOver(epoch=self.epoch, owner="another"))
        assert not self.ledger.lost, "attempts were lost, and nobody said so"

    # ------------------------------------------------------------------ performing

    def hand(self, *signals: s.AnySignal) -> Decision:
        """Give signals to the machine, perform what it wants and compare what it believes with what is."""
        decision = self.machine.handle(signals, self.now)
        self.witness.observe(decision)
        for event in decision.events:
            self.heed(event)
        for command in decision.commands:
            self.perform(command)
        self.compare()
        self.ledger.check(self.machine, decision.events)
        return decision

    def heed(self, event: e.AnyEvent) -> None:
        self.ledger.heed(event, self.machine.run)
        if isinstance(event, e.AttemptStarted):
            assert (event.path, event.attempt) not in self.ever, "the number of an attempt is used twice"
            self.ever.add((event.path, event.attempt))
            self.started[event.path] += 1
            visit = self.machine.run.visits[event.path]
            assert event.path not in self.done, f"{visit!r} was complete and is started again"
            allowed = visit.node.spec.retry.max_attempts + self.ledger.spare[event.path]
            assert self.started[event.path] <= allowed, f"{visit!r} has too many attempts"
        elif isinstance(event, e.NodeCompleted) and not self.machine.run.visits[event.path].is_group:
            self.done.add(event.path)
        elif isinstance(event, e.NodeFailed):
            waits = any(path == event.path for path, _ in self.asleep)
            assert not (waits and event.error.type == "timeout"), f"{event.path} only waits, and timed out"
        elif isinstance(event, e.AttemptSuspended):
            del self.bodies[event.path, event.attempt]
            self.asleep.add((event.path, event.attempt))

    def perform(self, command: c.Command) -> None:
        match command:
            case c.StartAttempt(path=path, attempt=attempt):
                self.ledger.begins(command)
                self.start((path, attempt), resumed=command.resumed)
            case c.StopAttempt(path=path, attempt=attempt):
                body = (path, attempt)
                known = body in self.bodies or body in self.asleep or body in self.ended
                assert known or self.epoch > 1, f"{body} is not there"
                self.asleep.discard(body)
                if body in self.bodies:
                    self.bodies[body] = command.reason
            case c.ExpandMap(path=path):
                assert path not in self.expanding
                self.expanding.add(path)
            case c.TakeSnapshot():
                self.snapshot()

    def start(self, body: Body, *, resumed: bool) -> None:
        visit = self.machine.run.visits[body[0]]
        assert all(path != body[0] for path, _ in self.bodies), f"{visit!r} runs already"
        if resumed:
            self.asleep.discard(body)
        assert all(path != body[0] for path, _ in self.asleep), f"{visit!r} is still in memory"
        assert may_start(visit), f"{visit!r} starts before what it depends on has settled"
        self.bodies[body] = ""

    def compare(self) -> None:
        """The machine awaits exactly what is under way; nobody was forgotten."""
        run = self.machine.run
        awaited = self.machine.outstanding()
        starts = {(x.path, x.attempt) for x in awaited if isinstance(x, c.StartAttempt)}
        stops = {(x.path, x.attempt): x.reason for x in awaited if isinstance(x, c.StopAttempt)}
        expansions = {x.path for x in awaited if isinstance(x, c.ExpandMap)}
        assert starts == set(self.bodies)
        assert stops == {body: reason for body, reason in self.bodies.items() if reason}
        self.expanding &= expansions
        assert expansions == self.expanding or run.state is not RunState.RUNNING
        for path, attempt in self.asleep:
            visit = run.visits[path]
            assert visit.attempt == attempt
            assert visit.state is NodeState.WAITING or visit.resumes, f"{visit!r} was forgotten in memory"
