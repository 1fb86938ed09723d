"""Graphs as files, in a folder of their own."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from calls import Said
from cli_processes import Process
from graph_texts import HEAD

from clew.cli.main import call

numbers = itertools.count()


@pytest.fixture
def graph_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a graph into the current folder, which is a new one; the file's name, another one each time."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> str:
        name = f"graph_{next(numbers)}_of_tests.py"
        Path(name).write_text(HEAD + text)
        return name

    return write


@pytest.fixture
def clew(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*arguments: str, code: int | None = 0) -> Said:
        done = call([*arguments])
        said = Said(done, *capfd.readouterr())
        assert code is None or done == code, f"exit {done}\n{said.out}\n{said.err}"
        assert "Traceback" not in said.err
        return said

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    processes: list[Process] = []

    def begin(*arguments: str) -> Process:
        processes.append(Process(*arguments))
        return processes[-1]

    yield begin
    for process in processes:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.wait()
        assert process.popen.stdout is not None
        process.popen.stdout.close()
