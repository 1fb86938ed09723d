"""PL6 in short: limits and rights hold, in one run; `test_held_steps.py` has all of them, and is slow."""

import sys
from pathlib import Path

import hungry_tools as hungry
import pytest
from engine_kit import seen

from clew import Engine, Graph, Handle, call, shell
from clew.graphs.tools import tool_of
from clew.kernel import events as e
from clew.workers.isolation.choosing import describe_mechanisms
from clew.workers.isolation.warden import Warden


async def test_limits_and_rights_hold_and_usage_is_measured(tmp_path: Path) -> None:
    warden = Warden()
    try:
        offered = {each.limit for each in describe_mechanisms(await warden.mechanisms()) if each.mechanism}
    finally:
        await warden.close()
    if missing := {"memory_bytes", "wall_s", "write", "shell"} - offered:
        pytest.skip(f"cannot be enforced here: {', '.join(sorted(missing))}")
    write = tool_of(hungry.write_to).within(write=["."], folder=str(tmp_path))
    g = Graph("held", on_error="continue")
    g.add(call(hungry.eat_memory, size=400_000_000), id="memory")
    g.add(shell("sleep 100", limits={"wall_s": 0.1}), id="wall")
    g.add(call(write, path="in", text="x"), id="inside")
    g.add(call(write, path="../out", text="x"), id="outside")
    g.add(call(hungry.start_program), id="program")
    g.add(shell([sys.executable, "-c", "held = bytearray(400_000_000); held[::4096] = bytes(97657)"]), id="free")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await run.result()
        nodes = {node.path: node for node in (await run.status()).nodes}
    errors = {path: node.error.type if node.error else "" for path, node in nodes.items()}
    assert errors == {
        "memory": "resource exhausted",
        "wall": "resource exhausted",
        "inside": "",
        "outside": "permission denied",
        "program": "permission denied",
        "free": "",
    }
    assert (tmp_path / "in").read_text() == "x"
    assert not (tmp_path.parent / "out").exists()
    assert nodes["inside"].used["cpu_s"] >= 0
    assert nodes["inside"].used["tool_invocations"] == 1
    assert nodes["free"].used["peak_memory_bytes"] > 300_000_000


def counted() -> Graph:
    g = Graph("counted", limits={"tool_invocations": 2}, on_error="continue")
    before: list[Handle] = []
    for name in ("first", "second", "third"):
        before = [g.add(call(hungry.nothing), id=name, depends_on=before)]
    return g


async def test_what_was_used_before_a_restart_counts(tmp_path: Path) -> None:
    url = str(tmp_path / "clew.db")
    async with Engine(url, graphs=[counted()]) as engine:
        run = await engine.start(counted(), id="r", paused=True)
        await run.execute_step("first")
        await seen(run, e.NodeCompleted, "first")
    async with Engine(url, graphs=[counted()]) as engine:
        run = await engine.open_run("r")
        await run.resume()
        await run.result()
        nodes = {node.path: node for node in (await run.status()).nodes}
    assert [nodes[name].state for name in ("first", "second", "third")] == ["completed", "completed", "failed"]
    error = nodes["third"].error
    assert error is not None
    assert "have together made 2 calls of tools, and tool_invocations allows 2" in error.message
