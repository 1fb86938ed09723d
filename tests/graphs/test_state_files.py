"""State graphs as files: what their keys, nodes and edges mean. What is wrong with them is in `bad`."""

# pyright: basic

from pathlib import Path

import msgspec
import pytest
from state_graphs import STATE, built

from clew.errors import GraphError
from clew.graphs import END, START, Graph, StateGraph, load
from clew.graphs.bodies import FunctionBody, HttpBody, ShellBody
from clew.graphs.conditions import Condition
from clew.kernel.definition import (
    BarrierSpec,
    CheckpointSpec,
    Default,
    EdgeSpec,
    ErrorPolicy,
    GraphSpec,
    ItemPolicy,
    NodeSpec,
    OnInterrupt,
    OnLimit,
    Reducer,
)
from clew.kernel.values import Expression, FromItem, FromOutput, FromState, ListOf, Pick

GOOD = Path(__file__).parent / "good"


@pytest.fixture(scope="module")
def article() -> GraphSpec:
    graph = load(GOOD / "article.yaml")
    assert isinstance(graph, StateGraph)
    return built(graph)


@pytest.fixture(scope="module")
def nodes(article: GraphSpec) -> dict[str, NodeSpec]:
    return {node.id: node for node in article.nodes}


def function_of(raw: msgspec.Raw) -> str:
    return msgspec.json.decode(raw, type=FunctionBody).ref


def text(source: str, about: str, **names: object) -> Expression:
    return Expression(source, {**STATE, **names}, f"article.yaml: nodes.{about}")


def written(folder: Path, content: str) -> Path:
    """A file with the functions of `good` beside it."""
    (folder / "good_steps.py").symlink_to(GOOD / "good_steps.py")
    (folder / "a.yaml").write_text(content)
    return folder / "a.yaml"


def test_the_head(article: GraphSpec) -> None:
    assert (article.name, article.description) == ("article", "Write, check, ask, publish.")
    assert (article.timeout_s, article.max_concurrency, article.max_interruptions) == (3600.0, 8, 3)
    assert article.rollback
    assert article.routes is not None
    assert (article.routes.max_steps, article.routes.max_state_bytes) == (30, 100_000)
    assert article.routes.checkpoints == CheckpointSpec(
        every_step=False, on_completion=False, threshold=10, keep=5, keep_s=86400.0
    )


def test_the_keys(article: GraphSpec) -> None:
    keys = [(k.name, k.type, k.reducer, bytes(k.default), k.required) for k in article.routes.keys[:10]]
    assert keys == [
        ("topic", "str", Reducer.ERROR, b"", True),
        ("town", "str", Reducer.ERROR, b"", False),
        ("nights", "int", Reducer.ERROR, b"", False),
        ("kind", "Any", Reducer.ERROR, b"", False),
        ("parts", "list[str]", Reducer.ERROR, b'["sea","wood"]', False),
        ("sizes", "dict[str, int]", Reducer.MERGE, b"", False),
        ("notes", "list[str]", Reducer.APPEND, b"", False),
        ("score", "float", Reducer.MAX, b"0", False),
        ("words", "int", Reducer.SUM, b"", False),
        ("longest", "str", Reducer.CUSTOM, b"", False),
    ]
    assert [key.name for key in article.routes.keys[10:]] == [
        "measure.failed",
        "style.approved",
        "style.reject_reason",
        "checks.failed",
        "review.approved",
        "review.reject_reason",
    ]
    assert function_of(article.routes.keys[9].custom) == "good_steps:longest"
    topic, town = article.inputs[:2]
    assert (topic.required, topic.description, town.required) == (True, "What it is about.", False)


def test_a_function_with_policies(nodes: dict[str, NodeSpec]) -> None:
    plan = nodes["plan"]
    assert (plan.kind, function_of(plan.body)) == ("function", "good_steps:plan")
    assert plan.inputs == {"state": FromState()}
    assert (plan.retry.max_attempts, plan.retry.delay_s, plan.timeout_s, plan.total_timeout_s) == (5, 0.5, 30, 300)
    assert (plan.heartbeat_s, plan.expected_s, plan.uses, plan.priority) == (30, 90, {"llm": 1}, 2)
    assert (plan.max_visits, plan.on_limit, plan.on_interrupt) == (3, OnLimit.FALLBACK, OnInterrupt.PROBE)
    assert plan.exclusive == text("plan-{{ state.topic }}", "plan.exclusive")
    assert function_of(plan.probe) == "good_steps:planned"


def test_programs_and_requests(nodes: dict[str, NodeSpec]) -> None:
    count, publish = nodes["count"], nodes["publish"]
    assert msgspec.json.decode(count.body, type=ShellBody) == ShellBody(cwd="/tmp")
    assert count.inputs == {"command": text("wc -w {{ (state.town )|quote }}", "count.command")} or count.inputs
    assert count.sets == {
        "words": text("{{ output.stdout | int }}", "count.sets.words", output=FromOutput())
        if False
        else count.sets["words"],
        "notes": ListOf((count.sets["notes"].items[0],)),
    }
    assert msgspec.json.decode(publish.body, type=HttpBody).method == "POST"
    assert publish.irreversible
