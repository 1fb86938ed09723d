"""State graphs as files: what their keys, nodes and edges mean. What is wrong with them is in `bad`."""

# pyright: basic

from pathlib import Path

import msgspec
import pytest
from state_graphs import STATE, built

from clew.errors import GraphError
from clew.graphs import END, START, Graph, StateGraph, load
from clew.graphs.body_data import FunctionBody, HttpBody, ShellBody
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
from clew.kernel.values import (
    Binding,
    DictOf,
    Expression,
    FromInput,
    FromItem,
    FromNode,
    FromOutput,
    FromState,
    ListOf,
    Literal,
    Pick,
)

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


def text(source: str, about: str, **names: Binding) -> Expression:
    return Expression(source, {**STATE, **names}, f"article.yaml: nodes.{about}")


OUTPUT: dict[str, Binding] = {"output": FromOutput()}


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
    assert count.inputs == {"command": text("wc -w {{( state.town )|quote }}", "count.command")}
    note = Expression("{{ state.topic }}", STATE, "article.yaml: nodes.count.sets.notes[0]")
    words = Expression("{{ output.stdout | int }}", OUTPUT, "article.yaml: nodes.count.sets.words")
    assert count.sets == {"words": words, "notes": ListOf((note,))}
    assert msgspec.json.decode(publish.body, type=HttpBody).method == "POST"
    assert publish.irreversible


def test_compensations(nodes: dict[str, NodeSpec]) -> None:
    plan, count, measure = (nodes[name].compensation for name in ("plan", "count", "measure"))
    assert plan is not None
    assert (plan.kind, function_of(plan.body)) == ("function", "good_steps:cancel")
    assert plan.inputs == {"state": FromState(), "output": FromOutput()}
    assert (plan.retry.max_attempts, plan.retry.delay_s, plan.timeout_s) == (5, 1, 10)
    assert plan.on_interrupt is OnInterrupt.FAIL
    source = "echo {{( output.words )|quote }} {{( state.town )|quote }}"
    assert count is not None
    assert count.inputs == {"command": text(source, "count.compensate.command", **OUTPUT)}
    assert (count.retry.max_attempts, count.on_interrupt) == (3, OnInterrupt.RETRY)
    assert measure is not None
    assert (measure.kind, measure.timeout_s) == ("http", 60)
    assert measure.inputs["url"].names == {"item": FromItem()}


def test_maps(nodes: dict[str, NodeSpec]) -> None:
    measure, again = nodes["measure"], nodes["again"]
    assert measure.inputs == again.inputs == {"state": FromState(), "part": FromItem()}
    assert measure.map is not None
    assert (measure.map.over, measure.map.key) == (FromState("parts"), "good_steps:name_of")
    assert (measure.map.on_item_error, measure.map.max_concurrency) == (ItemPolicy.COLLECT, 2)
    assert again.map is not None
    assert (again.map.over, again.map.key) == (FromState("parts"), None)


def test_branches(nodes: dict[str, NodeSpec]) -> None:
    checks, both = nodes["checks"], nodes["both"]
    assert checks.total_timeout_s == 60
    branches = checks.graph
    assert branches is not None
    assert (branches.branches, branches.on_error, branches.max_concurrency) == (True, ErrorPolicy.CONTINUE, 2)
    assert [(each.id, each.kind) for each in branches.nodes] == [
        ("spelling", "shell"),
        ("links", "http"),
        ("style", "barrier"),
        ("inside", "graph"),
    ]
    spelling, _, style, inside = branches.nodes
    assert (spelling.sets, spelling.retry.max_attempts) == ({"score": Pick(FromOutput(), ("exit_code",))}, 2)
    assert style.barrier == BarrierSpec(text="Is it nice?")
    assert inside.inputs == {"topic": FromState("topic")}
    assert both.graph is not None
    assert (both.graph.on_error, both.graph.max_concurrency) == (ErrorPolicy.STOP_GRAPH, 2)
    assert both.graph.nodes[0].compensation is not None


def test_barriers_and_graphs(nodes: dict[str, NodeSpec]) -> None:
    assert nodes["review"].barrier == BarrierSpec(
        text="Publish?", shows=("topic", "notes"), timeout_s=86400.0, default=Default.SKIP
    )
    assert nodes["trip"].graph == load(GOOD / "trip.toml").spec()


def test_edges(article: GraphSpec) -> None:
    found = []
    for edge in article.routes.edges:
        condition = msgspec.json.decode(edge.when, type=Condition) if edge.when else Condition()
        when = condition.expression or (condition.function.ref if condition.function else "")
        found.append((edge.source, edge.target, when, bytes(edge.equals).decode()))
    approved = "{{ state['review.approved'] | default(none) }}"
    ended = "{{ 'END' if state.words > 3 else 'apologise' }}"
    assert found == [
        ("", "plan", "", ""),
        ("plan", "count", "", ""),
        ("count", "measure", "", ""),
        ("measure", "again", "{{ state.sizes | length > 3 }}", ""),
        ("measure", "checks", "good_steps:is_long", ""),
        ("measure", "both", "", ""),
        ("again", "checks", "", ""),
        ("checks", "review", "", ""),
        ("both", "trip", "", ""),
        ("trip", "review", "", ""),
        ("review", "publish", approved, "true"),
        ("review", "plan", approved, "false"),
        ("review", "", approved, "null"),
        ("publish", "", ended, '"END"'),
        ("publish", "apologise", ended, '"apologise"'),
        ("plan", "apologise", "", ""),
        ("apologise", "", "", ""),
    ]
    limited, fallback = article.routes.edges[3], article.routes.edges[15]
    assert (limited.max_visits, limited.on_limit, limited.label) == (2, OnLimit.DROP, "state.sizes | length > 3")
    assert fallback == EdgeSpec(source="plan", target="apologise", fallback=True)


def test_the_form_does_not_matter_and_python_says_the_same() -> None:
    toml, json = load(GOOD / "trip.toml"), load(GOOD / "trip.json")
    import good_steps

    graph = StateGraph(good_steps.Trip, name="trip", checkpoints="minimal")
    graph.add_node(good_steps.ferry, retry=2)
    graph.add_node(good_steps.museum)
    graph.add_router(START, good_steps.kind_of, {"sea": "ferry", "city": "museum"})
    graph.add_edge("ferry", END)
    graph.add_edge("museum", END)
    assert toml.hash == json.hash == graph.hash


def test_moving_a_file_does_not_change_its_hash(tmp_path: Path) -> None:
    content = (GOOD / "article.yaml").read_text("utf-8").replace("trip.toml", str(GOOD / "trip.toml"))
    moved = load(written(tmp_path, f"\n\n{content}"))
    assert moved.hash == load(GOOD / "article.yaml").hash
    assert moved.spec() != load(GOOD / "article.yaml").spec()


def test_a_dependency_graph_with_what_undoes_it() -> None:
    graph = load(GOOD / "journey.yaml")
    assert isinstance(graph, Graph)
    spec = built(graph)
    nodes = {node.id: node for node in spec.nodes}
    assert spec.rollback
    trip, booked, told = (nodes[name].compensation for name in ("trip", "booked", "told"))
    assert nodes["trip"].graph is not None
    assert nodes["trip"].graph.routes is not None
    assert trip is not None
    assert trip.inputs == {"town": FromInput("town"), "output": FromOutput()}
    assert booked is not None
    command = booked.inputs["command"]
    assert isinstance(command, Expression)
    assert command.names == {
        "output": FromOutput(),
        "town": Pick(FromNode("trip"), ("town",)),
        "desk": Literal(msgspec.Raw(b"7")),
        "input": DictOf({"town": FromInput("town")}),
        "trip": FromNode("trip"),
    }
    assert booked.retry.max_attempts == 5
    assert [*nodes["booked"].inputs] == ["command"]
    assert told is not None
    assert (told.timeout_s, nodes["told"].expected_s) == (5, 120)
    assert told.inputs["url"].names == {"item": FromItem(), "output": FromOutput()}
    assert nodes["paid"].irreversible


LINE = "state: {town: str}\nnodes: {a: {run: 'good_steps:plan'}}\nedges: [START -> a, a -> END]\n"


def test_a_file_may_be_started_with_keys(tmp_path: Path) -> None:
    graph = load(written(tmp_path, LINE))
    assert graph.name == "a"
    assert [(each.name, each.required) for each in graph.spec().inputs] == [("town", False)]


def test_what_keys_of_routes_stand_for(tmp_path: Path) -> None:
    targets = "{1: a, 1.5: a, '1e400x': a, Yes: a, NaN: a, '': a, \"null\": END}"
    edges = f"[{{from: START, route: '{{{{ state.town }}}}', to: {targets}}}, a -> END]"
    graph = load(written(tmp_path, LINE.replace("[START -> a, a -> END]", edges)))
    values = [bytes(edge.equals).decode() for edge in graph.spec().routes.edges]
    assert values == ["1", "1.5", '"1e400x"', '"Yes"', '"NaN"', '""', "null", ""]


def test_a_router_of_a_function_names_the_end_as_python_does(tmp_path: Path) -> None:
    edges = "[{from: START, route: 'good_steps:is_long', to: [a, END]}, a -> END]"
    graph = load(written(tmp_path, LINE.replace("[START -> a, a -> END]", edges)))
    values = [bytes(edge.equals).decode() for edge in graph.spec().routes.edges]
    assert values == ['"a"', f'"{END}"', ""]


def test_files_that_contain_each_other_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("nodes: {in: {graph: a.yaml}}\n")
    content = LINE.replace("{run: 'good_steps:plan'}", "{graph: b.yaml}")
    with pytest.raises(GraphError, match=r"in a circle: a\.yaml -> b\.yaml -> a\.yaml"):
        load(written(tmp_path, content))
