"""The expression language of graph files and templates: ``{{ … }}`` with text around it or alone.

A string that is one expression gives the value itself; with text around it, text: strings as they are,
everything else as JSON. There are no statements and so no loops; `sandbox` bounds what one expression can
reach and cost. jinja2 is imported with the first expression, not with this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from clew.errors import ClewError
from clew.graphs.names import did_you_mean, listed

if TYPE_CHECKING:
    from jinja2 import nodes

#: Characters of one text with expressions.
MAX_SOURCE = 100_000

_STATEMENT = re.compile(
    r"\{%[-+]?\s*(if|elif|else|endif|for|endfor|set|macro|include|import|from|extends|block|raw|with|filter)\b"
)
#: Names that jinja2 gives a meaning of its own.
_RESERVED = frozenset({"self", "super", "caller", "varargs", "kwargs", "loop"})
_SHOWN = 80


class ExpressionError(ClewError):
    """An expression is not valid, or has no value.

    Args:
        why: what is wrong.
        source: the text.
        where: the file and key that it was read from.
    """

    def __init__(self, why: str, source: str, where: str = "") -> None:
        shown = source if len(source) <= _SHOWN else f"{source[: _SHOWN - 1]}…"
        super().__init__(f"{where}: {shown!r}: {why}" if where else f"{shown!r}: {why}")
        self.why = why


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in an expression, with the fields and indexes after it as far as they are constant."""

    name: str
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """What is known of a text before it has a value.

    Attributes:
        references: what it refers to.
        whole: it is one expression without text around it, so that the value keeps its type.
        plain: it is nothing but this reference.
    """

    references: tuple[Reference, ...]
    whole: bool
    plain: Reference | None

    @property
    def names(self) -> frozenset[str]:
        """The top-level names."""
        return frozenset(reference.name for reference in self.references)


def is_template(text: str) -> bool:
    """Whether a text has expressions in it (or what looks like statements, which `parse` refuses)."""
    return "{{" in text or _STATEMENT.search(text) is not None


@lru_cache(maxsize=4096)
def parse(source: str) -> Parsed:
    """Read a text with expressions.

    Raises:
        ExpressionError: it is too long, or not valid.
    """
    parts = _outputs(source)
    expressions = [part for part in parts if not _is_text(part)]
    found = dict.fromkeys(reference for part in expressions for reference in _references(part))
    for part in expressions:
        _check_filters(part, source)
    for reference in found:
        if reference.name in _RESERVED:
            raise ExpressionError(
                f'the name {reference.name!r} is reserved; write nodes["{reference.name}"]', source
            )
    whole = _only(source, parts)
    return Parsed(tuple(found), whole is not None, _path(whole) if whole is not None else None)


def evaluate(source: str, names: Mapping[str, Any], where: str = "") -> Any:
    """The value of a text with expressions.

    Args:
        source: the text.
        names: plain values for its top-level names; one that is missing is undefined, which only
            ``default(…)`` and ``is defined`` accept.
        where: the file and key that it was read from, for messages.

    Raises:
        ExpressionError: it is not valid, or has no value.
    """
    from clew.graphs.sandbox import value_of  # noqa: PLC0415 -- jinja2 takes its time

    template, whole = _compiled(source)
    try:
        return value_of(template, names, whole=whole)
    except RecursionError:
        raise ExpressionError("it is nested too deeply", source, where) from None
    except Exception as error:
        raise ExpressionError(str(error) or type(error).__name__, source, where) from error


def quoted(source: str) -> str:
    """The same text with each value quoted for the shell, unless it ends in ``| unquoted``.

    Raises:
        ExpressionError: an expression stands inside quotes, where quoting would undo itself.
    """
    from clew.graphs.sandbox import environment  # noqa: PLC0415 -- jinja2 takes its time

    parse(source)
    parts: list[str] = []
    quote = ""
    inside: list[str] = []
    for _, kind, text in environment().lex(source):
        if kind == "variable_begin":
            parts += [text, "("]
            inside = []
        elif kind == "variable_end":
            if quote and "".join(inside).rpartition("|")[2].strip() != "unquoted":
                why = f"{{{{{''.join(inside)}}}}} stands inside quotes; leave the quotes out, Clew sets them"
                raise ExpressionError(f"{why} (or add `| unquoted`)", source)
            parts += [")|quote ", text]
        else:
            parts.append(text)
            inside.append(text)
            if kind == "data":
                quote = _quote_after(quote, text)
    return "".join(parts)


def _quote_after(quote: str, text: str) -> str:
    """The kind of quotes that are open in a line of shell after some more of its text."""
    escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
    return quote


def _outputs(source: str) -> list[nodes.Expr]:
    """Texts and expressions of a source, in order."""
    from jinja2 import TemplateError, nodes  # noqa: PLC0415 -- jinja2 takes its time

    from clew.graphs.sandbox import environment  # noqa: PLC0415

    if len(source) > MAX_SOURCE:
        raise ExpressionError(f"it has {len(source):,} characters; {MAX_SOURCE:,} is the most", source)
    if statement := _STATEMENT.search(source):
        why = f"statements ({statement[0]} … %}}) are not part of the language"
        raise ExpressionError(f"{why}; use {{{{ a if b else c }}}} or filters", source)
    try:
        tree = environment().parse(source)
    except TemplateError as error:
        line = getattr(error, "lineno", 1)
        why = "a {{ is not closed" if "unexpected end of template" in str(error.message) else error.message
        raise ExpressionError(f"{why}{f' (its line {line})' if line > 1 else ''}", source) from None
    except RecursionError:
        raise ExpressionError("it is nested too deeply", source) from None
    return [part for output in tree.body if isinstance(output, nodes.Output) for part in output.nodes]


@lru_cache(maxsize=1024)
def _compiled(source: str) -> tuple[Any, bool]:
    from clew.graphs.sandbox import compile_text, compile_value  # noqa: PLC0415 -- jinja2 takes its time

    whole = _only(source, _outputs(source))
    try:
        return (compile_text(source) if whole is None else compile_value(whole)), whole is not None
    except Exception as error:
        raise ExpressionError(str(error), source) from None


def _only(source: str, parts: list[nodes.Expr]) -> nodes.Expr | None:
    """The expression that a source consists of, if it is just one with nothing around it but space."""
    if not (source.lstrip().startswith("{{") and source.rstrip().endswith("}}")):
        return None
    solid = [part for part in parts if not (_is_text(part) and not getattr(part, "data", "").strip())]
    return solid[0] if len(solid) == 1 and not _is_text(solid[0]) else None


def _check_filters(expression: nodes.Expr, source: str) -> None:
    from jinja2 import nodes  # noqa: PLC0415 -- jinja2 takes its time

    from clew.graphs.sandbox import environment  # noqa: PLC0415

    kinds: dict[Any, dict[str, Any]] = {nodes.Filter: environment().filters, nodes.Test: environment().tests}
    for node in (expression, *expression.find_all((nodes.Filter, nodes.Test))):
        known = kinds.get(type(node), {})
        name: str = getattr(node, "name", "")
        if known and name not in known:
            near = did_you_mean(name, known) or f"; there are {listed(sorted(known), limit=60, last='and')}"
            raise ExpressionError(f"there is no {type(node).__name__.lower()} {name!r}{near}", source)


def _is_text(part: nodes.Expr) -> bool:
    return type(part).__name__ == "TemplateData"


def _references(node: nodes.Node) -> Iterator[Reference]:
    from jinja2 import nodes  # noqa: PLC0415 -- jinja2 takes its time

    if isinstance(node, nodes.Call):
        if not (isinstance(node.node, nodes.Name) and node.node.name == "range"):
            # The last name of `fetch.title.upper()` is a method, no field.
            yield from _references(node.node.node if isinstance(node.node, nodes.Getattr) else node.node)
        for child in (*node.args, *node.kwargs):
            yield from _references(child)
        return
    path = _path(node)
    if path is not None:
        yield path
        return
    for child in node.iter_child_nodes():
        yield from _references(child)


def _path(node: nodes.Node) -> Reference | None:
    from jinja2 import nodes  # noqa: PLC0415 -- jinja2 takes its time

    match node:
        case nodes.Name():
            return Reference(node.name)
        case nodes.Getattr():
            key: Any = node.attr
        case nodes.Getitem(arg=nodes.Const(value=value)):
            key = value
        case nodes.Getitem(arg=nodes.Neg(node=nodes.Const(value=int() as value))):
            key = -value
        case _:
            return None
    before = _path(node.node)
    if before is None or isinstance(key, bool) or not isinstance(key, str | int):
        return None
    return Reference(before.name, (*before.path, key))
