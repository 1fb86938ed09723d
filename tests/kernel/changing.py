"""A stage for runs whose definition changes; the reckoning goes on with the new one from there."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
from reckoning import Reckoning
from trip import Trip, key, routed
from trip_rules import unraw

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.definition import GraphSpec, NodeSpec
from clew.kernel.state import Run
from clew.kernel.states import NodeState as N
from clew.kernel.visits import Walk

N_KEY = (key("n", "sum", default=0),)
LOG = key("log", "append", default=[])


class Changing(Trip):
    """A run whose definition changes; the reckoning goes on with the new one from there."""

    def change(self, spec: GraphSpec, *signals: s.AnySignal, forced: bool = False) -> str:
        """Hand in another definition, then other signals; why it is refused, if it is."""
        name = sha256(msgspec.json.encode(spec)).hexdigest()
        signal = s.Redefine(graph=f"hash {name}", definition=f"digest {name}", spec=spec, by="ann", forced=forced)
        before, self.reckoning = self.reckoning, None
        assert before is not None
        self.decision = self._decide(signal, *signals)
        if not self.refusal:
            _redefine(before, self.run, spec)
        before.heed([each for each in self.decision.events if not isinstance(each, e.DefinitionChanged)])
        self.reckoning = before
        before.compare(self.run)
        return self.refusal

    def _decide(self, *signals: s.AnySignal) -> Any:
        decision = self.machine.handle(signals, self.now)
        self.witness.observe(decision)
        return decision

    @property
    def definition(self) -> str:
        return self.run.definition

    def node_of(self, path: str) -> NodeSpec:
        return self.visit(path).node.spec


def _redefine(reckoning: Reckoning, run: Run, spec: GraphSpec) -> None:
    """What a change means for the state graphs that have not ended."""
    reckoning.spec = spec
    reckoning._nodes.clear()
    for path, book in sorted(reckoning.books.items()):
        group = run.visits[path].inner if path else run.root
        if not isinstance(group, Walk) or group.done or (path and run.visits[path].state is N.COMPLETED):
            continue
        before = book.keys
        book.spec = graph = reckoning.graph_at(path)
        assert graph.routes is not None
        book.routes, book.nodes = graph.routes, {node.id: node for node in graph.nodes}
        book.keys = {each.name: each for each in graph.routes.keys}
        book.new_generation()
        book.state = {name: plain for name, plain in book.state.items() if name in book.keys}
        outer = reckoning.books[reckoning.walk_path(path)] if path and reckoning.has_state(path) else None
        for name, spec_ in book.keys.items():
            same = name in before and bytes(before[name].default) == bytes(spec_.default)
            if name in book.state or same:
                continue
            if outer is not None and name in outer.state and name not in before:
                book.state[name] = outer.state[name]
            elif spec_.default:
                book.state[name] = unraw(spec_.default)


def row(*nodes: NodeSpec, keys: Any = N_KEY, **options: Any) -> GraphSpec:
    return routed(*nodes, keys=keys, name="play", max_concurrency=100, **options)
