"""PL6: steps that want too much, by real processes in a real engine; what this machine cannot do is skipped."""

import contextlib
import os
import signal
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hungry_tools as hungry
import pytest
from engine_kit import seen

from clew import Engine, Graph, InvalidInputError, Limits, Run, RunFailedError, Tool, call, shell, tool, undo
from clew.graphs.tools import tool_of
from clew.kernel import events as e
from clew.kernel.values import ErrorInfo
from clew.workers.isolation.choosing import describe_mechanisms
from clew.workers.isolation.warden import Warden

pytestmark = pytest.mark.slow


async def need(*limits: str) -> None:
    """Skip where the machine cannot hold to a limit."""
    warden = Warden()
    try:
        described = {each.limit: each for each in describe_mechanisms(await warden.mechanisms())}
    finally:
        await warden.close()
    for limit in limits:
        if not described[limit].mechanism:
            pytest.skip(f"{limit} cannot be enforced here: {described[limit].why}")


async def run_of(engine: Engine, body: Any, **options: Any) -> Run:
    g = Graph("held")
    g.add(body, id="n", **options)
    run = await engine.start(g)
    with contextlib.suppress(RunFailedError):
        await run.result()
    return run


async def error_of(body: Any, **options: Any) -> ErrorInfo:
    async with Engine("memory:") as engine:
        run = await run_of(engine, body, **options)
        return (await seen(run, e.NodeFailed, "n")).error


def processes_with(mark: str) -> list[int]:
    """The processes that have a word on their command line."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if mark.encode() in words:
                found.append(int(folder.name))
    return found


@pytest.fixture
def mark() -> str:
    """Seconds to sleep, which tell a process of this test from all others."""
    return str(100_000 + uuid.uuid4().int % 100_000_000)


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("limit", "body", "named"),
    [
        ("memory_bytes", call(hungry.eat_memory, size=600_000_000), "memory_bytes allows 150.0 MB"),
        ("cpu_s", call(hungry.burn, seconds=20), "cpu_s allows 0.50 s"),
        ("wall_s", shell("sleep 100", limits={"wall_s": 0.2}), "wall_s allows 0.20 s"),
        ("cpu_s", shell("while :; do :; done", limits={"cpu_s": "300ms"}), "cpu_s allows 0.30 s"),
    ],
    ids=["memory", "cpu", "wall of a program", "cpu of a program"],
)
async def test_who_takes_too_much_ends_with_the_name_of_the_limit(limit: str, body: Any, named: str) -> None:
    await need(limit)
    error = await error_of(body)
    assert (error.type, error.retryable) == ("resource exhausted", False)
    assert named in error.message
    assert f"raise {limit}" in error.message


async def test_a_fork_bomb_ends_with_all_it_has_started(mark: str) -> None:
    await need("processes")
    error = await error_of(call(hungry.fork_bomb, mark=mark))
    assert error.type == "resource exhausted"
    assert "processes allows 20" in error.message
    assert processes_with(mark) == []


async def test_who_ignores_that_it_is_to_end_is_killed_with_its_children(mark: str) -> None:
    await need("wall_s")
    error = await error_of(call(hungry.ignore_everything, mark=mark))
    assert error.type == "resource exhausted"
    assert "wall_s allows 0.30 s" in error.message
    assert processes_with(mark) == []


async def test_a_timeout_leaves_nothing(mark: str) -> None:
    patient = tool_of(hungry.ignore_everything).within(limits={"wall_s": 1_000})
    error = await error_of(call(patient, mark=mark), timeout=0.5)
    assert error.type == "timeout"
    assert processes_with(mark) == []


async def test_a_full_folder(tmp_path: Path) -> None:
    await need("disk_bytes")
    inside = tool_of(hungry.fill_disk).within(folder=str(tmp_path))
    error = await error_of(call(inside, path="big"))
    assert error.type == "resource exhausted"
    assert "disk_bytes allows 5.0 MB" in error.message
    assert (tmp_path / "big").stat().st_size < 100_000_000


async def test_no_way_out_of_the_roots(tmp_path: Path) -> None:
    await need("read", "write")
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("s")
    (inside / "link").symlink_to(outside)
    held = tool_of(hungry.write_to).within(read=["inside"], write=["inside"], folder=str(tmp_path))
    reader = tool_of(hungry.read_from).within(read=["inside"], write=[], folder=str(tmp_path))
    for body in (
        call(held, path="outside/a", text="x"),
        call(held, path="inside/../outside/a", text="x"),
        call(held, path="inside/link/a", text="x"),
        call(reader, path=str(outside / "secret")),
        call(reader, path="inside/link/secret"),
    ):
        assert (await error_of(body)).type == "permission denied"
    assert [each.name for each in outside.iterdir()] == ["secret"]
    async with Engine("memory:") as engine:
        run = await run_of(engine, call(held, path="inside/a", text="x"))
        assert await run.result() == {"n": 1}


async def test_a_forbidden_connection_is_not_made(port: int) -> None:
    await need("network")
    nowhere = tool_of(hungry.connect).within(network=[])
    elsewhere = tool_of(hungry.connect).within(network=[f"127.0.0.1:{port + 1}"])
    there = tool_of(hungry.connect).within(network=[f"127.0.0.1:{port}"])
    for held in (nowhere, elsewhere):
        assert (await error_of(call(held, port=port))).type in {"network", "permission denied"}
    async with Engine("memory:") as engine:
        run = await run_of(engine, call(there, port=port))
        assert await run.result() == {"n": 1}
        used = (await seen(run, e.UsageRecorded, "n")).used
        assert used["network_requests"] == 1


async def test_too_many_connections(port: int) -> None:
    await need("connections")
    error = await error_of(call(tool_of(hungry.connect).within(limits={"connections": 2}), port=port, times=5))
    assert error.type == "resource exhausted"
    assert "connections allows 2" in error.message


async def test_who_may_start_no_programs_starts_none() -> None:
    await need("shell")
    assert (await error_of(call(hungry.start_program))).type == "permission denied"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
async def test_ended_by_a_signal(number: int) -> None:
    error = await error_of(call(hungry.die_by, number=int(number)))
    assert error.type == "system"
    assert signal.Signals(number).name in error.message


async def test_much_is_printed_and_little_kept() -> None:
    size = int(os.environ.get("CLEW_MUCH", "1000000000"))  # 1 GB
    async with Engine("memory:") as engine:
        run = await run_of(engine, call(hungry.print_much, size=size))
        assert await run.result() == {"n": size}
        kept = sum([len(line.text) async for line in run.logs()])
    assert kept < 10_000_000


async def test_usage_is_measured() -> None:
    async with Engine("memory:") as engine:
        run = await run_of(engine, call(hungry.eat_memory, size=60_000_000))
        used = (await seen(run, e.UsageRecorded, "n")).used
    assert used["cpu_s"] > 0
    assert used["tool_invocations"] == 1
    assert used.get("peak_memory_bytes", 60_000_001) > 60_000_000


async def test_what_cannot_be_held_to_is_refused_or_told(monkeypatch: pytest.MonkeyPatch) -> None:
    without = Warden.mechanisms

    async def bare(self: Warden) -> Any:
        return type(await without(self))(system="A", root=False, cores=1)

    monkeypatch.setattr(Warden, "mechanisms", bare)
    error = await error_of(call(hungry.eat_memory, size=1))
    assert "memory_bytes cannot be enforced on this machine" in error.message
    assert error.retryable is False


# All steps of a run together ------------------------------------------------------------------------


async def held_together(limits: dict[str, Any], *bodies: Any, at_once: int = 1, **options: Any) -> list[str]:
    """The types of the errors of steps in a graph with limits, None for those that have none."""
    g = Graph("together", on_error="continue", limits=limits, max_concurrency=at_once)
    before: Any = ()
    for number, body in enumerate(bodies):
        step = g.add(body, id=f"n{number}", depends_on=before, **options)
        before = [step] if at_once == 1 else ()
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        with contextlib.suppress(RunFailedError):
            await run.result()
        status = await run.status()
    return [node.error.message if node.error else "" for node in status.nodes]


async def test_calls_of_a_run_are_counted() -> None:
    told = await held_together({"tool_invocations": 2}, *[call(hungry.nothing)] * 4)
    assert told[:2] == ["", ""]
    assert all("have together made 2 calls of tools, and tool_invocations allows 2" in each for each in told[2:])


async def test_processor_time_of_a_run_is_summed() -> None:
    await need("cpu_s")
    burn = tool_of(hungry.burn).within(limits={"cpu_s": 100})
    told = await held_together({"cpu_s": 1.0}, *[call(burn, seconds=0.4)] * 4)
    assert told[0] == ""
    assert "cpu_s" in told[-1]


async def test_processor_time_of_steps_at_the_same_time_is_summed() -> None:
    await need("cpu_s")
    burn = tool_of(hungry.burn).within(limits={"cpu_s": 100})
    told = await held_together({"cpu_s": 2.0}, *[call(burn, seconds=1.8)] * 4, at_once=4)
    assert any("together used 2." in each and "cpu_s of the graph allows 2.00 s" in each for each in told)


async def test_memory_of_steps_at_the_same_time_is_summed() -> None:
    await need("memory_bytes")
    eat = tool_of(hungry.eat_memory).within(limits={"memory_bytes": "1GB"})
    one = await held_together({"memory_bytes": "400MB"}, *[call(eat, size=200_000_000, hold_s=0.3)] * 3)
    assert one == ["", "", ""]
    told = await held_together({"memory_bytes": "400MB"}, *[call(eat, size=200_000_000, hold_s=20)] * 3, at_once=3)
    assert any("together used" in each and "memory_bytes of the graph" in each for each in told)


async def test_connections_of_a_run_are_summed(port: int) -> None:
    await need("connections")
    told = await held_together({"connections": 3}, *[call(hungry.connect, port=port, times=2)] * 3)
    assert told[0] == ""
    assert "connections" in told[1]


async def test_programs_and_functions_are_held_as_well() -> None:
    await need("cpu_s")
    told = await held_together({"cpu_s": 0.5}, shell("while :; do :; done"))
    assert "cpu_s allows 0.50 s" in told[0] or "cpu_s of the graph allows 0.50 s" in told[0]


async def test_retries_count_as_calls() -> None:
    @tool(effects="none")
    def fail() -> None:
        raise ConnectionResetError("gone")

    held: Tool = tool_of(fail).within(limits={"tool_invocations": 2})
    error = await error_of(call(held), retry=5)
    assert error.type == "resource exhausted"
    assert "the step has made 2 calls of tools, and tool_invocations allows 2" in error.message


def test_a_step_gets_no_more_than_its_tool_has() -> None:
    reads = tool_of(hungry.connect).within(read=["a"], network=["x.example:443"])
    for more in ({"read": ["b"]}, {"read": ["a/../b"]}, {"network": ["y.example"]}, {"shell": True}):
        with pytest.raises(InvalidInputError, match=r"more than the tool connect may do|may not start programs"):
            reads.within(**more)
    assert reads.within(read=["a/b"]).permissions.read == ("a/b",)


def test_limits_as_people_write_them() -> None:
    held = tool_of(hungry.nothing).within(limits={"memory_bytes": "1.5GiB", "wall_s": "2m", "processes": 3})
    assert held.limits == Limits(memory_bytes=1_610_612_736, wall_s=120.0, processes=3)
    for wrong, said in (
        ({"memory": 1}, "did you mean 'memory_bytes'"),
        ({"memory_bytes": "much"}, "write bytes, or a size like 512MB"),
        ({"cpu_s": 0}, "it has to be more than 0"),
        ({"processes": 1.5}, "processes"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            tool_of(hungry.nothing).within(limits=wrong)


# Compensations -------------------------------------------------------------------------------------


async def test_a_compensation_that_hangs_and_one_that_fails_leave_the_others_undone(
    tmp_path: Path, mark: str
) -> None:
    g = Graph("undone", rollback=True)
    places = {name: str(tmp_path / name) for name in ("first", "hangs", "fails", "last")}
    undo_by = {
        "first": call(hungry.unmake, path="{{ output }}"),
        "hangs": call(hungry.ignore_everything, mark=mark),
        "fails": undo(call(hungry.refuse_to_undo, path="{{ output }}"), retry=2),
        "last": call(hungry.unmake, path="{{ output }}"),
    }
    before: list[Any] = []
    for name, place in places.items():
        how = undo_by[name] if name != "hangs" else undo(undo_by[name], retry=1)
        before = [g.add(call(hungry.make, path=place), id=name, depends_on=before, compensate=how)]
    g.add(shell("exit 3"), id="breaks", depends_on=before)
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        with contextlib.suppress(RunFailedError):
            await run.result()
        assert (await run.status()).state == "rollback_failed"
        remaining = (await seen(run, e.RollbackFailed)).remaining
        left = {each.path: each for each in await run.rollback_plan() if each.error}
    assert {each.path for each in remaining} >= {"fails", "hangs"}
    assert {*left} == {"fails", "hangs"}
    assert "wall_s allows 0.30 s" in left["hangs"].error
    assert "is not given back" in left["fails"].error
    assert sorted(each.name for each in tmp_path.iterdir()) == ["fails", "hangs"]
    assert processes_with(mark) == []
