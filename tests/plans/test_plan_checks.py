"""What has to hold right before a step: looked at by the engine before each attempt, also after a restart."""

import shutil
from pathlib import Path
from typing import Any

import check_functions
import pytest
from plan_kit import failure_of, output_of, plan, told

from clew import Engine, InvalidInputError, Plan, Retry, RunFailedError, check, fixed, load
from clew.engine import preconditions
from clew.graphs.tools import Server, Tool

HERE = Path(__file__).parent


def checked(*checks: Any, **options: Any) -> Plan:
    p = plan()
    p.input("version", str, "1.0")
    p.step("add", left=1, id="before")
    p.step("add", left="{{ before }}", id="s", checks=checks, **options)
    return p


@pytest.fixture
def there(tmp_path: Path) -> str:
    (tmp_path / "there-1.0").write_text("x")
    return str(tmp_path)


async def test_all_that_holds(there: str) -> None:
    p = checked(
        check(file=f"{there}/there-{{{{ input.version }}}}"),
        check(file=there),
        check(program="sh"),
        check(tool="shout"),
        check(tool=check_functions.is_new),
        check(permission={"read": [there], "write": [there]}),
        check(resource={"memory_bytes": "1MB", "disk_bytes": 1, "cores": 1}),
        check(check_functions.is_new, arguments={"version": "{{ left | string }}"}),
    )
    assert await output_of(p) == {"s": 3}


@pytest.mark.parametrize(
    ("one", "kind", "message"),
    [
        (check(file="nowhere/{{ input.version }}"), "dependency failed", "file: nowhere/1.0 is not there"),
        (check(file="nowhere"), "dependency failed", "file nowhere: nowhere is not there"),
        (check(program="no-such-program"), "tool not found", "program no-such-program: there is no program"),
        (
            check(permission={"write": ["/proc/none"]}),
            "permission denied",
            "permission: /proc/none cannot be written",
        ),
        (check(permission={"read": ["/nowhere"]}), "permission denied", "permission: /nowhere cannot be read"),
        (check(resource={"memory_bytes": 10**18}), "resource exhausted", "resource: memory_bytes: "),
        (check(resource={"disk_bytes": 10**18}), "resource exhausted", "1,000,000,000,000,000,000 are needed"),
        (check(resource={"cores": 10_000}), "resource exhausted", "10,000 are needed"),
        (check(check_functions.never), "dependency failed", "check never: it does not hold"),
        (
            check(check_functions.is_new, arguments={"version": "{{ input.version }}"}),
            "dependency failed",
            "check is_new: version 1.0 is out already",
        ),
        (check(check_functions.never, message="ask ann first"), "dependency failed", "check never: ask ann first"),
        (check(check_functions.breaks), "permission denied", "not for you"),
    ],
)
async def test_what_does_not_hold_fails_the_step(one: Any, kind: str, message: str, monkeypatch: Any) -> None:
    if kind == "permission denied":
        monkeypatch.setattr(
            preconditions.os, "access", lambda path, _: not str(path).startswith(("/proc", "/nowh"))
        )
    error, failures = await failure_of(checked(one))
    assert failures["s"].type == kind
    assert message in error.message


async def test_all_that_does_not_hold_is_told_at_once() -> None:
    _, failures = await failure_of(checked(check(file="a"), check(program="no-such-b"), check(program="sh")))
    assert failures["s"].message == (
        "file a: a is not there; program no-such-b: there is no program 'no-such-b' to be started"
    )


async def test_advice_is_told_in_the_log() -> None:
    p = checked(check(file="nowhere", required=False), check(check_functions.never, required=False))
    async with Engine("memory:") as engine:
        run = await engine.start(p)
        await run.result()
        assert [line.text.strip() async for line in run.logs("s")] == [
            "file nowhere: nowhere is not there",
            "check never: it does not hold",
        ]


async def test_checks_are_made_before_each_attempt(tmp_path: Path) -> None:
    marker = tmp_path / "tried"

    def appears() -> bool:
        seen = marker.exists()
        marker.touch()
        return seen

    p = checked(check(appears), retry=Retry(max_attempts=2, backoff=fixed(0), on="dependency failed"))
    assert await output_of(p) == {"s": 3}


async def test_a_tool_that_is_gone_is_no_longer_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = f"sqlite:///{tmp_path}/clew.db"
    p = plan()
    p.wait(message="go", id="w")
    p.step("add", left=1, id="s", depends_on="w", checks=[check(tool=check_functions.never)])
    async with Engine(journal) as engine:
        run = await engine.start(p)
        await anext(aiter(run.events()))
    monkeypatch.delattr(check_functions, "never")
    async with Engine(journal) as engine:
        run = await engine.resume(run.id)
        await run.send("go")
        with pytest.raises(RunFailedError) as caught:
            await run.result()
    error = caught.value.result.failures["s"]
    assert error.type == "tool not found"
    assert error.message.startswith("tool never: ")


async def test_checks_are_made_after_a_restart(tmp_path: Path) -> None:
    journal, file = f"sqlite:///{tmp_path}/clew.db", tmp_path / "there"
    p = plan()
    p.wait(message="go", id="w")
    p.step("add", left=1, id="s", depends_on="w", checks=[check(file=str(file))])
    file.write_text("x")
    async with Engine(journal) as engine:
        run = await engine.start(p)
        await anext(aiter(run.events()))
    file.unlink()
    async with Engine(journal) as engine:
        run = await engine.resume(run.id)
        await run.send("go")
        with pytest.raises(RunFailedError) as caught:
            await run.result()
    assert caught.value.result.failures["s"].type == "dependency failed"


@pytest.mark.slow
async def test_paths_are_below_the_folder_of_the_step(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("x")
    assert await output_of(checked(check(file="here"), folder=str(tmp_path))) == {"s": 3}


async def test_what_cannot_be_measured_does_not_hold(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(preconditions, "_MEMINFO", tmp_path / "none")
    _, failures = await failure_of(checked(check(resource={"memory_bytes": 1})))
    assert failures["s"].message == "resource: memory_bytes: how much is free cannot be told here"


def test_checks_that_are_none_are_told_before_anything_runs() -> None:
    far = Tool(name="far", server=Server(name="x", url="http://localhost:1"))
    p = plan()
    p.step(
        "draw",
        name="x",
        id="s",
        checks=[
            check(tool="shuot"),
            check(tool=far),
            check(file=""),
            check(file="{{ nobody }}"),
            check(permission={"write": ["elsewhere"], "shell": True}),
            check(resource={"connections": 3}),
            check(resource={}),
            check(check_functions.is_new, arguments={"versoin": 1}),
        ],
    )
    assert told(p) == [
        "node 's', checks[0]: there is no tool 'shuot'; did you mean 'shout'?",
        "node 's', checks[1]: the tool far is one of a server, which is asked when it is called",
        "node 's', checks[2]: the file is named by text, and is empty",
        "node 's', checks[3]: '{{ nobody }}': there is no node 'nobody'",
        "node 's', checks[4]: write: elsewhere is more than the tool draw may do",
        "node 's', checks[4]: shell: programs is more than the tool draw may do",
        "node 's', checks[5]: connections cannot be measured; 'memory_bytes', 'disk_bytes' or 'cores' can",
        "node 's', checks[6]: it names no resource; there are 'memory_bytes', 'disk_bytes' and 'cores'",
        "node 's', checks[7]: the function has no 'versoin'; did you mean 'version'?",
        "node 's', checks[7]: the function needs 'version'; give it in the arguments",
    ]


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (
            {},
            "'file', 'program', 'tool', 'permission', 'resource' or 'run'; it has none of them",
        ),
        ({"file": "x", "program": "y"}, "it has 'file' and 'program'"),
        ({"file": "x", "arguments": {"x": 1}}, "the arguments of a check are those of its function"),
        ({"permission": {"wriet": []}}, "permission: there is no permission 'wriet'; did you mean 'write'?"),
        ({"resource": {"memory": 1}}, "limits: there is no limit 'memory'"),
    ],
)
def test_checks_that_cannot_be_written(given: dict[str, Any], wrong: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check(**given)
    assert wrong in str(caught.value)
    with pytest.raises(InvalidInputError, match="a check by itself is a function, not 'x'"):
        check("x")  # pyright: ignore[reportArgumentType]


async def test_checks_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(HERE / "plan_words.py", tmp_path / "words_to_check.py")
    monkeypatch.chdir(tmp_path)
    text = """
    tools: [words_to_check]
    inputs: {file: str}
    steps:
      - tool: shout
        with: {text: a}
        checks:
          - file: "{{ input.file }}"
          - program: sh
          - {tool: size}
          - {permission: {read: ["."]}, required: false}
          - {resource: {memory_bytes: 1MB}}
          - {run: "check_functions:is_new", with: {version: "{{ text }}"}, message: not again}
    """
    Path("p.yaml").write_text(text, "utf-8")
    p = load("p.yaml")
    assert await output_of(p, {"file": "p.yaml"}) == {"shout": "A"}
    error, _ = await failure_of(p, {"file": "q.yaml"})
    assert error.message == "shout: file: q.yaml is not there"
    wrong = text.replace("program: sh", "progam: sh").replace("check_functions:is_new", "check_functions:is_nwe")
    Path("q.yaml").write_text(wrong.replace("{tool: size}", "{tool: siez}"), "utf-8")
    with pytest.raises(Exception, match="progam is an unknown key; did you mean 'program'"):
        load("q.yaml")
    Path("q.yaml").write_text(wrong.replace("progam", "program").replace("{tool: size}", "{tool: siez}"), "utf-8")
    with pytest.raises(Exception, match=r"q.yaml:10:13: node 'shout', checks\[2\]: there is no tool 'siez'"):
        load("q.yaml")
