"""What the program offers is told in the documents, and what the documents link to is there."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import msgspec
import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]

LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?[^)]*\)|(?:src|href)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:")


def module(name: str) -> ModuleType:
    """Import a module of ours; skip the test while it is not written (one that fails is an error)."""
    if not (ROOT / "src" / name.replace(".", "/")).with_suffix(".py").exists():
        pytest.skip(f"{name} is not written yet")
    return importlib.import_module(name)


def words_of(*names: str) -> str:
    """Return the text of those of the named documents that there are."""
    return "\n".join(path.read_text("utf-8") for path in map(ROOT.joinpath, names) if path.exists())


def command_lines(group: click.Group, said: str) -> Iterator[str]:
    """Yield the full name of each command of a group and of the groups in it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from command_lines(command, f"{said} {name}")
        elif not command.hidden:
            yield f"{said} {name}"


def test_every_command_is_documented() -> None:
    names = [*command_lines(module("clew.cli.main").cli, "clew")]
    assert len(names) >= 8
    told = words_of("docs/cli.md", "README.md")
    assert not [name for name in names if not re.search(rf"{re.escape(name)}\b", told)]


def test_every_event_is_documented() -> None:
    home = module("clew.kernel.events")
    structs = [
        value for value in vars(home).values() if isinstance(value, type) and issubclass(value, msgspec.Struct)
    ]
    here = {struct for struct in structs if struct.__module__ == home.__name__}
    events = [struct.__name__ for struct in here if here.isdisjoint(struct.__subclasses__())]
    assert len(events) >= 10
    told = words_of("docs/events.md")
    assert not [name for name in sorted(events) if not re.search(rf"\b{name}\b", told)]


def prose(text: str) -> str:
    """Return a page without its code."""
    without_blocks = re.sub(r"^ *(```+|~~~+).*?^ *\1 *$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "", without_blocks)


def anchors(text: str) -> set[str]:
    """Return the anchors that the headings of a page get."""
    without_blocks = re.sub(r"^ *(```+|~~~+).*?^ *\1 *$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+?) *$", without_blocks, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> Iterator[str]:
    """Yield the links of a page that lead nowhere, or out of the repository."""
    for found in LINK.finditer(prose(page.read_text("utf-8"))):
        link = found[1] or found[2]
        if ELSEWHERE.match(link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not (target.is_relative_to(ROOT) and target.exists()) or (
            anchor and target.suffix == ".md" and anchor not in anchors(target.read_text("utf-8"))
        ):
            yield link


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    assert not [*dead_links(path)]


def test_a_dead_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "b.md").write_text("## The words, one by one\n")
    (tmp_path / "a.md").write_text(
        "[1](b.md) [2](b.md#the-words-one-by-one) [3](https://example.org) [4](c.md) [5](b.md#no) [6](../x)\n"
        '`[7](no.md)` <img src="no.svg">\n```text\n[8](no.md)\n```\n'
    )
    assert [*dead_links(tmp_path / "a.md")] == ["c.md", "b.md#no", "../x", "no.svg"]
