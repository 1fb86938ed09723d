"""What is asked of people, as data: the same for a body's own questions and for the machine's."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from clew.kernel.values import NULL, Value

#: Keys of waits and steps that are not the body's own begin with this.
RESERVED = "#"
#: Names the steps that record what was there before a visit; more of them have a number after it.
BEFORE = "#before"
#: Names the machine's question about a lost attempt among the waits of its visit.
IN_DOUBT = "#interrupted"
#: Names the wait of a barrier.
DECISION = "#decision"


#: Names the question whether something that cannot be undone may be done.
CONFIRM = "#confirm"


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question.

    Attributes:
        text: what people read.
        schema: JSON Schema (2020-12) of the answer, as JSON text.
    """

    text: str
    schema: msgspec.Raw = msgspec.Raw(b"{}")


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says of a lost attempt that took effect: its node is done, with this output."""

    done: msgspec.Raw


_VERDICTS = (
    b'{"anyOf":[{"enum":["retry","fail","done"]},'
    b'{"type":"object","properties":{"done":{}},"required":["done"],"additionalProperties":false}]}'
)


def question_of_doubt(path: str, attempt: int) -> tuple[Value, str]:
    """What is asked about a lost attempt of a node that is declared ``on_interrupt="ask"``, and its digest."""
    text = (
        f"attempt {attempt} of {path} was under way when its process ended. Did it take effect? "
        'Answer retry (it did not: make it again), done (it did; {"done": …} gives the node\'s output), or fail.'
    )
    json = msgspec.json.encode(Question(text=text, schema=msgspec.Raw(_VERDICTS)))
    return Value(json=msgspec.Raw(json)), sha256(json).hexdigest()


def question_of_confirmation(path: str) -> tuple[Value, str]:
    """What is asked before a visit that cannot be undone, and its digest."""
    text = f"{path} cannot be undone once it is done. Is it to be done? Answer yes or no."
    json = msgspec.json.encode(Question(text=text, schema=msgspec.Raw(b'{"enum":["yes","no"]}')))
    return Value(json=msgspec.Raw(json)), sha256(json).hexdigest()


def is_confirmed(answer: Value) -> bool | None:
    """What an answer to `question_of_confirmation` means; None if it means nothing."""
    return {b'"yes"': True, b'"no"': False}.get(bytes(answer.json))


def verdict_of(answer: Value) -> str | Verdict | None:
    """What an answer to `question_of_doubt` means: ``retry``, ``fail`` or a verdict; None if it means nothing."""
    try:
        said = msgspec.json.decode(answer.json, type=str | Verdict)
        if isinstance(said, Verdict):
            msgspec.json.decode(said.done)
    except msgspec.DecodeError:
        return None
    if said == "done":
        return Verdict(NULL)
    return said if isinstance(said, Verdict) or said in {"retry", "fail"} else None
