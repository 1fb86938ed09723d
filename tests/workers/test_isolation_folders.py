"""How much a folder uses: every file once, also those that are open and removed."""

import os
from pathlib import Path
from threading import Event

import pytest

from clew.workers.isolation.folder_size import FolderWatch, open_files, used_bytes
from clew.workers.isolation.owners import clear_folder

pytestmark = pytest.mark.slow


KB = 1_024


def block(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    return path


def test_files_of_all_kinds(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    block(outside / "big", 999 * KB)
    empty = used_bytes([str(folder)])
    block(folder / "a" / "b" / "file", 100 * KB)
    os.link(folder / "a" / "b" / "file", folder / "link")
    (folder / "to-out").symlink_to(outside)
    (folder / "to-file").symlink_to(outside / "big")
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    used = used_bytes([str(folder)]) - empty
    assert 100 * KB <= used < 150 * KB
    assert used_bytes([str(folder), str(outside)]) >= 1_099 * KB
    assert used_bytes([str(tmp_path / "none")]) == 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not show open files")
def test_files_that_are_removed_and_open(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    before = used_bytes([str(folder)], open_files([os.getpid()]))
    inside, outside = block(folder / "file", 100 * KB), block(tmp_path / "other", 100 * KB)
    with inside.open("rb"), inside.open("rb"), outside.open("rb"):
        inside.unlink()
        outside.unlink()
        used = used_bytes([str(folder)], open_files([os.getpid(), 2**22 + 1])) - before
        assert 100 * KB <= used < 150 * KB
    assert used_bytes([str(folder)], open_files([os.getpid()])) == before


def test_it_is_told_when_there_is_too_much(tmp_path: Path) -> None:
    told: list[int] = []
    heard = Event()

    def hear(used: int) -> None:
        told.append(used)
        heard.set()

    watch = FolderWatch([str(tmp_path)], 50 * KB, list, hear)
    watch.compare()
    assert told == []
    block(tmp_path / "file", 100 * KB)
    watch.start()
    assert heard.wait(10)
    assert told[0] >= 100 * KB


def test_a_folder_is_cleared(tmp_path: Path) -> None:
    folder, kept = tmp_path / "folder", block(tmp_path / "kept", 1)
    block(folder / "a" / "b" / "file", 1)
    (folder / "link").symlink_to(kept.parent)
    (folder / "a").chmod(0)
    clear_folder(str(folder))
    assert not folder.exists()
    assert kept.exists()
    clear_folder(str(folder))
