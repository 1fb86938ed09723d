"""What can be said about a node of a state graph besides its body."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

from clew.graphs.bodies import Description
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.names import Place, did_you_mean, listed
from clew.graphs.policies import Compensation, Options, Probe, Retry, Undoing, Uses
from clew.graphs.route_drafts import Barrier
from clew.graphs.state_writing import fill_state_node
from clew.graphs.writing import draft_of
from clew.graphs.written import WrittenGraph
from clew.kernel.definition import OnInterrupt, OnLimit

#: What a node of a state graph can do.
StateBody = Callable[..., Any] | Description | Barrier | WrittenGraph

_INSTEAD = {
    "on_error": "nodes of a state graph have none; add_fallback says where to go on after a failure",
    "depends_on": "nodes of a state graph depend on nothing; add_edge says which comes after which",
    "inputs": "nodes of a state graph read their inputs from the state",
    "item": "only a map has items; see add_map",
    "over": "a node that runs over a list is added by add_map",
}


class BranchOptions(TypedDict, total=False):
    """Options of a branch: as those of `Graph.add`, and `sets`."""

    retry: Retry | int | None
    timeout: float | None
    total_timeout: float | None
    heartbeat: float | None
    on_interrupt: OnInterrupt | str | None
    probe: Probe | None
    exclusive: str | None
    uses: Uses | None
    priority: int | None
    compensate: Undoing | Compensation | None
    irreversible: bool | None
    expected: float | None
    sets: Mapping[str, Any] | None


class NodeOptions(BranchOptions, total=False):
    """Options of a node: those of a branch, and how often it may be entered."""

    max_visits: int | None
    on_limit: OnLimit | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A branch of a parallel node with options; made by `branch`."""

    body: Any
    id: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


def branch(body: StateBody, /, id: str | None = None, **options: Unpack[BranchOptions]) -> Branch:  # noqa: A002 -- the word of the design
    """Give a branch of `StateGraph.add_parallel` an id or options.

    Args:
        body: as in `StateGraph.add_node`.
        id: unique among the branches; the body's name if not given.
        **options: as in `StateGraph.add_node`, but for `max_visits` and `on_limit`.
    """
    return Branch(body=body, id=id, options=dict(options))


def state_draft(
    body: Any,
    id_: str | None,
    options: Mapping[str, Any],
    place: Place,
    graph: GraphDraft,
    besides: Sequence[str] = (),
) -> Draft:
    """Begin a node of a state graph or a branch; its inputs come from `fill_state_node`.

    Args:
        body: a function, a description, or a graph.
        id_: of the node; made from the body's name if None.
        options: as they were given; unknown ones are reported.
        place: where it was added.
        graph: the state graph, or the branches.
        besides: what else can be said about it, to be offered in place of unknown options.
    """
    inner = body.draft if isinstance(body, WrittenGraph) else body
    own = ("sets",) if graph.branches_of is not None else ("sets", "max_visits", "on_limit")
    known = {name: value for name, value in options.items() if name in _POLICIES}
    draft = draft_of(inner, id_ if id_ is None else str(id_), Options(**known), place, graph)
    if not isinstance(id_, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        draft.report("id", f"is text, not {id_!r}")
    for name in options:
        if name in _INSTEAD:
            draft.report(name, _INSTEAD[name])
        elif name not in known and name not in own:
            everything = [*_POLICIES, *own, *besides]
            near = did_you_mean(name, everything) or f"; there are {listed(everything, limit=20, last='and')}"
            draft.report(name, f"there is no such option{near}")
    draft.max_visits = options.get("max_visits")
    draft.on_limit = options.get("on_limit", OnLimit.STRICT)
    return draft


def add_state_node(
    body: Any, id_: str | None, options: Mapping[str, Any], place: Place, graph: GraphDraft
) -> Draft:
    """Add a node to a state graph, or a branch to the others."""
    draft = state_draft(body, id_, options, place, graph)
    fill_state_node(draft, graph, options.get("sets"))
    graph.place_node(draft)
    return draft


_POLICIES = (*(name for name in BranchOptions.__annotations__ if name != "sets"),)
