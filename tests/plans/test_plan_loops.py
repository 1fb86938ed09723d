"""Loops of plans: how often, what they see, and what is found before they start."""

from typing import Any

import pytest
from plan_kit import failure_of, output_of, plan, statuses, told

from clew import Handle, Loop, Plan


async def looped(**options: Any) -> Any:
    p = plan()
    n = p.input("n", int)
    p.step("add", left=n, right=0, id="same")
    p.returns(
        p.loop(lambda body: body.step("shout", text="{{ (previous or 'a') ~ iteration }}"), id="loop", **options)
    )
    return await output_of(p, {"n": 3})


@pytest.mark.parametrize(
    ("options", "output"),
    [
        ({"times": 1}, "A1"),
        ({"times": 3}, "A123"),
        ({"times": "{{ input.n }}"}, "A123"),
        ({"times": "{{ same | int - 1 }}"}, "A12"),
        ({"times": "{{ input.n - 3 }}"}, None),
        ({"while_": "{{ iteration < 3 }}"}, "A12"),
        ({"while_": "{{ (previous or '') | length < input.n }}"}, "A12"),
        ({"while_": "{{ input.n > 3 }}"}, None),
        ({"until": "{{ iteration == same }}"}, "A123"),
        ({"until": "{{ output | length == 3 }}"}, "A12"),
        ({"until": "{{ previous is not none }}"}, "A12"),
        ({"until": "{{ false }}", "max_iterations": 2, "on_limit": "stop"}, "A12"),
        ({"times": 5, "max_iterations": 2, "on_limit": "stop"}, "A12"),
    ],
)
async def test_how_often(options: dict[str, Any], output: Any) -> None:
    assert await looped(**options) == output


@pytest.mark.parametrize(
    ("items", "output"), [([], []), (["a"], ["A1"]), (["a", "b", "c"], ["A1", "BA12", "CBA123"])]
)
async def test_one_item_after_the_other(items: list[str], output: list[str]) -> None:
    p = plan()
    over = p.input("items", list[str])
    p.returns(p.loop(lambda body: body.step("shout", text="{{ item ~ (previous or '') ~ iteration }}"), over=over))
    assert await output_of(p, {"items": items}) == output


async def test_bodies_see_their_loop_by_handles_too() -> None:
    p = plan()

    def body(inner: Plan, loop: Loop) -> Any:
        left = inner.step("add", left=loop.iteration, right="{{ item }}")
        return {"sum": left, "before": loop.previous, "item": loop.item}

    p.returns(p.loop(body, over=[10, 20])[1])
    assert await output_of(p) == {
        "sum": 22,
        "item": 20,
        "before": {"sum": 11, "item": 10, "before": None},
    }


async def test_plans_are_bodies() -> None:
    body = plan("body")
    number, before = body.input("iteration", int), body.input("previous")
    body.returns(body.step("shout", text="{{ input.mark ~ input.iteration ~ (input.previous or '') }}"))
    body.input("mark", str)
    assert "there is no input 'mark'" in told(body)[0]
    body = plan("body")
    body.input("mark", str)
    number, before = body.input("iteration", int), body.input("previous")
    body.returns([body.step("shout", text="{{ input.mark }}", times=number), before])
    p = plan()
    p.returns(p.loop(body, until="{{ output[0] | length > limit }}", mark="m", inputs={"limit": 1}))
    assert "the graph has no such input" in told(p)[0]
    p = plan()
    p.returns(p.loop(body, until="{{ output[0] | length > 1 }}", mark="m"))
    assert await output_of(p) == ["MM", ["M", None]]


@pytest.mark.parametrize(
    ("options", "output"),
    [
        ({"until": "{{ size > 2 }}"}, "XAA"),
        ({"while_": "{{ (size or 0) < 3 and iteration < 9 }}"}, "XAA"),
        ({"until": "{{ size > 2 and output | length == 4 }}"}, "XAAA"),
    ],
)
async def test_conditions_of_loops_see_the_steps_inside(options: dict[str, Any], output: str) -> None:
    p = plan()

    def body(inner: Plan) -> None:
        inner.step("shout", text="{{ (previous or 'x') ~ ('a' if iteration > 1 else '') }}", id="said")
        inner.step("size", text="{{ said }}")
        inner.step("shout", text="{{ said }}", id="last")

    p.returns(p.loop(body, **options))
    assert await output_of(p) == output


async def test_loops_and_choices_in_each_other() -> None:
    p = plan()
    text = p.input("text", str)

    def body(inner: Plan) -> Handle:
        said = inner.choose(
            "{{ iteration % 2 }}",
            lambda then: then.step("shout", text="{{ item ~ iteration ~ input.text }}"),
            lambda other: other.loop(
                lambda deep: deep.step("shout", text="{{ iteration | string }}"), times="{{ iteration }}"
            ),
        )
        return inner.step("shout", text=said, times=1)

    p.returns(p.loop(body, over=["x", "y", "z"]))
    del text
    assert await output_of(p, {"text": "!"}) == ["X1!", "2", "Z3!"]


async def test_a_loop_that_goes_on_for_too_long_fails() -> None:
    p = plan()
    p.loop(lambda body: body.step("add", left=1), until="{{ output > 3 }}", max_iterations=3, id="l")
    error, _ = await failure_of(p)
    assert "max_iterations" in error.message
    q = plan()
    q.loop(lambda body: body.step("add", left=1), while_="{{ iteration > 0 }}", id="l")
    error, _ = await failure_of(q)
    assert "100" in error.message


async def test_what_can_be_seen_of_loops() -> None:
    p = plan()
    p.loop(lambda body: body.step("add", left=1), times=2, id="l")
    nodes = await statuses(p)
    assert [*nodes] == ["l", "l/body", "l/body/add", "l/body#2", "l/body#2/add"]
    assert nodes["l"].kind == "loop"
    assert {node.state for node in nodes.values()} == {"completed"}
    assert "2 times" in p.mermaid()


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({}, "node 'l': a loop has just one of times, while, until, over; it has none of them"),
        (
            {"times": 1, "over": [1]},
            "node 'l': a loop has just one of times, while, until, over; it has times and over",
        ),
        (
            {"times": 0},
            "node 'l', times: is a number of iterations of at least 1, not 0; so its steps are never reached",
        ),
        (
            {"times": 3, "max_iterations": 2},
            "node 'l', times: 3 is more than max_iterations, which is 2: the loop would fail",
        ),
        ({"times": "{{ nobody }}"}, "node 'l', times: '{{ nobody }}': there is no node 'nobody'"),
        (
            {"while_": "{{ false }}"},
            "node 'l', while: it never holds, so that the steps of the loop are never reached",
        ),
        (
            {"while_": "{{ iteratoin < 3 }}"},
            "node 'l', while: '{{ iteratoin < 3 }}': there is no node 'iteratoin'; did you mean 'iteration'?",
        ),
        ({"until": "{{ sub > 3 }}"}, "node 'l', until: '{{ sub > 3 }}': there is no node 'sub'"),
        (
            {"until": "done"},
            "node 'l', until: 'done' is text, and a condition is one {{ … }} with nothing around it",
        ),
        ({"over": []}, "node 'l', over: the list is empty, so that the steps of the loop are never reached"),
        ({"times": 1, "max_iterations": 0}, "node 'l', max_iterations: is a whole number of at least 1, not 0"),
        ({"times": 1, "max_iterations": 10**9}, "node 'l', max_iterations: is 1000000000, and 100000 is the most"),
        ({"times": 1, "on_limit": "explode"}, "node 'l', on_limit: is one of fail, stop, not 'explode'"),
    ],
)
def test_loops_that_are_none(options: dict[str, Any], wrong: str) -> None:
    p = plan()
    p.loop(lambda body: body.step("add", left=1), id="l", **options)
    assert told(p) == [wrong]
