"""What the Python form refuses: all at once, each with its line, node, field and the nearest right name."""

import re
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest

from clew.errors import GraphError
from clew.graphs import Graph, Retry, exponential, fixed, http, item, linear, shell


class Page(TypedDict):
    title: str


async def fetch(url: str, depth: int = 1) -> Page: ...


def summarise(text: str) -> str: ...


def clean(text: str, /) -> str: ...


def lines(text: str):
    yield text


@dataclass
class Cat:
    name: str


@dataclass
class Dog:
    name: str


def use(pets: list[Cat | Dog]) -> None: ...


def problems(graph: Graph) -> list[str]:
    with pytest.raises(GraphError) as caught:
        graph.spec()
    assert caught.value.problems == graph.problems()
    places = [re.match(r"(\S+\.py):\d+: ", problem) for problem in caught.value.problems]
    assert all(place and place[1].endswith("test_graph_problems.py") for place in places), caught.value.problems
    return [problem[place.end() :] for problem, place in zip(caught.value.problems, places, strict=True) if place]


def test_every_problem_is_told_at_once_with_its_line() -> None:
    g = Graph("digest")
    g.add(fetch, ulr="x")
    g.add(summarise, 3, timeout=-1, depends_on="fetsch")
    with pytest.raises(GraphError) as caught:
        g.spec()
    assert str(caught.value).startswith("graph digest: 4 problems\n  - ")
    found = problems(g)
    assert found == [
        "node 'fetch', parameter 'ulr': the function has none; did you mean 'url'?",
        "node 'summarise', depends_on: there is no node 'fetsch'; did you mean 'fetch'?",
        "node 'summarise', timeout: is a number of seconds above 0, not -1",
        "node 'summarise', parameter 'text': the value 3 does not fit str: Expected `str`, got `int`",
    ]


def test_ids() -> None:
    g = Graph("g")
    g.add(fetch, "x", id="a")
    g.add(fetch, "x", id="a")
    g.add(fetch, "x", id="1 b")
    first, second = problems(g)
    assert re.fullmatch(r"node 'a', id: it is used twice, first at \S+\.py:\d+", first)
    assert second == "node '1 b', id: it has letters, digits, '_', '.' and '-', and starts with a letter or '_'"


def test_cycles_are_spelled_out() -> None:
    g = Graph("g")
    g.add(fetch, "x", id="a", depends_on="c")
    g.add(fetch, "x", id="b", depends_on="a")
    g.add(fetch, "x", id="c", depends_on="b")
    g.add(fetch, "x", id="self", depends_on="self")
    g.add(fetch, "x", id="behind", depends_on="c")
    found = problems(g)
    assert len(found) == 2
    assert re.fullmatch(
        r"nodes wait for each other in a circle: (a -> b -> c -> a|b -> c -> a -> b|c -> a -> b -> c)", found[0]
    )
    assert found[1].endswith("self -> self")


def test_handles_of_another_graph() -> None:
    other, g = Graph("other"), Graph("g")
    page = other.add(fetch, "x")
    g.add(summarise, page["title"])
    g.add(fetch, "x", depends_on=page)
    g.returns(page)
    found = problems(g)
    assert [f.partition(":")[0] for f in found] == [
        "returns",
        "node 'summarise', parameter 'text'",
        "node 'fetch', depends_on",
    ]
    assert "fetch.title belongs to another graph, 'other'" in found[1]


def test_values_that_cannot_be_stored() -> None:
    g = Graph("g")
    g.add(fetch, {1, 2})
    g.add(fetch, [{"a": float("nan")}, g.input("x")])
    g.add(fetch, {1: g.input("y")})
    found = problems(g)
    assert "the value cannot be stored: a set has no order" in found[0]
    assert any("cannot be stored" in f and "nan" in f for f in found)
    assert any("the key 1 is not text" in f for f in found)


def test_parameters() -> None:
    g = Graph("g")
    g.add(fetch)
    g.add(fetch, "x", 1, 2)
    g.add(fetch, "x", url="y")
    g.add(clean, "x")
    g.add(lines, "x")
    g.add(3)
    g.add(use, g.input("pets"))
    found = problems(g)
    assert "node 'fetch', parameter 'url': is missing" in found
    assert "node 'fetch_2': it takes 2 inputs, but 3 were given by position" in found
    assert "node 'fetch_3', parameter 'url': is given by position and by name" in found
    assert any("parameter 'text' is positional-only" in f for f in found)
    assert any("node 'lines': it is a generator" in f for f in found)
    assert any(
        "a body is a function, shell(…), http(…), call(…), memory(…) or a graph, not int" in f for f in found
    )
    assert any("'use', parameter 'pets': no stored value can be given to it" in f for f in found)


def test_types_are_checked_where_they_are_declared() -> None:
    g = Graph("g")
    page = g.add(fetch, g.input("n", int))
    g.add(summarise, page)
    g.add(summarise, page["titel"])
    pages = g.map(fetch, over=["a"], id="pages")
    g.add(summarise, pages, id="list")
    g.map(summarise, over=page, id="no_list")
    g.map(summarise, over=pages, id="items")
    g.map(summarise, over=pages, text=item["titel"], id="parts")
    g.returns(page["body"])
    assert problems(g) == [
        "node 'fetch', parameter 'url': input.n is int, but str is declared",
        "node 'summarise', parameter 'text': fetch is Page, but str is declared",
        "node 'summarise_2', parameter 'text': fetch is Page and has no 'titel'; did you mean 'title'?",
        "node 'list', parameter 'text': pages is list[Page], but str is declared",
        "node 'no_list', over: fetch is Page, and a map runs over a list",
        "node 'items', parameter 'text': item is Page, but str is declared",
        "node 'parts', parameter 'text': item is Page and has no 'titel'; did you mean 'title'?",
        "returns: fetch is Page and has no 'body'; it has 'title'",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "timeout: is a number of seconds above 0, not 0"),
        ({"timeout": float("inf")}, "timeout: is a number of seconds above 0, not inf"),
        ({"total_timeout": "5m"}, "total_timeout: is a number of seconds above 0, not '5m'"),
        ({"retry": 0}, "retry.max_attempts: is a whole number of at least 1, not 0"),
        ({"retry": True}, "retry: is a Retry or a number of attempts, not True"),
        ({"retry": Retry(backoff=fixed(-1))}, "retry.delay: is a number of at least 0, not -1"),
        ({"retry": Retry(backoff=exponential(factor=0.5))}, "retry.factor: is a number of at least 1, not 0.5"),
        ({"retry": Retry(backoff=linear(max_delay=-1))}, "retry.max_delay: is a number of at least 0, not -1"),
        ({"retry": Retry(jitter=1.5)}, "retry.jitter: is a share from 0 to 1, not 1.5"),
        ({"uses": {"gpu": 0}}, "uses.gpu: is a whole number of at least 1, not 0"),
        ({"uses": 3}, "uses: is a resource's name, several, or units by name, not 3"),
        ({"priority": 1.5}, "priority: is a whole number, not 1.5"),
        (
            {"on_error": "stop"},
            "on_error: is one of stop_graph, skip_downstream, continue, not 'stop'",
        ),
        (
            {"on_interrupt": "retri"},
            "on_interrupt: is one of retry, probe, ask, fail, not 'retri'; did you mean 'retry'?",
        ),
    ],
)
def test_policies_out_of_range(options: dict[str, Any], message: str) -> None:
    g = Graph("g")
    g.add(fetch, "x", **options)
    assert problems(g) == [f"node 'fetch', {message}"]


def test_policies_of_graphs_and_maps() -> None:
    g = Graph(" ", on_error="x", timeout=-1, max_concurrency=0, max_interruptions=-1)
    g.input("no name")
    g.input("twice", int, default="x")
    g.input("twice")
    found = problems(g)
    assert [f.partition(" ")[0].rstrip(":") for f in found] == [
        "on_error", "timeout", "max_concurrency", "max_interruptions", "name", "input", "nodes", "input", "input"
    ]  # fmt: skip
    assert "the default does not fit: Expected `int`, got `str`" in found[-2]
    assert "it is declared twice, first at" in found[-1]
    g = Graph("g")
    g.map(fetch, over=["x"], on_item_error="colect", max_concurrency=0)
    g.map(fetch, over={"url": ["x"]}, url="y", id="both")
    g.map(fetch, "x", 1, over=["x"], id="full")
    assert problems(g) == [
        "node 'fetch', on_item_error: is one of fail_fast, collect, not 'colect'; did you mean 'collect'?",
        "node 'fetch', max_concurrency: is a whole number of at least 1, not 0",
        "node 'both', parameter 'url': is given the item by `over` and another input besides",
        "node 'full': no parameter is left for the item of the map",
    ]


def test_a_function_that_no_process_can_find_has_no_time_limit() -> None:
    async def in_the_loop() -> None: ...

    g = Graph("g")
    g.add(lambda: 1, timeout=3)
    g.add(in_the_loop, timeout=3)
    g.add(summarise, "x", timeout=3)
    (found,) = problems(g)
    assert found.startswith("node 'lambda', timeout: a synchronous function with a time limit runs in a process")


def test_a_sub_graph_makes_no_attempts() -> None:
    inner, g = Graph("inner"), Graph("g")
    inner.add(summarise)
    g.add(inner, retry=3, timeout=3, total_timeout=5)
    found = problems(g)
    assert found == [
        "node 'inner', retry: a sub-graph makes no attempts; put it on the nodes inside of 'inner'",
        f"{found[0].replace('retry', 'timeout')}; total_timeout limits it as a whole",
        "node 'summarise', parameter 'text': is missing",
    ]


def test_graphs_that_contain_themselves() -> None:
    a, b = Graph("a"), Graph("b")
    a.add(b)
    b.add(a)
    (found,) = problems(a)
    assert found == "graph 'a' contains itself: a -> b -> a"


def test_closures_of_two_graphs_of_one_name() -> None:
    def make(n: int):
        async def body() -> int:
            return n

        return body

    g = Graph("g")
    for n in range(2):
        inner = Graph("same")
        inner.add(make(n))
        g.add(inner)
    (found,) = problems(g)
    assert "cannot be told apart: two graphs are called 'same'; give them different names" in found


def test_templates() -> None:
    g = Graph("g")
    g.add(shell("echo {{ word }}"), wrod="x")
    g.add(shell("echo '{{ word }}'"), word="x")
    g.add(http("GET", "https://x/{{ }}"))
    g.add(shell("echo {{ page.titel }}"), page=g.add(fetch, "x"))
    found = problems(g)
    assert found[0] == (
        "node 'shell', parameter 'wrod': no {{ wrod }} stands in the shell node's texts; did you mean 'word'?"
    )
    assert "{{ word }} stands inside quotes" in found[1]
    assert "node 'http', url: " in found[2]
    assert any("fetch is Page and has no 'titel'; did you mean 'title'?" in f for f in found)


def test_outputs_of_shell_and_http_have_known_fields() -> None:
    g = Graph("g")
    listed = g.add(shell("ls"))
    asked = g.add(http("GET", "https://x"))
    data = g.add(shell("cat x.json", capture="json"), id="data")
    quiet = g.add(shell("true", capture="none"), id="quiet")
    g.add(summarise, listed["stdout"], id="fine")
    g.add(summarise, data["stdout"]["title"], id="fine_too")
    g.add(summarise, asked["body"], id="unknown")
    g.add(summarise, listed, id="whole")
    g.add(summarise, asked["bod"], id="misspelt")
    g.add(summarise, asked["status"], id="number")
    g.add(summarise, quiet["stdout"], id="none")
    assert problems(g) == [
        "node 'whole', parameter 'text': shell is ShellOutput, but str is declared",
        "node 'misspelt', parameter 'text': http is HttpOutput and has no 'bod'; did you mean 'body'?",
        "node 'number', parameter 'text': http.status is int, but str is declared",
        "node 'none', parameter 'text': quiet is ExitCode and has no 'stdout'; it has 'exit_code'",
    ]


def test_hints_that_cannot_be_read_are_not_declared() -> None:
    def later(x: "NotThere", y: "int") -> "AlsoNot": ...  # noqa: F821

    g = Graph("g")
    g.add(later, {"a": 1}, "no int")
    (found,) = problems(g)
    assert "parameter 'y'" in found
