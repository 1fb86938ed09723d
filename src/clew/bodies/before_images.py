"""Files as they were: what is at some paths is recorded, and exactly that is put back.

What is put back is written beside its place and moved there, so that whoever reads it sees the one or the other;
and it can be put back again, in part or as a whole, after a crash in the middle.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from clew.errors import InvalidInputError

#: What may be recorded before one visit: bytes of content; files, links and folders.
MAX_BEFORE_BYTES, MAX_BEFORE_FILES = 64_000_000, 1_000

#: How a database of runs begins, and what tells it from others, at byte 68.
_SQLITE, _CLEW = b"SQLite format 3\0", b"CLEW"

_INSTEAD = "name what the node changes more exactly, or undo it by a function that knows how"


class Image(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was at a path.

    Attributes:
        path: absolute.
        kind: ``absent`` if there was nothing.
        mode: permissions of a file or a folder.
        data: content of a file.
        target: where a link leads, as it is written in it.
        missing: of what was absent, how many of the folders that it would have been in were absent, too.
    """

    path: str
    kind: Literal["absent", "file", "link", "folder"]
    mode: int = 0
    data: bytes = b""
    target: str = ""
    missing: int = 0


def take(paths: Sequence[str], refuse: Callable[[bytes, str], None]) -> list[Image]:
    """Record what is at some paths; of a folder, all that is in it, and of a link also what it leads to.

    Args:
        paths: absolute.
        refuse: is told each content and its path, and raises if it must not be stored.

    Raises:
        InvalidInputError: there is too much, or something that cannot be recorded.
        OSError: it cannot be read.
    """
    camera = _Camera(refuse)
    for path in map(Path, paths):
        camera.take(path)
        if path.is_symlink():
            camera.take(Path(os.path.realpath(path)))  # of a circle of links, one of them
    return camera.images


def put_back(images: Sequence[Image]) -> list[str]:
    """Make everything what it was; the paths at which something was different.

    Args:
        images: a folder before what is in it.

    Raises:
        OSError: something cannot be written; what comes after it was not put back.
    """
    recorded = {image.path for image in images}
    changed = [image.path for image in images if _put(image, recorded)]
    # From the inside to the outside: a folder that nobody may write to has all that belongs in it by now.
    for image in reversed(images):
        path = Path(image.path)
        if image.kind == "folder" and stat.S_IMODE(path.stat().st_mode) != image.mode:
            path.chmod(image.mode)
            changed.append(image.path)
    return list(dict.fromkeys(changed))


class _Camera:
    """Takes images, up to the limits."""

    def __init__(self, refuse: Callable[[bytes, str], None]) -> None:
        self.images: list[Image] = []
        self._refuse = refuse
        self._bytes = 0
        self._seen: set[Path] = set()

    def take(self, path: Path) -> None:
        if path in self._seen:
            return
        self._seen.add(path)
        if len(self.images) >= MAX_BEFORE_FILES:
            raise InvalidInputError(
                f"{path}: more than {MAX_BEFORE_FILES} files, links and folders are not recorded before a node; "
                f"{_INSTEAD}"
            )
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise InvalidInputError(
                f"{str(path)!r}: a name that is no Unicode cannot be recorded; {_INSTEAD}"
            ) from None
        self.images.append(self._image(path))
        if self.images[-1].kind == "folder":
            for inside in sorted(path.iterdir()):
                self.take(inside)

    def _image(self, path: Path) -> Image:
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            missing = sum(not os.path.lexists(parent) for parent in path.parents)
            return Image(path=str(path), kind="absent", missing=missing)
        if stat.S_ISLNK(mode):
            return Image(path=str(path), kind="link", target=str(path.readlink()))
        if stat.S_ISREG(mode):
            return Image(path=str(path), kind="file", mode=stat.S_IMODE(mode), data=self._read(path))
        if stat.S_ISDIR(mode):
            return Image(path=str(path), kind="folder", mode=stat.S_IMODE(mode))
        raise InvalidInputError(
            f"{path}: it is no file, link or folder, and cannot be recorded before a node; {_INSTEAD}"
        )

    def _read(self, path: Path) -> bytes:
        left = MAX_BEFORE_BYTES - self._bytes
        with path.open("rb") as file:
            data = file.read(left + 1)
        if len(data) > left:
            raise InvalidInputError(
                f"{path}: more than {MAX_BEFORE_BYTES} bytes are not recorded before a node; {_INSTEAD}"
            )
        if data.startswith(_SQLITE) and data[68:72] == _CLEW:
            raise InvalidInputError(
                f"{path}: it is a database of runs, and a rollback must not put that back; {_INSTEAD}"
            )
        self._refuse(data, str(path))
        self._bytes += len(data)
        return data


def _put(image: Image, recorded: set[str]) -> bool:
    """Put back one thing; whether it was different."""
    path = Path(image.path)
    if image.kind == "absent":
        return _take_away(path, image.missing)
    path.parent.mkdir(parents=True, exist_ok=True)
    if image.kind == "folder":
        return _put_folder(path, recorded)
    if image.kind == "link":
        if path.is_symlink() and str(path.readlink()) == image.target:
            return False
        _replace(path, lambda beside: beside.symlink_to(image.target))
        return True
    if _is_same(path, image):
        return False
    _replace(path, lambda beside: _write(beside, image))
    return True


def _write(path: Path, image: Image) -> None:
    """Write a file that nobody else can read meanwhile."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(image.data)
        os.fchmod(file.fileno(), image.mode)
        file.flush()
        os.fsync(file.fileno())


def _put_folder(path: Path, recorded: set[str]) -> bool:
    is_there = _is_folder(path)
    if not is_there:
        _remove(path)
        path.mkdir()
    elif not os.access(path, os.W_OK | os.X_OK):
        path.chmod(0o700)
    added = [inside for inside in path.iterdir() if str(inside) not in recorded]
    for inside in added:
        _remove(inside)
    return bool(added) or not is_there


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_same(path: Path, image: Image) -> bool:
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != image.mode:
            return False
        return found.st_size == len(image.data) and path.read_bytes() == image.data
    except (FileNotFoundError, PermissionError):
        return False


def _replace(path: Path, make: Callable[[Path], None]) -> None:
    """Make something beside a path, and move it there."""
    beside = path.with_name(f".clew-{hashlib.sha256(path.name.encode()).hexdigest()[:16]}")
    _remove(beside)  # of a process that was killed
    make(beside)
    if _is_folder(path):
        _remove(path)
    beside.replace(path)
    _sync(path.parent)


def _take_away(path: Path, missing: int) -> bool:
    """Have nothing at a path; the folders that were not there either go with it, unless others use them."""
    was_there = os.path.lexists(path)
    _remove(path)
    for parent in [each for each in path.parents[:missing] if each.exists()]:
        if any(parent.iterdir()):
            break
        parent.rmdir()
    return was_there


def _remove(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def _sync(folder: Path) -> None:
    """Have a name on disk before anything that follows."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
