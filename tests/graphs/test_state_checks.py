"""What state graphs refuse about their keys and nodes, all at once and each with its line."""

# pyright: basic

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
from state_graphs import Research, Some, keep, line, problem, problems

from clew.graphs import (
    END,
    START,
    Checkpoints,
    Graph,
    Happened,
    StateGraph,
    StateView,
    Update,
    append,
    barrier,
    http,
    node,
    shell,
)

# Schemas and limits --------------------------------------------------------------------------------------


class Bad(TypedDict):
    notes: Annotated[str, append]
    __mangled: int


def test_a_schema_is_told_with_its_keys() -> None:
    assert problems(line(keep, schema=Bad)) == [
        "state Bad, key 'notes': append joins lists, and its type is str; make it list[str]",
    ]
    assert problems(line(keep, schema={})) == ["state: it has no keys"]
    (found,) = problems(line(keep, schema=3))
    assert found == (
        "state: a schema is a TypedDict, a dataclass, a Struct, a pydantic model, or a mapping of names to types, "
        "not 3"
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("__start", "names that begin with __ are Clew's own"),
        ("a b", "the name has letters, digits and _, and starts with no digit"),
        ("1", "the name has letters, digits and _, and starts with no digit"),
        ("a.b", "names with a dot are written by nodes, as NAME.approved by a barrier, and there is no such node"),
    ],
)
def test_names_of_keys(name: str, sentence: str) -> None:
    assert problems(line(keep, schema={name: int})) == [f"state, key {name!r}: {sentence}"]


def test_a_key_that_a_barrier_writes_may_be_declared() -> None:
    def graph(hint: Any) -> StateGraph:
        g = StateGraph({"review.approved": hint, "review.reject_reason": str})
        g.add_barrier("review")
        g.add_edge(START, "review")
        g.add_edge("review", END)
        return g

    routes = graph(bool).spec().routes
    assert routes is not None
    assert [key.name for key in routes.keys] == ["review.approved", "review.reject_reason"]
    assert graph(bool).spec().inputs == ()
    assert problems(graph(int)) == [
        "state, key 'review.approved': a node writes bool to it by itself, and it is int"
    ]


def test_limits_of_the_graph() -> None:
    found = problems(
        line(
            keep,
            max_steps=0,
            max_state_bytes=True,
            checkpoints="minimale",
            timeout=-1,
            max_concurrency=0,
            name=" ",
        )
    )
    assert found == [
        "timeout is a number of seconds above 0, not -1",
        "max_concurrency is a whole number of at least 1, not 0",
        "name is text, not ' '",
        "max_steps is a whole number of at least 1, not 0",
        "max_state_bytes is a whole number of at least 1, not True",
        (
            "checkpoints is one of conservative, minimal, manual, or Checkpoints(…), not 'minimale'; "
            "did you mean 'minimal'?"
        ),
    ]
    wrong: Any = {"every_step": 1, "threshold": -1, "keep": 0, "keep_for": 0}
    assert problems(line(keep, checkpoints=Checkpoints(**wrong))) == [
        "checkpoints.every_step is True or False, not 1",
        "checkpoints.threshold is a number of at least 0, not -1",
        "checkpoints.keep is a whole number of at least 1, not 0",
        "checkpoints.keep_for is a number of seconds above 0, not 0",
    ]
    assert problems(StateGraph(Research)) == ["nodes: there are none"]


# Nodes -------------------------------------------------------------------------------------------------


def test_ids() -> None:
    g = StateGraph(Research)
    for name in ("a", "a", "1 b", START, END):
        g.add_node(name, keep)
    g.add_node(keep, 3)  # type: ignore[call-overload]
    g.add_edge(START, "a")
    g.add_edge("a", END)
    found = [each for each in problems(g) if ", id:" in each]
    assert re.fullmatch(r"node 'a', id: it is used twice, first at \S+\.py:\d+", found[0])
    assert found[1:] == [
        "node '1 b', id: it has letters, digits, '_', '.' and '-', and starts with a letter or '_'",
        "node '__start__', id: it is reserved; START and END are the ends of the graph",
        "node '__end__', id: it is reserved; START and END are the ends of the graph",
        "node '3', id: is text, not 3",
        "node '3', id: it has letters, digits, '_', '.' and '-', and starts with a letter or '_'",
    ]


def yields(state) -> Any:
    yield state


def test_what_is_no_body() -> None:
    for body, kind in ((3, "int"), (None, "NoneType")):
        what = "a body is a function, shell(…), http(…), call(…), memory(…), barrier(…) or a graph, not"
        assert problem(body) == f"{what} {kind}"
    assert problem(yields) == (
        "it is a generator; return a list, and use ctx.emit for what is to be seen on the way"
    )
    g = Graph("g")
    g.add(barrier("?"), id="review")  # type: ignore[arg-type]
    assert problems(g) == [
        "node 'review': only a StateGraph has barriers; here, a function asks people by ctx.ask"
    ]


def test_options() -> None:
    assert problem(keep, retry=0) == "retry.max_attempts: is a whole number of at least 1, not 0"
    assert problem(keep, timout=3) == "timout: there is no such option; did you mean 'timeout'?"
    assert problem(keep, wild=3).startswith("wild: there is no such option; there are 'retry', 'timeout', ")
    assert problem(keep, on_error="continue") == (
        "on_error: nodes of a state graph have none; add_fallback says where to go on after a failure"
    )
    assert problem(node(on_error="continue")(lambda s: None)) == (
        "on_error: nodes of a state graph have none; add_fallback says where to go on after a failure"
    )
    assert problem(keep, depends_on="x") == (
        "depends_on: nodes of a state graph depend on nothing; add_edge says which comes after which"
    )
    assert problem(keep, inputs={}) == "inputs: nodes of a state graph read their inputs from the state"
    assert problem(keep, max_visits=0) == "max_visits: is a whole number of at least 1, not 0"
    assert problem(keep, max_visits=3, on_limit="dorp") == (
        "on_limit: is one of strict, fallback, drop, not 'dorp'; did you mean 'drop'?"
    )
    assert problem(keep, on_limit="drop") == "on_limit: says what happens at a limit, and max_visits sets none"
    assert problem(lambda s: None, timeout=3).startswith(
        "timeout: a synchronous function with a time limit runs in"
    )


def needs_more(state, words: int) -> None: ...
def misplaced(state: int) -> None: ...


@dataclass
class Part:
    topic: str
    scores: float
    page: int = 3


def part(p: Part) -> None: ...


class Whole(TypedDict):
    topic: int
    page: str


def whole(state: Whole) -> None: ...


def test_parameters() -> None:
    assert problem(needs_more) == (
        "parameter 'words': nothing is given to it: a node takes the state, and reads the rest from that"
    )
    assert problem(misplaced) == (
        "parameter 'state': it is given the state, and is declared as int; declare it as Research"
    )
    assert problem(misplaced, schema={"a": int}).endswith("; declare it as dict[str, Any]")
    graph = line(part)
    assert problems(graph) == [
        "node 'part', parameter 'p': Part has 'scores': the state has no key 'scores'; did you mean 'score'?",
        "node 'part', parameter 'p': the key 'page' is str, and int in Part",
    ]
    assert problem(whole) == "parameter 'state': the key 'topic' is str, and int in Whole"


class Wrong(TypedDict):
    topic: int
    draft: str


def returns_text(state) -> str: ...
def returns_state(state) -> StateView: ...
def returns_typed(state) -> Wrong: ...
async def returns_one_of(state) -> Update | list[str] | None: ...


def test_what_nodes_return() -> None:
    what = "a node of a state graph returns what it changes: a mapping by key, an Update, or None"
    assert problem(returns_text) == f"it returns str; {what}"
    assert problem(returns_one_of) == f"it returns list[str]; {what}"
    assert problem(returns_state) == "it returns the state that it was given; return only what the node changes"
    assert problems(line(returns_typed)) == [
        "node 'returns_typed': it returns Wrong, and its 'topic' is int, but the key is str",
        "node 'returns_typed': it returns Wrong, and the state has no key 'draft'; did you mean 'drafts'?",
    ]


def joined(old: list[str] | None, new: str) -> list[str]:
    return [*(old or ()), new]


def test_a_reducer_of_ones_own_says_what_is_written() -> None:
    class Joined(TypedDict):
        notes: Annotated[list[str], joined]

    class One(TypedDict):
        notes: str

    class Many(TypedDict):
        notes: list[str]

    def one(state: Joined) -> One: ...
    def many(state: Joined) -> Many: ...

    line(one, schema=Joined).spec()
    assert problem(many, schema=Joined) == "it returns Many, and its 'notes' is list[str], but the key is str"


def returns_update(state) -> Update: ...
def returns_mapping(state) -> Mapping[str, object]: ...
def returns_schema(state) -> Research | None: ...
def returns_some(state) -> Some: ...
def unknown(state): ...


def test_what_nodes_may_return() -> None:
    line(returns_update, returns_mapping, returns_schema, returns_some, unknown).spec()


def test_texts_of_descriptions() -> None:
    assert problem(shell("echo {{ state.topics }}")) == (
        "command: the state has no key 'topics'; did you mean 'topic'?"
    )
    assert problem(shell("echo {{ topic }}")) == (
        "command: 'echo {{ topic }}': 'topic' means nothing here; there is 'state', and keys are read as state.KEY"
    )
    assert "'sate' means nothing here; did you mean 'state'?" in problem(shell("echo {{ sate.topic }}"))
    assert "'item' means nothing here" in problem(shell("echo {{ item }}"))
    assert "a {{ is not closed" in problem(http("GET", "https://x/{{ state.topic"))
    assert problem(shell("true"), exclusive="{{ state.top }}") == (
        "exclusive: the state has no key 'top'; did you mean 'topic'?"
    )


def test_a_key_of_a_barrier_is_read_in_brackets() -> None:
    g = StateGraph(Research)
    g.add_barrier("review")
    g.add_node("tell", shell("echo {{ state.review.approved }}"))
    g.add_edge(START, "review")
    g.add_edge("review", "tell")
    g.add_edge("tell", END)
    assert problems(g) == ["node 'tell', command: the state has no key 'review'; write state['review.approved']"]


def test_what_descriptions_write() -> None:
    assert problem(shell("true"), sets={"pag": "x"}) == (
        "sets.pag: the state has no key 'pag'; did you mean 'page'?"
    )
    assert problem(shell("true"), sets={"page": "{{ output.stdot }}"}) == (
        "sets.page: output is ShellOutput and has no 'stdot'; did you mean 'stdout'?"
    )
    assert problem(shell("true"), sets={"score": "{{ output.stdout }}"}) == (
        "sets.score: output.stdout is str, but float is declared"
    )
    assert problem(shell("true"), sets={"score": "high"}) == (
        'sets.score: the value "high" does not fit float: Expected `float`, got `str`'
    )
    assert problem(shell("true"), sets={"page": "{{ state.score }}"}) == (
        "sets.page: the text is float, but str is declared"
    )
    assert problem(shell("true"), sets=["page"]) == (
        "sets: is a mapping of keys to what is written to them, not ['page']"
    )
    assert problem(shell("true"), sets={"topic": {1}}) == (
        "sets.topic: the value cannot be stored: a set has no order and no JSON form; return a sorted list"
    )
    assert problem(keep, sets={"page": "x"}) == (
        "sets: it returns what it changes; `sets` is for what programs and requests return"
    )
    assert problem(barrier("?"), sets={"page": "x"}).startswith("sets: a barrier writes its decision; `sets` is")


def test_barriers() -> None:
    assert problem(barrier("?", shows=["topics"])) == "shows: the state has no key 'topics'; did you mean 'topic'?"
    assert problem(barrier("?", timeout=0)) == "timeout: is a number of seconds above 0, not 0"
    assert problem(barrier("?", default="aprove")) == (
        "default: is one of approve, reject, skip, not 'aprove'; did you mean 'approve'?"
    )
    assert problem(barrier(3)) == "text: is text, not 3"  # type: ignore[arg-type]
    assert problem(barrier("?"), retry=3) == "retry: a barrier makes no attempts"
    assert problem(barrier("?"), timeout=3) == (
        "timeout: a barrier makes no attempts; its own timeout, beside its text, limits how long it waits"
    )


def looks(state: Research, words: int) -> Happened[dict[str, Any]] | None: ...


def test_probes_take_what_the_node_takes() -> None:
    assert problem(unknown, probe=looks) == (
        "probe.words: a probe takes inputs of its node, which has none of this name; it has 'state'"
    )
