"""The state of a state graph in a file: keys with types and reducers, or a class of a module."""

from __future__ import annotations

from typing import Any, cast

from clew import codec
from clew.errors import InvalidInputError
from clew.graphs.documents import Document, Keys
from clew.graphs.file_bodies import BodyReader
from clew.graphs.forms import Wrong, bad_below, is_named
from clew.graphs.importing import ImportProblem
from clew.graphs.input_types import TypeTextError, parse_type
from clew.graphs.reducers import reducer_of, reducer_problem
from clew.graphs.route_schema import REDUCERS
from clew.graphs.state_schema import KeyDraft, Schema, read_schema
from clew.kernel.definition import Reducer


def read_state(
    declared: Any, keys: Keys, document: Document, bodies: BodyReader, wrong: Wrong, problems: list[str]
) -> Schema:
    """The keys of a state.

    Args:
        declared: what the file says.
        keys: its address.
        document: the file.
        bodies: finds the functions, and the class.
        wrong: what does not have the form; keys in which something is wrong are there, of any type.
        problems: takes what is wrong, as it is shown.

    Raises:
        ImportProblem: the class is not found.
    """
    if isinstance(declared, str):
        return read_schema(bodies.named(declared))
    found, bad = Schema(), bad_below(keys, wrong)
    for name, value in cast("dict[str, Any]", declared).items():
        if not is_named((*keys, name), wrong):
            continue
        fields = cast("dict[str, Any]", value if isinstance(value, dict) else {"type": value})
        found.places[name] = document.place((*keys, name), of_key=True)
        reader = _KeyReader((*keys, name), document, bodies, problems)
        found.keys[name] = reader.read({} if name in bad else fields)
    return found


class _KeyReader:
    """Reads one key."""

    def __init__(self, keys: Keys, document: Document, bodies: BodyReader, problems: list[str]) -> None:
        self._keys = keys
        self._document = document
        self._bodies = bodies
        self._problems = problems

    def read(self, fields: dict[str, Any]) -> KeyDraft:
        key = KeyDraft(name=str(self._keys[-1]), description=fields.get("description", ""))
        key.required = fields.get("required", False)
        if fields.get("type"):
            try:
                key.hint = parse_type(fields["type"])
            except TypeTextError as error:
                self._tell("type", str(error))
        if "reducer" in fields:
            self._reduce(key, fields["reducer"])
        if "default" in fields:
            key.default = codec.encode(fields["default"])
            try:
                codec.decode(key.default, key.hint)
            except InvalidInputError as error:
                self._tell("default", f"the default does not fit: {error}")
            if key.required:
                self._tell("default", "what has a default is not required; leave one of the two out")
        return key

    def _reduce(self, key: KeyDraft, reducer: str) -> None:
        if reducer in REDUCERS:
            key.reducer = Reducer(reducer)
        else:
            try:
                function = self._bodies.function(reducer)
            except ImportProblem as error:
                self._tell("reducer", str(error))
                return
            key.reducer = reducer_of(function, key.hint)
            key.custom = function if key.reducer is Reducer.CUSTOM else None
        if wrong := reducer_problem(key.reducer, key.custom, key.hint):
            self._tell("reducer", wrong)

    def _tell(self, about: str, sentence: str) -> None:
        place = self._document.place((*self._keys, about))
        self._problems.append(place.before(f"state, key {str(self._keys[-1])!r}: {sentence}"))
