"""Reading Markdown: its title, its sections with their prose, its links. Code and tables are no prose."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from article_text.model import Link, Section, Text

_FENCE = re.compile(r" *(`{3,}|~{3,})")
_HEADING = re.compile(r"(#{1,6}) +(.+?) *#* *$")
_ITEM = re.compile(r" *(?:[-*+]|\d+[.)]) +")
_RULE = re.compile(r" *([-*_=])(?: *\1){2,} *$")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z][^>]*>")
_LINK = re.compile(r"!?\[([^\]]*)\]\(<?([^)\s>]*)>?[^)]*\)")
_CODE = re.compile(r"`[^`]*`")
_EMPHASIS = re.compile(r"(\*\*|__|(?<![\w*])[*_](?=\S))(.+?)\1")
_SUFFIXES = (".md", ".markdown", ".txt", ".rst")


def find_texts(folder: str) -> list[str]:
    """List the texts of a folder and the folders in it, hidden ones left out.

    Returns:
        Paths relative to the folder, sorted, with forward slashes.

    Raises:
        FileNotFoundError: there is no such folder, or no text in it.
    """
    root = Path(folder).expanduser()
    found: list[str] = []
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name).relative_to(root).as_posix() for name in names if name.endswith(_SUFFIXES)]
    if not found:
        what = "no text (.md, .txt, .rst) in it" if root.is_dir() else "no such folder"
        raise FileNotFoundError(f"nothing to read at {folder!r}: {what}")
    return sorted(found)


def read_text(folder: str, file: str) -> Text:
    """Read one text.

    Raises:
        OSError: it cannot be opened.
        UnicodeDecodeError: it is not UTF-8.
    """
    content = Path(folder).expanduser().joinpath(file).read_text("utf-8")
    return parse(content, title=Path(file).stem)


def parse(content: str, title: str) -> Text:
    """Take a text apart; `title` is used if it has no heading."""
    lines = list(_without_code(_COMMENT.sub(_blank_lines, content)))
    sections = [Section(number=0, heading=title, anchor="")]
    anchors: dict[str, int] = {}
    block: list[str] = []

    def close() -> None:
        if text := " ".join(block):
            sections[-1].paragraphs.append(_plain(text))
        block.clear()

    for line in lines:
        if heading := _HEADING.match(line):
            close()
            name = _plain(heading[2])
            sections.append(Section(number=len(sections), heading=name, anchor=_anchor(name, anchors)))
        elif not line.strip() or line.lstrip().startswith("|") or _RULE.match(line):
            close()
        else:
            if item := _ITEM.match(line):
                close()
            block.append(line[item.end() :].strip() if item else line.strip().removeprefix("> "))
    close()
    kept = [section for section in sections if section.paragraphs or section.number]
    headed = next((section.heading for section in kept if section.number), title)
    return Text(title=headed, sections=_numbered(kept), links=[*_links(lines)])


def anchors_of(content: str) -> set[str]:
    """The anchors that the headings of a text get."""
    return {section.anchor for section in parse(content, "").sections}


def _without_code(content: str) -> Iterator[str]:
    """The lines of a text; those of code are empty, so that the others keep their numbers."""
    mark = ""
    for line in content.splitlines():
        fence = _FENCE.match(line)
        if mark:
            yield ""
            if fence and line.strip() == mark:
                mark = ""
        elif fence:
            mark = fence[1]
            yield ""
        else:
            yield line


def _blank_lines(comment: re.Match[str]) -> str:
    return "\n" * comment[0].count("\n")


def _plain(text: str) -> str:
    """The text without its markup; code keeps its marks, because it reads better with them."""
    text = _LINK.sub(r"\1", text)
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [_EMPHASIS.sub(r"\2", _TAG.sub("", part)) for part in parts[::2]]
    return re.sub(r"\s+", " ", "".join(parts)).strip()


def _anchor(heading: str, anchors: dict[str, int]) -> str:
    """What a heading is linked to by, as GitHub does it; the second one of a name gets a number."""
    anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    anchors[anchor] = anchors.get(anchor, -1) + 1
    return f"{anchor}-{anchors[anchor]}" if anchors[anchor] else anchor


def _numbered(sections: list[Section]) -> list[Section]:
    return [
        Section(number=number, heading=each.heading, anchor=each.anchor, paragraphs=each.paragraphs)
        for number, each in enumerate(sections)
    ]


def _links(lines: list[str]) -> Iterator[Link]:
    for number, line in enumerate(lines, 1):
        for link in _LINK.finditer(_CODE.sub("", line)):
            yield Link(target=link[2], line=number)
