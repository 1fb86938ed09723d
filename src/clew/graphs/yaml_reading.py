"""YAML nodes to plain data, with their places and within bounds. Imported with the first YAML file."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from clew.errors import GraphError
from clew.graphs.names import Place

if TYPE_CHECKING:
    from clew.graphs.documents import Document, Keys

_MERGE = "tag:yaml.org,2002:merge"
_PREFIX = "tag:yaml.org,2002:"
#: The core schema of YAML 1.2: `on`, `no`, `1:30` and dates are text.
_CORE = {
    "null": (re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    "int": (re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), list("-+0123456789")),
    "float": (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), list("-+0123456789.")),
    "merge": (re.compile(r"<<"), ["<"]),
}


@cache
def loader_class() -> Any:
    """PyYAML's safe loader (the one in C, if it is there) with the scalars of YAML 1.2."""
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    kind: Any = type("CoreLoader", (base,), {"yaml_implicit_resolvers": {}})
    for name, (pattern, first) in _CORE.items():
        kind.add_implicit_resolver(_PREFIX + name, re.compile(f"(?:{pattern.pattern})\\Z"), first)
    return kind


class YamlReader:
    """Reads one document.

    Args:
        document: gets the places and the problems.
        max_values: values that may be read, those behind aliases each time.
        max_depth: of nesting.
    """

    def __init__(self, document: Document, max_values: int, max_depth: int) -> None:
        self._document = document
        self._left = max_values
        self._max_values = max_values
        self._max_depth = max_depth

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        """The plain value of a node.

        Raises:
            GraphError: the bounds are exceeded.
        """
        self._left -= 1
        if self._left < 0:
            raise self._refused(node, f"with its aliases, the file has more than {self._max_values:,} values")
        if len(keys) > self._max_depth:
            raise self._refused(node, f"it is nested more than {self._max_depth} levels deep, or contains itself")
        self._document.values.setdefault(keys, self._place(node))
        if not isinstance(node, yaml.ScalarNode) and node.tag.removeprefix(_PREFIX) not in ("map", "seq"):
            self._problem(node, f"the tag {node.tag} is not known here; write plain data")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, keys)
        if isinstance(node, yaml.SequenceNode):
            items: list[yaml.Node] = node.value
            return [self.value(part, (*keys, i)) for i, part in enumerate(items)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        found: dict[str, Any] = {}
        own: dict[str, Place] = {}
        merged: list[yaml.Node] = []
        pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
        for key_node, value_node in pairs:
            place = self._place(key_node)
            if key_node.tag == _MERGE:
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            key = self._key(key_node)
            if key is None:
                self._problem(key_node, "a key is text")
                continue
            if key in own:
                self._problem(key_node, f"the key {key!r} stands twice, first in line {own[key].line}")
                continue
            own[key] = place
            self._document.keys[(*keys, key)] = place
            found[key] = self.value(value_node, (*keys, key))
        for source in merged:
            found = {**self._merged(source, keys), **found}
        return found

    def _merged(self, node: yaml.Node, keys: Keys) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            self._problem(node, "<< takes a mapping, or a list of mappings")
            return {}
        return self._mapping(node, keys)

    def _key(self, node: yaml.Node) -> str | None:
        # A number or `true` as a key is the text that stands there: mappings of data have text as keys.
        return node.value if isinstance(node, yaml.ScalarNode) else None

    def _scalar(self, node: yaml.Node) -> Any:
        text: str = node.value
        match node.tag.removeprefix(_PREFIX):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return self._integer(node, text)
            case "float":
                return self._float(node, text)
            case "str" | "merge":
                return text
            case _:
                self._problem(node, f"the tag {node.tag} is not known here; write plain data")
                return None

    def _integer(self, node: yaml.Node, text: str) -> int | None:
        try:
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        except ValueError:
            self._problem(node, f"{text[:20]!r} is no number that can be read")
            return None

    def _float(self, node: yaml.Node, text: str) -> float | None:
        try:
            return float(text)
        except ValueError:
            self._problem(node, f"{text[:20]!r} is no number that can be read")
            return None

    def _problem(self, node: yaml.Node, why: str) -> None:
        self._document.problems.append(self._place(node).before(why))

    def _refused(self, node: yaml.Node, why: str) -> GraphError:
        return GraphError([self._place(node).before(why)], self._document.path.name)

    def _place(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        return Place(str(self._document.path), mark.line + 1, mark.column + 1)
