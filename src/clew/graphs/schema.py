"""The form of graph files, as one JSON Schema: editors read it, and so does the loader (see `shapes`).

Because the loader checks files by this very data, what the schema refuses is refused, and a key that the
loader did not know would be a key that no file can have.
"""

from __future__ import annotations

from typing import Any

from clew.kernel.definition import Backoff, ErrorPolicy, ItemPolicy, OnInterrupt

Schema = dict[str, Any]

#: A template, or any plain data with templates in it.
_ANYTHING: Schema = {"description": "Any data."}
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 1}
_SCALAR: Schema = {"type": ["string", "number"]}
_NAME_PATTERN = "^[A-Za-z_][A-Za-z0-9_]*$"
_ID_PATTERN = "^[A-Za-z_][A-Za-z0-9_.-]*$"
_INPUT_NAME: Schema = {"pattern": _NAME_PATTERN, "description": "letters, digits and _, no digit first"}
_NODE_ID: Schema = {"pattern": _ID_PATTERN, "description": "letters, digits, _, . and -, no digit first"}
DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)? ?(ms|s|m|h|d)$"


def _said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _mapping(properties: Schema, *, required: tuple[str, ...] = ()) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema


def _either(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


_NAMES = _either(_TEXT, {"type": "array", "items": _TEXT})
_STRINGS: Schema = {"type": "object", "additionalProperties": _SCALAR}

_RETRY = _mapping(
    {
        "max_attempts": _said(_COUNT, "Attempts in all, the first included."),
        "backoff": {"enum": [str(kind) for kind in Backoff], "description": "How the wait grows."},
        "delay": _said(_ref("wait"), "The first wait."),
        "factor": {"type": "number", "minimum": 1, "description": "Growth of an exponential backoff."},
        "max_delay": _said(_ref("wait"), "The longest wait."),
        "jitter": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "Share of the wait that is spread.",
        },
        "on": _said(_NAMES, "Classes of errors that are retried; all if none are named."),
        "not_on": _said(_NAMES, "Classes of errors that are never retried."),
    }
)

_MAP = _mapping(
    {
        "over": _said(_ANYTHING, "The list, e.g. '{{ files }}'."),
        "as": {"type": "string", "pattern": _NAME_PATTERN, "description": "The parameter that takes the item."},
        "key": _said(_TEXT, "A field of the item that names it, or module:function."),
        "on_item_error": {"enum": [str(policy) for policy in ItemPolicy]},
        "max_concurrency": _said(_COUNT, "How many items may run at once."),
    },
    required=("over",),
)

_COMMAND = _either(_TEXT, {"type": "array", "items": _SCALAR, "minItems": 1})

_SHELL = _mapping(
    {
        "command": _said(_COMMAND, "A line for the shell, values quoted; or a list of arguments."),
        "cwd": _said(_TEXT, "The folder that it runs in."),
        "env": _said(_STRINGS, "Added to the environment."),
        "stdin": _said(_TEXT, "What it reads."),
        "ok_codes": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        "capture": {"enum": ["text", "json", "none"], "description": "What its standard output becomes."},
        "max_output": _said(_COUNT, "Bytes of standard output that are kept."),
    },
    required=("command",),
)

_HTTP = _mapping(
    {
        "url": _TEXT,
        "method": {"type": "string", "pattern": "^[A-Za-z]+$"},
        "params": _ANYTHING,
        "json": _said(_ANYTHING, "Sent as the body, as JSON."),
        "data": _said(_ANYTHING, "Sent as the body: a form (a mapping), or text."),
        "headers": _STRINGS,
        "parse": {"enum": ["auto", "json", "text"]},
        "ok_statuses": {"type": "array", "items": {"type": "integer", "minimum": 100, "maximum": 599}},
    },
    required=("url",),
)

_NODE_KEYS: Schema = {
    "run": _said(_TEXT, "A function, module:function; modules beside the file are found first."),
    "shell": _said(_either(*_COMMAND["anyOf"], _SHELL), "A program to run."),
    "http": _said(_either(_TEXT, _HTTP), "An HTTP request; a URL alone is a GET."),
    "graph": _said(_either(_TEXT, _ref("graph")), "A sub-graph: a file, module:graph, or a graph in place."),
    "with": {"type": "object", "description": "The inputs by name: constants, or text with {{ … }}."},
    "needs": _said(_NAMES, "Nodes to be settled first although no data comes from them."),
    "depends_on": _said(_NAMES, "The same as needs."),
    "map": _said(_either(_TEXT, _MAP), "Run once per item of a list."),
    "retry": _said(_either(_COUNT, _RETRY), "When a failed attempt is tried again; a number of attempts."),
    "timeout": _said(_ref("duration"), "Limit of one attempt."),
    "total_timeout": _said(_ref("duration"), "Limit of the node with its retries."),
    "on_error": _ref("on_error"),
    "heartbeat": _said(_ref("duration"), "Longest silence of a running function."),
    "on_interrupt": {
        "enum": [str(policy) for policy in OnInterrupt],
        "description": "What becomes of an attempt whose process died; ask puts it to a person.",
    },
    "probe": _said(_TEXT, "A function, module:function, that tells whether a lost attempt took effect."),
    "exclusive": {
        "type": "string",
        "minLength": 1,
        "description": "A key; of all attempts that hold the same one, one runs at a time.",
    },
    "uses": _said(
        _either(*_NAMES["anyOf"], {"type": "object", "additionalProperties": _COUNT}),
        "Resources of which an attempt holds units.",
    ),
    "priority": {"type": "integer", "description": "Higher ones start first when slots are short."},
}
#: What a node is: just one of these.
BODIES = ("run", "shell", "http", "graph")


def _node(keys: Schema, *required: str) -> Schema:
    return {**_mapping(keys, required=required), "oneOf": [{"required": [body]} for body in BODIES]}


_INPUT = _mapping(
    {
        "type": _said(_TEXT, "any, str, int, float, bool, path, date, datetime, list[…], dict[str, …], … | …"),
        "default": _said(_ANYTHING, "Its value when none is given; without it, the input is required."),
        "description": _TEXT,
    }
)

_GRAPH = _mapping(
    {
        "$schema": _said(_TEXT, "For editors."),
        "name": {"type": "string", "minLength": 1, "description": "The file's name, if not given."},
        "description": _TEXT,
        "inputs": {
            "type": "object",
            "propertyNames": _INPUT_NAME,
            "additionalProperties": _either(_TEXT, {"type": "null"}, _INPUT),
            "description": "What a run is started with: a type, or type, default and description.",
        },
        "on_error": _ref("on_error"),
        "max_concurrency": _said(_COUNT, "Attempts that may run at once in a run."),
        "max_interruptions": {"type": "integer", "minimum": 0},
        "timeout": _said(_ref("duration"), "Limit of a whole run."),
        "nodes": _either(
            {
                "type": "object",
                "propertyNames": _NODE_ID,
                "additionalProperties": _ref("node"),
                "minProperties": 1,
            },
            {"type": "array", "items": _ref("listed_node"), "minItems": 1},
        ),
        "returns": _said(_ANYTHING, "The output; the outputs of the last nodes by id, if not given."),
        "definitions": _said(_ANYTHING, "Not read: a place for YAML anchors."),
    },
    required=("nodes",),
)

SCHEMA: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Clew graph file",
    "$ref": "#/$defs/graph",
    "$defs": {
        "graph": _GRAPH,
        "node": _node(_NODE_KEYS),
        "listed_node": _node({"id": {"type": "string", "pattern": _ID_PATTERN}, **_NODE_KEYS}, "id"),
        "on_error": {
            "enum": [str(policy) for policy in ErrorPolicy],
            "description": "What a failure means for the other nodes.",
        },
        "duration": _either(
            {"type": "number", "exclusiveMinimum": 0},
            {"type": "string", "pattern": DURATION_PATTERN, "description": "90s, 5m, 1.5h"},
        ),
        "wait": _either({"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION_PATTERN}),
    },
}
