"""Drafting a summary: sentences of the text itself, chosen by what the text says most often."""

from __future__ import annotations

from collections.abc import Sequence

from article_text.model import Draft, Finding, Plan, Section, Sentence
from article_text.words import sentences_of, weights_of, words_of

#: Sentences of other lengths (in words) are scored lower: they say little, or too much at once.
_SHORT, _LONG = 12, 30
#: What the beginning of a section, and of the text, is worth more.
_FIRST_OF_SECTION, _FIRST_SECTIONS = 1.2, 1.3
#: What a topic that was asked for is worth, as a weight of a word.
_TOPIC = 2.0


def weigh(sections: Sequence[Section]) -> dict[str, float]:
    """How much each word has to do with what the text is about; see `words.weights_of`."""
    return weights_of(paragraph for section in sections for paragraph in section.paragraphs)


def score_section(section: Section, weights: dict[str, float]) -> list[Sentence]:
    """The sentences of a section with their scores: the mean weight of their words, more at the beginning."""
    scored: list[Sentence] = []
    for paragraph in section.paragraphs:
        for place, text in enumerate(sentences_of(paragraph)):
            words = words_of(text)
            if not words:
                continue
            score = sum(weights.get(word, 0.0) for word in set(words)) / len(words)
            score *= min(1.0, len(words) / _SHORT, _LONG / len(words))
            score *= _FIRST_OF_SECTION if not scored and not place else 1.0
            score *= _FIRST_SECTIONS if section.number < 2 else 1.0
            scored.append(Sentence(section=section.number, text=text, words=len(words), score=round(score, 5)))
    return scored


def choose(sentences: Sequence[Sentence], plan: Plan) -> Draft:
    """Choose sentences for a summary: those with the highest scores that say something the others do not.

    Raises:
        ValueError: there is no sentence left to choose.
    """
    left = [number for number in range(len(sentences)) if number not in plan.avoid]
    if not left:
        raise ValueError("there is no sentence left that could be chosen")
    words = {number: frozenset(words_of(sentences[number].text)) for number in left}
    chosen: list[int] = []
    while left and len(chosen) < plan.sentences:
        said = frozenset[str]().union(*(words[number] for number in chosen))

        def worth(number: int, said: frozenset[str] = said) -> tuple[float, int]:
            topics = _TOPIC * sum(topic in words[number] for topic in plan.topics)
            news = len(words[number] - said) / len(words[number])
            return (sentences[number].score + topics) * news, -number

        best = max(left, key=worth)
        chosen.append(best)
        left.remove(best)
    return drafted(sentences, sorted(chosen))


def lead(sentences: Sequence[Sentence], count: int = 2) -> Draft:
    """The beginning of the text: a summary that nobody has to judge."""
    return drafted(sentences, list(range(min(count, len(sentences)))))


def drafted(sentences: Sequence[Sentence], chosen: list[int]) -> Draft:
    """A summary of these sentences."""
    return Draft(
        chosen=chosen,
        sentences=[sentences[number].text for number in chosen],
        words=sum(sentences[number].words for number in chosen),
    )


def replan(plan: Plan, draft: Draft, findings: Sequence[Finding], reason: str, weights: dict[str, float]) -> Plan:
    """What the next draft is to be like, by what was found and what a person has said.

    A person says what is wrong in words: *shorter*; *other sentences*; the numbers of sentences (*not 2 and 4*);
    anything else names what the summary should be about. What is not understood asks for other sentences.
    """
    sentences, avoid, topics = plan.sentences, set(plan.avoid), list(plan.topics)
    if any(finding.wish == "shorter" for finding in findings):
        sentences -= 1
    avoid.update(draft.chosen[f.place - 1] for f in findings if f.wish == "replace" and f.place)
    if reason:
        said = reason.lower()
        numbers = [int(word) for word in said.replace(",", " ").split() if word.isdecimal()]
        unwanted = [draft.chosen[number - 1] for number in numbers if 1 <= number <= len(draft.chosen)]
        wanted = [word for word in words_of(said) if word in weights]
        sentences -= "short" in said
        avoid.update(unwanted)
        topics += [word for word in wanted if word not in topics]
        if "other" in said or not (unwanted or wanted or "short" in said):
            avoid.update(draft.chosen)
    return Plan(sentences=max(1, sentences), avoid=sorted(avoid), topics=topics)
