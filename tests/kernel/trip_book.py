"""One state graph as it would be kept with pencil and paper: its state, its counts, and where its token goes."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from trip_rules import answer, reduced, unraw

from clew.kernel.addresses import bare, segments
from clew.kernel.definition import EdgeSpec, GraphSpec, KeySpec, OnLimit


class Op(NamedTuple):
    """One change of a state: ``write`` (through the reducer), ``put`` or ``delete``."""

    how: str
    key: str
    value: Any = None


class Way(NamedTuple):
    target: str
    edge: int
    why: str


class Book:
    """One state graph that is under way.

    Attributes:
        state: what is in its state.
        log: what was written to it, in order.
        at: the visit at which the token is or was last; empty at the start.
        visited, taken, steps: counts of this generation.
        passed: visits of each node in all generations.
        wish: what the last update said of the way: goto, fallback.
        failed: the last visit has failed.
    """

    def __init__(self, spec: GraphSpec, state: dict[str, Any]) -> None:
        assert spec.routes is not None
        self.spec = spec
        self.routes = spec.routes
        self.keys = {each.name: each for each in spec.routes.keys}
        self.nodes = {each.id: each for each in spec.nodes}
        self.state = state
        self.log: list[Op] = []
        self.at = ""
        self.passed: Counter[str] = Counter()
        self.wish: tuple[str | None, bool] = (None, False)
        self.failed = False
        self.new_generation()

    def new_generation(self) -> None:
        self.visited: Counter[str] = Counter()
        self.taken: Counter[int] = Counter()
        self.steps = 0

    def apply(self, ops: list[Op]) -> None:
        for op in ops:
            if op.key not in self.keys:
                continue
            self.log.append(op)
            if op.how == "delete":
                self.state.pop(op.key, None)
            elif op.how == "put":
                self.state[op.key] = op.value
            else:
                self.state[op.key] = combined(self.keys[op.key], self.state.get(op.key), op.value)

    # ------------------------------------------------------------------ the way

    def way(self) -> Way | None:
        """Where the token goes; None if it cannot go on."""
        source = bare(segments(self.at)[-1]) if self.at else ""
        leaving = [(number, edge) for number, edge in enumerate(self.routes.edges) if edge.source == source]
        goto, wants_fallback = self.wish
        if self.failed or (goto is None and wants_fallback):
            return self._fallback(source)
        if goto is not None:
            order = [edge for edge in leaving if edge[1].when]
            order += [edge for edge in leaving if not edge[1].when and not edge[1].fallback]
            order += [edge for edge in leaving if not edge[1].when and edge[1].fallback]
            for number, edge in order:
                if edge.target == goto and (found := self._along(number, edge, "goto")) != "pass":
                    return found
            return Way("", -1, "goto") if not goto else None
        for number, edge in leaving:
            if not edge.when:
                continue
            try:
                gave = answer(unraw(edge.when), self.state)
            except KeyError:
                return None
            holds = is_same(gave, unraw(edge.equals)) if edge.equals else bool(gave)
            if holds and (found := self._along(number, edge, "condition")) != "pass":
                return found
        for number, edge in leaving:
            if not edge.when and not edge.fallback and (found := self._along(number, edge, "edge")) != "pass":
                return found
        return self._fallback(source)

    def _fallback(self, source: str) -> Way | None:
        for number, edge in enumerate(self.routes.edges):
            if edge.source == source and edge.fallback:
                return self._step(number, "fallback") if self._spent(edge, number) is None else None
        return None

    def _along(self, number: int, edge: EdgeSpec, why: str) -> Way | str | None:
        how = self._spent(edge, number)
        if how is None:
            return self._step(number, why)
        if how is OnLimit.DROP:
            return "pass"
        if how is OnLimit.STRICT:
            return None
        own_first = self.taken[number] >= edge.max_visits if edge.max_visits is not None else False
        sources = [edge.source] * own_first + [edge.target] * bool(edge.target) + [edge.source] * (not own_first)
        for source in sources:
            if any(other.fallback and other.source == source for other in self.routes.edges):
                return self._fallback(source)
        return None

    def _spent(self, edge: EdgeSpec, number: int) -> OnLimit | None:
        if edge.max_visits is not None and self.taken[number] >= edge.max_visits:
            return edge.on_limit
        node = self.nodes.get(edge.target)
        if node is not None and node.max_visits is not None and self.visited[edge.target] >= node.max_visits:
            return node.on_limit
        return None

    def _step(self, number: int, why: str) -> Way | None:
        target = self.routes.edges[number].target
        return None if target and self.steps >= self.routes.max_steps else Way(target, number, why)


def is_same(a: Any, b: Any) -> bool:
    """JSON tells 1 from true."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def combined(spec: KeySpec, old: Any, new: Any) -> Any:
    """What a reducer makes of what is there and what is written."""
    match spec.reducer.value:
        case "append":
            return [*(old or []), *new]
        case "merge":
            return {**(old or {}), **new}
        case "sum":
            return new if old is None else old + new
        case "max":
            return new if old is None else max(old, new)
        case "min":
            return new if old is None else min(old, new)
        case "custom":
            return reduced(unraw(spec.custom), old, new)
        case _:
            return new
