"""Limits of steps and of graphs, before anything runs."""

from typing import Any

import pytest

from clew import Graph, InvalidInputError, Limits, StateGraph, call, shell, tool
from clew.graphs.limits import limits_of
from clew.graphs.permissions import Permissions, excess
from clew.graphs.tools import tool_of
from clew.graphs.units import bytes_of, seconds_of


async def later() -> None: ...


def now() -> None: ...


def problems(*bodies: Any, **options: Any) -> list[str]:
    g = Graph("g", **options)
    for number, body in enumerate(bodies):
        g.add(body, id=f"n{number}")
    return [each.partition(" ")[2] for each in g.problems()]


def test_a_graph_may_have_limits() -> None:
    limits = {"cpu_s": "5m", "memory_bytes": "1GB", "tool_invocations": 3, "wall_s": 60}
    g = Graph("g", limits=limits, timeout=90)
    g.add(call(now), id="n")
    spec = g.spec()
    assert spec.limits == {"cpu_s": 300.0, "memory_bytes": 1e9, "tool_invocations": 3.0, "wall_s": 60.0}
    assert spec.timeout_s == 60.0
    assert not spec.best_effort


def test_what_cannot_be_a_limit_of_a_graph() -> None:
    assert problems(now, limits={"cores": 1})[0].endswith(
        "cores is a limit of single steps; give it to the tools that are called"
    )
    assert "did you mean 'cpu_s'" in problems(now, limits={"cpu": 1})[0]
    assert "it has to be more than 0" in problems(now, limits={"cpu_s": 0})[0]
    assert "it has to be a number" in problems(now, limits={"cpu_s": True})[0]
    assert "limits" in problems(now, limits={"processes": "many"})[0]


def test_limits_do_not_hold_in_the_loop() -> None:
    (told,) = problems(later, limits={"cpu_s": 1})
    assert "n0 is asynchronous, and runs in the loop of the engine; no limit holds there" in told
    assert problems(later, limits={"cpu_s": 1}, best_effort=True) == []
    assert problems(later, limits={"tool_invocations": 1}) == []
    assert problems(now, shell("true"), limits={"cpu_s": 1}) == []
    inner = Graph("inner")
    inner.add(later, id="deep")
    assert "n0/deep is asynchronous" in problems(inner, limits={"cpu_s": 1})[0]


def test_only_the_outermost_graph_has_limits() -> None:
    inner = Graph("inner", limits={"cpu_s": 1})
    inner.add(now, id="deep")
    assert "the graph of n0 has limits of its own" in problems(inner)[0]


def test_state_graphs_have_limits_as_well() -> None:
    g = StateGraph({"n": int}, name="g", limits={"tool_invocations": 1})
    g.add_node(now, "n")
    g.add_edge("START", "n")
    g.add_edge("n", "END")
    assert g.draft.limits == {"tool_invocations": 1}


def test_units() -> None:
    assert [bytes_of(each) for each in ("512MB", "1.5 GiB", "10b", 7, "x", "1XB")] == [
        512_000_000,
        1_610_612_736,
        10,
        7,
        "x",
        "1XB",
    ]
    assert [seconds_of(each) for each in ("90s", "1.5h", 3, "soon")] == [90.0, 5400.0, 3, "soon"]


def test_limits_are_limits_or_by_name() -> None:
    given = Limits(cpu_s=1)
    assert limits_of(given) is given
    assert limits_of(None) == Limits()
    assert not limits_of({"tool_invocations": 0}).need_isolation
    assert limits_of({"connections": 2.0}).connections == 2


def test_a_step_keeps_the_limits_of_its_tool() -> None:
    @tool(limits={"cpu_s": 5, "memory_bytes": "1GB"})
    def heavy() -> None: ...

    held = tool_of(heavy).within(limits={"cpu_s": 2})
    assert held.limits == Limits(cpu_s=2.0, memory_bytes=10**9)
    assert tool_of(now).within(best_effort=True).isolation is None
    assert tool_of(now).within(read=["a"]).isolation == "process"
    assert tool_of(now).within(folder="a").isolation == "process"


@pytest.mark.parametrize(
    ("has", "wants", "more"),
    [
        (Permissions(read=("a",)), Permissions(read=("a/b", "a")), []),
        (Permissions(read=("a",)), Permissions(read=None), [("read", "everything")]),
        (Permissions(read=("a",), write=("b",)), Permissions(read=("b/c",), write=("b",)), []),
        (Permissions(write=(".",)), Permissions(write=("x/y",)), []),
        (Permissions(write=(".",)), Permissions(write=("../x", "/x")), [("write", "../x"), ("write", "/x")]),
        (Permissions(network=("h",)), Permissions(network=("h:443",)), []),
        (Permissions(network=("h:443",)), Permissions(network=("h",)), [("network", "h")]),
        (Permissions(network=()), Permissions(network=None), [("network", "everywhere")]),
        (Permissions(), Permissions(shell=True), [("shell", "programs")]),
        (Permissions(read=("/",)), Permissions(read=("/etc",)), []),
    ],
)
def test_what_is_more_than_may_be(has: Permissions, wants: Permissions, more: list[tuple[str, str]]) -> None:
    assert list(excess(has, wants)) == more


def test_a_limit_of_a_program_is_checked_when_it_is_written() -> None:
    with pytest.raises(InvalidInputError, match="there is no limit 'ram'"):
        shell("true", limits={"ram": 1})
