"""What a run waits for, told to people: questions, messages, keys, time, a pause; and the command that ends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec

from clew import codec
from clew.cli.board import Board
from clew.cli.judgements import deciding, told_barrier, told_default
from clew.cli.words import command, count, duration, first_line, moment, plain, shortened
from clew.engine.questions import refuse_unfit
from clew.errors import InvalidInputError
from clew.kernel.commands import Wait
from clew.kernel.definition import BarrierSpec
from clew.kernel.questions import Question
from clew.kernel.state import Run
from clew.kernel.states import RunState
from clew.kernel.visits import Visit

#: Characters of a question, and choices, in one line.
TEXT, CHOICES = 200, 8
#: Questions that are told at once.
TOLD = 3


def standing(board: Board, db: str, limit: int = TOLD) -> Iterator[str]:
    """What keeps a run from going on by itself now, one line each, with the command that ends it."""
    run = board.run
    if run.state is RunState.PAUSED:
        by = f" by {plain(board.paused_by)}" if board.paused_by else ""
        yield f"paused{by}; to go on: {command('resume', run.id, db=db)}"
    asking = list(islice(board.asking(), limit + 1))
    for visit, key, wait in asking[:limit]:
        yield f"{asked(visit, wait)}; {to_do(run.id, visit, key, wait, db)}"
    if len(asking) > limit:
        how = "show" if any(visit.is_barrier for visit, _, _ in asking) else "answer"
        yield f"more is asked; all of it: {command(how, run.id, db=db)}"


def asked(visit: Visit, wait: Wait) -> str:
    """A question, or what a barrier waits for, in one line."""
    if visit.is_barrier:
        return f"{plain(visit.path)} {told_barrier(visit.node.spec.barrier)}"
    question = question_in(wait)
    if question is None:
        return f"{plain(visit.path)} asks something"
    return f"{plain(visit.path)} asks: {shortened(first_line(question.text), TEXT)}{told_choices(question)}"


def answering(run: str, visit: Visit, key: str, wait: Wait, db: str) -> str:
    """The command that answers a question, or decides at a barrier."""
    if visit.is_barrier:
        return deciding(run, visit, db)
    several = sum(each.kind == "answer" and not each.outcome for each in (visit.waits or {}).values()) > 1
    return answer_command(run, visit.path, key if several else "", question_in(wait), db)


def to_do(run: str, visit: Visit, key: str, wait: Wait, db: str) -> str:
    """The same in a sentence."""
    return f"to {'decide' if visit.is_barrier else 'answer'}: {answering(run, visit, key, wait, db)}"


def answer_command(run: str, node: str, key: str, question: Question | None, db: str) -> str:
    """The command that answers a question of a node; the key is only given where it is needed."""
    choices = choices_of(question) if question is not None else []
    which = ["--key", key] if key else []
    return command("answer", run, node, typed(choices[0]) if choices else "VALUE", *which, db=db)


def question_in(wait: Wait) -> Question | None:
    """The question of a wait, unless it is too long to travel inline."""
    if wait.question is None or not wait.question.json:
        return None
    return msgspec.json.decode(wait.question.json, type=Question)


class _Form(msgspec.Struct, rename={"any_of": "anyOf"}):
    """What of a JSON Schema is told to people."""

    enum: list[Any] = []
    type: str | list[str] = ""
    any_of: list[_Form] = []


def _form(question: Question) -> _Form:
    try:
        return msgspec.json.decode(question.schema, type=_Form)
    except msgspec.ValidationError:
        return _Form()


def choices_of(question: Question) -> list[Any]:
    """The answers that a question names; empty if it leaves them open."""
    form = _form(question)
    for each in (form, *form.any_of):
        if each.enum:
            return each.enum
    return []


def told_choices(question: Question) -> str:
    """The choices of a question in parentheses, or what kind of answer it wants; empty for free text."""
    choices = choices_of(question)
    if choices:
        more = ", …" if len(choices) > CHOICES else ""
        return f" ({', '.join(plain(typed(choice)) for choice in choices[:CHOICES])}{more})"
    kind = _form(question).type
    return f" ({_KINDS[kind]})" if isinstance(kind, str) and kind in _KINDS else ""


_KINDS = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a JSON list",
    "object": "a JSON object",
}


def typed(value: Any) -> str:
    """A value as it is typed on the command line."""
    return value if isinstance(value, str) else codec.encode(value).decode()


def read_answer(question: Question, text: str) -> Any:
    """The answer that a text stands for: JSON if it is and fits, else the text itself, else yes and no.

    Raises:
        InvalidInputError: neither fits the question.
    """
    problem: InvalidInputError | None = None
    for value in (*read_json(text), *_SAID.get(text.strip().lower(), ())):
        try:
            refuse_unfit(question, codec.encode(value))
        except InvalidInputError as error:
            problem = problem or error
        else:
            return value
    assert problem is not None
    raise problem


#: What people say to a question of true or false.
_SAID = {"yes": (True,), "y": (True,), "no": (False,), "n": (False,)}


def read_json(text: str) -> Iterator[Any]:
    """What a text may stand for: the JSON that it is, then the text itself."""
    with suppress(ValueError):
        yield json.loads(text, parse_constant=_refuse)
    yield text


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def open_waits(run: Run) -> list[tuple[Visit, str, Wait]]:
    """All that visits wait for, in the order in which they began to."""
    found = [
        (visit, key, wait)
        for visit in run.visits.values()
        if visit.waits
        for key, wait in visit.waits.items()
        if visit.open_wait(key) is not None
    ]
    return sorted(found, key=lambda each: each[2].opened)


def told_first(found: list[tuple[Visit, str, Wait]], now: float) -> str:
    """What of several things was waited for first, and how many there are besides."""
    visit, _, wait = found[0]
    more = f" and {count(len(found) - 1, 'more wait')}" if len(found) > 1 else ""
    barrier = visit.node.spec.barrier if visit.is_barrier else None
    what = told_wait(msgspec.structs.replace(wait, due=None), now, barrier=barrier)
    return f"{plain(visit.path)} {what}{more}"


def told_wait(wait: Wait, now: float, *, brief: bool = False, barrier: BarrierSpec | None = None) -> str:
    """What a visit waits for, since when and until when; if brief, only how long is left.

    Args:
        wait: of the visit.
        now: seconds since the epoch.
        brief: for a line of a picture.
        barrier: the visit is one of this barrier.
    """
    match wait.kind:
        case _ if barrier is not None:
            what = told_barrier(barrier)
        case "timer":
            what = "sleeps"
        case "message":
            what = f"waits for message {plain(wait.name)}"
        case "key":
            what = f"waits for key {plain(wait.name)}"
        case _:
            question = question_in(wait)
            text = (
                f"{shortened(first_line(question.text), TEXT)}{told_choices(question)}"
                if question
                else "something"
            )
            what = f"asks: {text}"
    if brief:
        left = "" if wait.due is None else f", {duration(max(0.0, wait.due - now))} to go"
        return told_barrier(barrier, left) if barrier is not None else f"{what}{left}"
    since = f", since {duration(max(0.0, now - wait.since))}" if wait.since else ""
    return f"{what}{since}{_until(wait, now, barrier)}"


def told_deadline(due: float, default: str | None, now: float) -> str:
    """A deadline, and what happens then."""
    then = "then it fails" if default is None else f"then: {plain(default)}"
    return f"until {moment(due)} ({told_left(due, now)}), {then}"


def told_left(due: float, now: float) -> str:
    """How far away a moment is."""
    return f"in {duration(due - now)}" if due > now else "now"


def _until(wait: Wait, now: float, barrier: BarrierSpec | None) -> str:
    if wait.due is None:
        return ""
    if barrier is not None:
        return f", until {moment(wait.due)} ({told_left(wait.due, now)}), {told_default(barrier)}"
    if wait.kind == "timer":
        return f", until {moment(wait.due)} ({duration(max(0.0, wait.due - now))} to go)"
    default = None
    if wait.default is not None:
        default = bytes(wait.default.json).decode() if wait.default.json else count(wait.default.size, "byte")
    return f", {told_deadline(wait.due, default, now)}"
