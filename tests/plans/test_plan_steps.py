"""Plans in Python: steps that call tools, with what they are given, and what is found before they start."""

from typing import Any

import msgspec
import plan_kit
import pytest
from plan_kit import add, failure_of, output_of, plan, shout, size, told

from clew import END, START, GraphError, InvalidInputError, Plan, Retry, StateGraph, Tools, fixed, item, shell
from clew.graphs.body_data import ToolBody
from clew.graphs.limits import Limits


def body_of(written: Plan, step: str) -> ToolBody:
    node = next(node for node in written.spec().nodes if node.id == step)
    return msgspec.json.decode(node.body, type=ToolBody)


async def test_texts_name_earlier_steps_and_inputs() -> None:
    p = plan()
    text = p.input("text", str)
    letters = p.step("size", text=text)
    p.step("shout", {"text": "{{ input.text }} has {{ size }}"}, id="told")
    p.step(shout, text="{{ nodes['told'][:5] }}", times=letters)
    assert await output_of(p, {"text": "ab"}) == {"shout": "AB HAAB HA"}


async def test_the_same_on_disk(tmp_path: Any) -> None:
    p = plan()
    p.step("add", left="{{ input.number }}", right=2)
    p.input("number", float)
    assert "there is no input 'number'" in told(p)[0]
    q = plan()
    q.input("number", float)
    q.step("add", left="{{ input.number }}", right=2)
    assert await output_of(q, {"number": 1}, f"sqlite:///{tmp_path}/clew.db") == {"add": 3}


async def test_a_plan_is_a_graph_like_others() -> None:
    def halves(text: str) -> list[str]:
        return [text[: len(text) // 2], text[len(text) // 2 :]]

    states = StateGraph({"text": str, "done": bool})
    states.add_node(lambda state: {"done": True}, id="finish")
    states.add_edge(START, "finish")
    states.add_edge("finish", END)
    inner = plan("inner")
    inner.returns(inner.step("shout", text=inner.input("text")))
    p = plan()
    parts = p.add(halves, text="abcd")
    told_loudly = p.add(inner, text=parts[1])
    ended = p.add(states, text=told_loudly)
    p.returns({"loud": told_loudly, "done": ended["done"]})
    assert await output_of(p) == {"loud": "CD", "done": True}


async def test_tools_run_over_lists() -> None:
    p = plan()
    p.returns(p.map(p.call("shout", text=item), over=["a", "b"]))
    assert await output_of(p) == ["A", "B"]
    with pytest.raises(InvalidInputError, match="there is no tool 'shoutt'; did you mean 'shout'"):
        p.call("shoutt")


def test_tools_of_a_plan() -> None:
    assert "read_file" in plan().draft.plan.tools  # pyright: ignore[reportOptionalMemberAccess]
    alone = Plan("alone", tools=Tools(size))
    alone.step("read_file", path="x")
    alone.step("size", text="x")
    assert told(alone) == ["node 'read_file', tool: there is no tool 'read_file'; there are 'size'"]
    from_module = Plan("m", tools=[plan_kit])
    from_module.step("add", left=1)
    assert from_module.problems() == []
    with pytest.raises(InvalidInputError, match="two tools are called 'size'"):
        Plan("twice", tools=[size, Tools().add(add, name="size")])


def test_everything_wrong_with_steps_is_told_at_once_with_its_line() -> None:
    p = plan()
    p.input("text", str)
    p.step("shoutt", text="x")
    p.step("shout", txt="x", id="unknown")
    p.step("shout", text=3, times="many", id="unfit")
    p.step("shout", text="{{ input.txt }}", id="no_input")
    p.step("shout", text="{{ later }}", id="early")
    p.step("shout", text="x", id="later", depends_on="nobody")
    p.step("shout", text="x", id="later")
    p.step("shout", text="{{ open", id="broken")
    p.step("shout", text="x", timeout=0, id="limits")
    with pytest.raises(GraphError) as caught:
        p.spec()
    assert all(f"test_plan_steps.py:{line}: " in each for line, each in _lines(caught.value.problems))
    assert told(p) == [
        "node 'shoutt', tool: there is no tool 'shoutt'; did you mean 'shout'?",
        "node 'unknown', txt: the tool has no such argument; did you mean 'text'?",
        "node 'unfit', text: text is expected, not 3",
        "node 'unfit', times: an integer is expected, not \"many\"",
        "node 'no_input', text: '{{ input.txt }}': there is no input 'txt'; did you mean 'text'?",
        "node 'early', text: '{{ later }}': there is no node 'later'",
        "node 'later', depends_on: there is no node 'nobody'",
        p.problems()[7].partition(": ")[2],
        "node 'broken', text: '{{ open': a {{ is not closed",
        "node 'limits', timeout: is a number of seconds above 0, not 0",
    ]
    assert "it is used twice" in p.problems()[7]


def _lines(problems: list[str]) -> list[tuple[int, str]]:
    return [(int(each.split(":")[1]), each) for each in problems]


def test_types_of_outputs_are_looked_at() -> None:
    p = plan()
    letters = p.step("size", text="x")
    p.step("shout", text=letters)
    p.step("add", left="{{ size.parts }}")
    assert told(p) == [
        "node 'shout', text: size is int, but str is declared",
        "node 'add', left: size is int and has no 'parts'",
    ]


# Rights and limits ---------------------------------------------------------------------------------------------


def test_a_step_narrows_its_tool() -> None:
    p = plan(folder="work")
    p.step("draw", name="x", write=["out/small"], limits={"memory_bytes": "64MB"}, best_effort=True)
    p.step("add", left=1, folder="elsewhere")
    body = body_of(p, "draw")
    assert body.permissions.write == ("out/small",)
    assert body.limits == Limits(memory_bytes=64_000_000)
    assert (body.best_effort, body.folder, body.isolation) == (True, "work", "process")
    assert body_of(p, "add").folder == "elsewhere"


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"write": ["/etc"]}, "write: /etc is more than the tool draw may do, which is out"),
        ({"shell": True}, "permissions: the tool draw may not start programs"),
        ({"network": ["example.com"]}, "network: example.com is more than the tool draw may do"),
        ({"limits": {"memory": 3}}, "limits: there is no limit 'memory'; did you mean 'memory_bytes'"),
        ({"limits": {"memory_bytes": 0}}, "limits: memory_bytes is 0; it has to be more than 0"),
    ],
)
def test_a_step_takes_no_more_than_its_tool_has(options: dict[str, Any], wrong: str) -> None:
    p = plan()
    p.step("draw", name="x", id="s", **options)
    assert told(p)[0].startswith(f"node 's', {wrong}")


def test_what_a_plan_grants_binds_its_steps() -> None:
    p = plan(permissions={"write": ["out"], "network": [], "read": ["in"]})
    p.step("draw", name="x")
    p.step("write_file", path="out/x", content="x")
    p.step("add", left=1)
    assert p.problems() == []
    assert body_of(p, "draw").permissions.write == ("out",)
    assert body_of(p, "write_file").permissions.write == ("out",)
    assert body_of(p, "write_file").isolation == "process"


@pytest.mark.parametrize(
    ("grants", "step", "wrong"),
    [
        (
            {"write": ["other"]},
            ("draw", {"name": "x"}),
            "write: the tool draw may write out, and the plan grants other",
        ),
        (
            {"network": ["example.com"]},
            ("call_home", {"path": "x"}),
            "network: the tool call_home may connect to api.example.com, and the plan grants example.com",
        ),
        ({"shell": False}, ("shell", {"command": "ls"}), "shell: the tool shell starts programs, which the plan"),
    ],
)
def test_what_a_plan_does_not_grant_is_told(grants: dict[str, Any], step: Any, wrong: str) -> None:
    p = plan(permissions=grants)
    p.step(*step, id="s")
    assert told(p)[0].startswith(f"node 's', {wrong}")
    q = plan(permissions=grants)
    with pytest.raises(InvalidInputError, match="the plan"):
        q.call(step[0], **step[1])


def test_programs_that_a_plan_does_not_grant() -> None:
    p = plan(permissions={"shell": False})
    p.add(shell("ls"), id="s")
    p.choose(p["s"], lambda then: then.step("add", left=1, compensate=shell("ls"), id="t"))
    assert told(p) == [
        "node 's': it starts a program, which the plan does not grant; add shell to its permissions",
        "node 't', compensate: it starts a program, which the plan does not grant; add shell to its permissions",
    ]


@pytest.mark.parametrize(
    ("grants", "wrong"),
    [
        ({"wriet": []}, "permissions: there is no permission 'wriet'; did you mean 'write'?"),
        ({"write": "out"}, "permissions: write is a list of places, not 'out'"),
        ({"shell": "no"}, "permissions: shell is true or false, not 'no'"),
        (["out"], "permissions: is a mapping with read, write, network and shell, not ['out']"),
    ],
)
def test_grants_that_are_none(grants: Any, wrong: str) -> None:
    p = plan(permissions=grants)
    p.step("add", left=1)
    assert told(p) == [wrong]


def test_resources_that_cannot_be() -> None:
    p = plan(limits={"memory_bytes": "64MB", "wall_s": "1m", "tool_invocations": 10}, timeout=30, best_effort=True)
    p.step("add", left=1, id="fits", limits={"memory_bytes": "64MB", "cpu_s": 5}, timeout=30)
    p.step("add", left=1, id="large", limits={"memory_bytes": "65MB", "tool_invocations": 11})
    p.step("add", left=1, id="slow", timeout=31, expected=40)
    p.wait("5m", id="late")
    p.choose(
        "{{ fits }}", lambda then: then.step("add", left=1, id="inside", limits={"memory_bytes": "90MB"}), id="c"
    )
    assert told(p) == [
        "node 'large', limits: memory_bytes is 65,000,000, and all steps of the plan together may use 64,000,000",
        "node 'large', limits: tool_invocations is 11, and all steps of the plan together may use 10",
        "node 'slow', timeout: is 31 s, and the whole plan may last 30 s",
        "node 'slow', expected: is 40 s, and the whole plan may last 30 s",
        "node 'late', wait: is 300 s, and the whole plan may last 30 s",
        "node 'inside', limits: memory_bytes is 90,000,000, and all steps of the plan together may use 64,000,000",
    ]


@pytest.mark.parametrize(
    ("limits", "wrong"),
    [
        ({"memory": 1}, "limits: there is no limit 'memory'; did you mean 'memory_bytes'?"),
        ({"memory_bytes": -1}, "limits: memory_bytes is -1; it has to be more than 0, or left out"),
        ({"cpu_s": "soon"}, "limits: cpu_s is 'soon'; write seconds, or 90s or 5m"),
        ({"cores": 2}, "limits: cores is a limit of single steps; give it to the tools that are called"),
    ],
)
def test_limits_of_plans_that_are_none(limits: dict[str, Any], wrong: str) -> None:
    p = plan(limits=limits)
    p.step("add", left=1)
    assert told(p) == [wrong]


# What is stored, and what comes of failures --------------------------------------------------------------------


def test_metadata_is_stored_with_the_definition() -> None:
    p = plan(metadata={"owner": "ann", "ticket": 7})
    p.step("add", left=1)
    assert msgspec.json.decode(p.spec().metadata) == {"owner": "ann", "ticket": 7}
    q = plan()
    q.step("add", left=1)
    assert not q.spec().metadata
    assert q.hash != p.hash


def test_policies_of_steps() -> None:
    p = plan()
    p.step(
        "draw",
        name="x",
        expected=3,
        retry=Retry(max_attempts=2, backoff=fixed(0)),
        compensate=p.call("draw", name="{{ name }} was {{ output }}"),
        exclusive="{{ name }}",
        irreversible=False,
    )
    (node,) = p.spec().nodes
    assert (node.expected_s, node.retry.max_attempts, node.compensation.kind) == (3.0, 2, "tool")  # pyright: ignore[reportOptionalMemberAccess]


async def test_the_error_of_a_step_is_the_error_of_the_plan() -> None:
    p = plan()
    p.step("break_down", text="gone", id="s")
    error, failures = await failure_of(p)
    assert (error.type, error.message) == ("network", "s: gone")
    assert failures["s"].retryable is None
    assert "ConnectionResetError" in failures["s"].classes
