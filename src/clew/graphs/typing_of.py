"""The declared type of every binding of a graph, and where it does not fit what takes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict, Union, get_args, get_origin

from clew import codec
from clew.errors import InvalidInputError
from clew.graphs.arguments import is_constant
from clew.graphs.bodies import Description
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.expressions import parse
from clew.graphs.handles import tell
from clew.graphs.hints import NOTHING, bare, fields_of, fits, item_of, members_of, part_of, told
from clew.graphs.names import did_you_mean, listed
from clew.graphs.signatures import Parameter
from clew.graphs.state_schema import KeyDraft
from clew.graphs.updates import Update
from clew.kernel.values import (
    Binding,
    DictOf,
    Expression,
    FromInput,
    FromItem,
    FromNode,
    FromOutput,
    FromState,
    ListOf,
    Literal,
    Pick,
)

Problem = tuple[str, str]


class Types:
    """Types in one graph; each is found once.

    Args:
        graph: the graph, free of sub-graphs that contain themselves.
    """

    def __init__(self, graph: GraphDraft) -> None:
        self._graph = graph
        self._returns: dict[str, Any] = {}
        self._keys = graph.keys or {}
        #: What `output` is in what is just looked at.
        self._output: Any = Any

    def input_problems(self, draft: Draft) -> list[Problem]:
        """Inputs of a node that do not fit its parameters."""
        found = self.misfits_of(draft, "", draft.inputs, draft.signature.parameters)
        item = self._item(draft)
        told_already = {sentence for _, sentence in found}
        taken = (
            draft.body.signature.parameters if isinstance(draft.body, Description) and draft.body.signature else {}
        )
        for name, binding in (draft.stored_inputs or {}).items():
            # Constants are held against the schema of the tool (`calls`).
            hint = taken[name].hint if name in taken and not is_constant(binding) else Any
            found += [each for each in self._problems(name, binding, hint, item) if each[1] not in told_already]
        return found

    def misfits_of(
        self, draft: Draft, owner: str, inputs: Mapping[str, Binding], parameters: Mapping[str, Parameter]
    ) -> list[Problem]:
        """Inputs that do not fit parameters.

        Args:
            draft: the node that they are inputs of.
            owner: what has the parameters, if not the node's body; `probe`.
            inputs: by the name of the parameter.
            parameters: of the body, or of `owner`; a name that is not there takes anything.
        """
        found: list[Problem] = []
        item = self._item(draft)
        for name, binding in inputs.items():
            about = f"{owner}.{name}" if owner else f"parameter {name!r}"
            hint = parameters[name].hint if name in parameters else Any
            found += self._problems(about, binding, hint, item)
            if wrong := codec.hint_problem(hint):
                found.append((about, f"no stored value can be given to it: {wrong}"))
        return found

    def exclusive_problems(self, draft: Draft) -> Iterator[Problem]:
        """A key that is declared and no text, or that names fields which do not exist."""
        if draft.exclusive is None:
            return
        item = self._item(draft)
        wrong = [*self._problems("exclusive", draft.exclusive, Any, item)]
        yield from wrong
        hint = self.of(draft.exclusive, item)
        if not wrong and not fits(hint, str):
            named = self._named(draft.exclusive)
            yield "exclusive", f"{named} is {told(hint)}, and a key is text, as in 'user-{{{{ id }}}}'"

    def map_problems(self, draft: Draft) -> Iterator[Problem]:
        """A map over what is declared and no list."""
        assert draft.map is not None
        wrong = [*self._problems("over", draft.map.over, Any, Any)]
        yield from wrong
        hint = self.of(draft.map.over, Any)
        if not wrong and item_of(hint) is NOTHING:
            over = draft.map.over
            yield "over", f"{self._named(over)} is {told(hint)}, and a map runs over a list"

    def set_problems(self, draft: Draft) -> list[Problem]:
        """What a description writes to the state that does not fit its key."""
        found: list[Problem] = []
        self._output = draft.body.returns if isinstance(draft.body, Description) else Any
        for name, binding in draft.sets.items():
            key = self._keys.get(name)
            if key is None:
                found.append((f"sets.{name}", no_key(self._keys, name)))
            found += self._problems(f"sets.{name}", binding, key.written if key else Any, self._item(draft))
        self._output = Any
        return found

    def undo_problems(self, draft: Draft) -> list[Problem]:
        """What the compensation of a node is given that does not fit it."""
        assert draft.undo is not None
        self._output = self._written_by(draft) if self._graph.has_state else _returned_by(draft)
        found = self.misfits_of(draft, "compensate", draft.undo.inputs, draft.undo.signature.parameters)
        self._output = Any
        return found

    def problems_of(self, binding: Binding) -> Iterator[str]:
        """Fields and keys that are named in a binding and do not exist."""
        return (sentence for _, sentence in self._problems("", binding, Any, Any))

    def last(self) -> Iterator[tuple[str, Any]]:
        """The nodes that no other one needs, and what they return."""
        needed = frozenset[str]().union(*(draft.needs for draft in self._graph.nodes))
        return ((name, self._returned(name)) for name in self._graph.index if name not in needed)

    def parts(self, binding: Binding) -> dict[str, Any] | None:
        """The types of the parts of a mapping that is put together; None for everything else."""
        if not isinstance(binding, DictOf):
            return None
        return {name: self.of(part, Any) for name, part in binding.items.items()}

    def of(self, binding: Binding, item: Any) -> Any:
        """The declared type of a binding; `Any` if it is not known.

        Args:
            binding: of this graph.
            item: the type of `item`, inside a map.
        """
        match binding:
            case FromInput(name=name):
                declared = self._graph.inputs.get(name)
                return declared.hint if declared is not None else Any
            case FromNode(node=node):
                return self._returned(node)
            case FromItem():
                return item
            case FromState(key=name) if name in self._keys:
                return self._keys[name].hint
            case FromOutput():
                return self._output
            case Pick():
                of, path = _key_first(binding.of, binding.path)
                hint = self.of(of, item)
                for key in path:
                    hint = part_of(hint, key)
                    if hint is NOTHING:
                        return Any
                return hint
            case ListOf(items=items):
                return list[_union([self.of(part, item) for part in items])]
            case DictOf(items=items):
                return dict[str, _union([self.of(part, item) for part in items.values()])]
            case Expression(source=source, names=names):
                parsed = parse(source)
                if parsed.plain is not None:
                    of, path = _inside(names[parsed.plain.name], parsed.plain.path)
                    return self.of(Pick(of, path) if path else of, item)
                return Any if parsed.whole else str
            case Literal(json=json):
                return _literal_type(codec.decode(json))
            case _:
                return Any

    def _problems(self, about: str, binding: Binding, target: Any, item: Any) -> Iterator[Problem]:
        match binding:
            case Literal(json=json):
                try:
                    codec.decode(json, target if not codec.hint_problem(target) else Any)
                except InvalidInputError as error:
                    yield about, f"the value {_shown(json)} does not fit {told(target)}: {error}"
            case ListOf(items=items) if _parts_are_typed(target, list):
                for i, part in enumerate(items):
                    yield from self._problems(f"{about}[{i}]", part, part_of(target, i), item)
            case DictOf(items=items) if _parts_are_typed(target, dict):
                for key, part in items.items():
                    hint = part_of(target, key)
                    yield from self._problems(f"{about}[{key!r}]", part, Any if hint is NOTHING else hint, item)
            case ListOf(items=items):
                for part in items:
                    yield from self._problems(about, part, Any, item)
                yield from self._misfit(about, binding, target, item)
            case DictOf(items=items):
                for part in items.values():
                    yield from self._problems(about, part, Any, item)
                yield from self._misfit(about, binding, target, item)
            case Expression(source=source, names=names):
                for reference in parse(source).references:
                    missing = self._missing_part(*_inside(names[reference.name], reference.path), item)
                    if missing:
                        yield about, missing
                yield from self._misfit(about, binding, target, item)
            case _:
                of, path = (binding.of, binding.path) if isinstance(binding, Pick) else (binding, ())
                missing = self._missing_part(of, path, item)
                if missing:
                    yield about, missing
                else:
                    yield from self._misfit(about, binding, target, item)

    def _misfit(self, about: str, binding: Binding, target: Any, item: Any) -> Iterator[Problem]:
        source = self.of(binding, item)
        if not fits(source, target):
            yield about, f"{self._named(binding)} is {told(source)}, but {told(target)} is declared"

    def _missing_part(self, of: Binding, path: tuple[str | int, ...], item: Any) -> str:
        of, path = _key_first(of, path)
        if isinstance(of, FromState) and of.key and of.key not in self._keys:
            return no_key(self._keys, of.key, path)
        hint = self.of(of, item)
        for i, key in enumerate(path):
            part = part_of(hint, key)
            if part is NOTHING:
                name = self._named(Pick(of, path[:i]) if i else of)
                fields = fields_of(bare(hint)) or {}
                near = did_you_mean(str(key), fields)
                has = f"; it has {listed(fields, last='and')}" if fields else ""
                return f"{name} is {told(hint)} and has no {key!r}{near or has}"
            hint = part
        return ""

    def _item(self, draft: Draft) -> Any:
        if draft.map is None:
            return Any
        found = item_of(self.of(draft.map.over, Any))
        return Any if found is NOTHING else found

    def _returned(self, node: str) -> Any:
        if node not in self._returns:
            draft = self._graph.index.get(node)
            self._returns[node] = Any
            if draft is not None:
                returned = _returned_by(draft)
                self._returns[node] = returned if draft.map is None else list[returned]
        return self._returns[node]

    def _written_by(self, draft: Draft) -> Any:
        """What a node of a state graph writes, by key, as far as it says so."""
        if isinstance(draft.body, Description):
            keys = {name: self._keys[name].written if name in self._keys else Any for name in draft.sets}
            return TypedDict("what it sets", keys)  # pyright: ignore[reportArgumentType] -- built from data
        written = [each for each in members_of(draft.signature.returns) if each is not type(None)]
        is_told = len(written) == 1 and written[0] is not Update and fields_of(written[0]) is not None
        return written[0] if is_told else Any

    def _named(self, binding: Binding) -> str:
        """A binding in a message; what is taken from around a part of a step, by its name there."""
        return _named(self._graph.as_around(binding))


def no_key(keys: Mapping[str, KeyDraft], name: str, path: tuple[str | int, ...] = ()) -> str:
    """Say that the state has no key of this name.

    Args:
        keys: what it has.
        name: of the key.
        path: what follows it, if it is part of an expression.
    """
    if path and f"{name}.{path[0]}" in keys:
        return f"the state has no key {name!r}; write state['{name}.{path[0]}']"
    has = f"; it has {listed(keys, last='and')}" if keys else ""
    return f"the state has no key {name!r}{did_you_mean(name, keys) or has}"


def _returned_by(draft: Draft) -> Any:
    match draft.body:
        case GraphDraft(unread=True):
            return Any
        case GraphDraft(output=None, routes=None):
            return dict[str, Any]
        case GraphDraft(output=None) as inner:
            fields = {name: key.hint for name, key in (inner.keys or {}).items()}
            return TypedDict(inner.name, fields)  # pyright: ignore[reportArgumentType] -- built from data
        case GraphDraft() as inner:
            assert inner.output is not None
            return Types(inner).of(inner.output, Any)
        case Description() as described:
            return described.returns
        case _:
            return draft.signature.returns


def _named(binding: Binding) -> str:
    match binding:
        case Literal(json=json):
            return f"the value {_shown(json)}"
        case ListOf():
            return "the list"
        case DictOf():
            return "the mapping"
        case Expression():
            return "the text"
        case _:
            return tell(binding)


def _key_first(of: Binding, path: tuple[str | int, ...]) -> tuple[Binding, tuple[str | int, ...]]:
    """A part of the whole state is a key of it, or a part of that."""
    return (FromState(str(path[0])), path[1:]) if of == FromState() and path else (of, path)


def _inside(binding: Binding, path: tuple[str | int, ...]) -> tuple[Binding, tuple[str | int, ...]]:
    """The binding that a path leads to, and the rest of the path: ``input`` and ``nodes`` are mappings of them."""
    while path and isinstance(binding, DictOf) and str(path[0]) in binding.items:
        binding, path = binding.items[str(path[0])], path[1:]
    return binding, path


def _union(found: list[Any]) -> Any:
    if not found or any(hint is Any for hint in found):
        return Any
    return Union[tuple(found)]  # noqa: UP007 -- built from data


def _parts_are_typed(target: Any, kind: type) -> bool:
    """Whether the parts of a list or mapping that is put together have a declared type each."""
    target = bare(target)
    origin = get_origin(target) or target
    if kind is dict:
        return origin is dict or fields_of(target) is not None
    if origin is tuple and get_args(target) and ... not in get_args(target):
        return False
    return item_of(target) is not NOTHING and bare(target) is not Any and get_origin(target) is not Union


def _literal_type(value: Any) -> Any:
    match value:
        case bool() | int() | float() | str() | None:
            return type(value)
        case list():
            return list[Any]
        case _:
            return dict[str, Any]


def _shown(json: Any) -> str:
    text = bytes(json).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"
