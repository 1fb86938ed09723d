"""The form of files of state graphs; see `schema`."""

from __future__ import annotations

from clew.graphs.checkpoints import PRESETS
from clew.graphs.route_writing import ON_BRANCH_ERROR
from clew.graphs.schema_parts import (
    ANYTHING,
    BODIES,
    BODY_KEYS,
    COUNT,
    FUNCTION_PATTERN,
    HEAD,
    INPUT,
    MAP,
    NAMES,
    NODE_ID,
    POLICY_KEYS,
    TEXT,
    Schema,
    by_id,
    either,
    mapping,
    one_of,
    ref,
    refused,
    said,
)
from clew.kernel.definition import Default, OnLimit, Reducer

#: The reducers that have a name of their own.
REDUCERS = tuple(str(each) for each in Reducer if each not in (Reducer.ERROR, Reducer.CUSTOM))

_KEY = mapping(
    {
        "type": INPUT["properties"]["type"],
        "reducer": either(
            one_of(REDUCERS, "What becomes of a write; without it, it takes the place of what is there."),
            {"type": "string", "pattern": FUNCTION_PATTERN, "description": "module:function"},
        ),
        "default": said(ANYTHING, "Its value at the start; without it, it is not there until it is written."),
        "required": {"type": "boolean", "description": "A run cannot be started without it."},
        "description": TEXT,
    }
)

_STATE = either(
    {"type": "string", "pattern": FUNCTION_PATTERN, "description": "module:Class"},
    {
        "type": "object",
        "propertyNames": NODE_ID,
        "additionalProperties": either(TEXT, {"type": "null"}, _KEY),
        "minProperties": 1,
    },
)

_CHECKPOINTS = either(
    one_of(PRESETS, "All, some or none of the positions are listed by themselves."),
    mapping(
        {
            **{name: {"type": "boolean"} for name in ("every_step", "on_barrier", "on_decision", "on_completion")},
            "threshold": {
                "type": "number",
                "minimum": 0,
                "description": "Of milliseconds, cost and effects; 0: never.",
            },
            "keep": said(COUNT, "How many of the newest are listed."),
            "keep_for": said(ref("duration"), "For how long they are listed."),
        }
    ),
)

_BARRIER = mapping(
    {
        "text": said(TEXT, "What people read."),
        "shows": said(NAMES, "Keys of the state that are decided on; all of them, if not given."),
        "timeout": said(ref("duration"), "How long is waited."),
        "default": one_of(Default, "What counts as the decision then."),
    }
)

_ON_LIMIT = one_of(OnLimit, "What happens at max_visits: the run fails, or fallback edge, or passed over.")
_NO_DATA = "is not for nodes of a state graph: they read the state"
_NO_NEEDS = "is not for nodes of a state graph: edges say which comes after which"
_NO_POLICY = "is not for nodes of a state graph: an edge with 'fallback' says where to go on after a failure"

BRANCH_KEYS: Schema = {
    **BODY_KEYS,
    "barrier": said(either(TEXT, _BARRIER), "A wait for a person's decision."),
    "sets": {
        "type": "object",
        "description": "What is written to which key of what a program or request returns.",
    },
    **POLICY_KEYS,
    "with": refused(_NO_DATA),
    "needs": refused(_NO_NEEDS),
    "depends_on": refused(_NO_NEEDS),
    "on_error": refused(_NO_POLICY),
    "map": refused("is not for branches: map inside of a graph that stands in the branch"),
    "parallel": refused("is not for branches: put it into a graph that stands in the branch"),
    "max_visits": refused("is not for branches: they are entered with their node"),
    "on_limit": refused("is not for branches: they are entered with their node"),
}
STATE_NODE_KEYS: Schema = {
    **BRANCH_KEYS,
    "parallel": said(by_id("branch"), "Branches that run side by side; what they write is merged at the end."),
    "on_branch_error": one_of(ON_BRANCH_ERROR, "What a failed branch means for the others."),
    "max_concurrency": said(COUNT, "How many branches may be under way at once."),
    "map": said(either(TEXT, MAP), "Run once per item of a list."),
    "max_visits": said(COUNT, "How often it may be entered."),
    "on_limit": _ON_LIMIT,
}
BRANCH_BODIES = (*BODIES, "barrier")
STATE_BODIES = (*BRANCH_BODIES, "parallel")

EDGE = {
    **mapping(
        {
            "from": said(TEXT, "A node, or START."),
            "to": said(
                either(
                    TEXT,
                    {"type": "array", "items": TEXT, "minItems": 1},
                    {"type": "object", "minProperties": 1, "additionalProperties": TEXT},
                ),
                "A node, or END; with route the node for each value, or a list of nodes.",
            ),
            "when": said(TEXT, "A condition: one {{ … }} over the state, or module:function."),
            "route": said(TEXT, "One {{ … }}, or module:function, that says which of the targets is next."),
            "fallback": said(TEXT, "Where to go on after a failure, when the node asks for it, or at a limit."),
            "max_visits": said(COUNT, "How often it may be taken."),
            "on_limit": _ON_LIMIT,
        },
        required=("from",),
    ),
    "oneOf": [{"required": ["to"]}, {"required": ["fallback"]}],
}
ARROW_PATTERN = r"^\s*[\w.-]+(\s*->\s*[\w.-]+)+\s*$"

STATE_GRAPH = mapping(
    {
        **HEAD,
        "state": said(_STATE, "The keys of the state: a type, or type, reducer, default; or module:Class."),
        "max_steps": said(COUNT, "Nodes that may be entered in a run."),
        "max_state_bytes": said(COUNT, "JSON text that the state may have."),
        "checkpoints": _CHECKPOINTS,
        "nodes": by_id("state_node"),
        "edges": {
            "type": "array",
            "items": either(
                {"type": "string", "pattern": ARROW_PATTERN, "description": "draft -> review"}, ref("edge")
            ),
            "minItems": 1,
            "description": "The ways between the nodes, from START to END.",
        },
        "inputs": refused("is not for state graphs: a run is started with keys of the state"),
        "on_error": refused(
            "is not for state graphs: an edge with 'fallback' says where to go on after a failure"
        ),
        "returns": refused("is not for state graphs: what they return is the state that they end with"),
    },
    required=("state", "nodes", "edges"),
)
