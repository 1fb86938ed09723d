"""Choices of plans: what is done, what it sees, and what is found before it starts."""

from typing import Any

import pytest
from plan_kit import failure_of, output_of, plan, statuses, told

from clew import Handle, Plan


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


async def test_parts_of_what_is_around_are_seen_too() -> None:
    p = plan()
    p.input("a", dict[str, int])
    p.input("b", int)
    pair = p.add(lambda: {"left": 1, "right": [2, 3]}, id="my-pair")

    def body(then: Plan) -> dict[str, Any]:
        return {
            "handle": then.step("add", left=pair["right"][1], right=p["my-pair"]["left"]),
            "text": then.step("add", left="{{ nodes['my-pair'].right[0] }}", right="{{ input.a.x }}"),
            "inputs": then.step("add", left="{{ input | length }}", right="{{ input['b'] }}"),
            "list": [pair["left"], {"deep": pair}],
        }

    p.returns(p.choose("{{ input.b > 1 and nodes['my-pair'].left == 1 }}", body))
    assert await output_of(p, {"a": {"x": 5}, "b": 7}) == {
        "handle": 4,
        "text": 7,
        "inputs": 9,
        "list": [1, {"deep": {"left": 1, "right": [2, 3]}}],
    }


def test_names_that_mean_nothing_inside_of_parts() -> None:
    p = plan()
    p.input("text", str)
    p.step("size", text="x")
    p.choose("{{ size }}", lambda then: then.step("shout", text="{{ nodes.siez }}", id="a"))
    p.choose("{{ size }}", lambda then: then.step("shout", text="{{ input.txet }}", id="b"))
    p.choose("{{ size }}", lambda then: then.step("shout", text="{{ nodes }}", id="c"))
    p.choose("{{ size }}", lambda then: then.step("shout", text="{{ item }}", id="d"))
    p.loop(lambda body: body.step("shout", text="{{ previuos }}", id="e"), times=2)
    p.choose("{{ size }}", lambda then: then.step("shout", text="{{ text }}", id="f"))
    example, only = 'nodes["fetch"]', "only in nodes with a map, and in loops over a list"
    assert sorted(told(p)) == [
        "node 'a', text: '{{ nodes.siez }}': there is no node 'siez'; did you mean 'size'?",
        "node 'b', text: '{{ input.txet }}': there is no input 'txet'; did you mean 'text'?",
        f"node 'c', text: '{{{{ nodes }}}}': a node is named by text: {example}",
        f"node 'd', text: '{{{{ item }}}}': 'item' stands for something {only}",
        "node 'e', text: '{{ previuos }}': there is no node 'previuos'; did you mean 'previous'?",
        "node 'f', text: '{{ text }}': there is no node 'text'; did you mean 'input.text'?",
    ]


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
        ("{{ 1 / 0 }}", "'{{ 1 / 0 }}': division by zero"),
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
