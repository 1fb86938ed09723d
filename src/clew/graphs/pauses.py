"""Bodies that only wait: for a person, for a time, for a message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast, get_args

from msgspec import UNSET

from clew import codec
from clew.errors import InvalidInputError
from clew.graphs.bodies import Description, holds_expression
from clew.graphs.body_data import AskBody, AskKind, WaitBody
from clew.graphs.handles import Handle
from clew.graphs.hints import told
from clew.graphs.input_types import TypeTextError, parse_type
from clew.graphs.names import did_you_mean
from clew.graphs.signatures import Signature
from clew.graphs.units import seconds_of

_KINDS: tuple[str, ...] = get_args(AskKind)


def ask(
    how: AskKind | str,
    text: str | Handle,
    *,
    type: Any = None,  # noqa: A002 -- what it is
    choices: Sequence[Any] | str | Handle | None = None,
    default: Any = UNSET,
    timeout: float | str | None = None,
    required: bool = True,
) -> Description:
    """Describe a question to a person, to be the body of a node; its output is the answer.

    Args:
        how: ``confirm`` (yes or no), ``input`` (a value), ``choice`` (one of several), or ``information``, which
            is shown and not waited for.
        text: what people read.
        type: of an ``input``: an annotation, or as files write it; text if not given.
        choices: of a ``choice``.
        default: what counts as the answer when there is none in time.
        timeout: how long an answer is waited for, in seconds; for ever if not given.
        required: of a ``confirm``: a no fails the node (``user cancelled``); otherwise it is the output.

    Raises:
        InvalidInputError: what is given does not go together.
    """
    if how not in _KINDS:
        raise InvalidInputError(
            f"ask: it is one of {', '.join(_KINDS)}, not {how!r:.60}{did_you_mean(str(how), _KINDS)}"
        )
    kind = cast("AskKind", how)
    is_choice, waits = kind == "choice", kind != "information"
    for name, given, fits in (
        ("type", type is not None, kind == "input"),
        ("choices", choices is not None, is_choice),
        ("default", default is not UNSET, waits),
        ("timeout", timeout is not None, waits),
    ):
        if given and not fits:
            raise InvalidInputError(f"ask: {kind} takes no {name}; leave it out")
    if is_choice and (choices is None or (isinstance(choices, list | tuple) and not choices)):
        raise InvalidInputError("ask: a choice needs choices, a list of what can be answered")
    if default is not UNSET and timeout is None:
        raise InvalidInputError("ask: the default counts when there is no answer in time; say timeout as well")
    hint, named = _type_of(type)
    if default is not UNSET and default is not None and not _is_open(default):
        _refuse_default(kind, hint, choices, default)
    given = {"text": text, "choices": UNSET if choices is None else choices, "default": default}
    return Description(
        kind="ask",
        body=AskBody(how=kind, type=named, required=required, deadline_s=_seconds("ask", "timeout", timeout)),
        inputs={name: each for name, each in given.items() if each is not UNSET},
        signature=Signature(parameters={}, returns=_returned(kind, hint), is_async=True),
    )


def wait(
    seconds: float | str | Handle | None = None,
    *,
    until: datetime | str | Handle | None = None,
    message: str | None = None,
    timeout: float | str | None = None,
    default: Any = UNSET,
) -> Description:
    """Describe a wait, to be the body of a node: just one of the first three is given.

    Args:
        seconds: so long; a number, or text such as ``90s``, ``5m``.
        until: this time, with its time zone; text is as ISO 8601 writes it.
        message: a message by this name is sent to the run; it is the output.
        timeout: how long the message is waited for, in seconds; for ever if not given.
        default: the output when no message comes in time; without one, that is an error.

    Raises:
        InvalidInputError: what is given does not go together.
    """
    ways = [each for each in (seconds, until, message) if each is not None]
    if len(ways) != 1:
        raise InvalidInputError("wait: give just one of seconds, until and message")
    if message is None and (timeout is not None or default is not UNSET):
        raise InvalidInputError("wait: timeout and default are for messages; leave them out")
    if message is not None and (not isinstance(message, str) or not message):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"wait: a message has a name, which is text, not {message!r:.60}")
    if default is not UNSET and timeout is None:
        raise InvalidInputError("wait: the default counts when no message comes in time; say timeout as well")
    given: dict[str, Any] = {}
    if seconds is not None:
        given["seconds"] = seconds if _is_open(seconds) else _seconds("wait", "seconds", seconds)
    if until is not None:
        given["until"] = until if _is_open(until) else moment(until).isoformat()
    if default is not UNSET:
        given["default"] = default
    return Description(
        kind="wait",
        body=WaitBody(message=message or "", timeout_s=_seconds("wait", "timeout", timeout)),
        inputs=given,
        signature=Signature(parameters={}, returns=Any if message is not None else type(None), is_async=True),
    )


def moment(until: Any) -> datetime:
    """A time as it is given to `wait`.

    Raises:
        InvalidInputError: it is none, or has no time zone.
    """
    found = until
    if isinstance(until, str):
        try:
            found = datetime.fromisoformat(until)
        except ValueError:
            raise InvalidInputError(
                f"wait: until is {until!r:.60}; write a time like 2030-01-31T09:00:00+01:00"
            ) from None
    if not isinstance(found, datetime):
        raise InvalidInputError(f"wait: until is a time, not {until!r:.60}")
    if found.tzinfo is None:
        raise InvalidInputError(f"wait: until is {until!s}, without a time zone; add Z or +01:00")
    return found


def _type_of(given: Any) -> tuple[Any, str]:
    if given is None:
        return str, ""
    named = given if isinstance(given, str) else told(given)
    try:
        return parse_type(named), named
    except TypeTextError as error:
        raise InvalidInputError(f"ask: {error}") from None


def _refuse_default(kind: AskKind, hint: Any, choices: Any, default: Any) -> None:
    if kind == "choice":
        if isinstance(choices, list | tuple) and default not in choices and not holds_expression(choices):
            raise InvalidInputError(f"ask: the default {default!r:.60} is none of the choices")
        return
    try:
        codec.decode(codec.encode(default), bool if kind == "confirm" else hint)
    except InvalidInputError as error:
        raise InvalidInputError(f"ask: the default {default!r:.60} does not fit: {error}") from None


def _returned(kind: AskKind, hint: Any) -> Any:
    return {"confirm": bool, "input": hint, "choice": Any, "information": str}[kind]


def _is_open(value: Any) -> bool:
    """Whether a value is only known in a run."""
    return isinstance(value, Handle) or holds_expression(value)


def _seconds(what: str, name: str, given: Any) -> float | None:
    if given is None:
        return None
    seconds = seconds_of(given)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < float("inf"):
        raise InvalidInputError(f"{what}: {name} is a number of seconds above 0, or 90s or 5m, not {given!r:.60}")
    return float(seconds)
