"""Choices and loops of plans: what is done, how often, what they see, and what is found before they start."""

from typing import Any

import pytest
from plan_kit import failure_of, output_of, plan, told

from clew import Engine, Handle, Loop, Plan
from clew.engine.status import NodeStatus


def chooses(when: Any, **options: Any) -> Plan:
    """Says a text loudly if a condition holds, and its size if not."""
    p = plan()
    text = p.input("text", str)
    p.step("size", text=text)
    p.choose(
        when,
        lambda then: then.step("shout", text=text, times="{{ size }}"),
        lambda otherwise: otherwise.step("add", left="{{ size }}"),
        id="c",
        **options,
    )
    p.step("shout", text="{{ c | string }}", id="last")
    return p


async def statuses(written: Plan, inputs: dict[str, Any] | None = None) -> dict[str, NodeStatus]:
    async with Engine("memory:") as engine:
        run = await engine.start(written, inputs or {})
        await run.result()
        return {node.path: node for node in (await run.status()).nodes}


# Choices -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "last"), [("ab", "ABAB"), ("abcd", "5.0")])
async def test_one_branch_is_taken(text: str, last: str) -> None:
    assert await output_of(chooses("{{ size < 3 }}"), {"text": text}) == {"last": last}


async def test_the_branch_that_is_not_taken_is_seen_to_be_skipped() -> None:
    nodes = await statuses(chooses("{{ size < 3 }}"), {"text": "ab"})
    assert (nodes["c"].kind, nodes["c"].state) == ("choice", "completed")
    assert (nodes["c/then"].state, nodes["c/else"].state) == ("completed", "skipped")
    assert nodes["c/then/shout"].kind == "tool"


async def test_without_another_branch_nothing_is_done_and_nothing_returned() -> None:
    p = plan()
    c = p.choose("{{ 1 > input.n }}", lambda then: then.step("add", left=1), id="c")
    p.input("n", int)
    assert "there is no input 'n'" in told(p)[0]
    p = plan()
    n = p.input("n", int)
    c = p.choose("{{ 1 > input.n }}", lambda then: then.step("add", left=n))
    p.returns([c])
    assert await output_of(p, {"n": 3}) == [None]
    assert await output_of(p, {"n": 0}) == [1]
    assert (await statuses(p, {"n": 3}))["choice/then"].state == "skipped"


async def test_a_handle_decides() -> None:
    p = plan()
    go = p.input("go", bool)
    p.returns(p.choose(go, lambda then: then.step("add", left=1), lambda other: other.returns("no")))
    assert await output_of(p, {"go": True}) == 2
    q = plan()
    q.returns(q.choose(q.step("size", text=""), lambda then: then.step("add", left=1)))
    assert await output_of(q) is None


async def test_plans_are_branches_and_get_their_inputs_by_name() -> None:
    loud = plan("loud")
    loud.returns({"said": loud.step("shout", text=loud.input("text", str), times=loud.input("times", int, 2))})
    quiet = plan("quiet")
    quiet.returns(quiet.step("size", text=quiet.input("text", str)))
    p = plan()
    p.choose("{{ input.loud }}", loud, quiet, text="ab", id="c")
    p.input("loud", bool)
    p = plan()
    p.input("loud", bool)
    p.choose("{{ input.loud }}", loud, quiet, text="ab", id="c")
    assert await output_of(p, {"loud": True}) == {"c": {"said": "ABAB"}}
    assert await output_of(p, {"loud": False}) == {"c": 2}


async def test_choices_in_choices_see_all_that_is_around_them() -> None:
    p = plan()
    text = p.input("text", str)
    first = p.step("shout", text=text, id="first")

    def outer(then: Plan) -> Handle:
        own = then.step("size", text=first)
        return then.choose(
            "{{ size > 1 and input.text != 'x' }}",
            lambda inner: inner.step("shout", text="{{ first ~ size ~ input.text }}", times=own),
            lambda inner: inner.step("shout", text=first),
        )

    p.returns(p.choose("{{ first }}", outer))
    assert await output_of(p, {"text": "ab"}) == "AB2ABAB2AB"
    assert await output_of(p, {"text": "x"}) == "X"
    assert await output_of(p, {"text": ""}) is None


async def test_a_failure_inside_a_branch_is_the_failure_of_the_plan() -> None:
    p = plan()
    p.choose("{{ true }}", lambda then: then.step("break_down", text="gone"), id="c")
    error, failures = await failure_of(p)
    assert error.type == "network"
    assert "c/then/break_down" in failures


async def test_a_condition_without_a_value_fails_the_step() -> None:
    p = plan()
    p.step("shout", text="x")
    p.choose("{{ shout.foo.bar > 3 }}", lambda then: then.step("add", left=1), id="c")
    assert told(p) == ["node 'c', if: shout is str and has no 'foo'"]
    q = plan()
    q.input("any")
    q.choose("{{ input.any.foo > 3 }}", lambda then: then.step("add", left=1), id="c")
    error, _ = await failure_of(q, {"any": {}})
    assert "c.if: '{{ input.any.foo > 3 }}': there is no 'foo'" in error.message


@pytest.mark.parametrize(
    ("when", "wrong"),
    [
        ("size > 3", "'size > 3' is text, and a condition is one {{ … }} with nothing around it"),
        ("{{ size }} > 3", "'{{ size }} > 3' is text, and a condition"),
        ("{{ siez > 3 }}", "'{{ siez > 3 }}': there is no node 'siez'; did you mean 'size'?"),
        ("{{ size > }}", "'{{ size > }}': "),
        ("{{ 1 > 2 }}", "it never holds, so that the steps of `then` are never reached"),
        (True, "it always holds, so that the steps of `else` are never reached"),
        (3, "a condition is one {{ … }}, a handle, true or false, not 3"),
    ],
)
def test_conditions_that_are_none(when: Any, wrong: str) -> None:
    (problem,) = told(chooses(when))
    assert problem.startswith(f"node 'c', if: {wrong}")


def test_steps_inside_of_parts_are_not_seen_from_outside() -> None:
    p = chooses("{{ size > 3 }}")
    p.step("add", left="{{ shout }}", depends_on="shout", id="after")
    there = "there is no node 'shout' here, but in a part of 'c'"
    assert told(p) == [
        f"node 'after', left: '{{{{ shout }}}}': {there}; take the output of 'c'",
        f"node 'after', depends_on: {there}; name that",
    ]


def test_types_are_known_inside_of_parts() -> None:
    p = plan()
    letters = p.step("size", text="x")
    p.choose(letters, lambda then: then.step("shout", text=letters), id="c")
    p.loop(lambda body: body.step("shout", text="{{ size.parts }}"), times=1)
    p.loop(lambda body: body.step("shout", text="{{ item }}", id="each"), over="{{ [1] }}")
    p.loop(
        lambda body: body.choose("{{ size }}", lambda then: then.step("shout", text="{{ size }}")), times=1, id="l"
    )
    assert told(p) == [
        "node 'shout', text: size is int, but str is declared",
        "node 'shout', text: size is int and has no 'parts'",
        "node 'shout', text: size is int, but str is declared",
    ]


def test_only_single_steps_are_undone_inside_of_loops() -> None:
    p = plan()
    undo = p.call("draw", name="x")
    wrong = plan("inner")
    wrong.step("add", left=1)
    p.loop(lambda body: body.add(wrong, id="w", compensate=undo), times=2)
    p.choose("{{ repeat }}", lambda then: then.add(wrong, id="fine", compensate=undo))
    assert told(p) == [
        "node 'w', compensate: inside of a loop, it is for single steps; put it on the steps inside of this one"
    ]


def test_parts_that_are_none() -> None:
    p = plan()
    p.choose("{{ 1 }}", lambda then: None, id="empty")
    p.choose("{{ 1 }}", 3, id="number")  # pyright: ignore[reportArgumentType]
    inner = plan("inner")
    inner.step("add", left=inner.input("left"))
    p.choose("{{ 1 }}", inner, left=1, right=2, id="given")
    p.choose("{{ 1 }}", inner, id="missing")
    other = plan("other")
    p.choose("{{ 1 }}", lambda then: then.step("add", left=other.input("x")), id="foreign")
    everything = "\n".join(p.problems())
    assert "nodes: there are none" in everything
    assert "node 'given', parameter 'right': the graph has no such input; it has 'left'" in everything
    assert "p/number/then: a branch or body is a plan, or a function that writes one, not int" in everything
    assert "node 'missing', parameter 'left': is missing" in everything
    assert "input.x belongs to another graph, 'other'" in everything


# Loops ---------------------------------------------------------------------------------------------------------


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
