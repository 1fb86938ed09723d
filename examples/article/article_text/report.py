"""The reports: a page of Markdown for each text, and an overview; the same for the same texts, byte by byte."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from article_text.checks import faults, told_ease
from article_text.model import Digest, Draft, Finding, Round, Section, Sentence, Text
from article_text.words import words_of

_WORDS_A_MINUTE = 220


def report_path(out: str, file: str) -> str:
    """Where the report of a text goes: the name of the text, folders made part of it."""
    name = str(PurePosixPath(file).with_suffix(".md")).replace("/", "-")
    return (Path(out).expanduser() / name).as_posix()


def write_page(path: str, page: str) -> str:
    """Write a page, replacing an earlier one only when the new one is complete; its path.

    A thread that is cut off writes on for a moment, and may meet the one that writes the page anew.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
    unfinished.write_text(page, encoding="utf-8")
    unfinished.replace(target)
    return path


def render(
    *,
    file: str,
    text: Text,
    sentences: Sequence[Sentence],
    draft: Draft,
    ended: str,
    rounds: Sequence[Round],
    findings: Sequence[Finding],
    figures: Mapping[str, float],
) -> str:
    """The page of one text."""
    words = sum(sentence.words for sentence in sentences)
    size = f"{_count(words, 'word')} in {_count(len(text.sections), 'section')}"
    minutes = _count(max(1, round(words / _WORDS_A_MINUTE)), "minute")
    lines = [
        f"# {text.title}",
        "",
        f"`{file}`: {size}, about {minutes} to read",
        "",
        "## In short",
        "",
        " ".join(draft.sentences) or "*There is no prose in this text.*",
        "",
        *_figures(draft, figures, ended),
        *_rounds(rounds, draft, ended),
        *_remarks(findings),
        *_sections(text.sections, sentences),
    ]
    return "\n".join(lines)


def _figures(draft: Draft, figures: Mapping[str, float], ended: str) -> Iterator[str]:
    yield from ("| | |", "|---|---|")
    yield f"| length | {_count(len(draft.sentences), 'sentence')}, {_count(draft.words, 'word')} |"
    if "reading ease" in figures:
        ease = figures["reading ease"]
        mean = figures["words per sentence"]
        yield f"| reading ease | {ease:.0f} ({told_ease(ease)}), {mean:.0f} words a sentence |"
    if "links" in figures:
        inside, dead = int(figures["links checked"]), int(figures["dead links"])
        outside = int(figures["links"]) - inside
        told = [f"{inside} to files, {dead or 'none'} of them dead"] if inside else []
        told += [f"{outside} to elsewhere, not followed"] if outside else []
        yield f"| links | {'; '.join(told) or 'none'} |"
    yield f"| review | {ended} |"
    yield ""


def _rounds(rounds: Sequence[Round], draft: Draft, ended: str) -> Iterator[str]:
    if not rounds:
        return
    yield from ("## How it came about", "", "| draft | words | why not |", "|---|---|---|")
    for number, each in enumerate(rounds, 1):
        yield f"| {number} | {each.words} | {'; '.join(each.why)} |"
    yield f"| {len(rounds) + 1} | {draft.words} | {ended} |"
    yield ""


def _remarks(findings: Sequence[Finding]) -> Iterator[str]:
    told = [finding for finding in findings if not finding.wish]
    if told:
        yield from ("## Worth a look", "")
        yield from (f"- {finding.check}: {finding.says}" for finding in told)
        yield ""


def _sections(sections: Sequence[Section], sentences: Sequence[Sentence]) -> Iterator[str]:
    yield from ("## Section by section", "")
    for section in sections:
        own = [sentence for sentence in sentences if sentence.section == section.number]
        if own:
            whole = [sentence for sentence in own if not [*faults(sentence.text)]] or own
            best = max(whole, key=lambda sentence: sentence.score)
            yield f"- **{section.heading}** ({_count(sum(each.words for each in own), 'word')}): {best.text}"
    yield ""


def render_overview(folder: str, digests: Sequence[Digest], failed: Sequence[str]) -> str:
    """The page that leads to all the others."""
    table = ("| text | words | in short | drafts | review |", "|---|---|---|---|---|")
    lines = [f"# {_count(len(digests), 'text')} of {folder}", "", *table]
    for digest in digests:
        link = f"[{digest.title}]({PurePosixPath(digest.report).name})"
        row = (digest.words, digest.draft.words, digest.drafts, digest.ended)
        lines.append(f"| {link} | {' | '.join(str(cell) for cell in row)} |")
    lines += ["", *(f"- not read: {file}" for file in failed), *([""] if failed else [])]
    for digest in digests:
        lines += [f"## {digest.title}", "", " ".join(digest.draft.sentences) or "*No prose.*", ""]
    return "\n".join(lines)


def words_in(sections: Sequence[Section]) -> int:
    """How many words of prose there are."""
    return sum(len(words_of(paragraph)) for section in sections for paragraph in section.paragraphs)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
