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
#: Characters of a line that was found.
MAX_TOLD = 500


class Written(TypedDict):
    """What was written, in bytes."""

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
    lines = _text(file, path).split("\n")[start_line - 1 :]
    if max_lines is None or len(lines) <= max_lines:
        return "\n".join(lines)
    return "".join(f"{line}\n" for line in lines[:max_lines])


def _would_write(path: str, content: str) -> str:
    what = "replace" if Path(path).exists() else "make"
    return f"would {what} {path} ({len(_bytes(content)):,} bytes)"


@tool(effects="idempotent", dry_run=_would_write)
def write_file(path: str, content: str) -> Written:
    """Write a text file, in place of what is there; folders that are missing are made.

    Args:
        path: of the file.
        content: its text.
    """
    data = _bytes(content)
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return {"path": path, "bytes": len(data)}


def _would_append(path: str, content: str) -> str:
    what = "append to" if Path(path).exists() else "make"
    return f"would {what} {path} ({len(_bytes(content)):,} bytes)"


@tool(effects="unknown", dry_run=_would_append)
def append_file(path: str, content: str) -> Written:
    """Add text to the end of a file; it is made if it is not there, and so are folders that are missing.

    Args:
        path: of the file.
        content: what is added.
    """
    data = _bytes(content)
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as out:
        out.write(data)
    return {"path": path, "bytes": len(data)}


def _would_edit(path: str, old: str, new: str, count: int = 1) -> str:  # noqa: ARG001 - called like `edit_file`
    return f"would replace {_found(_text(_file(path), path), path, old, count)} times in {path}"


@tool(effects="unknown", dry_run=_would_edit)
def edit_file(path: str, old: str, new: str, count: int = 1) -> Edited:
    """Replace a piece of text in a file.

    Args:
        path: of the file.
        old: the text that is replaced, exactly as it stands there.
        new: what takes its place.
        count: how often it has to be there; 0 is any number of times.
    """
    file = _file(path)
    text = _text(file, path)
    found = _found(text, path, old, count)
    file.write_bytes(_bytes(text.replace(old, new)))
    return {"path": path, "replaced": found}


def _found(text: str, path: str, old: str, count: int) -> int:
    """How often a piece of text is there, if that is as often as was said."""
    if not old:
        raise InvalidInputError("old is the text that is replaced, and is empty")
    found = text.count(old)
    if not found or (count and found != count):
        wanted = f"{count}" if count else "at least once"
        hint = "; give more of what stands around it" if found > count else ""
        raise Permanent(f"{path} holds the text {found} times, not {wanted}{hint}")
    return found


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
    """Search the text files of a folder line by line; files that are no text, or too large, are left out.

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
            lines = file.read_text(encoding="utf-8").split("\n")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            if wanted.search(line):
                matches.append({"path": str(file), "line": number, "text": line[:MAX_TOLD]})
                if len(matches) >= max_matches:
                    return matches
    return matches


def _files(path: str, pattern: str) -> Iterator[Path]:
    folder = Path(path)
    if not folder.is_dir():
        raise Permanent(f"{path} is no folder" if folder.exists() else f"there is no folder {path}")
    try:
        found = sorted(file for file in folder.glob(pattern) if file.is_file())
    except (NotImplementedError, ValueError) as error:
        raise InvalidInputError(f"pattern {pattern!r} names no files below a folder: {error}") from None
    yield from found


def _file(path: str) -> Path:
    file = Path(path)
    if not file.is_file():
        raise Permanent(f"{path} is no file" if file.exists() else f"there is no file {path}")
    return file


def _bytes(text: str) -> bytes:
    """The text as it is stored; made before a file is opened, so that none is lost to text that cannot be."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"the text cannot be written in UTF-8: {error.reason}") from None


def _text(file: Path, path: str) -> str:
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise Permanent(f"{path} is no text in UTF-8 ({error.reason} at byte {error.start})") from None
