"""Plans in files: read, run, equal to what is written in Python, and all that is wrong told with its place."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import plan_words
import pytest
import yaml
from jsonschema import Draft202012Validator
from plan_kit import failure_of, output_of

from clew import GraphError, Handle, Plan, Retry, exponential, load, shell, undo
from clew.graphs.body_data import ToolBody
from clew.graphs.hashing import without_places
from clew.graphs.schema import SCHEMA
from clew.kernel.definition import GraphSpec

HERE = Path(__file__).parent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(HERE / "plan_words.py", tmp_path / "more_words.py")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str, name: str = "p.yaml") -> Any:
    Path(name).write_text(text, "utf-8")
    return load(name)


def problems(text: str, name: str = "p.yaml") -> list[str]:
    with pytest.raises(GraphError) as caught:
        written(text, name)
    return caught.value.problems


EVERYTHING = """
id: everything
description: All that a plan can have.
metadata: {owner: ann, ticket: 7}
inputs: {text: str, most: {type: int, default: 3}}
tools: [plan_words, "plan_words:plus"]
rollback: true
steps:
  - tool: shout
    with: {text: "{{ input.text }}"}
    expected: 5s
    retry: {max_attempts: 2, delay: 0}
    compensate: {tool: shout, with: {text: "{{ output }}"}, retry: 5}
  - {id: letters, tool: size, with: {text: "{{ shout }}"}}
  - if: "{{ letters > input.most }}"
    then:
      - {tool: shout, with: {text: "long {{ shout }}"}}
    else:
      - {tool: shout, with: {text: "short {{ input.text }}"}}
      - {id: x, tool: size, with: {text: "{{ shout_2 }}"}}
  - id: threefold
    loop:
      times: 3
      steps:
        - {tool: plus, with: {left: "{{ iteration }}", right: "{{ previous or 0 }}"}}
      returns: "{{ plus }}"
  - loop:
      over: "{{ input.text | list }}"
      steps:
        - {tool: shout, with: {text: "{{ item ~ iteration }}"}}
        - if: "{{ iteration > 1 }}"
          then: [{tool: shout, with: {text: "{{ item ~ shout_2 ~ letters }}"}}]
  - loop: {while: "{{ iteration < 3 }}", max_iterations: 5, steps: [{tool: size, with: {text: "{{ shout }}"}}]}
  - loop:
      until: "{{ output == 3 or iteration == letters }}"
      max_iterations: 9
      on_limit: stop
      steps: [{tool: size, with: {text: "{{ shout }}"}}]
  - {memory: store, with: {namespace: words, key: b, value: "{{ threefold }}"}}
  - {wait: 10ms}
  - {ask: {information: "{{ threefold }}"}, needs: wait}
  - {shell: "echo {{ word }}", with: {word: "{{ threefold }}"}}
returns: {choice: "{{ choice }}", threefold: "{{ threefold }}", over: "{{ repeat }}"}
"""


def in_python() -> Plan:
    """The same as the file."""
    p = Plan(
        "everything",
        description="All that a plan can have.",
        tools=[plan_words, plan_words.plus],
        metadata={"owner": "ann", "ticket": 7},
        rollback=True,
    )
    p.input("text", str)
    p.input("most", int, 3)
    p.step(
        "shout",
        text="{{ input.text }}",
        expected=5,
        retry=Retry(max_attempts=2, backoff=exponential(0)),
        compensate=undo(p.call("shout", text="{{ output }}"), retry=5),
    )
    p.step("size", text="{{ shout }}", id="letters")

    def short(other: Plan) -> None:
        other.step("shout", text="short {{ input.text }}")
        other.step("size", text="{{ shout_2 }}", id="x")

    c = p.choose("{{ letters > input.most }}", lambda then: then.step("shout", text="long {{ shout }}"), short)
    threefold = p.loop(
        lambda body: body.step("plus", left="{{ iteration }}", right="{{ previous or 0 }}"),
        times=3,
        id="threefold",
    )

    def letter(body: Plan) -> Handle:
        body.step("shout", text="{{ item ~ iteration }}")
        return body.choose(
            "{{ iteration > 1 }}", lambda then: then.step("shout", text="{{ item ~ shout_2 ~ letters }}")
        )

    over = p.loop(letter, over="{{ input.text | list }}")
    p.loop(lambda body: body.step("size", text="{{ shout }}"), while_="{{ iteration < 3 }}", max_iterations=5)
    p.loop(
        lambda body: body.step("size", text="{{ shout }}"),
        until="{{ output == 3 or iteration == letters }}",
        max_iterations=9,
        on_limit="stop",
    )
    p.memory("store", namespace="words", key="b", value="{{ threefold }}")
    w = p.wait("10ms")
    p.ask("information", "{{ threefold }}", depends_on=w)
    p.add(shell("echo {{ word }}"), word=threefold)
    p.returns({"choice": c, "threefold": threefold, "over": over})
    return p


def test_a_file_and_python_make_the_same_definition(folder: Path) -> None:
    from_file = written(EVERYTHING)
    assert isinstance(from_file, Plan)
    assert shown(from_file.spec()) == shown(in_python().spec())
    assert from_file.hash == in_python().hash
    data = yaml_of(EVERYTHING)
    assert written(json.dumps(data), "p.json").hash == from_file.hash
    del folder


def shown(spec: GraphSpec) -> Any:
    """A definition as data, without where its texts were written."""
    return without_places(spec)


def yaml_of(text: str) -> Any:
    return yaml.safe_load(text)


async def test_it_runs(folder: Path) -> None:
    del folder
    assert await output_of(written(EVERYTHING), {"text": "abcd"}) == {
        "choice": "LONG ABCD",
        "threefold": 6.0,
        "over": [None, "BB24", "CC34", "DD44"],
    }
    short = await output_of(written(EVERYTHING), {"text": "ab"})
    assert short["choice"] == len("short ab")


async def test_toml(folder: Path) -> None:
    del folder
    text = """
    name = "small"
    tools = ["plan_words"]
    [[steps]]
    tool = "shout"
    with = {text = "ab", times = 2}
    [[steps]]
    if = "{{ shout == 'ABAB' }}"
    then = [{tool = "size", with = {text = "{{ shout }}"}}]
    """
    assert await output_of(written(text, "small.toml")) == {"choice": 4}


async def test_steps_by_id_and_steps_like_all_nodes(folder: Path) -> None:
    del folder
    text = """
    tools: ["more_words.py"]
    inputs: {words: "list[str]"}
    steps:
      loud: {tool: shout, with: {text: "{{ item }}"}, map: "{{ input.words }}"}
      joined: {run: "more_words:plus", with: {left: "{{ loud | length }}"}}
      same: {graph: {nodes: {one: {shell: "echo hello"}}, returns: "{{ one.stdout }}"}}
      nested: {graph: {tools: [more_words], steps: [{tool: size, with: {text: "abc"}}], returns: "{{ size }}"}}
    """
    assert await output_of(written(text), {"words": ["a", "b"]}) == {"joined": 3, "same": "hello\n", "nested": 3}


async def test_tools_in_a_folder_below(folder: Path) -> None:
    (folder / "below").mkdir()
    shutil.copy(HERE / "plan_words.py", folder / "below" / "deep_words.py")
    text = "tools: [below/deep_words.py]\nsteps: [{tool: size, with: {text: abc}}]"
    assert await output_of(written(text)) == {"size": 3}
    (problem,) = problems(text.replace("deep_words", "deep_wrods"))[:1]
    assert problem == "p.yaml:1:9: tools: there is no file 'deep_wrods.py'; did you mean 'deep_words.py'?"


async def test_questions_and_waits_in_files(folder: Path) -> None:
    del folder
    text = """
    steps:
      - {id: sure, ask: {confirm: "sure?", timeout: 10ms, default: true}}
      - {id: who, ask: {input: "who?", type: int, timeout: 10ms, default: 3}}
      - {id: which, ask: {choice: "which?", choices: [a, "{{ who }}"], timeout: 10ms, default: a}}
      - {id: short, wait: {seconds: "{{ who / 100 }}"}}
      - {id: past, wait: {until: "2001-01-01T00:00:00Z"}}
      - {id: none, wait: {message: go, timeout: 10ms, default: [1]}}
    """
    output = await output_of(written(text))
    assert output == {"sure": True, "which": "a", "short": None, "past": None, "none": [1]}


def test_tools_of_servers(folder: Path) -> None:
    del folder
    text = """
    servers: {clock: python clock_server.py, far: {url: "http://localhost:1/mcp"}}
    steps:
      - {tool: clock.now, with: {zone: UTC}}
      - {tool: far.away}
    """
    bodies = [msgspec.json.decode(node.body, type=ToolBody) for node in written(text).spec().nodes]
    assert [(body.name, body.remote) for body in bodies] == [("clock.now", "now"), ("far.away", "away")]
    assert bodies[0].server is not None
    assert bodies[0].server.command == ("python", "clock_server.py")
    wrong = text.replace("clock.now", "clok.now").replace("python clock_server.py", "{comand: x}")
    told = "\n".join(problems(wrong))
    assert "servers.clock.comand: a server has no such field; did you mean 'command'?" in told
    assert "node 'clok.now', tool: there is no tool 'clok.now'" in told
    (problem,) = problems(
        text.replace("steps:", "permissions: {write: [out], network: [a], shell: true}\n    steps:", 1)
    )[:1]
    assert "the tool clock.now of a server may write everything, and the plan grants out; grant it" in problem


async def test_an_error_at_run_time_names_the_place_in_the_file(folder: Path) -> None:
    del folder
    text = """
    inputs: {any: any}
    tools: ["plan_words:broken"]
    steps:
      - {id: c, if: "{{ input.any.x > 3 }}", then: [{tool: broken, with: {text: gone}}]}
    """
    error, _ = await failure_of(written(text), {"any": {}})
    assert "p.yaml: steps.0.if: '{{ input.any.x > 3 }}'" in error.message
    error, failures = await failure_of(written(text), {"any": {"x": 4}})
    assert (error.type, [*failures]) == ("network", ["c/then/broken"])


WRONG = """
name: wrong
inputs: {text: str}
tools: [plan_words, nothing_here, "plan_words:nobody"]
permissions: {write: [out], network: [], shell: false}
metdata: {}
steps:
  - {tool: shoutt, with: {text: x}}
  - {tool: shout, with: {txt: x}}
  - {tool: shout, id: a, with: {text: 3, times: {deep: [1]}}}
  - {tool: shout, id: b, with: {text: "{{ input.txt }}"}}
  - {tool: shout, id: c, with: {text: "{{ inner }}"}, depends_on: inner}
  - id: d
    if: "{{ a == b"
    then: [{tool: size, id: inner, with: {text: x}}]
  - {id: e, if: "a > 3", then: [{tool: size, with: {text: "{{ nowhere }}"}}], else: [{tool: siz}]}
  - {id: f, loop: {steps: [{tool: size, with: {text: x}}]}}
  - {id: g, loop: {times: 0, steps: [{tool: size, with: {text: x}}]}}
  - {id: h, loop: {until: "{{ x > 3 }}", max_iterations: 1.5, steps: [{tool: size, with: {text: x}, timeuot: 3}]}}
  - {id: i, memory: keep}
  - {id: j, memory: get, with: {namespace: x}}
  - {id: k, ask: {confirm: x, choices: [1]}}
  - {id: l, wait: tomorrow}
  - {id: m, shell: ls, limits: {cpu_s: 1}, then: [{tool: size, with: {text: x}}]}
  - {id: n, tool: shell, with: {command: ls}}
  - {id: o, tool: write_file, with: {path: x, content: x}, permissions: {write: [elsewhere]}}
  - {id: p, tool: size, with: {text: x}, compensate: {tool: shot, with: {text: x}}}
  - {id: q, tool: size, shell: ls}
  - {id: r, with: {text: x}}
  - {id: a, tool: size, with: {text: "{{ s }}"}}
  - {id: s, tool: size, with: {text: "{{ t }}"}}
  - {id: t, tool: size, with: {text: "{{ s }}"}}
  - {id: u, tool: size, with: {text: x}, limits: {memory_bytes: 0}}
"""


def test_everything_wrong_is_told_at_once_with_its_place(folder: Path) -> None:
    del folder
    told = "\n".join(problems(WRONG))
    assert told + "\n" == (HERE / "wrong_plan.txt").read_text("utf-8")


def test_the_same_is_told_of_json(folder: Path) -> None:
    del folder
    in_json = problems(json.dumps(yaml_of(WRONG), indent=1), "p.json")
    assert [*map(placeless, in_json)] == [*map(placeless, problems(WRONG))]


def placeless(problem: str) -> str:
    return re.sub(r"p\.(json|yaml)[0-9:]*", "", problem)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("steps: []", "p.yaml:1:8: steps is empty"),
        ("steps: {}", "p.yaml:1:8: steps is empty"),
        ("steps: 3", "p.yaml:1:8: steps is a list or a mapping, not 3"),
        ("steps: [3]", "p.yaml:1:9: steps[0] is a mapping, not 3"),
        ("nodes: {a: {shell: ls}}\nsteps: [{shell: ls}]", "p.yaml:1:1: nodes is an unknown key; there are"),
        ("tools: {}\nsteps: [{shell: ls}]", "p.yaml:1:8: tools is text or a list, not a mapping"),
        ("steps: [{id: item, shell: ls}]", "node 'item', id: 'item' has a meaning of its own in expressions"),
        ("steps: [{id: item, if: true, then: [{shell: ls}]}]", "node 'item', id: 'item' has a meaning of its own"),
        ("steps: [{if: true}]", "node 'choice', if: needs `then`: what is done if it holds"),
        (
            "steps: [{if: false, then: [{shell: ls}]}]",
            "node 'choice', if: it never holds, so that the steps of `then`",
        ),
        ("steps: [{if: true, then: [{shell: ls}], map: x}]", "node 'choice', map: is not for choices and loops"),
        ("steps: [{shell: ls, else: [{shell: ls}]}]", "node 'shell', else: is for steps with `if`"),
        ("steps: [{loop: {times: 2, steps: []}}]", "steps[0].loop.steps is empty"),
        ("steps: {1a: {shell: ls}, b: {shell: ls}}", "steps.1a is no name; a name has letters"),
        ("steps: [{memory: get, with: {namespace: x, kye: y}}]", "memory: there is no 'kye'; there are namespace"),
        ("steps: [{memory: get, with: {key: y}}]", "node 'memory', memory: it needs namespace="),
        ("steps: [{graph: none.yaml}]", "node 'none', graph: there is no file 'none.yaml'"),
        ("steps: [{ask: 'sure {{ who }}?'}]", "node 'ask', text: 'sure {{ who }}?': there is no node 'who'"),
        ("steps: {a: {shell: 'echo {{ b }}'}, c: {if: true, then: {b: {shell: ls}}}}", "but in a part of 'c'"),
        ("tools: [plan_empty]\nsteps: [{shell: ls}]", "tools: there are no tools in 'plan_empty'"),
    ],
)
def test_forms_of_plans(folder: Path, text: str, wrong: str) -> None:
    (folder / "plan_empty.py").write_text('"""Nothing."""\n')
    assert wrong in "\n".join(problems(text))


def test_the_schema_knows_plans(folder: Path) -> None:
    del folder
    Draft202012Validator.check_schema(SCHEMA)
    validator = Draft202012Validator(SCHEMA)
    assert not list(validator.iter_errors(yaml_of(EVERYTHING)))
    assert list(validator.iter_errors(yaml_of(WRONG)))
    assert msgspec.json.decode(written(EVERYTHING).spec().metadata)["ticket"] == 7
