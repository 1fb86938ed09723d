"""Words, sentences and syllables of English prose, as far as a pattern can tell them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_END = re.compile(r"[.!?][\"'\u201d\u2019)\]*_]*(?=\s+[\"'\u201c\u2018(\[*_`]*[A-Z0-9`])")
_VOWELS = re.compile(r"[aeiouy]+")
_ABBREVIATIONS = ("e.g.", "i.e.", "etc.", "cf.", "vs.", "No.", "Mr.", "Mrs.", "Dr.")

#: Words that stand in every text and say nothing about this one.
STOP_WORDS = frozenset(
    """a about above after again against all already also although always am an and another any are as at away
    back be because been before being below between both but by came can cannot come comes could did do does
    doing done down during each either else end ends enough even ever every few first for from further gave
    get gets give given gives go goes going gone got had has have having he her here hers him his how however
    i if in into is it its itself just keep keeps kept know known last later least less let like longer made
    make makes many may me might more most much must my need needs neither never new next no nobody none nor
    not nothing now of off often on once one only or other others otherwise our out over own per rather same
    say says see seen several shall she should since so some somebody soon still such take taken takes than
    that the their them then there therefore these they thing things this those though through thus till to
    together told too two under until up upon us use used uses very was way we well were what whatever when
    where whether which while who whoever whole whom whose why will with within without would yet you your
    """.split()  # noqa: SIM905 -- a list of them would be as long as it is wide
)


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return [word.lower() for word in _WORD.findall(text)]


def sentences_of(paragraph: str) -> list[str]:
    """The sentences of a paragraph; an abbreviation ends none."""
    sentences: list[str] = []
    start = 0
    for end in _END.finditer(paragraph):
        sentence = paragraph[start : end.end()].strip()
        if not sentence.endswith(_ABBREVIATIONS):
            sentences.append(sentence)
            start = end.end()
    return [*sentences, rest] if (rest := paragraph[start:].strip()) else sentences


def weights_of(paragraphs: Iterable[str]) -> dict[str, float]:
    """How much each word has to do with what a text is about, 0 to 1: how often it stands there.

    One that stands only once says nothing about the whole. The method is that of H. P. Luhn, The automatic
    creation of literature abstracts, 1958.
    """
    counts = Counter(word for text in paragraphs for word in words_of(text))
    telling = {word: n for word, n in counts.items() if n > 1 and len(word) > 2 and word not in STOP_WORDS}
    most = max(telling.values(), default=1)
    return {word: round(n / most, 4) for word, n in sorted(telling.items())}


def syllables_of(word: str) -> int:
    """How many syllables a word has, counted by its groups of vowels; an ending that is not spoken is none."""
    groups = len(_VOWELS.findall(word))
    silent = word.endswith("e") and not word.endswith(("le", "ee")) and groups > 1
    return max(1, groups - silent)


def reading_ease(text: str) -> float:
    """Flesch's reading ease: 100 is very easy, 60 plain, below 30 hard.

    From R. Flesch, A new readability yardstick, 1948.
    """
    words, sentences = words_of(text), sentences_of(text)
    if not words:
        return 100.0
    syllables = sum(map(syllables_of, words))
    return round(206.835 - 1.015 * len(words) / len(sentences) - 84.6 * syllables / len(words), 1)


def one_edit_apart(one: str, other: str) -> bool:
    """Whether all that is different is a letter missing, too many or wrong, or two that changed places."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    rest, other_rest = one[start:], other[start:]
    if len(rest) == len(other_rest):
        swapped = rest[1::-1] == other_rest[:2] and rest[2:] == other_rest[2:]
        return rest[1:] == other_rest[1:] or swapped
    return rest[1:] == other_rest if len(rest) > len(other_rest) else rest == other_rest[1:]
