"""Addresses, and definitions compiled: who waits for whom, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from play import graph, literal, mapped, node

from clew.kernel import addresses
from clew.kernel.definition import ErrorPolicy
from clew.kernel.errors import DefinitionError
from clew.kernel.topology import compile_graph, dependencies
from clew.kernel.values import DictOf, Expression, FromInput, FromNode, ListOf, Pick, references


def test_a_node_of_the_outermost_graph_is_addressed_by_its_id():
    assert addresses.child("", "a") == "a"


def test_segments_are_joined_by_slashes():
    assert addresses.child("outer[k]", "inner") == "outer[k]/inner"


def test_what_has_a_meaning_in_an_address_is_escaped_in_keys():
    assert addresses.item("m", "a/b[c]#1%\n") == "m[a/b%5Bc%5D%231%25%0A]"


@given(st.text(), st.text())
def test_different_keys_have_different_addresses(one: str, other: str):
    assert (addresses.item("m", one) == addresses.item("m", other)) == (one == other)


def test_references_are_found_at_any_depth():
    a, b, c, d = map(FromNode, "abcd")
    binding = ListOf((Pick(a, (0,)), DictOf({"k": b, "l": FromInput("x")}), Expression("{{ c }}", {"c": c})))
    assert references(binding) == {"a", "b", "c"}
    assert references(d) == {"d"}


def test_data_order_and_maps_are_dependencies():
    spec = mapped("m", "after", over=FromNode("list"), inputs={"x": FromNode("data")})
    assert dependencies(spec) == {"after", "list", "data"}


def test_counts_releases_and_sources():
    topology = compile_graph(graph(node("a"), node("b", "a"), node("c", "a", "b")))
    assert topology.counts == [0, 1, 2]
    assert [n.releases for n in topology.nodes] == [(1, 2), (2,), ()]
    assert topology.sources == [0]
    assert topology.order == [0, 1, 2]


def test_a_dependency_that_is_named_twice_counts_once():
    topology = compile_graph(graph(node("a"), node("b", "a", "a", inputs={"x": FromNode("a")})))
    assert topology.counts == [0, 1]


def test_leaves_are_what_is_no_group():
    assert compile_graph(graph(node("a"), mapped("m"), node("g", graph=graph()))).leaves == 1


def test_the_policy_of_a_node_counts_before_that_of_its_graph():
    nodes = (node("a"), node("b", on_error=ErrorPolicy.STOP_GRAPH))
    topology = compile_graph(graph(*nodes, on_error=ErrorPolicy.CONTINUE))
    assert [n.goes_on for n in topology.nodes] == [True, False]


def test_a_map_over_a_map_is_fed_item_by_item():
    topology = compile_graph(graph(mapped("m"), mapped("n", over="m")))
    assert topology.nodes[1].fed_by == 0
    assert topology.nodes[0].feeds == (1,)
    assert topology.nodes[0].releases == ()


@pytest.mark.parametrize(
    "consumer",
    [
        mapped("n", "m", over="m"),
        mapped("n", over="m", inputs={"all": FromNode("m")}),
        mapped("n", over=Pick(FromNode("m"), (0,))),
        mapped("n", over="plain"),
    ],
)
def test_a_map_that_needs_the_whole_list_is_not_fed(consumer):
    topology = compile_graph(graph(node("plain"), mapped("m"), consumer))
    assert topology.nodes[2].fed_by is None


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("a"), node("a")], "two nodes are called a"),
        ([node("a", "b")], r"a depends on unknown \['b'\]"),
        ([node("a/b")], "'a/b' cannot be the id of a node"),
        ([node("")], "'' cannot be the id of a node"),
        ([node("a", "a")], "cycle a -> a$"),
        ([node("a", "b"), node("b", "a")], "cycle b -> a -> b$"),
        ([node("x"), node("a", "x", "c"), node("b", "a"), node("c", "b"), node("z", "c")], "b -> c -> a -> b$"),
        ([mapped("m", over="n"), mapped("n", over="m")], "cycle n -> m -> n$"),
        ([node("g", graph=graph(node("a", "a")))], "cycle a -> a$"),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused(nodes, words: str):
    with pytest.raises(DefinitionError, match=words):
        compile_graph(graph(*nodes))


def test_what_a_graph_returns_must_exist():
    with pytest.raises(DefinitionError, match=r"graph play returns the output of unknown \['b'\]"):
        compile_graph(graph(node("a"), output=FromNode("b")))


def test_a_constant_list_has_no_dependencies():
    assert dependencies(mapped("m", over=literal([1]))) == frozenset()
