"""Filling in a node of a state graph: where the state goes, where the item of a map goes, what is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clew.graphs.bodies import Description
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.expressions import Reference, parse
from clew.graphs.names import did_you_mean, listed
from clew.graphs.route_drafts import Barrier
from clew.graphs.signatures import Parameter, Signature
from clew.graphs.state_view import single
from clew.graphs.templates import Meaning, Template, UnknownNameError
from clew.graphs.undo_writing import bind_undo
from clew.graphs.writing import makes_attempts
from clew.kernel.values import Binding, Expression, FromItem, FromOutput, FromState, Pick

STATE = FromState()


class StateNames:
    """The scope of a text in a state graph: `state`, and where there is one, the item or the output.

    Args:
        **others: what else has a name.
    """

    def __init__(self, **others: Binding) -> None:
        self._others = others

    def meaning(self, reference: Reference) -> Meaning:
        """See `Scope`; whether the state has such a key is found out by `checks`."""
        if reference.name == "state":
            return Meaning(STATE, late=True)
        if reference.name in self._others:
            return Meaning(self._others[reference.name])
        known = ["state", *self._others]
        there = f"; there is {listed(known, last='and')}, and keys are read as state.KEY"
        near = did_you_mean(reference.name, known) or there
        raise UnknownNameError(f"{reference.name!r} means nothing here{near}")


def fill_state_node(draft: Draft, graph: GraphDraft, sets: Mapping[str, Any] | None = None) -> None:
    """Give a node its inputs.

    Args:
        draft: the node; `map` and `item` are set before.
        graph: the state graph, or the branches, that it is to be added to.
        sets: what a description writes.
    """
    if isinstance(draft.body, Description):
        _fill_description(draft, draft.body)
    elif not isinstance(draft.body, GraphDraft | Barrier) and draft.body is not None:
        assert draft.own_signature is not None
        draft.inputs = _inputs_of_function(draft, draft.own_signature, graph)
    _fill_sets(draft, sets or {})
    exclusive = draft.options.exclusive
    if exclusive is not None and makes_attempts(draft):
        draft.exclusive = template(draft, "exclusive").binding(exclusive)
    _bind_undo(draft, graph)


def bind_late(graph: GraphDraft) -> None:
    """Give sub-graphs what can only be known when all is written: their inputs that are named like keys."""
    keys = graph.keys
    if keys is None:
        return
    for draft in graph.nodes:
        if isinstance(draft.body, GraphDraft) and draft.body.branches_of is None:
            wanted = draft.body.inputs if draft.body.routes is None else ()
            draft.inputs = {name: FromState(name) for name in wanted if name in keys}
            if draft.map is not None and draft.item is not None:
                draft.inputs[draft.item] = FromItem()
            how = draft.options.undoing
            if how is not None and not isinstance(how.body, Description):
                _bind_undo(draft, graph)


def template(draft: Draft, about: str, **others: Binding) -> Template:
    """Reads the texts of a node; what is wrong with them is reported on it."""
    names = {"item": FromItem(), **others} if draft.map is not None else others

    def report(_: object, sentence: str) -> None:
        draft.report(about, sentence)

    return Template(StateNames(**names), f"{draft.called or draft.id}.{about}", report)


def over_of(draft: Draft, over: Any) -> Binding:
    """The list of a map: a key of the state, an expression, or plain data."""
    if isinstance(over, str) and "{{" not in over:
        return FromState(over)
    binding = template(draft, "over").binding(over)
    plain = parse(binding.source).plain if isinstance(binding, Expression) else None
    if plain is None or not plain.path:
        return binding
    list_ = FromState(str(plain.path[0]))
    return Pick(list_, plain.path[1:]) if plain.path[1:] else list_


def _fill_description(draft: Draft, body: Description) -> None:
    names: dict[str, Binding] = {"state": STATE}
    if draft.map is not None:
        names["item"] = FromItem()
    draft.own_signature = Signature(parameters={name: Parameter(name) for name in names}, is_async=True)
    draft.inputs = names
    draft.stored_inputs = {
        name: template(draft, name).binding(value, shell=body.is_line(name)) for name, value in body.inputs.items()
    }


def _fill_sets(draft: Draft, sets: Mapping[str, Any]) -> None:
    if sets and not isinstance(draft.body, Description) and draft.body is not None:
        what = "a barrier writes its decision" if isinstance(draft.body, Barrier) else "it returns what it changes"
        draft.report("sets", f"{what}; `sets` is for what programs and requests return")
        return
    if not isinstance(sets, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        draft.report("sets", f"is a mapping of keys to what is written to them, not {sets!r:.60}")
        return
    for key, value in sets.items():
        draft.sets[key] = template(draft, f"sets.{key}", output=FromOutput()).binding(value)


def _inputs_of_function(draft: Draft, signature: Signature, graph: GraphDraft) -> dict[str, Binding]:
    """Which parameter takes the state, and which the item of a map."""
    parameters = signature.parameters
    inputs: dict[str, Binding] = {}
    state = _state_parameter(parameters, graph)
    by_position = False
    if draft.map is not None:
        item, by_position = _item_parameter(draft, signature, state)
        if item:
            inputs[item] = FromItem()
    if not state and not by_position:
        state = next((name for name, p in parameters.items() if p.required and name not in inputs), "")
    if not state and not parameters and signature.takes_any:
        state = "state"
    return {**({state: STATE} if state else {}), **inputs}


def _bind_undo(draft: Draft, graph: GraphDraft) -> None:
    bind_undo(
        draft,
        lambda signature: _inputs_of_undo(draft, signature, graph),
        lambda about: template(draft, about, output=FromOutput()),
    )


def _inputs_of_undo(draft: Draft, signature: Signature, graph: GraphDraft) -> dict[str, Binding]:
    """What a function that undoes a node can take: what the node takes, and the state and the item."""
    own = {"state": STATE, **({"item": FromItem()} if draft.map is not None else {})}
    state = _state_parameter(signature.parameters, graph)
    return {**own, **draft.named_inputs, **({state: STATE} if state else {})}


def _state_parameter(parameters: dict[str, Parameter], graph: GraphDraft) -> str:
    """The parameter that is certain to mean the state: by its name, or by its annotation."""
    if "state" in parameters:
        return "state"
    schema = graph.schema_class
    return next((p.name for p in parameters.values() if schema is not None and single(p.hint) is schema), "")


def _item_parameter(draft: Draft, signature: Signature, state: str) -> tuple[str, bool]:
    """The parameter of the item, and whether its place alone says so."""
    parameters = signature.parameters
    if draft.item is not None:
        return draft.item, False
    if "item" in parameters:
        return "item", False
    free = next((name for name, p in parameters.items() if p.required and name != state), "")
    if not free:
        draft.report("", "no parameter is left for the item of the map; say which one takes it")
    return free, True
