"""The keys of a state graph, read from what declares them: a TypedDict, a dataclass, a Struct, a model, a mapping.

A key has a type, a reducer (``Annotated[list[str], append]``), and perhaps a value at the start. Keys of a
TypedDict or a mapping have none and need none: such a key is not there until somebody writes it. Of a dataclass, a
`msgspec.Struct` or a pydantic model, the defaults are the values at the start, and a field without a default has
to be given to a run.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple, cast, get_args, get_origin

import msgspec

from clew import codec
from clew.errors import InvalidInputError, UnstorableError
from clew.graphs.hints import told
from clew.graphs.names import Place
from clew.graphs.reducers import is_reducer, reducer_of, reducer_problem
from clew.graphs.signatures import positional
from clew.kernel.definition import Reducer

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUALIFIERS = frozenset(("Required", "NotRequired", "ReadOnly"))
_WHAT = "a schema is a TypedDict, a dataclass, a Struct, a pydantic model, or a mapping of names to types, not "


@dataclass(slots=True, kw_only=True)
class KeyDraft:
    """One key of a state as it was declared.

    Attributes:
        name: its name.
        hint: its annotation, without the reducer.
        reducer: what becomes of what is written to it.
        custom: the function of a custom reducer.
        default: JSON text of its value at the start; empty if it is not there until it is written.
        required: a run cannot be started without it.
        own: a node writes it by itself (a decision, what has failed), and nobody declared it.
        description: one line for people.
    """

    name: str
    hint: Any = Any
    reducer: Reducer = Reducer.ERROR
    custom: Callable[..., Any] | None = None
    default: bytes = b""
    required: bool = False
    own: bool = False
    description: str = ""

    @property
    def type(self) -> str:
        """Its type as people write it."""
        return told(self.hint)

    @property
    def written(self) -> Any:
        """The annotation of what may be written to it; a reducer of the user's own says it by its own."""
        if self.custom is None:
            return self.hint
        parameters = positional(self.custom)
        return parameters[1].hint if len(parameters) > 1 else Any


@dataclass(slots=True, kw_only=True)
class Schema:
    """What a state graph has in its state.

    Attributes:
        name: of the class that declares it; empty for a mapping.
        declared: that class; None for a mapping.
        keys: by name, in order.
        problems: what is wrong with it, as (key, sentence); without a key, it is about all of it.
        places: where single keys were written, if that is known.
    """

    name: str = ""
    declared: type | None = None
    keys: dict[str, KeyDraft] = field(default_factory=dict[str, KeyDraft])
    problems: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    places: dict[str, Place] = field(default_factory=dict[str, Place])


class _Declared(NamedTuple):
    """A field of a class before its annotation is looked at."""

    name: str
    hint: Any
    default: Any = msgspec.UNSET
    optional: bool = False


def read_schema(schema: Any) -> Schema:
    """Read the keys of a state; what is wrong with them stands in `Schema.problems`."""
    found = Schema()
    if isinstance(schema, Mapping):
        fields = [_Declared(str(name), hint, optional=True) for name, hint in cast("Any", schema).items()]
    elif isinstance(schema, type):
        found.name, found.declared = schema.__name__, schema
        fields = [*_fields(schema, found)]
    else:
        found.problems.append(("", f"{_WHAT}{schema!r:.80}"))
        return found
    for each in fields:
        found.keys[each.name] = _key(each, found)
    if not found.keys and not found.problems:
        found.problems.append(("", "it has no keys"))
    return found


def written_key(name: str, hint: Any) -> KeyDraft:
    """A key that a node writes by itself."""
    return KeyDraft(name=name, hint=hint, reducer=Reducer.REPLACE, own=True)


def graph_name(schema: Schema) -> str:
    """The name that a state graph has by its schema: `ResearchState` makes ``research_state``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", schema.name)
    return words.strip("_").lower() or "state_graph"


def key_name_problem(name: str) -> str:
    """Why a key cannot have this name; empty if it can."""
    if name.startswith("__"):
        return "names that begin with __ are Clew's own"
    if "." in name:
        return "names with a dot are written by nodes, as NAME.approved by a barrier, and there is no such node"
    return "" if _KEY.fullmatch(name) else "the name has letters, digits and _, and starts with no digit"


def _fields(schema: type[Any], found: Schema) -> Iterator[_Declared]:
    if typing.is_typeddict(schema):
        for name, hint in _hints(schema, found).items():
            yield _Declared(name, hint, optional=True)
    elif issubclass(schema, msgspec.Struct):
        for each in msgspec.structs.fields(schema):
            default = _default(each.default, each.default_factory, msgspec.NODEFAULT)
            yield _Declared(each.encode_name, each.type, default)
    elif dataclasses.is_dataclass(schema):
        hints = _hints(schema, found)
        for each in dataclasses.fields(schema):
            default = _default(each.default, each.default_factory, dataclasses.MISSING)
            yield _Declared(each.name, hints.get(each.name, Any), default)
    elif hasattr(schema, "model_fields") and hasattr(schema, "model_validate_json"):
        yield from _of_model(schema, found)
    else:
        found.problems.append(("", f"{_WHAT}{schema.__qualname__}"))


def _of_model(model: Any, found: Schema) -> Iterator[_Declared]:
    hints = _hints(model, found)
    for name, each in model.model_fields.items():
        if each.alias or each.validation_alias or each.serialization_alias:
            found.problems.append((name, "a key of a state has one name; leave its alias out"))
        missing = each.is_required()
        value = msgspec.UNSET if missing else each.get_default(call_default_factory=True, validated_data={})
        yield _Declared(name, hints.get(name, each.annotation), value)


def _default(value: Any, factory: Any, missing: Any) -> Any:
    if value is not missing:
        return value
    return factory() if factory is not missing else msgspec.UNSET


def _hints(schema: type[Any], found: Schema) -> dict[str, Any]:
    """Annotations with their metadata; one that cannot be read is told, and hides none of the others."""
    read: Callable[..., dict[str, Any]] = typing.get_type_hints
    try:
        return read(schema, include_extras=True)
    except Exception:  # whatever an annotation raises: they are looked at one by one
        given = {name: hint for base in reversed(schema.__mro__) for name, hint in _annotations(base).items()}
    known = vars(sys.modules[schema.__module__])
    hints: dict[str, Any] = {}
    for name, hint in given.items():
        try:
            hints[name] = read(SimpleNamespace(__annotations__={name: hint}), known, include_extras=True)[name]
        except Exception as error:
            hints[name] = Any
            found.problems.append((name, f"its annotation cannot be read: {error}"))
    return hints


def _annotations(base: type[Any]) -> dict[str, Any]:
    return {} if base.__module__ == "builtins" else inspect.get_annotations(base)


def _key(declared: _Declared, found: Schema) -> KeyDraft:
    name = declared.name

    def report(sentence: str) -> None:
        found.problems.append((name, sentence))

    hint, functions = _taken_apart(declared.hint)
    key = KeyDraft(name=name, hint=hint)
    if wrong := codec.hint_problem(hint):
        report(f"no stored value can be given to it: {wrong}")
        key.hint = Any
    if len(functions) > 1:
        report("it has several reducers; put them together in one function(old, new) -> value")
    elif functions:
        key.reducer = reducer_of(functions[0], hint)
        key.custom = functions[0] if key.reducer is Reducer.CUSTOM else None
        if wrong := reducer_problem(key.reducer, functions[0], hint):
            report(wrong)
    if declared.default is not msgspec.UNSET:
        try:
            key.default = codec.encode(declared.default)
            codec.decode(key.default, key.hint)
        except (UnstorableError, InvalidInputError) as error:
            report(f"its default does not fit: {error}")
    key.required = not declared.optional and declared.default is msgspec.UNSET
    return key


def _taken_apart(hint: Any) -> tuple[Any, list[Callable[..., Any]]]:
    """An annotation without what is said about the key, and the functions that stand in it as reducers."""
    functions: list[Callable[..., Any]] = []
    while True:
        origin = get_origin(hint)
        if origin is typing.Annotated:
            inner, *metadata = get_args(hint)
            functions += [each for each in metadata if is_reducer(each)]
            kept = [each for each in metadata if not is_reducer(each)]
            if not _is_qualified(inner):
                return (typing.Annotated[inner, *kept] if kept else inner), functions
            hint = inner
        elif _is_qualified(hint):
            hint = get_args(hint)[0]
        else:
            return hint, functions


def _is_qualified(hint: Any) -> bool:
    return getattr(get_origin(hint), "_name", "") in _QUALIFIERS
