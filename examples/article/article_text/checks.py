"""Checks of a draft: its wording, how it reads, how long it is; and whether the links of its text are dead."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from article_text.markdown import anchors_of
from article_text.model import Draft, Finding, Link, Section
from article_text.words import one_edit_apart, reading_ease, sentences_of, words_of

#: Words of a sentence that stands by itself.
SHORTEST_SENTENCE = 5
#: Words of a sentence that can still be read in one go.
LONGEST_SENTENCE = 32
#: Flesch's scale, from the top: what is at least so easy reads so.
SCALE = ((80.0, "easy"), (60.0, "plain"), (45.0, "fairly hard"), (30.0, "hard"), (float("-inf"), "very hard"))

#: First words that point at a sentence which the summary may not have.
_POINTING = frozenset(
    """above again all also and below besides both but each either else hence here however it its likewise neither
    nor one or others otherwise so such that then there these they this those thus what""".split()  # noqa: SIM905
)
_LABEL = re.compile(r"(?:[^\W\d_]+ ){0,2}[^\W\d_]+:(?= )")
_TWICE = re.compile(r"\b([^\W\d_]+)\s+\1\b", re.IGNORECASE)
_PAIRS = ("()", "[]", "\u201c\u201d")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
#: A word is taken for a slip of another one if both are so long, and the other stands there so often.
_SLIP_LETTERS, _SLIP_TIMES = 6, 4


def wording(draft: Draft, sections: Sequence[Section]) -> list[Finding]:
    """What is wrong with the words: sentences that need others, that are broken off, words that look misspelt."""
    found = [
        Finding(check="wording", says=f"sentence {place} {says}", wish="replace", place=place)
        for place, sentence in enumerate(draft.sentences, 1)
        for says in faults(sentence)
    ]
    text = [paragraph for section in sections for paragraph in section.paragraphs]
    return found + [Finding(check="wording", says=says) for says in _slips(text)]


def faults(sentence: str) -> Iterator[str]:
    """What is wrong with a sentence that is to stand by itself."""
    prose = re.sub(r"`[^`]*`", "`", sentence)
    first = next(iter(words_of(prose)), "")
    if first in _POINTING and prose[:1] != "`":
        yield f'begins with "{sentence.split(maxsplit=1)[0]}", which points at the sentence before'
    elif label := _LABEL.match(prose):
        yield f'begins with the label "{label[0]}"'
    elif prose[:1].islower():
        yield "begins in the middle"
    if not prose.rstrip("\"'\u201d\u2019)]*_").endswith((".", "!", "?")):
        yield "is broken off"
    if len(words_of(sentence)) < SHORTEST_SENTENCE:
        yield "says little"
    if twice := _TWICE.search(prose):
        yield f'has "{twice[0]}"'
    if any(prose.count(pair[0]) != prose.count(pair[1]) for pair in _PAIRS):
        yield "opens or closes a bracket alone"


def _slips(text: list[str]) -> Iterator[str]:
    """Words that stand there once, and are nearly one that stands there often."""
    counts = Counter(word for paragraph in text for word in words_of(re.sub(r"`[^`]*`", " ", paragraph)))
    often = [word for word, n in counts.items() if n >= _SLIP_TIMES and len(word) >= _SLIP_LETTERS]
    for word in sorted(word for word, n in counts.items() if n == 1 and len(word) >= _SLIP_LETTERS):
        near = [other for other in often if one_edit_apart(word, other) and not _inflected(word, other)]
        if near:
            yield f'"{word}" stands there once, and may be meant as "{min(near)}"'


def _inflected(one: str, other: str) -> bool:
    """Whether two words differ at their ends or by their first letters only: forms of a word, or other words."""
    ends = one[:-1] in (other, other[:-1]) or other[:-1] == one
    return ends or one[1:] in (other, other[1:]) or other[1:] == one


def readability(draft: Draft) -> tuple[list[Finding], dict[str, float]]:
    """How a draft reads: sentences that are too long, and figures for the whole."""
    lengths = [len(words_of(sentence)) for sentence in draft.sentences]
    found = [
        Finding(check="readability", says=f"sentence {place} has {length} words", wish="replace", place=place)
        for place, length in enumerate(lengths, 1)
        if length > LONGEST_SENTENCE
    ]
    text = " ".join(draft.sentences)
    mean = round(sum(lengths) / max(1, len(lengths)), 1)
    return found, {"reading ease": reading_ease(text), "words per sentence": mean}


def told_ease(ease: float) -> str:
    """A figure on Flesch's scale in words."""
    return next(word for least, word in SCALE if ease >= least)


def length(draft: Draft, sections: Sequence[Section], limit: int) -> tuple[list[Finding], dict[str, float]]:
    """Whether a draft keeps to its limit, and how long the text is."""
    paragraphs = [paragraph for section in sections for paragraph in section.paragraphs]
    words = sum(len(words_of(paragraph)) for paragraph in paragraphs)
    sentences = sum(len(sentences_of(paragraph)) for paragraph in paragraphs)
    found: list[Finding] = []
    if draft.words > limit:
        found = [Finding(check="length", says=f"it has {draft.words} words, more than {limit}", wish="shorter")]
    return found, {"words": float(words), "sentences": float(sentences)}


def links(folder: str, file: str, found: Sequence[Link]) -> tuple[list[Finding], dict[str, float]]:
    """Whether the links of a text lead somewhere; those to other places than files are only counted."""
    here = Path(folder).expanduser() / file
    own = [link for link in found if not _ELSEWHERE.match(link.target)]
    dead = [(link, why) for link in own if (why := _dead(here, link.target))]
    told = [Finding(check="links", says=f"line {link.line}: {link.target} {why}") for link, why in dead]
    return told, {"links": float(len(found)), "links checked": float(len(own)), "dead links": float(len(dead))}


def _dead(here: Path, target: str) -> str:
    """Why a link leads nowhere; empty if it leads somewhere."""
    name, _, anchor = target.partition("#")
    path = here.parent / unquote(name) if name else here
    if not path.exists():
        return "is not there"
    if anchor and path.suffix == ".md" and anchor.lower() not in anchors_of(path.read_text("utf-8")):
        return "names a heading that is not there"
    return ""
