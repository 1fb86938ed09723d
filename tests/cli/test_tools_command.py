"""`clew tools`: tools are listed, shown and called."""

from pathlib import Path

import pytest

TOOLS = '''
from clew import tool


@tool(write=())
def double(number: int, names: list[str] | None = None) -> dict:
    """Double a number.

    Args:
        number: any.
    """
    return {"number": number * 2, "names": names}


@tool(effects="none", write=())
def echo(text: str) -> str:
    return text


@tool
def refuse() -> None:
    raise PermissionError(13, "not allowed")
'''


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    name = f"{tmp_path.name}_of_tests.py".replace("-", "_")
    Path(name).write_text(TOOLS)
    return name


def test_all_are_listed(clew, tools: str) -> None:
    lines = clew("tools", "ls", "--from", tools).out.splitlines()
    assert next(line for line in lines if line.startswith("read_file")).split() == [
        *("read_file", "read", "Read", "a", "text", "file.")
    ]
    assert any(line.startswith("shell ") and "start programs" in line for line in lines)
    assert any(line.startswith("double ") for line in lines)
    assert not any(line.startswith("double ") for line in clew("tools", "ls").out.splitlines())
    names = [each["name"] for each in clew("tools", "ls", "--json").json]
    assert names[:2] == ["read_file", "write_file"]


def test_one_is_shown(clew, tools: str) -> None:
    said = clew("tools", "show", "double", "--from", tools).out
    assert "  number  required  any.\n  names   [null]\n" in said
    assert "may:      read\n" in said
    assert "a call that was lost is made again" in said
    shown = clew("tools", "show", "shell", "--json").json
    assert (shown["isolation"], shown["on_interrupt"], shown["dry_run"]) == ("process", "fail", True)
    assert shown["parameters"]["required"] == ["command"]


def test_one_is_called(clew, tools: str) -> None:
    said = clew("tools", "call", "double", "number=2", 'names=["a"]', "--from", tools, "--json").json
    assert said == {"tool": "double", "output": {"number": 4, "names": ["a"]}}
    assert clew("tools", "call", "double", "number=2", "--from", tools).out.splitlines()[1] == '  "number": 4,'
    for text in ("3", "null", "{{ 1 + 1 }}", "a=b", ""):
        assert clew("tools", "call", "echo", f"text={text}", "--from", tools).out == f"{text}\n"


def test_files_are_written_and_read(clew, tools: str) -> None:
    assert (
        clew("tools", "call", "write_file", "path=x", "content=y\n", "--dry-run").out == "would make x (2 bytes)\n"
    )
    assert not Path("x").exists()
    clew("tools", "call", "write_file", "path=x", "content=y\n")
    assert clew("tools", "call", "read_file", "path=x").out == "y\n"


def test_arguments_that_do_not_fit(clew, tools: str) -> None:
    said = clew("tools", "call", "double", "numer=2", "--from", tools, code=2).err
    assert said == ("error: arguments of double: numer: the tool has no such argument; did you mean 'number'?\n")
    said = clew("tools", "call", "double", "number=two", 'names=["a", 1]', "--from", tools, code=2).err
    assert 'number: an integer is expected, not "two"' in said
    assert "names[1]: text is expected, not 1" in said
    assert "write KEY=VALUE" in clew("tools", "call", "double", "2", "--from", tools, code=2).err
    assert "is given twice" in clew("tools", "call", "echo", "text=1", "text=2", "--from", tools, code=2).err


def test_a_call_that_fails_says_how(clew, tools: str) -> None:
    said = clew("tools", "call", "refuse", "--from", tools, code=1)
    assert said.err.splitlines()[-1] == "error: permission denied: [Errno 13] not allowed"
    error = clew("tools", "call", "refuse", "--from", tools, "--json", code=1).json["error"]
    assert (error["type"], error["retryable"]) == ("permission denied", False)


def test_what_is_not_there(clew, tools: str) -> None:
    assert (
        "there is no tool 'read_fil'; did you mean 'read_file'?" in clew("tools", "show", "read_fil", code=2).err
    )
    assert "gone.py: " in clew("tools", "ls", "--from", "gone.py", code=2).err
    Path("empty_of_tests.py").write_text("")
    assert "has no tools" in clew("tools", "ls", "--from", "empty_of_tests.py", code=2).err
    assert (
        "the tool echo has no dry run"
        in clew("tools", "call", "echo", "text=1", "--dry-run", "--from", tools, code=2).err
    )
