"""Graphs as files, in a folder of their own."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from graph_texts import HEAD

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
