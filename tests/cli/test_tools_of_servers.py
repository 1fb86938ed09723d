"""`clew tools` with servers: their tools are listed, shown and called like all others."""

import sys
from pathlib import Path

import pytest

SERVER = Path(__file__).parents[1] / "engine" / "raw_server.py"
RAW = f"raw={sys.executable} -S -E {SERVER}"


@pytest.mark.slow
def test_tools_of_a_server_are_shown(clew) -> None:
    lines = clew("tools", "ls", "--server", RAW).out.splitlines()
    assert next(line for line in lines if line.startswith("raw.echo")).endswith("Does echo.")
    assert any(line.startswith("read_file ") for line in lines)
    said = clew("tools", "show", "raw.echo", "--server", RAW).out
    assert "may:      read, write, connect, start programs\n" in said
    assert "effects:  unknown; a call that was lost is not made again\n" in said
    assert "runs in:  the server raw\n" in said
    assert clew("tools", "show", "raw.echo", "--server", RAW, "--json").json["server"] == "raw"


@pytest.mark.slow
def test_tools_of_a_server_are_called(clew) -> None:
    assert clew("tools", "call", "raw.echo", "text=5", "--server", RAW).out == "5\n"
    assert clew("tools", "call", "raw.structured", "--server", RAW, "--json").json["output"]["a"][0] == 1
    said = clew("tools", "call", "raw.refuse", "--server", RAW, code=1).err
    assert said == "error: tool failed: server raw: refuse: there is no more\n"
    assert "text: is missing" in clew("tools", "call", "raw.echo", "--server", RAW, code=2).err


@pytest.mark.slow
def test_servers_of_a_file(clew, tmp_path: Path) -> None:
    file = tmp_path / "servers.yaml"
    file.write_text(f"servers:\n  raw:\n    command: [{sys.executable}, {SERVER}]\n    trusted: true\n")
    assert clew("tools", "call", "raw.told", "--servers", str(file)).out == "a\nb\n"
    said = clew("tools", "ls", "--servers", str(file), "--server", RAW, code=2).err
    assert "there are two servers of this name" in said
    file.write_text("servers:\n  raw: {comand: x}\n")
    assert "did you mean 'command'?" in clew("tools", "ls", "--servers", str(file), code=2).err


def test_servers_that_are_none(clew) -> None:
    assert "write NAME=COMMAND or NAME=URL" in clew("tools", "ls", "--server", "raw", code=2).err
    assert "letters, digits, _ and -" in clew("tools", "ls", "--server", "a b=x", code=2).err
    said = clew("tools", "ls", "--server", "x=no-such-program", code=1).err
    assert said == "error: server x: there is no program no-such-program; is it installed, and on the PATH?\n"
