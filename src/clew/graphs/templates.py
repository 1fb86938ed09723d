"""From data with ``{{ … }}`` in it to bindings: what each name stands for is asked of a scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

from clew.graphs.expressions import ExpressionError, Reference, is_template, parse, quoted
from clew.graphs.handles import UNBOUND, bind
from clew.graphs.names import did_you_mean, listed
from clew.kernel.values import Binding, DictOf, Expression, ListOf, Pick

Keys = tuple[str | int, ...]


class Meaning(NamedTuple):
    """What a reference stands for.

    Attributes:
        binding: the value that its first name (with `inside`, first two) stands for.
        inside: its first name is a mapping of names (``input``, ``nodes``), and the second one of those.
        late: it is looked up when the text is evaluated, also if the text is nothing but this reference; so it is
            an error if it is not there then, and not nothing.
    """

    binding: Binding
    inside: bool = False
    late: bool = False


class UnknownNameError(Exception):
    """A name of an expression means nothing; the message says which, and offers the nearest."""


class Scope(Protocol):
    """Knows the names of an expression."""

    def meaning(self, reference: Reference) -> Meaning:
        """What a reference stands for.

        Raises:
            UnknownNameError: nothing.
        """
        ...


Report = Callable[[Keys, str], None]


class Template:
    """Turns one value of a definition into a binding.

    Args:
        scope: knows the names.
        where: what to put into errors at run time, e.g. ``audit.yaml: nodes.fetch.with.text``.
        report: is told what is wrong, with the keys inside the value.
        graph: the graph whose handles are welcome beside texts; None is none.
    """

    def __init__(self, scope: Scope, where: str, report: Report, graph: object = None) -> None:
        self._scope = scope
        self._where = where
        self._report = report
        self._graph = graph

    def binding(self, value: Any, keys: Keys = (), *, shell: bool = False) -> Binding:
        """The binding of a value.

        Args:
            value: plain data.
            keys: where it stands inside the whole.
            shell: text is a line for the shell, so values in it are quoted.
        """
        if not _holds_template(value):
            return bind(value, self._graph, lambda sentence: self._report(keys, sentence))
        if isinstance(value, str):
            return self._text(value, keys, shell=shell)
        if isinstance(value, dict):
            parts = cast("dict[str, Any]", value)
            return DictOf({key: self.binding(part, (*keys, key)) for key, part in parts.items()})
        items = cast("list[Any]", value)
        return ListOf(tuple(self.binding(part, (*keys, i)) for i, part in enumerate(items)))

    def _text(self, source: str, keys: Keys, *, shell: bool) -> Binding:
        where = self._where + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
        try:
            parsed = parse(source)
            wrong, names = self._names(parsed.references)
            for sentence in wrong:
                self._report(keys, str(ExpressionError(sentence, source)))
            if wrong:
                return UNBOUND
            if shell:
                return Expression(quoted(source), names, where)
            meaning = self._scope.meaning(parsed.plain) if parsed.plain else None
            if parsed.plain is None or meaning is None or meaning.late:
                return Expression(source, names, where)
            path = parsed.plain.path[1:] if meaning.inside else parsed.plain.path
            return Pick(meaning.binding, path) if path else meaning.binding
        except ExpressionError as error:
            self._report(keys, str(error))
            return UNBOUND

    def _names(self, references: tuple[Reference, ...]) -> tuple[list[str], dict[str, Binding]]:
        wrong: list[str] = []
        direct: dict[str, Binding] = {}
        nested: dict[str, dict[str, Binding]] = {}
        for reference in references:
            try:
                binding, inside, _ = self._scope.meaning(reference)
            except UnknownNameError as error:
                wrong.append(str(error))
                continue
            if inside:
                nested.setdefault(reference.name, {})[str(reference.path[0])] = binding
            else:
                direct[reference.name] = binding
        return wrong, {**{name: DictOf(parts) for name, parts in nested.items()}, **direct}


class GivenNames:
    """The scope of a template in Python: the inputs given beside it. `checks` tells of those that are missing."""

    def __init__(self, inputs: dict[str, Binding]) -> None:
        self._inputs = inputs

    def meaning(self, reference: Reference) -> Meaning:
        """See `Scope`."""
        return Meaning(self._inputs.get(reference.name, UNBOUND))


class OwnInputs:
    """The scope of a text about a node: the node's own inputs.

    Args:
        inputs: of the node.
    """

    def __init__(self, inputs: dict[str, Binding]) -> None:
        self._inputs = inputs

    def meaning(self, reference: Reference) -> Meaning:
        """See `Scope`."""
        name = reference.name
        if name not in self._inputs:
            has = f"; it has {listed(self._inputs, last='and')}" if self._inputs else ""
            raise UnknownNameError(f"the node has no input {name!r}{did_you_mean(name, self._inputs) or has}")
        return Meaning(self._inputs[name])


def template_names(value: Any) -> list[str]:
    """The names that the expressions in a value use, in order; those that are not valid have none."""
    match value:
        case str() if is_template(value):
            try:
                return list(dict.fromkeys(reference.name for reference in parse(value).references))
            except ExpressionError:
                return []
        case dict():
            parts = list(cast("dict[str, Any]", value).values())
        case list() | tuple():
            parts = list(cast("list[Any]", value))
        case _:
            return []
    return list(dict.fromkeys(name for part in parts for name in template_names(part)))


def _holds_template(value: Any) -> bool:
    match value:
        case str():
            return is_template(value)
        case dict():
            return any(map(_holds_template, cast("dict[Any, Any]", value).values()))
        case list() | tuple():
            return any(map(_holds_template, cast("list[Any]", value)))
        case _:
            return False
