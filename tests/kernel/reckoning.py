"""Calculates the states and the ways of state graphs beside the machine, in plain Python, and compares.

`Reckoning` hears the same signals and reads the same events. Of the events it takes what happened (who completed,
with which decision), and from the definition what follows: what is in each state, and where each token goes. It
knows nothing of cells, changes, counters or images.
"""

from __future__ import annotations

from typing import Any

import msgspec
from trip_book import Book, Op, Way
from trip_rules import unraw

from clew.kernel import events as e
from clew.kernel import signals as s
from clew.kernel.addresses import bare, segments
from clew.kernel.cells import plain
from clew.kernel.definition import GraphSpec, NodeSpec
from clew.kernel.questions import DECISION, IN_DOUBT
from clew.kernel.state import Run
from clew.kernel.visits import Group, Walk
from clew.kernel.writes import Judgement, Update


class Reckoning:
    """Follows one run."""

    def __init__(self, spec: GraphSpec) -> None:
        self.spec = spec
        self.books: dict[str, Book] = {}
        self.updates: dict[tuple[str, int], Update] = {}
        self.given: dict[str, dict[str, Any]] = {}
        self.inputs: dict[str, Any] = {}
        self.wrote: dict[str, list[Op]] = {}
        self.items: dict[str, list[tuple[str, str]]] = {}
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.rerouted: dict[str, str] = {}
        self.entering: set[str] = set()
        self.forked: list[Op] = []
        self._nodes: dict[str, tuple[NodeSpec, GraphSpec]] = {}

    # ------------------------------------------------------------------ the definition

    def node_at(self, path: str) -> tuple[NodeSpec, GraphSpec]:
        """The node of a visit, and the graph it is in."""
        if path in self._nodes:
            return self._nodes[path]
        graph, node = self.spec, None
        for name in map(bare, segments(path)):
            if node is not None:
                assert node.graph is not None
                graph = node.graph
            node = next(each for each in graph.nodes if each.id == name)
        assert node is not None
        self._nodes[path] = node, graph
        return node, graph

    def has_state(self, path: str) -> bool:
        """Whether a visit reads and writes the state of a state graph."""
        graph = self.node_at(path)[1]
        return graph.routes is not None or graph.branches

    def is_item(self, path: str) -> bool:
        return path.endswith("]") and self.node_at(path)[0].map is not None

    def walk_path(self, path: str) -> str:
        """The state graph in which a visit is, at whatever depth of branches."""
        parts = segments(path)[:-1]
        while parts and self.graph_at("/".join(parts)).routes is None:
            parts.pop()
        return "/".join(parts)

    def graph_at(self, path: str) -> GraphSpec:
        graph = self.node_at(path)[0].graph if path else self.spec
        assert graph is not None
        return graph

    # ------------------------------------------------------------------ signals and events

    def hear(self, *signals: s.AnySignal) -> None:
        """What bodies returned."""
        for signal in signals:
            match signal:
                case s.Admit(inputs=inputs):
                    self.inputs = {name: unraw(value.json) for name, value in inputs.items()}
                case s.AttemptSucceeded(path=path, attempt=attempt):
                    self.updates[path, attempt] = signal.update or Update()
                case s.Fork(changes=changes, delete=delete):
                    self.forked = [Op("put", key, unraw(new)) for key, new in changes.items()]
                    self.forked += [Op("delete", key) for key in delete]
                case s.Gathered(path=path, json=json, error=None):
                    found = unraw(json)
                    self.given[path] = found if isinstance(found, dict) else {}
                case _:
                    pass

    def heed(self, events: list[e.AnyEvent]) -> None:
        for event in events:
            match event:
                case e.Routed():
                    self._routed(event)
                case e.ScopeOpened(path=path):
                    self.entering.add(path)
                case e.WalkEntered(path=path, values=values):
                    self.entering.discard(path)
                    self.given[path] = {name: unraw(json) for name, json in values.items()}
                case e.MapOpened(path=path, count=count, keys=keys):
                    names = keys or tuple(map(str, range(count)))
                    escaped = [name.replace("%", "%25").replace("[", "%5B").replace("]", "%5D") for name in names]
                    self.items[path] = [(f"{path}[{e}]", name) for e, name in zip(escaped, names, strict=True)]
                case e.WaitResolved(key=key) if key in (DECISION, IN_DOUBT):
                    self._answered(event)
                case e.NodeCompleted():
                    self._completed(event)
                case e.NodeFailed(path=path):
                    self.failed.add(path)
                    if (book := self._book_of_step(path)) is not None:
                        book.failed = True
                case e.GroupStopping(path=path, reason="failed", error=error):
                    self._stopped(path, error.type)
                case e.RunForked() if self.forked and "" in self.books:
                    self.books[""].apply(self.forked)
                case e.RunRetried():
                    self.failed.clear()
                    for book in self.books.values():
                        book.new_generation()
                        book.failed = False  # what has failed is made again
                case _:
                    pass

    def _book_of_step(self, path: str) -> Book | None:
        """The state graph that a visit is a step of; None for branches, items and nodes of dependency graphs."""
        is_step = self.node_at(path)[1].routes is not None and not self.is_item(path)
        return self.books[self.walk_path(path)] if is_step else None

    def _routed(self, event: e.Routed) -> None:
        if not event.source:
            self._begin(event.path)
        self.entering.discard(event.path)
        book = self.books[event.path]
        assert event.source == book.at, f"the token is at {book.at}"
        found = Way(event.target, event.edge, event.why)
        if event.why == "reroute":
            wanted = self.rerouted.pop(event.source)
            assert found == Way(wanted, -1, "reroute")
            assert not wanted or book.steps < book.routes.max_steps
        else:
            assert found == book.way(), f"{event.path}: {found}, not {book.way()}"
        assert event.error is None or event.why == "fallback"
        assert event.error is not None or not book.failed
        book.taken[event.edge] += event.edge >= 0
        book.wish, book.failed = (None, False), False
        if event.target:
            book.passed[event.target] += 1
            book.visited[event.target] += 1
            book.steps += 1
            number = book.passed[event.target]
            name = f"{event.target}#{number}" if number > 1 else event.target
            book.at = f"{event.path}/{name}" if event.path else name
            self._forget(book.at)

    def _begin(self, path: str) -> None:
        spec = self.graph_at(path)
        assert spec.routes is not None
        given = self.given.get(path, {}) if path else self.inputs
        outer = self.books[self.walk_path(path)] if path and self.has_state(path) else None
        state: dict[str, Any] = {}
        for key in spec.routes.keys:
            if key.name in given:
                state[key.name] = given[key.name]
            elif outer is not None and key.name in outer.state:
                state[key.name] = outer.state[key.name]
            elif key.default:
                state[key.name] = unraw(key.default)
        for op in self.forked if not path else ():  # the state was changed before the first step
            state.update({op.key: op.value} if op.how == "put" else {})
        self._forget(path)
        self.books[path] = Book(spec, state)

    def _forget(self, path: str) -> None:
        """A visit is new: what an earlier one at the same address had is not its own."""
        if path:
            within = f"{path}/", f"{path}["
            self.done = {each for each in self.done if each != path and not each.startswith(within)}

    def _answered(self, event: e.WaitResolved) -> None:
        assert event.value is not None
        if event.key == IN_DOUBT:
            said = unraw(event.value.json)
            changes = said["done"] if isinstance(said, dict) else {}
            self.wrote[event.path] = [Op("write", key, new) for key, new in (changes or {}).items()]
            return
        judgement = msgspec.json.decode(event.value.json, type=Judgement)
        ops = [Op("put", key, unraw(json)) for key, json in judgement.changes.items()]
        ops += [Op("delete", key) for key in judgement.delete]
        if judgement.kind == "modify":
            self.books[self.walk_path(event.path)].apply(ops)
            return
        name = self.node_at(event.path)[0].id
        approved, reason = f"{name}.approved", f"{name}.reject_reason"
        told = {
            "approve": [Op("put", approved, True), Op("delete", reason)],
            "reject": [Op("put", approved, False), Op("put", reason, judgement.reason)],
        }
        self.wrote[event.path] = ops + told.get(judgement.kind, [Op("delete", approved), Op("delete", reason)])
        if judgement.kind == "reroute":
            self.rerouted[event.path] = judgement.target

    def _completed(self, event: e.NodeCompleted) -> None:
        path = event.path
        self.done.add(path)
        if not self.has_state(path):
            return
        node, _ = self.node_at(path)
        is_group = node.graph is not None or (node.map is not None and not self.is_item(path))
        update = self.updates.get((path, event.attempt), Update())
        if not is_group and node.barrier is None and (path, event.attempt) in self.updates:
            self.wrote[path] = ops_of(update)
        book = self._book_of_step(path)
        if book is None:
            return
        book.wish = (update.goto, update.fallback) if not is_group else (None, False)
        book.apply(self.contributions(path))
        book.apply(self._failures(path))

    def _failures(self, path: str) -> list[Op]:
        """Which branches and items have failed, for the keys that tell it."""
        members = self._members(path) if path not in self.failed else None
        if members is None:
            return []
        names = [name for member, name in members if member in self.failed]
        told = Op("put", f"{self.node_at(path)[0].id}.failed", names)
        return [told] + [op for member, _ in members for op in self._failures(member)]

    def _stopped(self, path: str, kind: str) -> None:
        """A state graph that was not told to stop from outside cannot have found a way on."""
        book = self.books.get(path)
        if book is not None and path not in self.entering:
            lost = kind in {"route", "limit", "condition"} and (not book.at or book.at in self.done)
            if lost or book.failed:
                assert book.way() is None, f"{path or 'the run'} could go on: {book.way()}"

    # ------------------------------------------------------------------ what was written

    def _members(self, path: str) -> list[tuple[str, str]] | None:
        """The branches or items of a visit, with their names, in order; None if it has none."""
        node, _ = self.node_at(path)
        if node.map is not None and not self.is_item(path):
            return self.items[path]
        if node.graph is not None and node.graph.branches:
            return [(f"{path}/{branch.id}", branch.id) for branch in node.graph.nodes]
        return None

    def contributions(self, path: str) -> list[Op]:
        """What a completed visit writes to the state around it."""
        node, _ = self.node_at(path)
        members = self._members(path)
        if members is not None:
            return [op for member, _ in members if member in self.done for op in self.contributions(member)]
        if node.graph is None:
            return self.wrote.get(path, [])
        if node.graph.routes is not None:
            return self.books[path].log
        return [Op("write", key, new) for key, new in self.given[path].items()]

    # ------------------------------------------------------------------ comparing

    def compare(self, run: Run) -> None:
        """All state graphs that the run has are as they are here."""
        if run.root is not None:
            self._compare(run.root)

    def _compare(self, group: Group) -> None:
        if isinstance(group, Walk) and group.members:
            book = self.books[group.path]
            assert plain(group.cells) == book.state, f"the state of {group!r}"
            assert group.last is not None
            assert group.last.path == book.at
        for visit in group.members:
            if visit is not None and visit.inner is not None:
                self._compare(visit.inner)


def ops_of(update: Update) -> list[Op]:
    ops = [Op("write", key, unraw(json)) for key, json in update.changes.items()]
    return ops + [Op("delete", key) for key in update.delete]
