"""Random plans: files and Python make the same definition of them, and what they return is what a model says."""

import asyncio
import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from plan_kit import output_of
from plan_words import plus

from clew import Plan, load
from clew.graphs.hashing import without_places

Step = dict[str, Any]
DEPTH = 2

inputs = st.integers(-3, 3)


@st.composite
def steps(draw: st.DrawFn, names: tuple[str, ...], depth: int, counter: list[int]) -> list[Step]:
    """A list of steps that name each other, and what is around them; all values are numbers."""
    found: list[Step] = []
    for _ in range(draw(st.integers(1, 3))):
        counter[0] += 1
        step_id = f"s{counter[0]}"
        term = st.sampled_from(["1", "input.n", *names])
        kinds = ["sum", "sum", *(["choice", "times", "until", "over"] if depth else [])]
        kind = draw(st.sampled_from(kinds))
        step: Step = {"id": step_id, "kind": kind, "left": draw(term), "right": draw(term)}
        if kind != "sum":
            own = ("iteration", "(previous or 0)") if kind in {"times", "until"} else ()
            own = ("iteration", "item") if kind == "over" else own
            step["then"] = draw(steps((*names, *own), depth - 1, counter))
        if kind == "choice" and draw(st.booleans()):
            step["else"] = draw(steps(names, depth - 1, counter))
        if kind == "times":
            step["times"] = draw(st.integers(1, 3))
        found.append(step)
        names = (*names, f"({step_id} or 0)") if kind == "choice" else (*names, step_id)
        names = names[:-1] if kind == "over" else names
    return found


@st.composite
def plans(draw: st.DrawFn) -> list[Step]:
    return draw(steps((), DEPTH, [0]))


def total(step: Step) -> str:
    return f"{{{{ {step['left']} + {step['right']} }}}}"


def condition(step: Step) -> str:
    return f"{{{{ input.n + {step['left']} > {step['right']} }}}}"


def items(step: Step) -> str:
    return f"{{{{ [{step['left']}, {step['right']}] }}}}"


# The same plan, three times ------------------------------------------------------------------------------------


def in_file(step: Step) -> Step:
    inner = [in_file(each) for each in step.get("then", ())]
    match step["kind"]:
        case "sum":
            return {"id": step["id"], "tool": "plus", "with": {"left": total(step), "right": 0}}
        case "choice":
            other = {"else": [in_file(each) for each in step["else"]]} if "else" in step else {}
            return {"id": step["id"], "if": condition(step), "then": inner, **other}
        case "times":
            return {"id": step["id"], "loop": {"times": step["times"], "steps": inner}}
        case "until":
            until = "{{ output > 5 or iteration == 3 }}"
            return {"id": step["id"], "loop": {"until": until, "max_iterations": 3, "steps": inner}}
        case _:
            return {"id": step["id"], "loop": {"over": items(step), "steps": inner}}


def in_python(p: Plan, written: list[Step]) -> None:
    for step in written:

        def inner(part: Plan, step: Step = step) -> None:
            in_python(part, step["then"])

        def other(part: Plan, step: Step = step) -> None:
            in_python(part, step["else"])

        match step["kind"]:
            case "sum":
                p.step("plus", left=total(step), right=0, id=step["id"])
            case "choice":
                p.choose(condition(step), inner, other if "else" in step else None, id=step["id"])
            case "times":
                p.loop(inner, times=step["times"], id=step["id"])
            case "until":
                p.loop(inner, until="{{ output > 5 or iteration == 3 }}", max_iterations=3, id=step["id"])
            case _:
                p.loop(inner, over=items(step), id=step["id"])


def model(written: list[Step], names: dict[str, Any]) -> Any:
    """What the last of some steps returns."""
    names = dict(names)
    value: Any = None
    for step in written:
        left, right = (read(step[side], names) for side in ("left", "right"))
        match step["kind"]:
            case "sum":
                value = left + right
            case "choice":
                branch = step["then"] if names["input.n"] + left > right else step.get("else")
                value = model(branch, names) if branch is not None else None
            case "times" | "until":
                value, number = None, 0
                while number < step.get("times", 3):
                    number += 1
                    value = model(
                        step["then"], {**names, "iteration": number, "(previous or 0)": number_of(value)}
                    )
                    if step["kind"] == "until" and number_of(value) > 5:
                        break
            case _:
                value = [
                    model(step["then"], {**names, "iteration": number, "item": item})
                    for number, item in enumerate((left, right), 1)
                ]
        names[step["id"]] = value
        names[f"({step['id']} or 0)"] = number_of(value)
    return value


def read(name: str, names: dict[str, Any]) -> Any:
    return 1 if name == "1" else names[name]


def number_of(value: Any) -> Any:
    return value or 0


def is_numeric(written: list[Step]) -> bool:
    """Whether what parts return are numbers, so that others can add them, and loops compare them."""
    for step in written:
        lasts = [step[name][-1]["kind"] for name in ("then", "else") if name in step]
        if "over" in lasts or (step["kind"] in {"times", "until"} and "choice" in lasts):
            return False
        if not all(is_numeric(step.get(name, [])) for name in ("then", "else")):
            return False
    return True


def python_plan(written: list[Step]) -> Plan:
    p = Plan("random", tools=[plus])
    p.input("n", int)
    in_python(p, written)
    p.returns(p[written[-1]["id"]])
    return p


@given(plans().filter(is_numeric))
@settings(max_examples=10)
def test_files_and_python_make_the_same_definition(written: list[Step]) -> None:
    p = python_plan(written)
    assert p.problems() == []
    data = {
        "name": "random",
        "inputs": {"n": "int"},
        "tools": ["plan_words:plus"],
        "steps": [in_file(step) for step in written],
        "returns": f"{{{{ {written[-1]['id']} }}}}",
    }
    path = Path("random_plan.json")
    path.write_text(json.dumps(data), "utf-8")
    try:
        assert without_places(load(path).spec()) == without_places(p.spec())
    finally:
        path.unlink()


@given(plans().filter(is_numeric), inputs)
@settings(max_examples=10)
def test_what_a_plan_returns_is_what_a_model_says(written: list[Step], n: int) -> None:
    returned = asyncio.run(output_of(python_plan(written), {"n": n}))
    assert returned == model(written, {"input.n": n})
