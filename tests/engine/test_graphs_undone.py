"""Graphs from files and from Python are run, fail, and are undone by what their nodes say about that."""

from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
import undo_bodies
from engine_kit import seen
from undo_bodies import HEARD

from clew import END, START, Context, Engine, Graph, Run, RunFailedError, StateGraph, append, load, shell, undo
from clew.graphs import WrittenGraph
from clew.kernel import events as e


@pytest.fixture(autouse=True)
def nothing_heard() -> None:
    HEARD.clear()


def file(folder: Path, content: str, name: str = "graph.yaml") -> Path:
    path = folder / name
    path.write_text(content, "utf-8")
    return path


async def failed(engine: Engine, graph: WrittenGraph, **inputs: Any) -> Run:
    """A run that has failed and is rolled back, as far as it could be."""
    run = await engine.start(graph, inputs)
    with pytest.raises(RunFailedError):
        await run.result()
    return run


async def state_of(run: Run) -> str:
    return (await run.status()).state


# Dependency graphs ------------------------------------------------------------------------------------------

SHOP = """
name: shop
rollback: true
inputs: {order: str, folder: str}
nodes:
  pay:
    run: undo_bodies:pay
    with: {order: "{{ input.order }}", cents: 500}
    compensate: undo_bodies:refund
  pack:
    shell: mktemp -p {{ input.folder }} {{ pay.number }}.XXXXXX
    compensate: {shell: "rm {{ output.stdout | trim }} && echo {{ input.order }} > {{ input.folder }}/undone"}
  deliver:
    run: undo_bodies:deliver
    with: {receipt: "{{ pay.number }}"}
    needs: pack
    compensate: undo_bodies:collect
  never:
    run: undo_bodies:deliver
    with: {receipt: "{{ deliver }}"}
    compensate: undo_bodies:refuse
"""


async def test_a_file_is_undone_by_functions_and_programs(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "packets"
    folder.mkdir()
    graph = load(file(tmp_path, SHOP))
    async with Engine(url) as engine:
        run = await failed(engine, graph, order="A", folder=str(folder))
        assert await state_of(run) == "rolled_back"
        assert HEARD == [
            ("pay", "A", 500),
            ("deliver", "R-A"),
            ("collect", "R-A", None),  # what failed has no output
            ("refund", "A", {"number": "R-A"}, "pay#undo"),
        ]
        assert [path.name for path in folder.iterdir()] == ["undone"]
        assert (folder / "undone").read_text() == "A\n"
        plan = [(each.path, each.how, each.undone) for each in await run.rollback_plan()]
        assert plan == [("deliver", "function", True), ("pack", "shell", True), ("pay", "function", True)]


async def test_a_run_that_went_well_is_undone_when_somebody_asks() -> None:
    g = Graph("shop")
    g.map(undo_bodies.measure, over=g.input("parts", list[str]), compensate=undo_bodies.forget)
    async with Engine("memory:") as engine:
        run = await engine.start(g, {"parts": ["a", "bb"]})
        await run.result()
        await run.rollback(by="eva")
        await run.wait_ended()
        assert await state_of(run) == "rolled_back"
        assert sorted(HEARD) == [("forget", "a", 1), ("forget", "bb", 2)]


async def test_what_cannot_be_undone_in_all_its_attempts_remains() -> None:
    g = Graph("shop", rollback=True)
    receipt = g.add(undo_bodies.pay, "A", 5, compensate=undo_bodies.refund)["number"]
    g.add(shell("echo {{ receipt }}"), receipt=receipt, compensate=undo(undo_bodies.refuse, retry=1))
    g.add(undo_bodies.deliver, receipt, depends_on="shell")
    async with Engine("memory:") as engine:
        run = await failed(engine, g)
        assert await state_of(run) == "rollback_failed"
        left = await seen(run, e.RollbackFailed)
        assert [(each.path, each.why) for each in left.remaining] == [("shell", "the bank is closed")]
        assert HEARD[-1] == ("refund", "A", {"number": "R-A"}, "pay#undo")  # the others are undone all the same


async def test_a_compensation_is_tried_as_often_as_it_says(tmp_path: Path) -> None:
    content = """
    nodes:
      pay:
        run: undo_bodies:pay
        with: {order: A, cents: 5}
        compensate:
          shell: echo x >> {{ output.number }} && test $(wc -l < {{ output.number }}) = 3
          retry: {max_attempts: 3, delay: 0}
    """
    content = content.replace("{{ output.number }}", f"{tmp_path}/{{{{ output.number }}}}")
    async with Engine("memory:") as engine:
        run = await engine.start(load(file(tmp_path, content)))
        await run.result()
        await run.rollback()
        await run.wait_ended()
        assert await state_of(run) == "rolled_back"
        assert (tmp_path / "R-A").read_text() == "x\n" * 3


async def test_a_sub_graph_is_undone_as_a_whole_or_by_its_parts() -> None:
    def paying(**options: Any) -> Graph:
        inner = Graph("paying")
        inner.returns(inner.add(undo_bodies.pay, inner.input("order", str), 5, compensate=undo_bodies.refund))
        outer = Graph("outer")
        outer.add(inner, order="A", **options)
        return outer

    async def whole(order: str, output: dict[str, str]) -> None:
        HEARD.append(("whole", order, output))

    async with Engine("memory:") as engine:
        for graph in (paying(), paying(compensate=whole)):
            run = await engine.start(graph)
            await run.result()
            await run.rollback()
            await run.wait_ended()
    paid, output = ("pay", "A", 5), {"number": "R-A"}
    assert [paid, ("refund", "A", output, "paying/pay#undo"), paid, ("whole", "A", output)] == HEARD


async def test_what_undoes_a_step_takes_the_context(url: str) -> None:
    async def shopping(ctx: Context) -> None:
        await ctx.step("pay", undo_bodies.pay, "A", 5, compensate=undo_bodies.pay_back)
        await ctx.step("more", undo_bodies.pay, order="B", cents=7, compensate=undo_bodies.pay_back)

    g = Graph("shop")
    g.add(shopping)
    async with Engine(url) as engine:
        run = await engine.start(g)
        await run.result()
        await run.rollback()
        await run.wait_ended()
        assert await state_of(run) == "rolled_back"
    assert HEARD[2:] == [
        ("pay back", "B", 7, {"number": "R-B"}, "shopping#undo[more]"),
        ("pay back", "A", 5, {"number": "R-A"}, "shopping#undo[pay]"),
    ]


async def test_somebody_agrees_to_what_cannot_be_undone() -> None:
    g = Graph("shop")
    g.add(undo_bodies.pay, "A", 5, irreversible=True)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await seen(run, e.WaitOpened, "pay")
        assert HEARD == []
        await run.answer("yes", by="eva")
        await run.result()
        assert HEARD == [("pay", "A", 5)]
        run = await engine.start(g, confirmed=True)
        await run.result()
        assert len(HEARD) == 2


# State graphs -----------------------------------------------------------------------------------------------

WALK = """
name: walk
rollback: true
state:
  steps: int
  towns: {type: "list[str]", reducer: append}
  told: str
nodes:
  walk: {run: "undo_bodies:walk", compensate: "undo_bodies:walk_back"}
  tell:
    shell: echo {{ state.steps }} steps
    sets: {told: "{{ output.stdout | trim }}"}
    compensate: {shell: "echo {{ output.told }}, {{ state.towns | length }} towns >> FOLDER/untold"}
  each: {run: "undo_bodies:visit", map: {over: "{{ state.towns }}", as: town}, compensate: "undo_bodies:leave"}
  stumble: {run: "undo_bodies:stumble", compensate: "undo_bodies:get_up"}
edges:
  - START -> walk
  - {from: walk, to: walk, when: "{{ state.steps < 2 }}"}
  - walk -> tell -> each -> stumble -> END
"""


async def test_each_step_of_a_state_graph_is_undone_with_the_state_of_its_time(url: str, tmp_path: Path) -> None:
    graph = load(file(tmp_path, WALK.replace("FOLDER", str(tmp_path))))
    async with Engine(url) as engine:
        run = await failed(engine, graph)
        assert await state_of(run) == "rolled_back"
    first, *left, second_walk, first_walk = HEARD
    # What failed wrote nothing, and is given the state as it is by now.
    assert first == ("get up", ["town 1", "town 2", "town 1!", "town 2!"], None)
    assert sorted(left) == [("leave", "town 1", ["town 1!"]), ("leave", "town 2", ["town 2!"])]
    assert second_walk == ("walk back", 1, {"steps": 2, "towns": ["town 2"]})
    assert first_walk == ("walk back", None, {"steps": 1, "towns": ["town 1"]})
    assert (tmp_path / "untold").read_text() == "2 steps, 2 towns\n"


ARTICLE = """
name: article
state:
  topic: {type: str, required: true}
  notes: {type: "list[str]", reducer: append}
  words: {type: int, default: 0}
  kind: str
nodes:
  draft: {shell: "echo {{ state.topic }}", sets: {notes: ["{{ output.stdout | trim }}"]}}
  count: {shell: "echo {{ state.notes | length }}", sets: {words: "{{ output.stdout | int }}"}}
  checks:
    parallel:
      long: {shell: "test {{ state.words }} -gt 1", retry: 1}
      kind: {shell: "echo good", sets: {kind: "{{ output.stdout | trim }}"}}
    on_branch_error: collect_all
  review: {barrier: {text: "Publish?", shows: notes}}
  part: {graph: part.yaml}
  rejected: {shell: "true", sets: {kind: "{{ state['review.reject_reason'] }}"}}
edges:
  - START -> draft -> count -> checks
  - {from: checks, to: draft, when: "{{ state['checks.failed'] | length > 0 }}", max_visits: 3}
  - checks -> review
  - {from: review, route: "{{ state['review.approved'] }}", to: {true: part, false: rejected}}
  - part -> END
  - rejected -> END
"""
PART = """
inputs: {topic: str}
nodes: {loud: {shell: "echo {{ input.topic }} | tr a-z A-Z"}}
returns: {notes: ["{{ loud.stdout | trim }}"]}
"""
OUTER = """
inputs: {topics: "list[str]"}
nodes:
  articles: {graph: article.yaml, map: {over: "{{ input.topics }}", as: topic, key: "builtins:str"}}
returns: "{{ articles | map(attribute='notes') | list }}"
"""


async def test_a_state_graph_of_a_file_is_run(url: str, tmp_path: Path) -> None:
    file(tmp_path, PART, "part.yaml")
    graph = load(file(tmp_path, ARTICLE, "article.yaml"))
    async with Engine(url) as engine:
        run = await engine.start(graph, {"topic": "cats"})
        await seen(run, e.WaitOpened, "review")
        (barrier,) = await run.barriers()
        assert (barrier.text, barrier.shows) == ("Publish?", {"notes": ["cats", "cats"]})
        await run.approve()
        result = await run.result()
        assert result["notes"] == ["cats", "cats", "CATS"]
        assert (result["words"], result["kind"], result["checks.failed"]) == (2, "good", [])
        run = await engine.start(graph, {"topic": "dogs"})
        await run.reject("review", "too short")
        assert (await run.result())["kind"] == "too short"


async def test_a_state_graph_is_a_node_of_a_dependency_graph_in_files(tmp_path: Path) -> None:
    file(tmp_path, PART, "part.yaml")
    file(tmp_path, ARTICLE, "article.yaml")
    async with Engine("memory:") as engine:
        run = await engine.start(load(file(tmp_path, OUTER)), {"topics": ["cats", "dogs"]})
        for topic in ("cats", "dogs"):
            await run.approve(f"articles[{topic}]/review")
        assert (await run.result()).output == [["cats", "cats", "CATS"], ["dogs", "dogs", "DOGS"]]


class Letter(TypedDict, total=False):
    to: str
    lines: Annotated[list[str], append]
    sent: str


@pytest.mark.parametrize("sets", [None, {"sent": "{{ state.to }}"}])
async def test_a_text_names_a_key_that_nobody_has_written_yet(sets: dict[str, str] | None) -> None:
    g = StateGraph(Letter)
    g.add_node("send", shell("true" if sets else "send {{ state.to }} {{ state.lines }}"), sets=sets)
    g.add_edge(START, "send")
    g.add_edge("send", END)
    async with Engine("memory:") as engine:
        run = await engine.start(g, {"lines": ["Dear"]})
        with pytest.raises(RunFailedError, match=r"nothing has been written to 'to' yet; write `| default\(…\)`"):
            await run.result()


async def test_a_text_that_is_wrong_otherwise_says_so() -> None:
    g = StateGraph(Letter)
    g.add_node("send", shell("send {{ state.to | int + state.lines }}"))
    g.add_edge(START, "send")
    g.add_edge("send", END)
    async with Engine("memory:") as engine:
        run = await engine.start(g, {"lines": ["Dear"], "to": "Ann"})
        with pytest.raises(RunFailedError) as caught:
            await run.result()
        assert "nothing has been written" not in str(caught.value)
        assert "send.command" in str(caught.value)
