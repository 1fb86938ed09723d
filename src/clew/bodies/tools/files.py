"""Tools for text files: read, write, edit, list, search.

Where they may read and write is decided by the permissions of the step, and enforced by the system it runs in; see
docs/isolation.md. Paths are relative to the working folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from clew.errors import InvalidInputError, Permanent
from clew.graphs.tools import tool

#: Bytes of a file that is read or searched, by default.
MAX_BYTES = 10_000_000


class Written(TypedDict):
    """What was written."""

    path: str
    bytes: int


class Edited(TypedDict):
    """What was replaced."""

    path: str
    replaced: int


class Match(TypedDict):
    """A line that was found; lines count from 1."""

    path: str
    line: int
    text: str


@tool(effects="none", write=())
def read_file(path: str, start_line: int = 1, max_lines: int | None = None, max_bytes: int = MAX_BYTES) -> str:
    """Read a text file.

    Args:
        path: of the file.
        start_line: the first line that is returned, from 1.
        max_lines: how many lines are returned; all if not given.
        max_bytes: a larger file is refused.
    """
    if start_line < 1 or (max_lines is not None and max_lines < 0):
        raise InvalidInputError("start_line counts from 1, and max_lines is not negative")
    file = _file(path)
    if (size := file.stat().st_size) > max_bytes:
        raise Permanent(
            f"{path} has {size:,} bytes, more than max_bytes ({max_bytes:,}); read a part of it otherwise"
        )
    text = _text(file, path)
    if start_line == 1 and max_lines is None:
        return text
    lines = text.splitlines(keepends=True)[start_line - 1 :]
    return "".join(lines if max_lines is None else lines[:max_lines])


def _would_write(path: str, content: str, append: bool = False) -> str:
    file = Path(path)
    what = "append to" if append and file.exists() else "replace" if file.exists() else "make"
    return f"would {what} {path} ({len(content.encode()):,} bytes)"


@tool(effects="idempotent", dry_run=_would_write)
def write_file(path: str, content: str, append: bool = False) -> Written:
    """Write a text file; folders that are missing are made.

    Args:
        path: of the file.
        content: its text.
        append: add the text to what is there.
    """
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a" if append else "w", encoding="utf-8", newline="") as out:
        out.write(content)
    return {"path": path, "bytes": file.stat().st_size}


def _would_edit(path: str, old: str, new: str, count: int = 1) -> str:  # noqa: ARG001 - called like `edit_file`
    found = _text(_file(path), path).count(old)
    return f"would replace {count or found} of {found} in {path}"


@tool(effects="unknown", dry_run=_would_edit)
def edit_file(path: str, old: str, new: str, count: int = 1) -> Edited:
    """Replace a piece of text in a file.

    Args:
        path: of the file.
        old: the text that is replaced, exactly as it stands there.
        new: what takes its place.
        count: how often it has to be there; 0 is any number of times.
    """
    if not old:
        raise InvalidInputError("old is the text that is replaced, and is empty")
    file = _file(path)
    text = _text(file, path)
    found = text.count(old)
    if not found or (count and found != count):
        wanted = count or "at least one"
        raise Permanent(f"{path} holds the text {found} times, not {wanted}; give more of what stands around it")
    file.write_text(text.replace(old, new), encoding="utf-8", newline="")
    return {"path": path, "replaced": found}


@tool(effects="none", write=())
def list_files(path: str = ".", pattern: str = "**/*", max_entries: int = 1_000) -> list[str]:
    """List the files of a folder, in order.

    Args:
        path: the folder.
        pattern: which of them, as ``**/*.py``.
        max_entries: how many are returned at most.
    """
    found: list[str] = []
    for file in _files(path, pattern):
        if len(found) >= max_entries:
            break
        found.append(str(file))
    return found


@tool(effects="none", write=())
def search_files(
    text: str, path: str = ".", pattern: str = "**/*", regex: bool = False, max_matches: int = 200
) -> list[Match]:
    """Search the text files of a folder line by line.

    Args:
        text: what is searched for.
        path: the folder.
        pattern: in which files, as ``**/*.py``.
        regex: `text` is a regular expression.
        max_matches: how many lines are returned at most.
    """
    try:
        wanted = re.compile(text if regex else re.escape(text))
    except re.error as error:
        raise InvalidInputError(f"text is no regular expression: {error}") from None
    matches: list[Match] = []
    for file in _files(path, pattern):
        if file.stat().st_size > MAX_BYTES:
            continue
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            if wanted.search(line):
                matches.append({"path": str(file), "line": number, "text": line[:500]})
                if len(matches) >= max_matches:
                    return matches
    return matches


def _files(path: str, pattern: str) -> Iterator[Path]:
    folder = Path(path)
    if not folder.is_dir():
        raise Permanent(f"{path} is no folder")
    yield from sorted(file for file in folder.glob(pattern) if file.is_file())


def _file(path: str) -> Path:
    file = Path(path)
    if not file.is_file():
        raise Permanent(f"{path} is no file" if file.exists() else f"there is no file {path}")
    return file


def _text(file: Path, path: str) -> str:
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            return opened.read()
    except UnicodeDecodeError as error:
        raise Permanent(f"{path} is no text in UTF-8 ({error.reason} at byte {error.start})") from None
