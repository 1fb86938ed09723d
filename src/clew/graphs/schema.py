"""The form of graph files, as one JSON Schema: editors read it, and so does the loader (see `shapes`).

Because the loader checks files by this very data, what the schema refuses is refused, and a key that the
loader did not know would be a key that no file can have.
"""

from __future__ import annotations

from clew.graphs.plan_schema import CHECK, LISTED_STEP, PLAN, STEP_BODIES, STEP_KEYS, STEP_UNDO, STEPS
from clew.graphs.route_schema import (
    BRANCH_BODIES,
    BRANCH_KEYS,
    EDGE,
    STATE_BODIES,
    STATE_GRAPH,
    STATE_NODE_KEYS,
)
from clew.graphs.schema_parts import (
    ANYTHING,
    BODIES,
    BODY_KEYS,
    DURATION_PATTERN,
    HEAD,
    INPUT,
    INPUT_NAME,
    LIMITS,
    LISTED,
    MAP,
    NAMES,
    POLICY_KEYS,
    TEXT,
    UNDO,
    Schema,
    by_id,
    either,
    mapping,
    node,
    ref,
    said,
)
from clew.kernel.definition import ErrorPolicy

__all__ = ["BODIES", "SCHEMA", "STATE_BODIES", "STEP_BODIES", "Schema"]

NODE_KEYS: Schema = {
    **BODY_KEYS,
    "with": {"type": "object", "description": "The inputs by name: constants, or text with {{ … }}."},
    "needs": said(NAMES, "Nodes to be settled first although no data comes from them."),
    "depends_on": said(NAMES, "The same as needs."),
    "map": said(either(TEXT, MAP), "Run once per item of a list."),
    "on_error": ref("on_error"),
    **POLICY_KEYS,
}
_GRAPH = mapping(
    {
        **HEAD,
        "inputs": {
            "type": "object",
            "propertyNames": INPUT_NAME,
            "additionalProperties": either(TEXT, {"type": "null"}, INPUT),
            "description": "What a run is started with: a type, or type, default and description.",
        },
        "on_error": ref("on_error"),
        "nodes": by_id("node"),
        "returns": said(ANYTHING, "The output; the outputs of the last nodes by id, if not given."),
    },
    required=("nodes",),
)

# ------------------------------------------------------------------------------------------------------

SCHEMA: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Clew graph file",
    "$ref": "#/$defs/graph",
    "$defs": {
        "graph": {
            "if": {"required": ["steps"]},
            "then": ref("plan"),
            "else": ref("graph_of_nodes"),
        },
        "graph_of_nodes": {
            "if": {"anyOf": [{"required": ["state"]}, {"required": ["edges"]}]},
            "then": ref("state_graph"),
            "else": ref("dependency_graph"),
        },
        "plan": PLAN,
        "steps": STEPS,
        "step": node(STEP_KEYS, bodies=STEP_BODIES),
        "listed_step": node(LISTED_STEP, bodies=STEP_BODIES),
        "step_compensation": STEP_UNDO,
        "check": CHECK,
        "dependency_graph": _GRAPH,
        "node": node(NODE_KEYS),
        "listed_node": node({**LISTED, **NODE_KEYS}, "id"),
        "state_graph": STATE_GRAPH,
        "state_node": node(STATE_NODE_KEYS, bodies=STATE_BODIES),
        "listed_state_node": node({**LISTED, **STATE_NODE_KEYS}, "id", bodies=STATE_BODIES),
        "branch": node(BRANCH_KEYS, bodies=BRANCH_BODIES),
        "listed_branch": node({**LISTED, **BRANCH_KEYS}, "id", bodies=BRANCH_BODIES),
        "edge": EDGE,
        "compensation": UNDO,
        "limits": LIMITS,
        "on_error": {
            "enum": [str(policy) for policy in ErrorPolicy],
            "description": "What a failure means for the other nodes.",
        },
        "duration": either(
            {"type": "number", "exclusiveMinimum": 0},
            {"type": "string", "pattern": DURATION_PATTERN, "description": "90s, 5m, 1.5h"},
        ),
        "wait": either({"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION_PATTERN}),
    },
}
