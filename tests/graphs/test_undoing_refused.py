"""What is refused about compensations, and about other things that are said of undoing."""

# pyright: basic

from typing import Annotated, Any, TypedDict, cast

from state_graphs import problem, problems
from undo_graphs import made, paid, refund, told, unplan, wrong

from clew import Update, http, shell, undo
from clew.graphs import END, START, Graph, StateGraph, barrier, total
from clew.kernel.values import FromNode, Pick

KINDS = "is a function, shell(…), http(…), call(…), memory(…), restore(…), or undo(…) of one of them"


def test_what_can_be_no_compensation() -> None:
    inner = Graph("inner")
    inner.add(shell("true"))
    assert wrong(inner) == [f"compensate: {KINDS}, not Graph"]
    assert wrong(undo(cast("Any", "refund"))) == [f"compensate: {KINDS}, not str"]

    def several(order: str):
        yield order

    assert wrong(several) == [
        "compensate: it is a generator; what undoes a node is a plain function, asynchronous or not",
    ]


def test_parameters_that_nothing_is_given_to() -> None:
    def without_value(ordr: str, amount: int, cents: str, output: list[str], other: int = 3) -> None: ...

    what = "what undoes a node takes inputs of it, and what it returned, and there is none of this name"
    assert wrong(without_value) == [
        f"compensate.ordr: {what}; did you mean 'order'?",
        f"compensate.amount: {what}; there is 'order', 'cents' and 'output'",
        "compensate.cents: the value 5 does not fit str: Expected `str`, got `int`",
        "compensate.output: output is Receipt, but list[str] is declared",
    ]

    def by_position(order: str, /) -> None: ...

    assert wrong(by_position) == [
        "compensate: parameter 'order' is positional-only, but inputs are given by name; wrap it in a function"
    ]


def test_names_in_texts() -> None:
    assert wrong(shell("refund {{ ordr }} {{ output.nmber }}")) == [
        (
            "compensate.command: 'refund {{ ordr }} {{ output.nmber }}': the node has no input 'ordr'; "
            "did you mean 'order'?"
        )
    ]
    assert wrong(http("DELETE", "https://example.org/{{ output.nmber }}")) == [
        "compensate.url: output is Receipt and has no 'nmber'; did you mean 'number'?"
    ]


def test_an_input_that_is_called_output() -> None:
    def keep(output: str) -> str: ...

    g = Graph("g")
    g.add(keep, "a", compensate=shell("drop {{ output }}"))
    assert told(g) == [
        (
            "node 'keep', compensate: 'output' stands for what the node returned, and the node has an input of "
            "this name, too; give the input another name"
        )
    ]


def test_policies_out_of_range() -> None:
    how = undo(refund, retry=0, timeout=-1, on_interrupt="ask")
    assert wrong(how, irreversible=True, expected=0) == [
        "expected: is a number of seconds above 0, not 0",
        "compensate: what can be undone is not irreversible; leave one of the two out",
        "compensate.timeout: is a number of seconds above 0, not -1",
        "compensate.on_interrupt: is one of retry, fail, not 'ask'",
        "compensate.retry.max_attempts: is a whole number of at least 1, not 0",
    ]
    assert wrong(None, irreversible="yes") == ["irreversible: is True or False, not 'yes'"]
    g = Graph("g", rollback=cast("Any", "always"))
    g.add(shell("true"))
    assert told(g) == ["rollback is True or False, not 'always'"]


def test_a_time_limit_needs_a_process_that_finds_the_function() -> None:
    (found,) = wrong(undo(lambda order: None, timeout=3))
    assert found.startswith("compensate.timeout: a synchronous function with a time limit runs in a process")

    async def here(order: str) -> None: ...

    assert paid(undo(here, timeout=3)).compensation is not None
    assert paid(undo(refund, timeout=3)).compensation is not None


def test_two_functions_that_cannot_be_told_apart() -> None:
    def shop(function: Any) -> Graph:
        inner = Graph("inner")
        inner.add(shell("true"), compensate=function)
        return inner

    g = Graph("g")
    g.add(shop(lambda: None), id="a")
    g.add(shop(lambda: None), id="b")
    (found,) = told(g)
    assert "its compensation and that of node 'shell'" in found
    assert "two graphs are called 'inner'" in found


def test_other_nodes_are_named_only_if_they_are_waited_for() -> None:
    g = Graph("g")
    first = g.add(shell("echo a"), id="first")
    body, undoing = shell("echo b"), shell("echo {{ before }}")
    g.add(body, id="second", before=first["stdout"], compensate=undoing)
    assert told(g) == [
        "node 'second', compensate.command: the node does not depend on 'first'; say so by depends_on"
    ]
    g = Graph("g")
    first = g.add(shell("echo a"), id="first")
    g.add(body, id="second", before=first["stdout"], depends_on=first, compensate=undoing)
    found = made(g).nodes[1].compensation
    assert found is not None
    assert found.inputs["command"].names == {"before": Pick(FromNode("first"), ("stdout",))}


def test_groups_and_barriers() -> None:
    inner = Graph("inner")
    inner.add(shell("true"))
    g = Graph("g")
    g.add(inner, irreversible=True)
    assert told(g) == [
        "node 'inner', irreversible: a sub-graph makes no attempts; put it on the nodes inside of 'inner'"
    ]
    assert problem(barrier("Go on?"), compensate=unplan) == "compensate: a barrier makes no attempts"


class Count(TypedDict, total=False):
    n: Annotated[int, total]
    page: str


def test_what_is_refused_in_a_state_graph() -> None:
    def takes_number(state: int) -> None: ...
    def page(state: Count) -> Count: ...
    def drop(page: str, output: int) -> None: ...
    def nothing(state: Count) -> Update: ...
    def of_update(output: Count) -> None: ...
    def back(state: Count, output: Count) -> None: ...

    def of(body: Any, compensate: Any, **options: Any) -> str:
        return problem(body, schema=Count, compensate=compensate, **options)

    assert of(page, takes_number) == (
        "compensate.state: it is given the state, and is declared as int; declare it as Count"
    )
    graph = StateGraph(Count)
    graph.add_node("page", page, compensate=drop)
    graph.add_node("shell", shell("true"), sets={"n": 1}, compensate=shell("echo {{ output.stdout }} {{ item }}"))
    inner = StateGraph(Count)
    inner.add_node("page", nothing, compensate=of_update)
    inner.add_edge(START, "page")
    inner.add_edge("page", END)
    graph.add_node("inner", inner, compensate=back)
    for source, target in ((START, "page"), ("page", "shell"), ("shell", "inner"), ("inner", END)):
        graph.add_edge(source, target)
    assert problems(graph) == [
        (
            "node 'page', compensate.page: what undoes a node takes inputs of it, and what it returned, and there "
            "is none of this name; there is 'state' and 'output'"
        ),
        "node 'page', compensate.output: output is Count, but int is declared",
        (
            "node 'shell', compensate.command: 'echo {{ output.stdout }} {{ item }}': 'item' means nothing here; "
            "there is 'state' and 'output', and keys are read as state.KEY"
        ),
        "node 'inner', compensate.output: what this graph returned is in the state; take that",
    ]
    for text in ("{{ output.page }}", "drop {{ output.page }}"):
        assert of(inner, http("DELETE", "https://example.org", json=[{"page": text}])) == (
            "compensate.json: what this graph returned is in the state; take that"
        )
    assert of(shell("true"), shell("echo {{ output.stdout }}"), sets={"n": 1}) == (
        "compensate.command: output is what it sets and has no 'stdout'; it has 'n'"
    )
