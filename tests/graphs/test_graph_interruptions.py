"""What becomes of an attempt whose process died: what is stored of it, and the probes that are refused."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

import clew
from clew.errors import GraphError
from clew.graphs import Graph, Happened, http, node, shell
from clew.graphs.body_data import FunctionBody, HttpBody
from clew.kernel.definition import NodeSpec, OnInterrupt
from clew.kernel.values import FromInput, FromItem


async def charge(customer: str, ctx: clew.Context, cents: int = 100) -> dict[str, str]: ...


def found(customer: str, ctx: clew.Context) -> Happened[dict[str, str]] | None: ...


async def looked_up(cents: int = 1, **others: Any): ...


def nodes_of(graph: Graph) -> dict[str, NodeSpec]:
    return {node.id: node for node in graph.spec().nodes}


def probe_of(node: NodeSpec) -> FunctionBody:
    return msgspec.json.decode(node.probe, type=FunctionBody)


def problems(graph: Graph) -> list[str]:
    with pytest.raises(GraphError) as caught:
        graph.spec()
    return [problem.partition(": node ")[2] or problem for problem in caught.value.problems]


def test_a_probe_alone_says_what_an_interruption_means() -> None:
    g = Graph("g")
    g.add(charge, "ann", probe=found)
    g.add(shell("pay {{ customer }}"), customer="ann", probe=found, on_interrupt="probe", id="program")
    g.add(charge, "ann", on_interrupt="ask", id="asked")
    made = nodes_of(g)
    assert [each.on_interrupt for each in made.values()] == [OnInterrupt.PROBE, OnInterrupt.PROBE, OnInterrupt.ASK]
    assert probe_of(made["charge"]) == FunctionBody(
        f"{__name__}:found", is_async=False, folder=str(Path(__file__).parent)
    )
    assert not made["asked"].probe
    assert g.bodies[f"{__name__}:found"] is found


def test_what_nobody_says_stays_as_it_was() -> None:
    g = Graph("g")
    g.add(charge, "ann", id="function")
    g.add(shell("true"), id="shell")
    g.add(http("HEAD", "https://x"), id="head")
    g.add(http("PUT", "https://x"), id="put")
    meanings = [each.on_interrupt for each in nodes_of(g).values()]
    assert meanings == [OnInterrupt.RETRY, OnInterrupt.FAIL, OnInterrupt.RETRY, OnInterrupt.FAIL]
    fields = {key for each in msgspec.json.decode(msgspec.json.encode(g.spec()))["nodes"] for key in each}
    assert fields.isdisjoint({"probe", "exclusive", "heartbeat_s"})


def test_the_probe_and_its_word_are_one_policy_of_which_the_use_has_the_last_word() -> None:
    @node(probe=found)
    async def probed(customer: str) -> dict[str, str]: ...

    @node(on_interrupt="fail")
    async def failing(customer: str) -> dict[str, str]: ...

    g = Graph("g")
    g.add(probed, "ann", id="attached")
    g.add(probed, "ann", on_interrupt="ask", id="another word")
    g.add(probed, "ann", on_interrupt="probe", timeout=3, id="the same word")
    g.add(failing, "ann", probe=looked_up, id="a probe")
    found_by_id = {draft.id: draft.options for draft in g.draft.nodes}
    assert {name: (options.interrupt_spec(), options.probe) for name, options in found_by_id.items()} == {
        "attached": (OnInterrupt.PROBE, found),
        "another word": (OnInterrupt.ASK, None),
        "the same word": (OnInterrupt.PROBE, found),
        "a probe": (OnInterrupt.PROBE, looked_up),
    }


def test_a_probe_of_a_request_takes_the_names_of_its_texts() -> None:
    def told(order: str, url: str): ...

    g = Graph("g")
    order = g.input("order", str)
    pay = http("POST", "https://pay/{{ order }}", json={"cents": "{{ cents }}"})
    g.add(pay, order=order, cents=5, probe=told, id="some")
    g.add(pay, order=order, cents=5, probe=looked_up, id="all")
    g.add(pay, order=order, cents=5, id="none")
    g.add(http("GET", "{{ url }}"), url=order, probe=lambda url: None, id="same")
    made = nodes_of(g)
    assert {name: [*each.inputs] for name, each in made.items()} == {
        "some": ["url", "json", "order"],
        "all": ["url", "json", "order", "cents"],
        "none": ["url", "json"],
        "same": ["url"],
    }
    assert made["some"].inputs["order"] == FromInput("order")
    assert msgspec.json.decode(made["some"].body, type=HttpBody) == HttpBody(method="POST")


def test_probes_of_each_item_and_probes_without_a_name() -> None:
    g = Graph("g")
    g.map(charge, over=g.input("customers", list[str]), probe=lambda customer: None, id="each")
    each = nodes_of(g)["each"]
    assert each.inputs == {"customer": FromItem()}
    ref = probe_of(each).ref
    assert ref.endswith("<lambda>@g/each:probe")
    assert g.bodies[ref]("ann") is None


def test_probes_of_two_graphs_of_one_name() -> None:
    def make(n: int):
        def probe(customer: str): ...

        return probe

    g = Graph("g")
    for n in range(2):
        inner = Graph("same")
        inner.add(charge, "ann", probe=make(n))
        g.add(inner)
    (told,) = problems(g)
    assert told.startswith("'charge', probe: its probe and that of node 'charge'")
    assert "cannot be told apart: two graphs are called 'same'; give them different names" in told


def test_answers_are_values() -> None:
    assert clew.Happened is Happened
    assert Happened({"id": "7"}) == Happened({"id": "7"})
    assert Happened(None).output is None


def gen(customer: str):
    yield customer


def said_twice(customer: str) -> bool: ...


def misspelt(custmer: str, cents: int = 1): ...


def strict(customer: str, /): ...


def of_numbers(customer: int) -> "Happened[int] | None": ...


def anything(customer) -> object: ...


NO_SUCH_INPUT = "a probe takes inputs of its node, which has none of this name"
POSITIONAL = "parameter 'customer' is positional-only, but inputs are given by name; wrap it in a function"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"on_interrupt": "probe"},
            ["on_interrupt: a probe is a function that tells whether an attempt took effect; none is given"],
        ),
        (
            {"probe": found, "on_interrupt": "ask"},
            ["probe: is asked only if on_interrupt is 'probe', not 'ask'; leave one of them out"],
        ),
        ({"probe": "shop:found"}, ["probe: is a function, not 'shop:found'"]),
        ({"probe": gen}, ["probe: it is a generator; a probe returns Happened(output), or None"]),
        ({"probe": said_twice}, ["probe: said_twice returns bool; a probe returns Happened(output), or None"]),
        (
            {"probe": misspelt},
            [f"probe.custmer: {NO_SUCH_INPUT}; did you mean 'customer'?"],
        ),
        (
            {"probe": strict},
            [f"probe: {POSITIONAL}"],
        ),
        (
            {"probe": of_numbers},
            [
                'probe.customer: the value "ann" does not fit int: Expected `int`, got `str`',
                "probe: its output is int, but the function returns dict[str, str]",
            ],
        ),
        ({"probe": anything}, []),
        (
            {"on_interrupt": "prob", "probe": found},
            ["on_interrupt: is one of retry, probe, ask, fail, not 'prob'; did you mean 'probe'?"],
        ),
    ],
)
def test_probes_that_are_none(options: dict[str, Any], expected: list[str]) -> None:
    g = Graph("g")
    g.add(charge, "ann", **options)
    assert (problems(g) if expected else g.problems()) == [f"'charge', {each}" for each in expected]


def test_a_name_of_a_probe_has_one_meaning() -> None:
    g = Graph("g")
    g.add(http("POST", "https://x/{{ data }}"), data="1", probe=lambda data: None, id="a")
    g.add(shell("echo {{ command }}"), command="x", probe=lambda command: None, id="b")
    g.add(http("POST", "https://x"), probe=lambda json: None, id="c")
    named = "is a name in its texts, too; give the latter another name"
    assert problems(g) == [
        f"'a', probe.data: 'data' stands for what the http node itself is given, and {named}",
        f"'b', probe.command: 'command' stands for what the shell node itself is given, and {named}",
        f"'c', probe.json: {NO_SUCH_INPUT}; it has 'url'",
    ]
