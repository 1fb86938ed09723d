"""The names of expressions in a graph: its inputs, its nodes, and what is around it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Protocol

from clew.graphs.drafts import GraphDraft
from clew.graphs.expressions import Reference
from clew.graphs.names import did_you_mean
from clew.graphs.templates import Meaning, UnknownNameError
from clew.kernel.values import Binding, DictOf, FromInput, FromItem, FromNode

#: Names that expressions give a meaning of their own, so that no node can have them.
TAKEN = ("input", "item", "nodes", "range")


class Ids(Container[str], Iterable[str], Protocol):
    """The ids of the nodes of a graph."""


class Names:
    """What the expressions of a graph can name.

    Args:
        graph: with its inputs; nodes are added while they are read.
        ids: of all nodes of the graph, also those not read yet.
        own: what has a name besides: in the body of a loop, what it sees of the loop.
        outer: what can be named around the graph, if it is a part of a step there.

    Attributes:
        inside: which step has a part with a step of this id, as far as these are not read yet.
    """

    def __init__(
        self, graph: GraphDraft, ids: Ids, own: Mapping[str, Binding] | None = None, outer: Names | None = None
    ) -> None:
        self.inside: dict[str, str] = {}
        self.graph = graph
        self.ids = ids
        self.own = own or {}
        self.outer = outer

    def scope(self, given: Mapping[str, Binding], *, in_map: bool = False) -> NameScope:
        """The names of an expression.

        Args:
            given: those of the node itself.
            in_map: there is an item.
        """
        return NameScope(self, given, in_map=in_map)


class NameScope:
    """The names of one expression; see `Names.scope`."""

    def __init__(self, around: Names, given: Mapping[str, Binding], *, in_map: bool) -> None:
        self._around = around
        self._own = given
        self._given = {**around.own, **given}
        self._in_map = in_map

    def meaning(self, reference: Reference) -> Meaning:
        """See `templates.Scope`."""
        name = reference.name
        if name == "item" and self._in_map and name not in self._own:
            return Meaning(FromItem())
        if name in self._given:
            return Meaning(self._given[name])
        match name:
            case "input" if self._around.outer is None:
                return self._input(reference)
            case "item" if self._around.outer is None:
                loops = ", and in loops over a list" if self._around.graph.plan is not None else ""
                raise UnknownNameError(f"'item' stands for something only in nodes with a map{loops}")
            case "nodes":
                return self._node(reference)
            case _ if name in self._around.ids:
                return Meaning(FromNode(name))
            case _ if self._around.outer is not None:
                return self._from_outside(self._around.outer, reference)
            case _:
                raise UnknownNameError(self._unknown(name))

    def _input(self, reference: Reference) -> Meaning:
        inputs = self._around.graph.inputs
        if not reference.path:
            return Meaning(DictOf({name: FromInput(name) for name in inputs}))
        name = str(reference.path[0])
        if name not in inputs:
            raise UnknownNameError(f"there is no input {name!r}{did_you_mean(name, inputs)}")
        return Meaning(FromInput(name), inside=True)

    def _node(self, reference: Reference) -> Meaning:
        if not reference.path or not isinstance(reference.path[0], str):
            raise UnknownNameError('a node is named by text: nodes["fetch"]')
        name = reference.path[0]
        if name in self._around.ids:
            return Meaning(FromNode(name), inside=True)
        if self._around.outer is not None:
            return self._from_outside(self._around.outer, reference)
        raise UnknownNameError(f"there is no node {name!r}{did_you_mean(name, self._around.ids)}")

    def _from_outside(self, outer: Names, reference: Reference) -> Meaning:
        """A name of the graph around this one: it becomes an input of this one."""
        try:
            meaning = outer.scope({}).meaning(reference)
        except UnknownNameError as error:
            near = did_you_mean(reference.name, [*self._given, *self._around.ids])
            raise UnknownNameError(
                f"{str(error).partition('; did you mean')[0]}{near}" if near else str(error)
            ) from None
        here = self._around.graph.reach(outer.graph, meaning.binding)
        assert here is not None, "a part of a step has the plan around it"
        return meaning._replace(binding=here)

    def _unknown(self, name: str) -> str:
        graph = self._around.graph
        if name in graph.inputs:
            return f"there is no node {name!r}; did you mean 'input.{name}'?"
        if owner := graph.part_with(name) or self._around.inside.get(name, ""):
            return f"there is no node {name!r} here, but in a part of {owner!r}; take the output of {owner!r}"
        known = [*self._given, *self._around.ids, "input", "nodes", *(["item"] if self._in_map else [])]
        return f"there is no node {name!r}{did_you_mean(name, known)}"


def names_of(graph: GraphDraft) -> Names:
    """What can be named in a plan, or in a part of a step of one, as far as it has been written."""
    plan = graph.plan
    if plan is None or plan.captures is None:
        return Names(graph, graph.index)
    outer = plan.captures.outer
    assert isinstance(outer, GraphDraft)
    return Names(graph, graph.index, {name: FromInput(name) for name in plan.own}, names_of(outer))
