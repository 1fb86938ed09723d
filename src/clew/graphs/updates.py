"""What a node of a state graph returns: what it changes, and where to go on.

A mapping of changes is enough most of the time. `Update` says more: which node is next, that the fallback edge is
to be taken, what the step has cost. Worker processes import this, so it imports little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, final

import msgspec

from clew import codec
from clew.errors import UnstorableError
from clew.graphs.state_view import StateView
from clew.kernel import writes

#: Where a run of a state graph begins, as the source of an edge.
START: Final = "__start__"
#: Where it ends: the target of an edge, or of ``Update(goto=END)``.
END: Final = "__end__"

_WHAT = "a node of a state graph returns what it changes (a mapping by key, or an Update), or None"
_GIVEN = "it is the state that the node was given; return only what the node changes"


@final
class _Delete:
    __slots__ = ()

    def __repr__(self) -> str:
        return "DELETE"


#: As the value of a key in what a node returns: the key is taken out of the state.
DELETE: Final = _Delete()


@dataclass(frozen=True, slots=True)
class Update:
    """What a node of a state graph changes, and where to go on.

    Attributes:
        changes: by key, as a mapping or an instance of the schema; each goes through the reducer of its key.
        goto: the node to go on with, to which an edge has to lead, or `END`; None follows the edges.
        fallback: go on along the fallback edge.
        delete: keys to take out of the state.
        cost: what the step has cost, in any unit; it counts for adaptive checkpoints.
        effects: it did something outside that should not be done twice; so does this.
    """

    changes: Any = None
    goto: str | None = None
    fallback: bool = False
    delete: str | Sequence[str] = ()
    cost: float = 0.0
    effects: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself where it is written.

        Raises:
            ValueError: says what.
        """
        if self.goto is not None and (not isinstance(self.goto, str) or self.goto in ("", START)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"goto is the id of a node, or END, not {self.goto!r}")
        if self.goto is not None and self.fallback:
            raise ValueError(f"goto={self.goto!r} and fallback=True say two ways to go on; leave one of them out")
        if not _is_cost(self.cost):
            raise ValueError(f"cost is a number of at least 0, not {self.cost!r}")
        if not all(isinstance(key, str) for key in self.delete):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"delete is the name of a key, or several, not {self.delete!r}")


def encode_update(value: Any) -> bytes:
    """What a node returned, as JSON text of `clew.kernel.writes.Update`.

    None changes nothing, a mapping changes its keys. An instance says all its fields: those of a dataclass or a
    Struct all of them (but `msgspec.UNSET`), those of a pydantic model the ones that were set.

    Raises:
        UnstorableError: it is none of these, or holds what cannot be stored; with the path of that
            (``changes.notes[3]``).
    """
    if value is None:
        return b"{}"
    update = value if isinstance(value, Update) else Update(value)
    deleted = [update.delete] if isinstance(update.delete, str) else [*update.delete]
    changes: dict[str, msgspec.Raw] = {}
    for key, each in _changes(update.changes).items():
        if each is DELETE:
            deleted.append(key)
        else:
            changes[key] = msgspec.Raw(_encoded(key, each))
    twice = [key for key in deleted if key in changes]
    if twice:
        raise UnstorableError(f"changes{_segment(twice[0])}", "it is written and deleted at once")
    return msgspec.json.encode(
        writes.Update(
            changes=changes,
            delete=tuple(dict.fromkeys(deleted)),
            goto="" if update.goto == END else update.goto,
            fallback=bool(update.fallback),
            cost=float(update.cost),
            effects=bool(update.effects),
        )
    )


def _changes(value: Any) -> dict[str, Any]:
    """What is changed, by key."""
    kind = cast("type[Any]", type(value))
    if value is None:
        return {}
    if isinstance(value, StateView):
        raise UnstorableError("changes", _GIVEN)
    if isinstance(value, Mapping):
        changes = dict(cast("Mapping[Any, Any]", value))
        for key in changes:
            if not isinstance(key, str):
                raise UnstorableError("changes", f"the key {key!r} is not text; keys of the state are")
        return changes
    if isinstance(value, type):
        raise UnstorableError("changes", f"{_WHAT}, not the class {value.__qualname__}")
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        found = {name: getattr(value, attribute) for name, attribute in names}
        return {name: each for name, each in found.items() if each is not msgspec.UNSET}
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in kind.__dataclass_fields__}
    if hasattr(value, "__pydantic_validator__") and hasattr(value, "model_fields_set"):
        return _of_model(value)
    raise UnstorableError("changes", f"{_WHAT}, not {kind.__qualname__} ({value!r:.60})")


def _of_model(model: Any) -> dict[str, Any]:
    """The fields of a model that were set, as its own serialisers write them."""
    try:
        fields = codec.decode(codec.encode(model), dict[str, msgspec.Raw])
    except UnstorableError as error:
        raise UnstorableError(f"changes{error.path.removeprefix('$')}", error.why) from None
    return {name: each for name, each in fields.items() if name in model.model_fields_set}


def _encoded(key: str, value: Any) -> bytes:
    try:
        return codec.encode(value)
    except UnstorableError as error:
        raise UnstorableError(f"changes{_segment(key)}{error.path.removeprefix('$')}", error.why) from None


def _segment(key: str) -> str:
    return f".{key}" if key.isidentifier() else f"[{key!r}]"


def _is_cost(cost: Any) -> bool:
    return isinstance(cost, int | float) and not isinstance(cost, bool) and math.isfinite(cost) and cost >= 0
