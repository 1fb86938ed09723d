"""What a run is started with: inputs by name, checked against what the graph declares, as JSON text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clew import codec
from clew.errors import GraphError, InvalidInputError, UnstorableError
from clew.graphs.hints import told
from clew.graphs.names import did_you_mean, listed
from clew.graphs.written import WrittenGraph


def encode_inputs(graph: WrittenGraph, given: Mapping[str, Any]) -> dict[str, bytes]:
    """Encode the inputs of a run, defaults included, so that a later change of a default changes no run.

    Of a state graph they are keys of the state; one that is not given and has no default is not there.

    Raises:
        GraphError: every unknown, missing, unstorable or unfitting input.
    """
    declared = graph.draft.inputs
    problems: list[str] = []
    encoded: dict[str, bytes] = {}
    for name in given:
        if name not in declared:
            has = f"it has {listed(declared, last='and')}" if declared else "it has none"
            problems.append(f"it has no input {name!r}{did_you_mean(name, declared)}; {has}")
    for name, spec in declared.items():
        if name not in given:
            if spec.required:
                kind = f" ({told(spec.hint)})" if spec.hint is not Any else ""
                problems.append(f"input {name!r}{kind} is missing")
            elif spec.default is not None:
                encoded[name] = spec.default
            continue
        try:
            encoded[name] = codec.encode(given[name])
            codec.decode(encoded[name], spec.hint)
        except (UnstorableError, InvalidInputError) as error:
            problems.append(f"input {name!r}: {error}")
    if problems:
        raise GraphError(problems, f"inputs of graph {graph.name}")
    return encoded
