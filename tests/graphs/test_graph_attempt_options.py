"""Keys, heartbeats, and the options of attempts as a whole: in Python and in files."""

from pathlib import Path

import msgspec
import pytest

import clew
from clew.errors import GraphError
from clew.graphs import Graph, Happened, execution_batches, http, item, load, node, shell
from clew.graphs.body_data import FunctionBody
from clew.graphs.drawing import svg
from clew.graphs.hashing import definition_hash
from clew.kernel.definition import NodeSpec, OnInterrupt
from clew.kernel.values import Expression, FromInput, FromItem, FromNode, Literal, Pick


async def charge(customer: str, ctx: clew.Context, cents: int = 100) -> dict[str, str]: ...


def found(customer: str, ctx: clew.Context) -> Happened[dict[str, str]] | None: ...


def number() -> int: ...


def nodes_of(graph: Graph) -> dict[str, NodeSpec]:
    return {node.id: node for node in graph.spec().nodes}


def probe_of(node: NodeSpec) -> FunctionBody:
    return msgspec.json.decode(node.probe, type=FunctionBody)


def problems(graph: Graph) -> list[str]:
    with pytest.raises(GraphError) as caught:
        graph.spec()
    return [problem.partition(": node ")[2] or problem for problem in caught.value.problems]


# Keys ----------------------------------------------------------------------------------------------------------


def test_a_key_is_a_text_with_the_names_of_the_inputs_in_it_or_a_handle() -> None:
    g = Graph("g")
    customer = g.input("customer", str)
    page = g.add(charge, customer, id="page")
    g.add(charge, customer, exclusive="till", id="constant")
    g.add(charge, customer, exclusive="customer-{{ customer }}", id="text")
    g.add(charge, customer, exclusive="{{ customer }}", id="whole")
    g.add(charge, "ann", exclusive=customer, id="input")
    g.add(charge, "ann", exclusive=page["id"], id="part")
    g.add(shell("deploy {{ what }}"), what="x", site=page, exclusive="{{ site.id }}", id="program")
    keys = {name: each.exclusive for name, each in nodes_of(g).items()}
    assert keys == {
        "page": None,
        "constant": Literal(msgspec.Raw(b'"till"')),
        "text": Expression("customer-{{ customer }}", {"customer": FromInput("customer")}, "text.exclusive"),
        "whole": FromInput("customer"),
        "input": FromInput("customer"),
        "part": Pick(FromNode("page"), ("id",)),
        "program": Pick(FromNode("page"), ("id",)),
    }
    assert execution_batches(g) == [["page", "constant", "text", "whole", "input"], ["part", "program"]]


def test_keys_of_items() -> None:
    @node(exclusive="customer-{{ customer }}")
    async def attached(customer: str) -> None: ...

    g = Graph("g")
    people = g.input("people", list[dict[str, str]])
    names = g.input("names", list[str])
    g.map(attached, over=names)
    g.map(charge, over=people, customer=item["name"], exclusive=item["country"], id="part")
    g.map(shell("greet {{ name }}"), over=names, exclusive="{{ name }}", id="program")
    made = nodes_of(g)
    assert made["attached"].exclusive.names == {"customer": FromItem()}
    assert made["part"].exclusive == Pick(FromItem(), ("country",))
    assert made["program"].exclusive == FromItem()


def test_a_key_is_a_dependency_and_no_circle() -> None:
    g = Graph("g")
    g.add(charge, "ann", id="a", exclusive=g.add(shell("id"), id="b", depends_on="a")["stdout"])
    (told,) = problems(g)
    assert told.endswith(("in a circle: a -> b -> a", "in a circle: b -> a -> b"))


OF_ANOTHER_GRAPH = "input.x belongs to another graph, 'other'; add that graph as a node"


def test_keys_that_are_none() -> None:
    other, g = Graph("other"), Graph("g")
    n = g.input("n", int)
    page = g.add(number, id="page")
    g.add(charge, "ann", exclusive=7, id="number")
    g.add(charge, "ann", exclusive=" ", id="empty")
    g.add(charge, "ann", exclusive="{{ custmer }}", id="misspelt")
    g.add(charge, "ann", exclusive="{{ cents }}", id="not_given")
    g.add(charge, "ann", exclusive="{{ customer", id="open")
    g.add(charge, "ann", n, exclusive="{{ cents }}", id="int")
    g.add(charge, "ann", exclusive=page["id"], id="field")
    g.add(charge, "ann", exclusive=other.input("x"), id="other")
    g.add(charge, "ann", exclusive=item["name"], id="no_map")
    g.add(shell("deploy"), exclusive="{{ site }}", id="program")
    assert problems(g) == [
        "'number', exclusive: is text, which may hold {{ … }}, or a handle, not 7",
        "'empty', exclusive: is empty",
        "'misspelt', exclusive: '{{ custmer }}': the node has no input 'custmer'; did you mean 'customer'?",
        "'not_given', exclusive: '{{ cents }}': the node has no input 'cents'; it has 'customer'",
        "'open', exclusive: '{{ customer': a {{ is not closed",
        "'int', exclusive: input.n is int, and a key is text, as in 'user-{{ id }}'",
        "'field', exclusive: page is int and has no 'id'",
        f"'other', exclusive: {OF_ANOTHER_GRAPH}, and give it what it needs as an input",
        "'no_map', exclusive: item stands for something only in nodes with a map",
        "'program', parameter 'site': is missing",
    ]


def test_the_item_of_no_map() -> None:
    g = Graph("g")
    g.add(charge, [item["name"]], id="input")
    g.map(charge, over=item["people"], id="over")
    g.returns({"all": item})
    assert [each for each in problems(g) if "stands for" in each] == [
        "'input', parameter 'customer': item stands for something only in nodes with a map",
        "'over', over: item stands for something only in nodes with a map",
        next(
            each for each in g.problems() if "returns: item stands for something only in nodes with a map" in each
        ),
    ]


# Heartbeats ----------------------------------------------------------------------------------------------------


def test_heartbeats_are_seconds_between_calls_of_a_function() -> None:
    g = Graph("g")
    g.add(charge, "ann", heartbeat=30)
    assert nodes_of(g)["charge"].heartbeat_s == 30.0
    g.add(charge, "ann", heartbeat=0, id="zero")
    g.add(number, heartbeat=3, id="silent")
    g.add(shell("true"), heartbeat=3, id="program")
    g.add(http("GET", "https://x"), heartbeat=3, id="request")
    assert problems(g) == [
        "'zero', heartbeat: is a number of seconds above 0, not 0",
        "'silent', heartbeat: the function does not take the Context, and so cannot say that it is alive",
        "'program', heartbeat: a program does not say that it is alive, only a function does; use timeout",
        "'request', heartbeat: a request does not say that it is alive, only a function does; use timeout",
    ]


# All of them ---------------------------------------------------------------------------------------------------


def test_a_sub_graph_has_none_of_them() -> None:
    inner, g = Graph("inner"), Graph("g")
    inner.add(number)
    g.add(inner, probe=found, exclusive="{{ x }}", heartbeat=3, on_interrupt="probe")
    nodes_inside = "a sub-graph makes no attempts; put it on the nodes inside of 'inner'"
    names = ("heartbeat", "on_interrupt", "probe", "exclusive")
    assert problems(g) == [f"'inner', {name}: {nodes_inside}" for name in names]


def test_the_hash_knows_them_but_not_where_they_lie() -> None:
    hashes: list[str] = []
    for options in ({}, {"probe": found}, {"exclusive": "a"}, {"exclusive": "a-{{ customer }}"}, {"heartbeat": 1}):
        g = Graph("g")
        g.add(charge, "ann", id="n", **options)
        hashes.append(g.hash)
    assert len({*hashes}) == len(hashes)
    g = Graph("g")
    g.add(charge, "ann", id="n", probe=found, exclusive="a-{{ customer }}")
    spec = g.spec()
    (made,) = spec.nodes
    moved = msgspec.structs.replace(
        made,
        probe=msgspec.Raw(msgspec.json.encode(msgspec.structs.replace(probe_of(made), folder="/elsewhere"))),
        exclusive=msgspec.structs.replace(made.exclusive, where="elsewhere.yaml: nodes.n.exclusive"),
    )
    assert definition_hash(msgspec.structs.replace(spec, nodes=(moved,))) == g.hash


def test_a_picture_tells_of_them() -> None:
    g = Graph("g")
    name = g.input("name", str)
    g.add(charge, name, probe=found, heartbeat=30, exclusive="customer-{{ customer }}", id="a")
    g.add(charge, name, exclusive="till", id="b")
    g.add(charge, name, exclusive=name, id="c")
    text = svg(g)
    assert "30 s of silence at most\nasks found after an interruption\none at a time of customer-" in text
    assert "one at a time of till" in text
    assert "one at a time of input.name" in text


# In files ------------------------------------------------------------------------------------------------------

SHOP = """
from clew import Context, Happened, node

@node(exclusive="customer-{{ customer }}", probe=lambda customer: None)
async def attached(customer: str) -> None: ...

async def charge(customer: str, ctx: Context) -> str: ...

def found(customer: str, ctx: Context) -> Happened[str] | None: ...

def told(order: int): ...
"""

FORMS = {
    "shop.yaml": """
name: shop
inputs: {customer: str, all: "list[str]"}
nodes:
  charge:
    run: graphs_shop:charge
    with: {customer: "{{ input.customer }}"}
    probe: graphs_shop:found
    exclusive: customer-{{ input.customer }}
    heartbeat: 1.5m
  each:
    run: graphs_shop:charge
    map: "{{ input.all }}"
    exclusive: customer-{{ customer }}
    on_interrupt: ask
  items: {run: "graphs_shop:charge", map: "{{ input.all }}", exclusive: "{{ item }}"}
  told:
    http: {url: "https://x/{{ order }}", method: POST}
    with: {order: 7, site: "{{ charge }}"}
    probe: graphs_shop:told
    on_interrupt: probe
    exclusive: "{{ site }}"
  attached: {run: "graphs_shop:attached", with: {customer: ann}}
""",
    "shop.toml": """
name = "shop"
[inputs]
customer = "str"
all = "list[str]"
[nodes.charge]
run = "graphs_shop:charge"
with = { customer = "{{ input.customer }}" }
probe = "graphs_shop:found"
exclusive = "customer-{{ input.customer }}"
heartbeat = 90
[nodes.each]
run = "graphs_shop:charge"
map = "{{ input.all }}"
exclusive = "customer-{{ customer }}"
on_interrupt = "ask"
[nodes.items]
run = "graphs_shop:charge"
map = "{{ input.all }}"
exclusive = "{{ item }}"
[nodes.told]
http = { url = "https://x/{{ order }}", method = "POST" }
with = { order = 7, site = "{{ charge }}" }
probe = "graphs_shop:told"
exclusive = "{{ site }}"
[nodes.attached]
run = "graphs_shop:attached"
with = { customer = "ann" }
""",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "graphs_shop.py").write_text(SHOP)
    for name, text in FORMS.items():
        (folder / name).write_text(text)
    return folder


def test_the_options_of_a_file(shop: Path) -> None:
    made = nodes_of(load(shop / "shop.yaml"))
    charge = made["charge"]
    assert (probe_of(charge).ref, probe_of(charge).folder) == ("graphs_shop:found", str(shop))
    assert (charge.on_interrupt, charge.heartbeat_s) == (OnInterrupt.PROBE, 90.0)
    assert charge.exclusive.where == "shop.yaml: nodes.charge.exclusive"
    assert made["each"].exclusive.names == {"customer": FromItem()}
    assert made["each"].on_interrupt is OnInterrupt.ASK
    assert made["items"].exclusive == FromItem()
    assert made["told"].exclusive == FromNode("charge")
    assert [*made["told"].inputs] == ["url", "order"]
    assert made["attached"].exclusive == Expression(
        "customer-{{ customer }}", {"customer": Literal(msgspec.Raw(b'"ann"'))}, "attached.exclusive"
    )
    assert made["attached"].on_interrupt is OnInterrupt.PROBE


def test_the_form_of_the_options_does_not_matter(shop: Path) -> None:
    assert load(shop / "shop.yaml").hash == load(shop / "shop.toml").hash
