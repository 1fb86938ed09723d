"""What a server tells of its tools becomes tools of ours: names, schemas, rights."""

from typing import Any

import pytest
from mcp_types import Tool as Told

from clew import Permissions, Server
from clew.bodies.servers.listing import disarm, tool_at
from clew.graphs.arguments import misfits
from clew.graphs.tools import Tool, Tools

SERVER = Server(name="s", command=("run",))


def told(schema: dict[str, Any] | None = None, name: str = "t", **hints: bool) -> Told:
    return Told.model_validate(
        {"name": name, "inputSchema": schema or {"type": "object"}, "annotations": hints or None}
    )


def parameters(schema: dict[str, Any]) -> Any:
    found = told(schema)
    disarm(found.input_schema)
    return tool_at(SERVER, found).parameters


def test_names_are_those_of_tools() -> None:
    assert tool_at(SERVER, told(name="read_file")).name == "s.read_file"
    assert tool_at(SERVER, told(name="read_file")).remote == "read_file"
    names = [tool_at(SERVER, told(name=name)).name for name in ("a/b", "a b", "é", "x" * 100, "x" * 101)]
    assert names[0] == "s.a_b_c14cddc0"
    assert len({*names}) == 5
    assert len(Tools(*(Tool(name=name) for name in names))) == 5
    assert max(map(len, names)) == 64


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "https://example.org/a"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/properties/b"}, "b": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}},
        {"type": "object", "properties": {"a": {"items": [{"type": "string"}]}}},
        {"type": "object", "properties": {"a": {"type": "no such type"}}},
        {"type": "array", "properties": {"a": {}}},
    ],
)
def test_schemas_that_cannot_be_used_are_left_to_the_server(schema: dict[str, Any]) -> None:
    schema["properties"]["a"]["description"] = "the first"
    schema["required"] = ["a"]
    kept = parameters(schema)
    assert kept["properties"]["a"] == {"description": "the first"}
    assert misfits(kept, {}) == [("a", "is missing")]
    assert misfits(kept, {"a": 3, "c": 4}) == []


def test_schemas_with_definitions_are_used() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "n": {"type": "integer"}}}
    schema = parameters({"type": "object", "properties": {"a": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}})
    assert misfits(schema, {"a": {"next": {"n": 1}}}) == []
    assert misfits(schema, {"a": {"next": {"n": "1"}}}) == [("a.next.n", 'an integer is expected, not "1"')]


def test_patterns_are_left_to_the_server() -> None:
    text = {"type": "string", "pattern": "(a+)+$"}
    schema = {
        "type": "object",
        "properties": {"a": text, "pattern": {"type": "integer"}},
        "patternProperties": {r"\p{L}": {}},
    }
    kept = parameters(schema)
    assert kept["properties"] == {"a": {"type": "string"}, "pattern": {"type": "integer"}}
    assert misfits(kept, {"a": "a" * 40 + "!"}) == []


def test_a_schema_without_an_end() -> None:
    deep: dict[str, Any] = {"type": "object"}
    for _ in range(150):
        deep = {"type": "object", "properties": {"a": deep}}
    assert parameters(deep) == {"type": "object"}


def test_hints_are_believed_if_the_server_is_trusted() -> None:
    trusted = Server(name="s", command=("run",), trusted=True)
    everything = Permissions(network=None, shell=True)
    for hints, effects, may in (
        ({}, "unknown", everything),
        ({"readOnlyHint": True}, "none", Permissions(write=(), network=None)),
        ({"readOnlyHint": True, "openWorldHint": False}, "none", Permissions(write=())),
        ({"idempotentHint": True}, "idempotent", everything),
        ({"destructiveHint": False, "openWorldHint": False}, "unknown", Permissions(shell=True)),
    ):
        tool = tool_at(trusted, told(**hints))
        assert (tool.effects, tool.permissions) == (effects, may)
        doubted = tool_at(SERVER, told(**hints))
        assert (doubted.effects, doubted.permissions) == ("unknown", everything)
