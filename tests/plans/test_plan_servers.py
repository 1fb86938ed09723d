"""Plans in files that call tools of servers (MCP): what servers say is asked before a run starts."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from clew import Engine, GraphError, ToolServerError, load

SERVER = Path(__file__).parents[1] / "engine" / "raw_server.py"


def plan(folder: Path, *steps: dict[str, Any], command: list[str] | None = None) -> Any:
    started = command or [sys.executable, "-S", "-E", str(SERVER)]
    file = folder / "plan.json"
    text = {"name": "p", "servers": {"raw": {"command": started}}, "steps": list(steps)}
    file.write_text(json.dumps(text))
    return load(file)


async def test_what_servers_say_is_wrong_is_told_before_anything_runs(tmp_path: Path) -> None:
    wrong = plan(
        tmp_path,
        {"id": "made", "shell": f"touch {tmp_path / 'made'}"},
        {"id": "unknown", "tool": "raw.ecko", "with": {"text": "x"}},
        {"id": "misfit", "tool": "raw.echo", "with": {"txt": "x"}},
    )
    async with Engine(str(tmp_path / "clew.db")) as engine:
        with pytest.raises(GraphError) as caught:
            await engine.start(wrong, id="r")
        assert await engine.runs() == []
    told = "\n".join(caught.value.problems)
    assert "node unknown: the server raw has no tool 'raw.ecko'; did you mean 'raw.echo'?" in told
    assert "node misfit, text: is missing" in told
    assert not (tmp_path / "made").exists()


async def test_a_server_that_does_not_come_up_is_told_before_anything_runs(tmp_path: Path) -> None:
    wrong = plan(tmp_path, {"id": "n", "tool": "raw.echo", "with": {"text": "x"}}, command=["/nowhere/server"])
    async with Engine("memory:") as engine:
        with pytest.raises(ToolServerError, match="raw"):
            await engine.start(wrong)
        assert await engine.runs() == []


async def test_a_plan_whose_calls_fit_runs(tmp_path: Path) -> None:
    right = plan(tmp_path, {"id": "said", "tool": "raw.echo", "with": {"text": "hello"}})
    async with Engine("memory:") as engine:
        assert "hello" in str((await (await engine.start(right)).result())["said"])
