"""What a run is started with, against what the graph declares."""

import pytest

from clew.errors import GraphError
from clew.graphs import Graph, shell
from clew.graphs.given import encode_inputs


def graph() -> Graph:
    g = Graph("g")
    g.input("url", str)
    g.input("depth", int, 2)
    g.input("any")
    g.add(shell("true"))
    return g


def test_inputs_are_encoded_with_their_defaults() -> None:
    assert encode_inputs(graph(), {"url": "x", "any": [1, None]}) == {
        "url": b'"x"',
        "depth": b"2",
        "any": b"[1,null]",
    }


def test_all_that_is_wrong_is_told() -> None:
    with pytest.raises(GraphError) as caught:
        encode_inputs(graph(), {"ulr": "x", "depth": "deep", "any": {1}})
    assert [problem.partition(";")[0] for problem in caught.value.problems] == [
        "it has no input 'ulr'",
        "input 'url' (str) is missing",
        "input 'depth': Expected `int`, got `str`",
        "input 'any': $: a set has no order and no JSON form",
    ]
    assert "did you mean 'url'?" in caught.value.problems[0]
