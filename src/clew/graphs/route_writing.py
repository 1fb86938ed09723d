"""Writing a state graph down, in Python or from a file: the graph around its nodes, and its edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clew import codec
from clew.errors import UnstorableError
from clew.graphs.conditions import When, label_of
from clew.graphs.drafts import GraphDraft, InputDraft
from clew.graphs.names import Place
from clew.graphs.route_drafts import EdgeDraft
from clew.graphs.state_schema import Schema
from clew.graphs.updates import END
from clew.kernel.definition import ErrorPolicy, OnLimit

#: What a failed branch means for the others, by the word for it.
ON_BRANCH_ERROR = {"fail_fast": ErrorPolicy.STOP_GRAPH, "collect_all": ErrorPolicy.CONTINUE}


def inputs_of(schema: Schema, place: Place) -> dict[str, InputDraft]:
    """What a run of a state graph is started with: the keys of its state that no node writes by itself."""
    return {
        key.name: InputDraft(
            name=key.name,
            place=schema.places.get(key.name, place),
            hint=key.hint,
            type=key.type,
            required=key.required,
            default=key.default or None,
            description=key.description,
        )
        for key in schema.keys.values()
        if "." not in key.name
    }


def branches_draft(
    graph: GraphDraft, node: str, place: Place, on_branch_error: Any, max_concurrency: int | None, count: int
) -> GraphDraft:
    """The graph of the branches of a parallel node.

    Args:
        graph: the state graph that the node is in.
        node: its id.
        place: where it was written.
        on_branch_error: as it was given; a word that is none is told of by whoever wrote it.
        max_concurrency: how many may be under way at once; all if None.
        count: of the branches.
    """
    return GraphDraft(
        name=f"{graph.name}/{node}",
        place=place,
        on_error=ON_BRANCH_ERROR.get(on_branch_error, ErrorPolicy.STOP_GRAPH),
        max_concurrency=max_concurrency if max_concurrency is not None else max(count, 1),
        branches_of=graph,
    )


def place_edge(
    graph: GraphDraft,
    source: Any,
    target: Any,
    place: Place,
    *,
    when: When | None = None,
    max_visits: int | None = None,
    on_limit: OnLimit | str = OnLimit.STRICT,
    fallback: bool = False,
) -> EdgeDraft:
    """Add an edge; see `StateGraph.add_edge` and `StateGraph.add_fallback`."""
    edge = EdgeDraft(
        source=_bare(source), target=_bare(target), place=place, when=when, max_visits=max_visits,
        on_limit=on_limit, fallback=fallback,
    )  # fmt: skip
    if when is not None:
        edge.owner = _owner(graph, f"{edge.source}->{edge.target}")
        edge.label = label_of(when)
    _placed(graph, edge, source, target)
    return edge


def place_router(
    graph: GraphDraft,
    source: Any,
    when: When,
    targets: Sequence[tuple[Any, Any]],
    place: Place,
    *,
    by_name: bool = False,
    places: Sequence[Place] = (),
) -> None:
    """Add the edges of a router; see `StateGraph.add_router`.

    Args:
        graph: the state graph.
        source: the node that they leave.
        when: gives one of the values.
        targets: values, each with the node to go on with.
        place: where it was written.
        by_name: the values are the names of the nodes.
        places: where the targets were written, if that is known.
    """
    owner, name = _owner(graph, f"{_bare(source)}->?"), label_of(when)
    for i, (value, target) in enumerate(targets):
        edge = EdgeDraft(
            source=_bare(source), target=_bare(target), place=places[i] if places else place, when=when,
            owner=owner, router=True, label=name if by_name else f"{name} = {_shown(value)}",
        )  # fmt: skip
        try:
            edge.equals = codec.encode(value)
        except UnstorableError as error:
            edge.problems.append(("targets", f"the value {value!r} cannot be given by it: {error}"))
        _placed(graph, edge, source, target)
    if not targets:
        edge = EdgeDraft(source=_bare(source), target=END, place=place, when=when, owner=owner, router=True)
        edge.problems.append(("targets", "there are none; give {value: node} or a list of nodes"))
        _placed(graph, edge, source, END)


def _placed(graph: GraphDraft, edge: EdgeDraft, source: Any, target: Any) -> None:
    for end in (source, target):
        if not isinstance(end, str):
            edge.problems.append(("", f"a node is named by its id, not by {end!r:.60}"))
    assert graph.routes is not None
    graph.routes.edges.append(edge)
    graph.changed()


def _owner(graph: GraphDraft, edge: str) -> str:
    """A name for the condition of an edge, and another one for the next between the same nodes."""
    assert graph.routes is not None
    owners = graph.routes.owners
    owners[edge] = owners.get(edge, 0) + 1
    return edge if owners[edge] == 1 else f"{edge}#{owners[edge]}"


def _bare(end: Any) -> str:
    return end if isinstance(end, str) else str(getattr(end, "__name__", end))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
