"""The form of files of plans; see `schema`."""

from __future__ import annotations

from clew.graphs.schema_parts import (
    ANYTHING,
    BODIES,
    BODY_KEYS,
    COUNT,
    FLAG,
    HEAD,
    INPUT,
    INPUT_NAME,
    MAP,
    NAMES,
    NODE_ID,
    POLICY_KEYS,
    TEXT,
    TEXTS,
    UNDO,
    UNDO_BODIES,
    Schema,
    either,
    mapping,
    one_of,
    ref,
    said,
)

#: What a step is: just one of these, or what any node is.
OWN_BODIES = ("tool", "if", "loop", "memory", "ask", "wait")
STEP_BODIES = (*BODIES, *OWN_BODIES)
MEMORY_OPERATIONS = ("store", "update", "delete", "get", "search")

_PERMISSIONS = mapping(
    {
        "read": said(TEXTS, "Folders and files that may be read."),
        "write": said(TEXTS, "Folders and files that may be changed."),
        "network": said(TEXTS, "Where connections may go; an empty list is nowhere."),
        "shell": said(FLAG, "Whether programs may be started."),
    }
)
_STEPS = ref("steps")
_WHEN = either(TEXT, FLAG)
_LOOP = mapping(
    {
        "steps": _STEPS,
        "returns": said(ANYTHING, "What an iteration returns; what its last step does, if not given."),
        "times": said(either(COUNT, TEXT), "So often."),
        "while": said(_WHEN, "As long as this holds; asked before each iteration."),
        "until": said(_WHEN, "Until this holds; asked after each iteration."),
        "over": said(either(TEXT, {"type": "array", "items": ANYTHING}), "Once per item, one after the other."),
        "max_iterations": said(COUNT, "Never more often."),
        "on_limit": one_of(("fail", "stop"), "What happens when it would be more."),
    },
    required=("steps",),
)
_ASK = {
    **mapping(
        {
            "confirm": said(TEXT, "A question that wants a yes."),
            "input": said(TEXT, "A question that wants a value."),
            "choice": said(TEXT, "A question that wants one of several."),
            "information": said(TEXT, "Only shown."),
            "type": said(TEXT, "Of an input: str, int, list[str], ..."),
            "choices": said(either(TEXT, {"type": "array", "items": ANYTHING, "minItems": 1}), "Of a choice."),
            "default": said(ANYTHING, "What counts when there is no answer in time."),
            "timeout": said(ref("duration"), "How long an answer is waited for."),
            "required": said(FLAG, "Of a confirm: a no is an error."),
        }
    ),
    "oneOf": [{"required": [how]} for how in ("confirm", "input", "choice", "information")],
}
_WAIT = {
    **mapping(
        {
            "seconds": said(either({"type": "number", "exclusiveMinimum": 0}, TEXT), "So long."),
            "until": said(TEXT, "This time, with its time zone."),
            "message": said(TEXT, "A message by this name."),
            "timeout": said(ref("duration"), "How long the message is waited for."),
            "default": said(ANYTHING, "What counts when no message comes in time."),
        }
    ),
    "oneOf": [{"required": [way]} for way in ("seconds", "until", "message")],
}

_UNDO_KEYS: Schema = UNDO["properties"]
STEP_UNDO: Schema = {
    **UNDO,
    "properties": {
        **_UNDO_KEYS,
        "tool": said(TEXT, "A tool, by its name."),
        "with": {"type": "object", "description": "Its arguments; {{ output }} is what the step returned."},
    },
    "oneOf": [{"required": [body]} for body in (*UNDO_BODIES, "tool")],
}

STEP_KEYS: Schema = {
    **BODY_KEYS,
    "tool": said(TEXT, "A tool, by its name."),
    "if": said(_WHEN, "A condition: one {{ … }}."),
    "then": said(_STEPS, "What is done if it holds."),
    "else": said(_STEPS, "What is done if not."),
    "loop": said(_LOOP, "Steps that are done again and again."),
    "memory": one_of(MEMORY_OPERATIONS, "An operation on the memory that outlives runs."),
    "ask": said(either(TEXT, _ASK), "A question to a person; a text alone wants a yes."),
    "wait": said(either({"type": "number", "exclusiveMinimum": 0}, TEXT, _WAIT), "A time or a message."),
    "with": {"type": "object", "description": "What it is given by name: constants, or text with {{ … }}."},
    "needs": said(NAMES, "Steps to be settled first although no data comes from them."),
    "depends_on": said(NAMES, "The same as needs."),
    "map": said(either(TEXT, MAP), "Run once per item of a list."),
    "on_error": ref("on_error"),
    **POLICY_KEYS,
    "compensate": said(either(TEXT, ref("step_compensation")), "How what it did is undone in a rollback."),
    "checks": said(
        {"type": "array", "items": ref("check"), "minItems": 1}, "What has to hold right before each attempt."
    ),
    "permissions": said(_PERMISSIONS, "What the step leaves its tool."),
    "limits": said(ref("limits"), "What a call of the tool may use."),
    "best_effort": said(FLAG, "What a machine cannot hold it to is left out there."),
    "folder": said(TEXT, "Where the tool runs."),
}
LISTED_STEP: Schema = {"id": {"type": "string", "pattern": NODE_ID["pattern"]}, **STEP_KEYS}

STEPS = either(
    {"type": "array", "items": ref("listed_step"), "minItems": 1},
    {"type": "object", "propertyNames": NODE_ID, "additionalProperties": ref("step"), "minProperties": 1},
)

_CHECK = mapping(
    {
        "file": said(TEXT, "A file or folder that is there."),
        "program": said(TEXT, "A program that can be started."),
        "tool": said(TEXT, "A tool that can be called."),
        "permission": said(_PERMISSIONS, "Places that can be read and written, hosts, programs."),
        "resource": said(ref("limits"), "What has to be free: memory_bytes, disk_bytes, cores."),
        "run": said(TEXT, "A function, module:function, that returns whether it holds, or why not."),
        "with": {"type": "object", "description": "What the function is given."},
        "required": said(FLAG, "If not, it is only told that it does not hold."),
        "message": said(TEXT, "What is said if it does not hold."),
    }
)
CHECK_KINDS = ("file", "program", "tool", "permission", "resource", "run")
CHECK: Schema = {**_CHECK, "oneOf": [{"required": [kind]} for kind in CHECK_KINDS]}

PLAN = mapping(
    {
        **HEAD,
        "id": said(TEXT, "The same as name."),
        "metadata": {"type": "object", "description": "Stored with the definition, and read by nobody."},
        "inputs": {
            "type": "object",
            "propertyNames": INPUT_NAME,
            "additionalProperties": either(TEXT, {"type": "null"}, INPUT),
            "description": "What a run is started with: a type, or type, default and description.",
        },
        "tools": said(NAMES, "Modules and Python files with tools, or module:tool."),
        "servers": {
            "type": "object",
            "description": "Servers of tools (MCP): by name a command, a URL or a mapping.",
        },
        "permissions": said(
            _PERMISSIONS, "What the plan grants the tools of its steps; what is not named is granted."
        ),
        "folder": said(TEXT, "Where its steps run."),
        "on_error": ref("on_error"),
        "steps": _STEPS,
        "returns": said(ANYTHING, "The output; the outputs of the last steps by id, if not given."),
    },
    required=("steps",),
)
