"""Filling in a node: which argument goes to which parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from clew.graphs.bodies import Description, node_id
from clew.graphs.body_data import RestoreBody
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.handles import Handle, bind
from clew.graphs.names import Place
from clew.graphs.policies import Options, attached_to
from clew.graphs.route_drafts import Barrier
from clew.graphs.signatures import Parameter, Signature, signature_of
from clew.graphs.templates import GivenNames, OwnInputs, Template, template_names
from clew.graphs.undo_writing import OUTPUT, bind_undo, wanted_by
from clew.kernel.values import Binding, DictOf, Expression, FromItem, FromOutput, ListOf, Pick


def draft_of(body: Any, id_: str | None, options: Options, place: Place, graph: GraphDraft) -> Draft:
    """Begin a node: its id, its body's signature, its policies."""
    wanted = id_ if id_ is not None else graph.free_id(_named_after(body))
    draft = Draft(id=wanted, place=place, body=body, options=options.over(attached_to(body)))
    if isinstance(body, Description):
        if isinstance(body.body, RestoreBody):
            draft.report("", "restore(…) puts files back in a rollback and is no body; give it as compensate=")
        draft.own_signature = _template_signature(body, options)
        given = Options(timeout=body.timeout_s, on_interrupt=body.on_interrupt)
        draft.options = options.over(given)
    elif callable(body):
        draft.own_signature = signature_of(body)
        for problem in draft.own_signature.problems:
            draft.report("", problem)
    elif isinstance(body, Barrier):
        draft.own_signature = Signature(parameters={}, is_async=True)
        if not graph.has_state:
            draft.body = None
            draft.report("", "only a StateGraph has barriers; here, a function asks people by ctx.ask")
    elif not isinstance(body, GraphDraft):
        draft.body = None
        others = ", barrier(…)" if graph.has_state else ""
        what = f"a body is a function, shell(…), http(…), call(…), memory(…){others} or a graph"
        draft.report("", f"{what}, not {type(body).__name__}")
    return draft


def _named_after(body: Any) -> str:
    if isinstance(body, Barrier):
        return "barrier"
    return node_id(body.name if isinstance(body, GraphDraft) else body)


def fill(draft: Draft, graph: GraphDraft, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Give a node its inputs.

    Args:
        draft: the node; `map` is set before.
        graph: the graph that it is to be added to.
        args: by position.
        named: by name.
    """
    given = {**_positional(draft, args, named), **named}
    for name, value in given.items():
        about = f"parameter {name!r}"
        draft.inputs[name] = bind(value, graph, lambda sentence, about=about: draft.report(about, sentence))
    complete(draft, graph)
    bind_exclusive(draft, graph)
    names = OwnInputs({**draft.inputs, OUTPUT: FromOutput()})

    def texts(about: str) -> Template:
        return Template(names, f"{draft.id}.{about}", lambda _, sentence: draft.report(about, sentence), graph)

    bind_undo(draft, draft.named_inputs, texts)


def complete(draft: Draft, graph: GraphDraft | None = None) -> None:
    """Send the item of a map to the first free parameter, and put the inputs of a description into it.

    Args:
        draft: the node.
        graph: whose handles may stand in the description; none, if it is None.
    """
    body = draft.body
    takes_item = isinstance(body, Description) and any(map(holds_item, body.inputs.values()))
    if draft.map is not None and not takes_item and not any(map(uses_item, draft.inputs.values())):
        free = next((name for name in draft.signature.parameters if name not in draft.inputs), None)
        if free is not None:
            draft.inputs[free] = FromItem()
        elif draft.body is not None:
            draft.report("", "no parameter is left for the item of the map")
    if isinstance(body, Description):
        _resolve_templates(draft, body, graph)


def bind_exclusive(draft: Draft, graph: GraphDraft) -> None:
    """Bind the key of a node that has its inputs: a handle, or text with names of these inputs in it."""
    exclusive = draft.options.exclusive
    if not makes_attempts(draft):
        return
    if isinstance(exclusive, Handle):
        draft.exclusive = bind(exclusive, graph, lambda sentence: draft.report("exclusive", sentence))
    elif isinstance(exclusive, str):
        # That a name in the texts of a description is not given is told of the parameter.
        scope = (GivenNames if isinstance(draft.body, Description) else OwnInputs)(draft.inputs)
        template = Template(
            scope, f"{draft.id}.exclusive", lambda _, sentence: draft.report("exclusive", sentence)
        )
        draft.exclusive = template.binding(exclusive)


def makes_attempts(draft: Draft) -> bool:
    """Whether a node runs something by itself, as sub-graphs, barriers and what could not be found do not."""
    return draft.body is not None and not isinstance(draft.body, GraphDraft | Barrier)


def _positional(draft: Draft, args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    names = [*draft.signature.parameters]
    if len(args) > len(names) and draft.body is not None:
        takes = f"{len(names)} inputs" if len(names) != 1 else "1 input"
        draft.report("", f"it takes {takes}, but {len(args)} were given by position")
    given = dict(zip(names, args, strict=False))
    for name in given.keys() & named.keys():
        draft.report(f"parameter {name!r}", "is given by position and by name")
    return given


def _template_signature(body: Description, options: Options) -> Signature:
    """A description takes the names that its texts use; also those of its key, and those of its compensation."""
    parameters = {name: Parameter(name) for name in template_names([body.inputs, options.exclusive])}
    for name in wanted_by(options.undoing):
        parameters.setdefault(name, Parameter(name, required=False))
    return Signature(parameters=parameters, is_async=True)


def _resolve_templates(draft: Draft, body: Description, graph: GraphDraft | None) -> None:
    scope = GivenNames(draft.inputs)
    stored: dict[str, Binding] = {}
    for name, value in body.inputs.items():

        def report(_: object, sentence: str, name: str = name) -> None:
            draft.report(name, sentence)

        template = Template(scope, f"{draft.id}.{name}", report, graph if body.takes_handles else None)
        stored[name] = template.binding(value, shell=body.is_line(name))
    draft.stored_inputs = stored


def holds_item(value: Any) -> bool:
    """Whether the item of a map stands in the arguments of a tool, at any depth."""
    match value:
        case Handle():
            return uses_item(value.binding)
        case list() | tuple():
            return any(map(holds_item, cast("list[Any]", value)))
        case dict():
            return any(map(holds_item, cast("dict[Any, Any]", value).values()))
        case _:
            return False


def uses_item(binding: Binding) -> bool:
    """Whether a binding holds the item of a map, at any depth."""
    match binding:
        case FromItem():
            return True
        case Pick(of=of):
            return uses_item(of)
        case ListOf(items=items):
            return any(map(uses_item, items))
        case DictOf(items=items) | Expression(names=items):
            return any(map(uses_item, items.values()))
        case _:
            return False
