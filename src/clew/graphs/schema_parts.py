"""What the forms of all graph files are made of: parts of a JSON Schema, and how they are put together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clew.kernel.definition import Backoff, ItemPolicy, OnInterrupt

Schema = dict[str, Any]

#: A template, or any plain data with templates in it.
ANYTHING: Schema = {"description": "Any data."}
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 1}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "array", "items": TEXT}
SCALAR: Schema = {"type": ["string", "number"]}
NAME_PATTERN = "^[A-Za-z_][A-Za-z0-9_]*$"
ID_PATTERN = "^[A-Za-z_][A-Za-z0-9_.-]*$"
INPUT_NAME: Schema = {"pattern": NAME_PATTERN, "description": "letters, digits and _, no digit first"}
NODE_ID: Schema = {"pattern": ID_PATTERN, "description": "letters, digits, _, . and -, no digit first"}
FUNCTION_PATTERN = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"
DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)? ?(ms|s|m|h|d)$"


def said(schema: Schema, description: str) -> Schema:
    """The same form with a description, which editors show."""
    return {**schema, "description": description}


def mapping(properties: Schema, *, required: tuple[str, ...] = ()) -> Schema:
    """A mapping that has these keys and no others."""
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema


def either(*schemas: Schema) -> Schema:
    """One of several forms."""
    return {"anyOf": list(schemas)}


def ref(name: str) -> Schema:
    """A form that stands among the definitions of the schema."""
    return {"$ref": f"#/$defs/{name}"}


def one_of(words: Iterable[str], description: str) -> Schema:
    """One of a few words."""
    return {"type": "string", "enum": [str(word) for word in words], "description": description}


def refused(sentence: str) -> Schema:
    """A key that belongs elsewhere; the description says where."""
    return {"not": {}, "description": sentence}


NAMES = either(TEXT, {"type": "array", "items": TEXT})
STRINGS: Schema = {"type": "object", "additionalProperties": SCALAR}

RETRY = mapping(
    {
        "max_attempts": said(COUNT, "Attempts in all, the first included."),
        "backoff": {"enum": [str(kind) for kind in Backoff], "description": "How the wait grows."},
        "delay": said(ref("wait"), "The first wait."),
        "factor": {"type": "number", "minimum": 1, "description": "Growth of an exponential backoff."},
        "max_delay": said(ref("wait"), "The longest wait."),
        "jitter": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "Share of the wait that is spread.",
        },
        "on": said(NAMES, "Classes of errors that are retried; all if none are named."),
        "not_on": said(NAMES, "Classes of errors that are never retried."),
    }
)

MAP = mapping(
    {
        "over": said(ANYTHING, "The list, e.g. '{{ files }}'."),
        "as": {"type": "string", "pattern": NAME_PATTERN, "description": "The parameter that takes the item."},
        "key": said(TEXT, "A field of the item that names it, or module:function."),
        "on_item_error": {"enum": [str(policy) for policy in ItemPolicy]},
        "max_concurrency": said(COUNT, "How many items may run at once."),
    },
    required=("over",),
)

COMMAND = either(TEXT, {"type": "array", "items": SCALAR, "minItems": 1})

SHELL = mapping(
    {
        "command": said(COMMAND, "A line for the shell, values quoted; or a list of arguments."),
        "cwd": said(TEXT, "The folder that it runs in."),
        "env": said(STRINGS, "Added to the environment."),
        "stdin": said(TEXT, "What it reads."),
        "ok_codes": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        "capture": {"enum": ["text", "json", "none"], "description": "What its standard output becomes."},
        "max_output": said(COUNT, "Bytes of standard output that are kept."),
        "limits": said(ref("limits"), "What it may use."),
        "read": said(TEXTS, "Folders and files that it may read."),
        "write": said(TEXTS, "Folders and files that it may change."),
        "network": said(TEXTS, "Where it may connect to; an empty list is nowhere."),
        "best_effort": said(FLAG, "What a machine cannot hold it to is left out there."),
    },
    required=("command",),
)

HTTP = mapping(
    {
        "url": TEXT,
        "method": {"type": "string", "pattern": "^[A-Za-z]+$"},
        "params": ANYTHING,
        "json": said(ANYTHING, "Sent as the body, as JSON."),
        "data": said(ANYTHING, "Sent as the body: a form (a mapping), or text."),
        "headers": STRINGS,
        "parse": {"enum": ["auto", "json", "text"]},
        "ok_statuses": {"type": "array", "items": {"type": "integer", "minimum": 100, "maximum": 599}},
    },
    required=("url",),
)

UNDO_BODIES = ("run", "shell", "http", "restore")

UNDO: Schema = {
    **mapping(
        {
            "run": said(TEXT, "A function, module:function, of some of the node's inputs and of output."),
            "shell": said(either(*COMMAND["anyOf"], SHELL), "A program; {{ output }} is what the node returned."),
            "http": said(either(TEXT, HTTP), "An HTTP request."),
            "restore": said(
                either(TEXT, {"type": "array", "items": TEXT, "minItems": 1}),
                "Files, links and folders that are put back as they were before the node.",
            ),
            "retry": said(
                either(COUNT, RETRY), "When a failed attempt is tried again; three attempts if not given."
            ),
            "timeout": said(ref("duration"), "Limit of one attempt."),
            "on_interrupt": one_of((OnInterrupt.RETRY, OnInterrupt.FAIL), "Of an attempt whose process died."),
        }
    ),
    "oneOf": [{"required": [body]} for body in UNDO_BODIES],
}

BODY_KEYS: Schema = {
    "run": said(TEXT, "A function, module:function; modules beside the file are found first."),
    "shell": said(either(*COMMAND["anyOf"], SHELL), "A program to run."),
    "http": said(either(TEXT, HTTP), "An HTTP request; a URL alone is a GET."),
    "graph": said(either(TEXT, ref("graph")), "A sub-graph: a file, module:graph, or a graph in place."),
}

POLICY_KEYS: Schema = {
    "retry": said(either(COUNT, RETRY), "When a failed attempt is tried again; a number of attempts."),
    "timeout": said(ref("duration"), "Limit of one attempt."),
    "total_timeout": said(ref("duration"), "Limit of the node with its retries."),
    "heartbeat": said(ref("duration"), "Longest silence of a running function."),
    "on_interrupt": {
        "enum": [str(policy) for policy in OnInterrupt],
        "description": "What becomes of an attempt whose process died; ask puts it to a person.",
    },
    "probe": said(TEXT, "A function, module:function, that tells whether a lost attempt took effect."),
    "exclusive": {
        "type": "string",
        "minLength": 1,
        "description": "A key; of all attempts that hold the same one, one runs at a time.",
    },
    "uses": said(
        either(*NAMES["anyOf"], {"type": "object", "additionalProperties": COUNT}),
        "Resources of which an attempt holds units.",
    ),
    "priority": {"type": "integer", "description": "Higher ones start first when slots are short."},
    "compensate": said(either(TEXT, ref("compensation")), "How what it did is undone in a rollback."),
    "irreversible": {"type": "boolean", "description": "It cannot be undone: somebody has to agree before it."},
    "expected": said(ref("duration"), "How long it is expected to take; for progress."),
}

#: What a node is: just one of these.
BODIES = ("run", "shell", "http", "graph")


def node(keys: Schema, *required: str, bodies: tuple[str, ...] = BODIES) -> Schema:
    """A node: a mapping that has just one of the keys that say what it runs."""
    return {**mapping(keys, required=required), "oneOf": [{"required": [body]} for body in bodies]}


LISTED: Schema = {"id": {"type": "string", "pattern": ID_PATTERN}}


def by_id(node: str) -> Schema:
    """Nodes (or branches) by id, or as a list."""
    return either(
        {"type": "object", "propertyNames": NODE_ID, "additionalProperties": ref(node), "minProperties": 1},
        {"type": "array", "items": ref(f"listed_{node}"), "minItems": 1},
    )


INPUT = mapping(
    {
        "type": said(TEXT, "any, str, int, float, bool, path, date, datetime, list[…], dict[str, …], … | …"),
        "default": said(ANYTHING, "Its value when none is given; without it, the input is required."),
        "description": TEXT,
    }
)

_SIZE: Schema = either(COUNT, {"type": "string", "description": "512MB, 1GiB"})
LIMITS = mapping(
    {
        "memory_bytes": said(_SIZE, "Memory at any one time."),
        "cpu_s": said(ref("duration"), "Processor time."),
        "cores": {"type": "number", "exclusiveMinimum": 0, "description": "Processors at once."},
        "processes": said(COUNT, "Processes at any one time."),
        "disk_bytes": said(_SIZE, "What lies in the working folder."),
        "wall_s": said(ref("duration"), "Time from start to end."),
        "connections": {"type": "integer", "minimum": 0, "description": "Connections that are made."},
        "network": said(TEXTS, "Where connections may go; an empty list is nowhere."),
        "tool_invocations": {"type": "integer", "minimum": 0, "description": "Calls of tools."},
    }
)

HEAD: Schema = {
    "$schema": said(TEXT, "For editors."),
    "name": {"type": "string", "minLength": 1, "description": "The file's name, if not given."},
    "description": TEXT,
    "max_concurrency": said(COUNT, "Attempts that may run at once in a run."),
    "max_interruptions": {"type": "integer", "minimum": 0},
    "timeout": said(ref("duration"), "Limit of a whole run."),
    "rollback": {"type": "boolean", "description": "A run that fails is rolled back by the compensations."},
    "limits": said(ref("limits"), "What all nodes of a run may use together."),
    "best_effort": said(FLAG, "Limits that a machine cannot hold to are left out there."),
    "definitions": said(ANYTHING, "Not read: a place for YAML anchors."),
}
