"""Definitions of state graphs that contradict themselves are refused when they are compiled."""

from __future__ import annotations

import pytest
from play import node
from trip import END, START, barrier, decided, edge, fallback, key, line, parallel, part, routed, step

from clew.kernel.definition import GraphSpec
from clew.kernel.errors import DefinitionError
from clew.kernel.topology import compile_graph

PLAIN = (edge(START, "a"), edge("a", END))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (routed(step("a"), keys=(key("k"), key("k", "sum"))), "two keys of the state have the same name"),
        (routed(step("a"), edges=(*PLAIN, edge("a", "b"))), "an edge leads from or to b, which is no node"),
        (routed(step("a"), edges=(*PLAIN, edge("b", "a"))), "an edge leads from or to b, which is no node"),
        (routed(step("a"), edges=(edge("a", END),)), "no edge leaves the start"),
        (routed(step("a"), edges=(*PLAIN, edge("a", "a"))), "two plain edges leave a"),
        (routed(step("a"), edges=(*PLAIN, edge(START, "a"))), "two plain edges leave the start"),
        (
            routed(step("a"), edges=(*PLAIN, fallback("a", "a"), fallback("a", END))),
            "two fallback edges leave a",
        ),
        (routed(barrier("ok"), keys=decided("ok")[:1]), "the barrier ok needs the key 'ok.reject_reason'"),
        (
            routed(parallel("p", barrier("ok")), keys=decided("ok")[1:]),
            "the barrier ok needs the key 'ok.approved'",
        ),
        (
            routed(barrier("ok", shows=("topic",)), keys=decided("ok")),
            "the barrier ok needs the key 'topic'",
        ),
        (
            routed(step("a"), step("b", after=("a",)), edges=line("a", "b")),
            "the nodes of a state graph do not depend on each other",
        ),
        (
            routed(parallel("p", node("a"), node("b", "a"))),
            "the nodes of a state graph do not depend on each other",
        ),
    ],
)
def test_a_definition_that_cannot_be_walked_is_refused(spec: GraphSpec, told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        compile_graph(spec)


def test_a_sub_graph_with_keys_of_its_own_is_fine() -> None:
    inner = routed(barrier("ok"), keys=decided("ok"), name="inner")
    topology = compile_graph(routed(step("a"), part("sub", inner), edges=line("a", "sub")))
    assert topology.routing is not None
    assert topology.leaves == 0
    assert topology.sources == []
