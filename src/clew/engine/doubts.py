"""Steps that had begun when their attempt was lost: what is declared about them, and how it is found out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from clew import codec
from clew.bodies.probes import encode_result, output_of_probe
from clew.engine.entries import Entry, stored
from clew.engine.resting import Waits
from clew.errors import InvalidInputError, StepInterruptedError
from clew.graphs.json_schemas import schema_of, within
from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.definition import OnInterrupt
from clew.kernel.questions import RESERVED, Question, Verdict, verdict_of
from clew.kernel.values import Value


def declared(on_interrupt: str | None, probe: Callable[..., Any] | None) -> OnInterrupt:
    """What is declared about a step that is lost.

    Raises:
        InvalidInputError: it is nothing there is, or does not go together.
    """
    if on_interrupt is None:
        how = OnInterrupt.RETRY if probe is None else OnInterrupt.PROBE
    elif on_interrupt in set(OnInterrupt):
        how = OnInterrupt(on_interrupt)
    else:
        raise InvalidInputError(f"on_interrupt is {', '.join(OnInterrupt)}, not {on_interrupt!r:.80}")
    if probe is not None and how is not OnInterrupt.PROBE:
        raise InvalidInputError(f"on_interrupt={how.value!r} needs no probe; leave one of them out")
    if probe is None and how is OnInterrupt.PROBE:
        raise InvalidInputError("on_interrupt='probe' needs probe=, the function that finds it out")
    if probe is not None and not callable(probe):
        raise InvalidInputError(f"a probe is a function, not {probe!r:.80}")
    return how


async def probed(probe: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes | None:
    """The value of a step that took effect, as its probe says; None if it did not.

    Raises:
        InvalidInputError: the probe answers something else.
    """
    answer = probe(*args, **kwargs)
    if inspect.isawaitable(answer):
        answer = await answer
    return output_of_probe(encode_result(answer, probe=True, updates=False))


async def asked(entry: Entry, waits: Waits, key: str, hint: Any) -> bytes | None:
    """The value of a step that took effect, as a person says; None if it is to be made again.

    A verdict serves the attempt that has asked for it: when that is lost in its turn, whether the step took
    effect is in doubt anew.

    Args:
        entry: the body.
        waits: what it waits for.
        key: of the step.
        hint: what the step returns.

    Raises:
        StepInterruptedError: it is neither.
    """
    json = msgspec.json.encode(_question(entry, key, hint))
    digest = codec.digest(json)
    place, number = f"{RESERVED}step {key}", 1
    while (known := waits.known(place)) is not None and known.outcome and known.digest != digest:
        number += 1
        place = f"{RESERVED}step {key} ({number})"
    question, blobs = stored(json)
    wait = s.OpenWait(
        path=entry.path,
        attempt=entry.attempt,
        key=place,
        kind="answer",
        question=question,
        digest=digest if known is None else known.digest,
    )
    return await _decided(entry, key, await waits.until(wait, *blobs))


async def _decided(entry: Entry, key: str, wait: c.Wait) -> bytes | None:
    assert wait.value is not None
    json = await entry.read_value(wait.value)
    verdict = verdict_of(Value(json=msgspec.Raw(json)))
    if isinstance(verdict, Verdict):
        return bytes(verdict.done)
    if verdict == "retry":
        return None
    by = f" by {wait.by}" if wait.by else ""
    raise StepInterruptedError(
        f"{entry.path}: step {key!r} was lost with its attempt, and was said{by} to have failed; retry the run to "
        "be asked again"
    )


def not_made_again(entry: Entry, key: str) -> StepInterruptedError:
    """The error of a lost step that is declared ``on_interrupt="fail"``."""
    return StepInterruptedError(
        f"{entry.path}: step {key!r} was under way when an attempt of its node was lost, and whether it took "
        "effect is not known; look, then declare on_interrupt='retry' if repeating it does no harm, 'ask' to be "
        "asked, or probe= to find out, and retry the run"
    )


def _question(entry: Entry, key: str, hint: Any) -> Question:
    """Asked as about a whole attempt; the value that a person gives has to fit what the step returns."""
    words = ["retry", "fail", "done"] if _takes_null(hint) else ["retry", "fail"]
    gives = {"type": "object", "properties": {"done": within(schema_of(hint), "value")}, "required": ["done"]}
    schema = {"anyOf": [{"enum": words}, {**gives, "additionalProperties": False}]}
    text = (
        f"step {key!r} of {entry.path} was under way when an attempt before attempt {entry.attempt} was lost. Did "
        'it take effect? Answer retry (it did not: make it again), {"done": the value of the step} (it did), or '
        "fail."
    )
    return Question(text=text, schema=msgspec.Raw(msgspec.json.encode(schema)))


def _takes_null(hint: Any) -> bool:
    try:
        codec.decode(b"null", hint)
    except InvalidInputError:
        return False
    return True
