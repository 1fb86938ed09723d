"""What is wrong with the keys and the nodes of a state graph, besides what can be wrong with any node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_origin

from clew.graphs.bodies import Description
from clew.graphs.checkpoints import checkpoint_problems
from clew.graphs.drafts import Draft, GraphDraft
from clew.graphs.hints import bare, fields_of, fits, members_of, stored_as, told
from clew.graphs.names import did_you_mean, listed
from clew.graphs.policies import choice_problems, count_problems, seconds_problems
from clew.graphs.route_drafts import Barrier
from clew.graphs.state_schema import KeyDraft, key_name_problem
from clew.graphs.state_view import StateView, single, takes_state
from clew.graphs.typing_of import Types, no_key
from clew.graphs.updates import END, START, Update
from clew.kernel.definition import Default, OnLimit
from clew.kernel.values import FromState

Problem = tuple[str, str]
Keys = Mapping[str, KeyDraft]

_RETURNS = "a node of a state graph returns what it changes: a mapping by key, an Update, or None"


def schema_problems(graph: GraphDraft) -> Iterator[str]:
    """What is wrong with the keys of a state graph and with its limits, as it is shown."""
    assert graph.routes is not None
    schema = graph.routes.schema
    name = f"state {schema.name}" if schema.name else "state"
    own = {key.name: key for draft in graph.nodes for key in draft.own_keys()}
    found = [*schema.problems]
    for key in schema.keys.values():
        if key.name not in own and (wrong := key_name_problem(key.name)):
            found.append((key.name, wrong))
        elif key.name in own and not fits(own[key.name].hint, key.hint):
            found.append((key.name, f"a node writes {own[key.name].type} to it by itself, and it is {key.type}"))
    for about, sentence in found:
        subject = f"{name}, key {about!r}" if about else name
        yield schema.places.get(about, graph.place).before(f"{subject}: {sentence}")
    for about, sentence in (
        *count_problems("max_steps", graph.routes.max_steps, 1),
        *count_problems("max_state_bytes", graph.routes.max_state_bytes, 1),
        *checkpoint_problems(graph.routes.checkpoints),
    ):
        yield graph.place.before(f"{about} {sentence}")


def state_node_problems(draft: Draft, graph: GraphDraft, types: Types) -> Iterator[Problem]:
    """What is wrong with a node of a state graph, or with a branch."""
    keys = graph.keys or {}
    if draft.id in (START, END):
        yield "id", "it is reserved; START and END are the ends of the graph"
    if draft.options.on_error is not None:
        yield "on_error", "nodes of a state graph have none; add_fallback says where to go on after a failure"
    yield from limit_problems(draft.max_visits, draft.on_limit)
    yield from types.set_problems(draft)
    for name, binding in draft.inputs.items():
        if binding == FromState():
            hint = draft.signature.parameters[name].hint if name in draft.signature.parameters else Any
            yield from ((f"parameter {name!r}", each) for each in state_misfits(hint, graph))
    match draft.body:
        case Barrier() as barrier:
            yield from _barrier_problems(barrier, keys)
            if draft.map is not None:
                yield "", "a map does not wait for decisions itself; map over a state graph that has the barrier"
        case GraphDraft(branches_of=None, routes=None) as inner:
            yield from _item_problem(draft)
            if not draft.sets:
                yield from _graph_output_problems(inner, keys)
        case GraphDraft(branches_of=None) as inner:
            yield from _item_problem(draft)
            yield from _shared_key_problems(inner, keys)
        case GraphDraft() as inner:
            yield from count_problems("max_concurrency", inner.max_concurrency, 1)
            if not inner.nodes:
                yield "branches", "there are none"
        case Description() | None:
            pass
        case _:
            yield from _returned_problems(draft.signature.returns, graph)


def limit_problems(max_visits: Any, on_limit: Any) -> Iterator[Problem]:
    """What is wrong with the limit of a node or an edge."""
    yield from choice_problems("on_limit", OnLimit, on_limit)
    if max_visits is not None:
        yield from count_problems("max_visits", max_visits, 1)
    elif on_limit != OnLimit.STRICT:
        yield "on_limit", "says what happens at a limit, and max_visits sets none"


def state_misfits(hint: Any, graph: GraphDraft) -> Iterator[str]:
    """Why a parameter cannot be given the state."""
    keys, schema = graph.keys or {}, graph.schema_class
    hint = single(hint)
    if hint is schema:
        return
    if not takes_state(hint):
        name = schema.__name__ if schema is not None else "dict[str, Any]"
        yield f"it is given the state, and is declared as {told(hint)}; declare it as {name}"
        return
    for name, (declared, required) in (fields_of(hint) or {}).items():
        key = keys.get(name)
        if key is None and required:
            yield f"{told(hint)} has {name!r}: {no_key(keys, name)}"
        elif key is not None and not fits(key.hint, declared):
            yield f"the key {name!r} is {key.type}, and {told(declared)} in {told(hint)}"


def missing_parameter(draft: Draft, graph: GraphDraft, name: str) -> str:
    """Why nothing is given to a required parameter (or input, or key) of a body."""
    match draft.body:
        case GraphDraft(routes=None):
            near = did_you_mean(name, graph.keys or {})
            return f"its inputs are keys of the state, and there is none of this name{near}"
        case GraphDraft():
            near = did_you_mean(name, graph.keys or {})
            return f"the sub-graph cannot start without this key, and this state does not have it{near}"
        case _ if draft.map is not None:
            return "nothing is given to it, only the item and the state; call the one `item`, the other `state`"
        case _:
            return "nothing is given to it: a node takes the state, and reads the rest from that"


def found_in_state(draft: Draft, graph: GraphDraft) -> Keys:
    """The keys of a sub-graph that it finds in the state around it."""
    is_inner = isinstance(draft.body, GraphDraft) and draft.body.routes is not None
    return (graph.keys or {}) if is_inner else {}


def may_end(draft: Draft) -> bool:
    """Whether a node says by its annotation that it may end the graph by itself (``goto=END``)."""
    return any(member is Update for member in members_of(draft.signature.returns))


def _item_problem(draft: Draft) -> Iterator[Problem]:
    if draft.map is not None and draft.item is None:
        names = [*draft.signature.parameters]
        has = f"; it has {listed(names, last='and')}" if names else ""
        yield "item", f"say which input of the graph takes the item{has}"


def _barrier_problems(barrier: Barrier, keys: Keys) -> Iterator[Problem]:
    if not isinstance(barrier.text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield "text", f"is text, not {barrier.text!r:.60}"
    for name in barrier.shows:
        if name not in keys:
            yield "shows", no_key(keys, str(name))
    yield from seconds_problems("timeout", barrier.timeout)
    yield from choice_problems("default", Default, barrier.default)


def _returned_problems(hint: Any, graph: GraphDraft) -> Iterator[Problem]:
    keys, schema = graph.keys or {}, graph.schema_class
    for member in members_of(hint):
        kind = get_origin(member) or member
        if kind in (Any, object, type(None), Update, schema):
            continue
        fields = fields_of(member)
        if isinstance(kind, type) and issubclass(kind, StateView):
            yield "", "it returns the state that it was given; return only what the node changes"
        elif fields is not None:
            for name, (declared, _) in fields.items():
                yield from _change_problems(name, declared, keys, f"it returns {told(member)}, and ")
        elif stored_as(member) not in ("mapping", "any", "unknown"):
            yield "", f"it returns {told(member)}; {_RETURNS}"


def _change_problems(name: str, hint: Any, keys: Keys, what: str) -> Iterator[Problem]:
    key = keys.get(name)
    if key is None:
        yield "", f"{what}{no_key(keys, name)}"
    elif not fits(bare(hint), key.written):
        yield "", f"{what}its {name!r} is {told(hint)}, but the key is {told(key.written)}"


def _graph_output_problems(inner: GraphDraft, keys: Keys) -> Iterator[Problem]:
    """The output of a graph of dependencies has to be changes of the state, by key."""
    what = f"the graph {inner.name!r} returns changes of the state by key, and "
    types = Types(inner)
    if inner.output is None:
        for name, hint in types.last():
            if name not in keys:
                told_what = f"without `returns` that is the outputs of its last nodes by id: {no_key(keys, name)}"
                yield "", f"{what}{told_what}"
            else:
                yield from _change_problems(name, hint, keys, what)
        return
    parts = types.parts(inner.output)
    if parts is None:
        hint = types.of(inner.output, Any)
        parts = {name: each for name, (each, _) in (fields_of(bare(hint)) or {}).items()}
        if stored_as(hint) not in ("mapping", "object", "any", "unknown"):
            yield "", f"{what}this one returns {told(hint)}; let it return {{'KEY': …}}"
    for name, hint in parts.items():
        yield from _change_problems(name, hint, keys, what)


def _shared_key_problems(inner: GraphDraft, keys: Keys) -> Iterator[Problem]:
    for name, key in (inner.keys or {}).items():
        outer = keys.get(name)
        if outer is not None and not (fits(outer.hint, key.hint) and fits(key.hint, outer.hint)):
            yield "", f"the key {name!r} is {outer.type} here, and {key.type} in the graph {inner.name!r}"
