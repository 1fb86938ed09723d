"""Files as they were: recorded, changed in every way, and put back exactly."""

import asyncio
import os
import stat
from pathlib import Path

import msgspec
import pytest

from clew.bodies import before_images
from clew.bodies.before_images import MAX_BEFORE_FILES, Image, put_back, take
from clew.errors import InvalidInputError
from clew.journal.sqlite import SqliteJournal


def anything(data: bytes, path: str) -> None:
    """No content is refused."""


def images(*paths: Path) -> list[Image]:
    """What is recorded of some paths, as it is stored and read again."""
    found = take([str(path) for path in paths], anything)
    again = msgspec.json.decode(msgspec.json.encode(found), type=list[Image])
    assert again == found
    return again


def picture(folder: Path) -> dict[str, object]:
    """All that is in a folder: content and mode, targets of links."""
    seen: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        found = path.lstat()
        what = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
        seen[str(path.relative_to(folder))] = what if path.is_symlink() else (what, stat.S_IMODE(found.st_mode))
    return seen


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\x00\xffold")
    path.chmod(0o640)
    return path


def overwrite(file: Path) -> None:
    file.write_text("new")


def make_private(file: Path) -> None:
    file.chmod(0o000)


def delete(file: Path) -> None:
    file.unlink()


def put_folder_there(file: Path) -> None:
    file.unlink()
    (file / "in").mkdir(parents=True)
    (file / "in" / "b").touch()


def put_link_there(file: Path) -> None:
    file.rename(file.with_name("c.txt"))
    file.symlink_to("c.txt")


def delete_its_folder(file: Path) -> None:
    file.unlink()
    file.parent.rmdir()


@pytest.mark.parametrize("change", [overwrite, make_private, delete, put_folder_there, put_link_there])
def test_a_file_is_what_it_was(file: Path, change: object) -> None:
    before = images(file)
    change(file)
    assert put_back(before) == [str(file)]
    assert not file.is_symlink()
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"\x00\xffold", 0o640)
    inode = file.stat().st_ino
    assert put_back(before) == []
    assert file.stat().st_ino == inode


def test_the_folder_of_a_file_may_be_gone(tmp_path: Path) -> None:
    file = tmp_path / "x" / "a"
    file.parent.mkdir()
    file.touch()
    before = images(file)
    delete_its_folder(file)
    assert put_back(before) == [str(file)]
    assert file.exists()


@pytest.mark.parametrize(
    "change", [overwrite, lambda file: file.mkdir(), lambda file: file.symlink_to("/nowhere")]
)
def test_what_was_not_there_is_not_there(tmp_path: Path, change: object) -> None:
    file = tmp_path / "new"
    before = images(file)
    assert before == [Image(path=str(file), kind="absent")]
    assert put_back(before) == []
    change(file)
    assert put_back(before) == [str(file)]
    assert not os.path.lexists(file)


def test_folders_that_were_not_there_go_unless_others_use_them(tmp_path: Path) -> None:
    file = tmp_path / "x" / "y" / "z" / "new"
    before = images(file)
    assert before[0].missing == 3
    file.parent.mkdir(parents=True)
    file.touch()
    (tmp_path / "x" / "other").touch()
    assert put_back(before) == [str(file)]
    assert picture(tmp_path).keys() == {"x", "x/other"}
    assert put_back(before) == []


def test_a_path_below_a_file_is_not_there(file: Path) -> None:
    before = images(file / "b")
    assert before[0].kind == "absent"
    assert put_back(before) == []
    assert file.is_file()


def test_a_folder_is_what_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep" / "empty").mkdir(parents=True)
    (folder / "deep" / "a").write_text("a")
    (folder / "locked").mkdir()
    (folder / "locked" / "b").write_text("b")
    (folder / "link").symlink_to("deep/a")
    (folder / "locked").chmod(0o555)
    was = picture(folder)
    before = images(folder)
    (folder / "locked").chmod(0o700)
    (folder / "locked" / "b").unlink()
    (folder / "deep" / "a").unlink()
    (folder / "deep" / "a").mkdir()
    (folder / "deep" / "empty").rmdir()
    (folder / "deep" / "empty").write_text("now a file")
    (folder / "deep" / "more").mkdir()
    (folder / "deep" / "more" / "x").touch()
    (folder / "link").unlink()
    folder.chmod(0o700)
    assert put_back(before)
    assert picture(folder) == was
    assert put_back(before) == []
    (folder / "locked").chmod(0o755)


def test_a_folder_that_is_gone_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o750)
    (folder / "a").write_text("a")
    before = images(folder)
    (folder / "a").unlink()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert put_back(before) == [str(folder), str(folder / "a")]
    assert (folder / "a").read_text() == "a"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert tmp_path.exists()


def test_a_link_and_what_it_leads_to_are_what_they_were(tmp_path: Path, file: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("a.txt")
    before = images(link)
    assert [image.path for image in before] == [str(link), str(file.resolve())]
    link.write_text("written through the link")
    link.unlink()
    link.write_text("a file")
    assert put_back(before) == [str(link), str(file)]
    assert (str(link.readlink()), file.read_bytes()) == ("a.txt", b"\x00\xffold")


def test_a_link_to_nothing_leads_to_nothing_again(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    before = images(link)
    link.write_text("x")
    assert put_back(before) == [str(target)]
    assert link.is_symlink()
    assert not target.exists()


def test_links_in_a_circle_are_what_they_were(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to("other")
    other.symlink_to("one")
    before = images(one)
    one.unlink()
    assert put_back(before) == [str(one)]
    assert str(one.readlink()) == "other"


def test_what_a_killed_process_left_is_taken_away(file: Path) -> None:
    before = images(file)
    file.write_text("new")
    seen: list[str] = []
    original = os.fsync

    def die(descriptor: int) -> None:
        seen.extend(path.name for path in file.parent.iterdir())
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", die)
        with pytest.raises(KeyboardInterrupt):
            put_back(before)
    assert os.fsync is original
    assert len(seen) == 2
    assert file.read_text() == "new"
    assert put_back(before) == [str(file)]
    assert [path.name for path in file.parent.iterdir()] == ["a.txt"]


# Limits -----------------------------------------------------------------------------------------------------


def test_too_many_bytes_are_not_recorded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = file.with_name("b.txt")
    other.write_bytes(b"12345")
    monkeypatch.setattr(before_images, "MAX_BEFORE_BYTES", 10)
    assert len(images(file, other)) == 2
    other.write_bytes(b"123456")
    with pytest.raises(
        InvalidInputError, match=r"b\.txt: more than 10 bytes are not recorded before a node; name"
    ):
        images(file, other)


def test_too_many_files_are_not_recorded(tmp_path: Path) -> None:
    for number in range(MAX_BEFORE_FILES - 1):
        (tmp_path / str(number)).touch()
    assert len(images(tmp_path)) == MAX_BEFORE_FILES
    (tmp_path / "x").touch()
    with pytest.raises(InvalidInputError, match=f"more than {MAX_BEFORE_FILES} files, links and folders"):
        images(tmp_path)


async def make_journal(path: Path) -> None:
    journal = SqliteJournal(path)
    await journal.open()
    await journal.close()


def test_the_runs_themselves_are_not_recorded(tmp_path: Path) -> None:
    asyncio.run(make_journal(tmp_path / "clew.db"))
    with pytest.raises(InvalidInputError, match=r"clew\.db: it is a database of runs"):
        images(tmp_path)


def test_what_is_no_file_is_not_recorded(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInputError, match=r"pipe: it is no file, link or folder"):
        images(tmp_path)


def test_names_that_are_no_text_are_not_recorded(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).touch()
    with pytest.raises(InvalidInputError, match=r"'.*\\udcff': a name that is no Unicode"):
        images(tmp_path)


def test_content_may_be_refused(file: Path) -> None:
    def refuse(data: bytes, path: str) -> None:
        raise ValueError(data, path)

    with pytest.raises(ValueError) as caught:
        take([str(file)], refuse)
    assert caught.value.args == (b"\x00\xffold", str(file))


def test_the_same_path_is_recorded_once(file: Path) -> None:
    assert len(images(file, file, file.parent)) == 2
