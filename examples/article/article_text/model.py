"""What the steps of the pipeline hand to each other: frozen structs that JSON can hold and give back."""

from __future__ import annotations

from typing import Literal

import msgspec

#: What is to be done about a finding: nothing (it is only told), a shorter summary, or one without that sentence.
Wish = Literal["", "shorter", "replace"]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A heading and the prose below it, up to the next one."""

    number: int
    heading: str
    anchor: str
    paragraphs: list[str] = []


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link of the text."""

    target: str
    line: int


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A text that was read."""

    title: str
    sections: list[Section]
    links: list[Link]


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence, and how much it says of what the whole text is about."""

    section: int
    text: str
    words: int
    score: float


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A summary: numbers of sentences, in the order of the text."""

    chosen: list[int]
    sentences: list[str]
    words: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a check has to say about a draft.

    Attributes:
        check: which one says it.
        says: in words, for people.
        wish: what is to be done about it.
        place: which sentence of the draft it is about, counted from 1; 0 is all of it.
    """

    check: str
    says: str
    wish: Wish = ""
    place: int = 0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the next draft is to be like.

    Attributes:
        sentences: how many it has.
        avoid: numbers of sentences that were not wanted.
        topics: words that it should rather be about.
    """

    sentences: int = 5
    avoid: list[int] = []
    topics: list[str] = []


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A draft that was not good enough, and why."""

    words: int
    why: list[str]


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """What the overview tells of a text."""

    file: str
    title: str
    report: str
    words: int
    draft: Draft
    ended: str
    drafts: int
