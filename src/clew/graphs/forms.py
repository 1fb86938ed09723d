"""What of a graph file can be read although not all of it has the right form: so that the rest is told of, too."""

from __future__ import annotations

from typing import Any, cast

from clew.graphs.documents import Document, Keys
from clew.graphs.drafts import Draft
from clew.graphs.schema import BODIES, STATE_BODIES, STEP_BODIES
from clew.graphs.shapes import Misfit

#: Keys of a node without which nothing can be said about it.
_SUBSTANCE = frozenset((*BODIES, *STATE_BODIES, *STEP_BODIES, "then", "else", "with", "map", "checks"))
#: Those of them that have nodes inside, which are looked at singly.
_NESTED = ("graph", "parallel", "then", "else")
#: Of a loop, what has steps inside.
_STEPS_OF_LOOP = ("loop", "steps")

Wrong = list[Misfit]


def nodes_by_id(nodes: Any) -> list[tuple[str, str | int, dict[str, Any]]]:
    """Id, key in the file and content of each node (or branch) that can be read at all."""
    if isinstance(nodes, dict):
        pairs = cast("dict[str, Any]", nodes).items()
        whole = ((name, cast("dict[str, Any]", node) if isinstance(node, dict) else {}) for name, node in pairs)
        return [(name, name, node) for name, node in whole]
    found: list[tuple[str, str | int, dict[str, Any]]] = []
    for i, item in enumerate(cast("list[Any]", nodes)):
        node = cast("dict[str, Any]", item if isinstance(item, dict) else {})
        if isinstance(node.get("id"), str):
            found.append((node["id"], i, node))
    return found


def is_named(keys: Keys, wrong: Wrong) -> bool:
    """Whether what stands at an address may stand there: its id is one."""
    return not any(misfit.keys == keys and misfit.unknown_key for misfit in wrong)


def without(data: dict[str, Any], keys: Keys, wrong: Wrong, looked_into: tuple[str, ...]) -> dict[str, Any]:
    """A mapping without the parts that do not have the form.

    Args:
        data: the mapping.
        keys: its address.
        wrong: what does not have the form.
        looked_into: parts of which only some may be wrong; they are left out only if they are wrong as a whole.
    """
    bad = bad_below(keys, wrong)
    kept = {key: value for key, value in data.items() if key not in bad or key in looked_into}
    for key in looked_into:
        if any(misfit.keys == (*keys, key) for misfit in wrong):
            kept.pop(key, None)
    return kept


def readable(node: dict[str, Any], keys: Keys, wrong: Wrong) -> dict[str, Any] | None:
    """A node without the policies that do not have the form; None if what it runs or is given does not."""
    own = [misfit for misfit in wrong if misfit.keys[: len(keys)] == keys and not _is_nested(misfit, len(keys))]
    if any(_spoils(misfit, len(keys)) for misfit in own):
        return None
    bad = bad_below(keys, own)
    return {key: value for key, value in node.items() if key not in bad}


def broken(document: Document, keys: Keys, node_id: str) -> Draft:
    """A node of which nothing more is said."""
    return Draft(id=node_id, place=document.place(keys, of_key=True), body=None)


def bad_below(keys: Keys, wrong: Wrong) -> set[str | int]:
    """The parts of a mapping or list in which something does not have the form."""
    depth = len(keys)
    return {misfit.keys[depth] for misfit in wrong if misfit.keys[:depth] == keys and len(misfit.keys) > depth}


def _is_nested(misfit: Misfit, depth: int) -> bool:
    """Whether something is wrong inside of a graph or of branches that stand in a node."""
    inside = misfit.keys[depth:]
    if inside[:2] == _STEPS_OF_LOOP:
        return len(inside) > 2
    return len(inside) > 1 and inside[0] in _NESTED


def _spoils(misfit: Misfit, depth: int) -> bool:
    if len(misfit.keys) == depth or misfit.keys[depth] in _SUBSTANCE:
        return True
    return misfit.unknown_key and any(f"did you mean {name!r}" in misfit.why for name in _SUBSTANCE)
