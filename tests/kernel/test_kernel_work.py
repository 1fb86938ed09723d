"""Work per event does not grow with the size of the graph. Counted in executed lines, not in time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from play import BOOM, graph, mapped, node, value

from clew.kernel import machine as machine_module
from clew.kernel import signals as s
from clew.kernel.definition import GraphSpec, Retry
from clew.kernel.machine import Machine
from clew.kernel.topology import compile_graph

SMALL, LARGE = 20, 2_000
KERNEL = str(Path(machine_module.__file__).parent)


def lines_executed(work: Callable[[], Any]) -> int:
    """How many lines of the kernel `work` runs, loops and comprehensions included."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(KERNEL):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def machine_of(spec: GraphSpec) -> Machine:
    machine = Machine(compile_graph(spec))
    machine.handle([s.Admit(run="run", graph="", definition="")], 0.0)
    return machine


def chain(size: int) -> Machine:
    names = [f"n{i}" for i in range(size)]
    return machine_of(graph(node("n0"), *(node(b, a) for a, b in pairwise(names))))


def fan(size: int) -> Machine:
    names = [f"n{i}" for i in range(size)]
    return machine_of(graph(*map(node, names), node("end", *names), max_concurrency=4))


def items(size: int, **options: Any) -> Machine:
    machine = machine_of(graph(mapped("m", collect=True, **options), mapped("n", over="m"), max_concurrency=4))
    machine.handle([s.MapExpanded(path="m", count=size, items=value([]))], 0.0)
    return machine


def sub_graphs(size: int) -> Machine:
    return items(size, graph=graph(node("a"), node("b", "a")))


def retried_items(size: int) -> Machine:
    return items(size, retry=Retry(max_attempts=2))


def success(path: str) -> s.AnySignal:
    return s.AttemptSucceeded(path=path, attempt=1, output=value(1))


CASES = [
    ("a chain", chain, success("n0")),
    ("a fan", fan, success("n1")),
    ("an item", items, success("m[1]")),
    ("an item that fails", items, s.AttemptFailed(path="m[1]", attempt=1, error=BOOM)),
    ("a sub-graph per item", sub_graphs, success("m[1]/a")),
    ("a limited map", lambda size: items(size, max_concurrency=2), success("m[1]")),
    ("a step", items, s.StepEnded(path="m[1]", attempt=1, key="k", digest="d", value=value(1))),
    ("a retry", retried_items, s.AttemptFailed(path="m[1]", attempt=1, error=BOOM)),
    ("a wait", items, s.OpenWait(path="m[1]", attempt=1, key="k", kind="timer", due=9.0)),
    ("an answer to nobody", items, s.Answer(path="m[1]", key="k", value=value(1))),
    ("a tick", lambda size: items(size, timeout_s=9.0), s.Tick()),
    ("a pause", items, s.Pause()),
]  # fmt: skip


@pytest.mark.parametrize(("build", "signal"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_an_event_costs_the_same_in_a_large_graph(build: Callable[[int], Machine], signal: s.AnySignal):
    figures = []
    for size in (SMALL, LARGE):
        machine = build(size)
        figures.append(lines_executed(lambda machine=machine: (machine.handle([signal], 1.0), machine.wake_at)))
    assert figures[0] == figures[1] > 0
