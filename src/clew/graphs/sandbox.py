"""The sandbox of the expression language: jinja2, narrowed to plain data, a short list of filters, and bounds.

Expressions may come from anybody, also from a model. What they can reach are plain values (text, numbers,
lists, mappings) and the methods listed here; attributes of Python objects are never looked up. What they can
cost is bounded by having no statements, and by looking at sizes before `*`, `**`, `join` and `replace`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import ItemsView, Iterable, KeysView, Mapping, ValuesView
from functools import cache, partial
from types import GeneratorType
from typing import Any, cast

from jinja2 import StrictUndefined, Undefined, nodes
from jinja2.environment import Template
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from clew.graphs.names import did_you_mean, listed

#: Characters of a text, items of a list that an expression makes.
MAX_OUTPUT = 10_000_000
MAX_RANGE = 10_000
_MAX_BITS = 10_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_METHODS: dict[type, frozenset[str]] = {
    str: _words(
        "upper lower title capitalize swapcase casefold strip lstrip rstrip removeprefix removesuffix split "
        "rsplit splitlines partition rpartition startswith endswith find rfind index count isdigit isalpha "
        "isalnum isnumeric isspace islower isupper"
    ),
    dict: _words("get items keys values"),
    list: _words("index count"),
}
_FILTERS = _words(
    "abs capitalize count d default dictsort first float groupby int items last length list lower map max min "
    "reject rejectattr reverse select selectattr sort sum title trim truncate unique upper urlencode"
)


class Quoted(str):
    """Text that is ready for a shell."""

    __slots__ = ()


class TooMuch(ValueError):
    """An expression would make more than is allowed."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Looks up fields of mappings first, then listed methods, and nothing else."""

    intercepted_binops = frozenset(("*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(
            # There are no statements and no comments: `{%` and `{#` are text, as shells and formats need it.
            block_start_string="\0{%",
            block_end_string="%}\0",
            comment_start_string="\0{#",
            comment_end_string="#}\0",
            undefined=StrictUndefined,
            finalize=as_text,
            keep_trailing_newline=True,
            optimized=False,
            autoescape=False,
            cache_size=0,
        )
        self.globals: dict[str, Any] = {"range": _range}
        self.filters = {name: FILTERS[name] for name in _FILTERS} | {
            "fromjson": json.loads,
            "join": _join,
            "json": _json,
            "quote": quote,
            "replace": _replace,
            "round": _round,
            "string": as_text,
            "tojson": _json,
            "unquoted": _unquoted,
        }

    def getattr(self, obj: Any, attribute: str) -> Any:
        """The field or method of a value."""
        kind = cast("Any", type(obj))
        if kind is dict and attribute in obj:
            return obj[attribute]
        if kind is str and attribute in ("join", "replace"):
            return partial(_replace if attribute == "replace" else _joined_by, obj)
        if attribute in _METHODS.get(kind, ()):
            return getattr(obj, attribute)
        return self._missing(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """The part of a value."""
        try:
            return obj[argument]
        except (TypeError, LookupError):
            return self._missing(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The result of `*`, `**` or `%`, if it is not too large."""
        if operator == "%" and isinstance(left, str | bytes):
            raise TooMuch("% does not format text here; write a ~ b")
        if operator == "**":
            _check_power(left, right)
        elif operator == "*":
            _check_product(left, right)
        return super().call_binop(context, operator, left, right)

    def _missing(self, obj: Any, key: Any) -> Undefined:
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, dict):
            names = [str(name) for name in cast("dict[Any, Any]", obj)]
            has = f"it has {listed(names, last='and')}" if names else "it is empty"
            return self.undefined(f"there is no {key!r}{did_you_mean(str(key), names) or f'; {has}'}")
        if isinstance(obj, list | tuple):
            size = len(cast("list[Any]", obj))
            return self.undefined(f"a list of {size} items has no {key!r}")
        return self.undefined(f"{_kind(obj)} has no {key!r}")


@cache
def environment() -> Sandbox:
    """The one environment; it has no state."""
    return Sandbox()


def compile_text(source: str) -> Template:
    """Compile a text with expressions in it."""
    return environment().from_string(source)


def compile_value(expression: nodes.Expr) -> Template:
    """Compile one expression, whose value keeps its type (as jinja2's own `compile_expression` does)."""
    body: list[nodes.Node] = [nodes.Assign(nodes.Name("result", "store"), expression, lineno=1)]
    tree = nodes.Template(body, lineno=1)
    tree.set_environment(environment())
    return environment().from_string(tree)


def value_of(template: Template, names: Mapping[str, Any], *, whole: bool) -> Any:
    """Evaluate what was compiled."""
    if not whole:
        parts: list[str] = []
        size = 0
        for part in template.root_render_func(template.new_context(dict(names))):
            size += len(part)
            _check_size(size)
            parts.append(part)
        return "".join(parts)
    context = template.new_context(dict(names))
    for _ in template.root_render_func(context):
        pass
    return _plain(context.vars["result"])


def as_text(value: Any) -> str:
    """A value inside of text: strings as they are, everything else as JSON."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Undefined):
        return str(value)  # raises, and says what is undefined
    return _json(value)


def quote(value: Any) -> Quoted:
    """Text that a shell reads as one word; a list, as many words."""
    if isinstance(value, Quoted):
        return value
    plain = _plain(value)
    words = cast("list[Any]", plain) if isinstance(plain, list) else [plain]
    return Quoted(" ".join(shlex.quote(as_text(word)) for word in words))


def _unquoted(value: Any) -> Quoted:
    return Quoted(as_text(value))


def _plain(value: Any) -> Any:
    """The value as plain data; filters give generators, ranges and tuples."""
    match value:
        case bool() | int() | float() | None:
            return value
        case str():
            return str.__str__(value)
        case Undefined():
            return str(value)  # raises, and says what is undefined
        case dict():
            return {str(key): _plain(part) for key, part in cast("dict[Any, Any]", value).items()}
        case list() | tuple() | range() | GeneratorType() | map() | filter() | reversed():
            return [_plain(part) for part in cast("Iterable[Any]", value)]
        case _ if isinstance(value, KeysView | ValuesView | ItemsView):
            return [_plain(part) for part in cast("Iterable[Any]", value)]
        case _ if callable(value):
            raise TypeError("a method is no value; call it: ()")
        case _:
            return value


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > MAX_RANGE:
        raise TooMuch(f"range has more than {MAX_RANGE:,} items")
    return made


def _join(value: Any, separator: str = "", attribute: str | int | None = None) -> str:
    parts = cast("Iterable[Any]", value)
    if attribute is not None:
        parts = [environment().getitem(part, attribute) for part in parts]
    return _joined_by(separator, parts)


def _joined_by(separator: str, parts: Iterable[Any]) -> str:
    texts = [as_text(part) for part in parts]
    _check_size(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    text = as_text(text)
    _check_size(len(text) + (text.count(old) if old else len(text) + 1) * len(new))
    return text.replace(old, new, count)


def _round(value: float, digits: int = 0) -> float:
    return round(value, max(-20, min(digits, 20))) if digits else round(value)


def _json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False)


def _check_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * max(right, 0) > _MAX_BITS:
        raise TooMuch(f"{left} ** {right} is too large")


def _check_product(left: Any, right: Any) -> None:
    for many, times in ((left, right), (right, left)):
        if isinstance(many, str | bytes | list | tuple) and isinstance(times, int):
            size = len(cast("list[Any]", many)) * max(times, 0)
            _check_size(size * (1 if isinstance(many, str) else MAX_OUTPUT // MAX_RANGE))
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > 2 * _MAX_BITS:
        raise TooMuch("the product is too large")


def _check_size(size: int) -> None:
    if size > MAX_OUTPUT:
        raise TooMuch(f"it would make {size:,} characters; {MAX_OUTPUT:,} is the most")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case str():
            return "text"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case _:
            return type(value).__name__
