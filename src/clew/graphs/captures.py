"""What the parts of a step of a plan (its branches, the body of its loop) take from the plan around them.

A part is a graph of its own. What is named in it and belongs to the plan around becomes an input of the part, and
is given to it by the step that the part belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Protocol, runtime_checkable

from clew.kernel.values import Binding, DictOf, FromInput, FromNode, Pick


@runtime_checkable
class Reaches(Protocol):
    """A graph that may see those around it."""

    def reach(self, graph: object, binding: Binding) -> Binding | None:
        """What a binding of another graph is here; None if that graph is not around this one."""
        ...


class Captures:
    """What is taken from the plan around, by the name that it has inside.

    Args:
        outer: the plan around.
        reserved: names that have a meaning of their own inside.

    Attributes:
        outer: the plan around.
        taken: where each comes from, in the plan around.
    """

    def __init__(self, outer: Reaches, reserved: Collection[str] = ()) -> None:
        self.outer = outer
        self._reserved = frozenset(reserved)
        self.taken: dict[str, Binding] = {}

    def reach(self, graph: object, binding: Binding) -> Binding | None:
        """What a binding of the plan around, or of one around that, is inside; None if it is of no such plan."""
        found = self.outer.reach(graph, binding)
        return None if found is None else self._inside(found)

    def _inside(self, binding: Binding) -> Binding:
        match binding:
            case FromNode(node=name) | FromInput(name=name):
                return FromInput(self._named(binding, name))
            case Pick(of=of, path=path):
                return Pick(self._inside(of), path)
            case _:
                assert isinstance(binding, DictOf), "only nodes and inputs have names"
                return DictOf({key: self._inside(part) for key, part in binding.items.items()})

    def _named(self, binding: Binding, wanted: str) -> str:
        """The name of what is taken: the same for the same, and another one for something else."""
        base = name = re.sub(r"\W", "_", wanted)
        number = 2
        while name in self._reserved or self.taken.setdefault(name, binding) != binding:
            name, number = f"{base}_{number}", number + 1
        return name


def inputs_in(binding: Binding) -> frozenset[str]:
    """The inputs that a binding names, at any depth."""
    match binding:
        case FromInput(name=name):
            return frozenset((name,))
        case Pick(of=of):
            return inputs_in(of)
        case DictOf(items=items):
            return frozenset[str]().union(*map(inputs_in, items.values()))
        case _:
            return frozenset()
