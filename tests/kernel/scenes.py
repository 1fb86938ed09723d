"""Runs that are decided by hand; after each decision, folding and snapshots agree."""

from __future__ import annotations

import json

import msgspec

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel import snapshot
from clew.kernel.definition import CompensationSpec, GraphSpec, NodeSpec
from clew.kernel.invariants import check
from clew.kernel.machine import Machine
from clew.kernel.reducing import Asked
from clew.kernel.topology import compile_graph
from clew.kernel.values import ErrorInfo, Value

BOOM = ErrorInfo(type="E", message="boom")


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def value(of: object) -> Value:
    return Value(json=raw(of))


class Rules:
    def ask(self, when, cells):
        return Asked(bool(when), when)

    def reduce(self, key, old, new):
        return new


class Scene:
    def __init__(self, graph: GraphSpec, **inputs: object) -> None:
        self.topology = compile_graph(graph)
        self.machine = Machine(self.topology, rules=Rules())
        self.log: list[e.AnyEvent] = []
        self.now = 1.0
        given = {name: value(each) for name, each in inputs.items()}
        self.tell(s.Admit(run="r", graph="h", definition="d", inputs=given))

    @property
    def run(self):
        return self.machine.run

    def tell(self, *signals: s.AnySignal):
        decision = self.machine.handle(signals, self.now)
        self.log += decision.events
        self.refusals = decision.refusals
        assert check(self.run) == []
        again = Machine.restore(self.topology, None, self.log, rules=Rules())
        assert snapshot.image(again.run) == snapshot.image(self.run)
        data = msgspec.json.encode(snapshot.image(self.run))
        back = snapshot.revive(msgspec.json.decode(data, type=snapshot.RunImage), self.topology)
        assert msgspec.json.encode(snapshot.image(back)) == data
        assert check(back) == []
        return decision

    def done(self, path: str, output: object = None, attempt: int = 1, **more):
        sent = s.AttemptSucceeded(path=path, attempt=attempt, output=value(output), **more)
        return self.tell(sent)

    def fails(self, path: str, attempt: int = 1, **more):
        return self.tell(s.AttemptFailed(path=path, attempt=attempt, error=BOOM, **more))

    def started(self, decision) -> list[str]:
        return [each.path for each in decision.events if isinstance(each, e.AttemptStarted)]


def undo(**inputs):
    return CompensationSpec(kind="function", inputs=inputs)


def node(id_: str, **more) -> NodeSpec:
    return NodeSpec(id=id_, kind="function", **more)
