"""The questions of one run as people and programs see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import msgspec

from clew.cli.waits import answer_command, choices_of, open_waits, read_answer, told_choices, told_deadline
from clew.cli.words import duration, plain
from clew.engine.engine import Engine
from clew.engine.inputs import InputReader
from clew.errors import InvalidInputError
from clew.kernel.questions import IN_DOUBT, Question


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An open question.

    Attributes:
        node: address of who asks.
        key: names the question within it.
        question: what is asked.
        since: when it was asked, seconds since the epoch.
        due: its deadline.
        default: what counts as the answer then, as JSON text; None if there is none.
        digest: of the question.
        now: when it was looked at.
    """

    node: str
    key: str
    question: Question
    since: float
    due: float | None
    default: str | None
    digest: str
    now: float

    def read(self, text: str) -> Any:
        """The answer that a text stands for; see `waits.read_answer`."""
        return read_answer(self.question, text)

    def read_typed(self, text: str) -> Any:
        """The same for a prompt, which asks again if the answer does not fit."""
        try:
            return self.read(text)
        except InvalidInputError as error:
            raise click.UsageError(plain(str(error))) from error


async def asked_by(engine: Engine, run: str, now: float) -> list[Asked]:
    """The questions that a run asks now, in the order in which they were asked."""
    reader = InputReader(engine.journal)
    folded = await engine.looking.folded(run)
    found: list[Asked] = []
    for visit, key, wait in open_waits(folded):
        if wait.kind != "answer" or wait.question is None or visit.is_barrier:
            continue
        found.append(
            Asked(
                node=visit.path,
                key=key,
                question=msgspec.json.decode(await reader.value(wait.question), type=Question),
                since=wait.since,
                due=wait.due,
                default=(await reader.value(wait.default)).decode() if wait.default is not None else None,
                digest=wait.digest,
                now=now,
            )
        )
    return found


def fitting(questions: Sequence[Asked], node: str, key: str) -> list[Asked]:
    """Those that a node and a key name; each may be left out."""
    return [each for each in questions if node in ("", each.node) and key in ("", each.key)]


def lines(
    run: str, questions: Sequence[Asked], db: str, *, numbered: bool = False, commands: bool = True
) -> list[str]:
    """The questions as text, each with its age, its deadline and the command that answers it."""
    told: list[str] = []
    for number, each in enumerate(questions, 1):
        several = sum(other.node == each.node for other in questions) > 1
        named = f" {plain(each.key)}" if several and each.key != IN_DOUBT else ""
        told.append(
            f"{f'{number}  ' if numbered else ''}{plain(each.node)} asks{named}{told_choices(each.question)}:"
        )
        told += [f"  {plain(line)}" for line in each.question.text.splitlines()]
        when = f"  asked {duration(max(0.0, each.now - each.since))} ago"
        told.append(
            when + (f", {told_deadline(each.due, each.default, each.now)}" if each.due is not None else "")
        )
        if commands:
            told.append(f"  {answer_command(run, each.node, each.key if several else '', each.question, db)}")
    return told


def document(question: Asked) -> dict[str, Any]:
    """A question as data."""
    return {
        "node": question.node,
        "key": question.key,
        "text": question.question.text,
        "schema": msgspec.json.decode(question.question.schema),
        "choices": choices_of(question.question),
        "since": question.since,
        "due": question.due,
        "default": None if question.default is None else msgspec.json.decode(question.default),
        "digest": question.digest,
    }
