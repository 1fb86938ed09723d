"""A small stage for examples: graphs in one line, and a machine that is driven by hand.

Every decision made here is also held against the laws, so an example is a proof of more than it says.
"""

from __future__ import annotations

from typing import Any

import msgspec
from laws import Witness, assert_settled

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import GraphSpec, ItemPolicy, MapSpec, NodeSpec, Retry
from clew.kernel.machine import Decision, Gate, Machine, admit_all
from clew.kernel.reducing import Rules
from clew.kernel.states import NodeState
from clew.kernel.topology import compile_graph
from clew.kernel.values import Binding, ErrorInfo, FromItem, FromNode, Literal, Value
from clew.kernel.visits import Visit

BOOM = ErrorInfo(type="ValueError", message="boom", classes=("ValueError", "Exception"))
THREE = Retry(max_attempts=3, delay_s=1.0, jitter=0.0)


def value(plain: Any) -> Value:
    return Value(json=msgspec.Raw(msgspec.json.encode(plain)))


def literal(plain: Any) -> Literal:
    return Literal(msgspec.Raw(msgspec.json.encode(plain)))


def node(id: str, *after: str, graph: GraphSpec | None = None, **options: Any) -> NodeSpec:
    """A node that comes after others; a sub-graph if it is given one."""
    return NodeSpec(id=id, kind="graph" if graph else "function", graph=graph, after=after, **options)


def mapped(id: str, *after: str, over: Binding | str | None = None, **options: Any) -> NodeSpec:
    """A node that runs once per item; `over` names another map whose items it takes."""
    collect = ItemPolicy.COLLECT if options.pop("collect", False) else ItemPolicy.FAIL_FAST
    binding = FromNode(over) if isinstance(over, str) else over or literal([1, 2, 3])
    spec = MapSpec(over=binding, on_item_error=collect, max_concurrency=options.pop("max_concurrency", None))
    return node(id, *after, map=spec, inputs={"item": FromItem(), **options.pop("inputs", {})}, **options)


def graph(*nodes: NodeSpec, **options: Any) -> GraphSpec:
    return GraphSpec(name="play", nodes=nodes, **{"max_concurrency": 100, **options})


class Play:
    """A run on the stage; admitted at once.

    Attributes:
        now: the time; moved by hand.
        decision: what followed from the last signals.
    """

    def __init__(
        self,
        *nodes: NodeSpec,
        gate: Gate = admit_all,
        rules: Rules | None = None,
        inputs: dict[str, Any] | None = None,
        paused: bool = False,
        **options: Any,
    ) -> None:
        self.topology = compile_graph(graph(*nodes, **options))
        self.gate = gate
        self.rules = rules
        self.now = 0.0
        self.machine = Machine(self.topology, gate=gate, rules=rules)
        self.witness = Witness(self.machine, rules)
        given = {name: value(plain) for name, plain in (inputs or {}).items()}
        admit = s.Admit(run="run", graph="hash", definition="digest", inputs=given, paused=paused)
        self.decision = self.hand(admit)

    @property
    def run(self) -> Any:
        return self.machine.run

    def hand(self, *signals: s.AnySignal) -> Decision:
        self.decision = self.machine.handle(signals, self.now)
        self.witness.observe(self.decision)
        if self.run.ended:
            assert_settled(self.run)
        return self.decision

    # ------------------------------------------------------------------ looking

    def visit(self, path: str) -> Visit:
        return self.run.visits[path]

    def state(self, path: str) -> NodeState:
        return self.visit(path).state

    def states(self) -> dict[str, str]:
        return {path: visit.state.value for path, visit in sorted(self.run.visits.items())}

    def events(self, kind: type[e.Event] | None = None) -> list[Any]:
        """Events of the last decision."""
        return [event for event in self.decision.events if kind is None or isinstance(event, kind)]

    def commands(self, kind: type[Any]) -> list[Any]:
        """Commands of the last decision."""
        return [command for command in self.decision.commands if isinstance(command, kind)]

    @property
    def started(self) -> list[str]:
        """Where the last decision started attempts."""
        return [command.path for command in self.commands(c.StartAttempt)]

    @property
    def stopped(self) -> list[str]:
        """Which attempts the last decision told to stop."""
        return [command.path for command in self.commands(c.StopAttempt)]

    # ------------------------------------------------------------------ acting

    def succeed(self, *paths: str) -> Decision:
        visits = [self.visit(path) for path in paths]
        return self.hand(
            *(s.AttemptSucceeded(path=v.path, attempt=v.attempt, output=value(v.path)) for v in visits)
        )

    def fail(self, path: str, error: ErrorInfo = BOOM) -> Decision:
        return self.hand(s.AttemptFailed(path=path, attempt=self.visit(path).attempt, error=error))

    def acknowledge(self, *paths: str) -> Decision:
        """Bodies that were told to stop have stopped."""
        return self.hand(*(s.AttemptStopped(path=path, attempt=self.visit(path).attempt) for path in paths))

    def expand(self, path: str, count: int, keys: tuple[str, ...] = ()) -> Decision:
        return self.hand(s.MapExpanded(path=path, count=count, keys=keys, items=value(list(range(count)))))

    def wait(self, path: str, key: str, kind: str, **wait: Any) -> Decision:
        """The body of a visit opens a wait, and does something else besides."""
        return self.hand(s.OpenWait(path=path, attempt=self.visit(path).attempt, key=key, kind=kind, **wait))

    def idle(self, path: str, *keys: str) -> Decision:
        """All that the body of a visit still does is wait for these."""
        return self.hand(s.AttemptIdle(path=path, attempt=self.visit(path).attempt, keys=keys))

    def send(self, name: str, plain: Any) -> Decision:
        return self.hand(s.Send(name=name, value=value(plain), by="you"))

    def sleep(self, path: str, due: float | None, key: str = "nap") -> Decision:
        """The body of a visit only sleeps (until `due`), or asks a question (None)."""
        where = {"path": path, "attempt": self.visit(path).attempt}
        kind = "answer" if due is None else "timer"
        return self.hand(s.OpenWait(**where, key=key, kind=kind, due=due), s.AttemptIdle(**where, keys=(key,)))

    def answer(self, path: str, key: str = "nap", plain: Any = "yes", **how: Any) -> Decision:
        return self.hand(s.Answer(path=path, key=key, value=value(plain), by="me", **how))

    def at(self, now: float) -> Decision:
        """Time passes."""
        self.now = now
        return self.hand(s.Tick())

    def take_over(self) -> Decision:
        """The process dies; another goes on from the stored events."""
        run = Machine.restore(self.topology, None, self.witness.events).run
        self.witness.machine = self.machine = Machine(self.topology, run, self.gate, self.rules)
        self.witness.rules = self.rules
        return self.hand(s.TakeOver(epoch=self.run.epoch + 1, owner="another"))
