"""Bodies that only wait: for a person, for a time, for a message."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import UNSET

from clew import codec
from clew.bodies.errors import BodyError
from clew.engine.jobs import Job
from clew.errors import InvalidInputError, MessageTimeoutError, QuestionExpiredError
from clew.graphs.body_data import AskBody, WaitBody
from clew.graphs.input_types import parse_type
from clew.graphs.pauses import moment
from clew.graphs.units import seconds_of
from clew.kernel.values import ErrorInfo

#: Names what is waited for in its visit.
_MESSAGE, _TIME = "message", "time"


class AskPerformer:
    """Performs questions."""

    async def __call__(self, job: Job) -> bytes:
        """The answer."""
        body = msgspec.json.decode(job.command.body, type=AskBody)
        given = await job.plain_inputs()
        text = _text(given.get("text"))
        context = job.context()
        if body.how == "information":
            context.log(text)
            return codec.encode(text)
        hint, choices = _answers(body, given)
        try:
            answer = await context.ask(
                text,
                key=body.how,
                type=hint,
                choices=choices,
                deadline=body.deadline_s,
                default=given.get("default", UNSET),
            )
        except QuestionExpiredError as error:
            raise BodyError(_expired(str(error))) from error
        if body.how == "confirm" and body.required and answer is not True:
            message = f"{text!r:.200} was answered with no"
            raise BodyError(ErrorInfo(type="user cancelled", message=message, retryable=False))
        return codec.encode(answer)


class WaitPerformer:
    """Performs waits for a time or a message."""

    async def __call__(self, job: Job) -> bytes:
        """The message; nothing for a time."""
        body = msgspec.json.decode(job.command.body, type=WaitBody)
        given = await job.plain_inputs()
        context = job.context()
        if body.message:
            default = given.get("default", UNSET)
            try:
                message = await context.receive(
                    body.message, key=_MESSAGE, timeout=body.timeout_s, default=default
                )
            except MessageTimeoutError as error:
                raise BodyError(_expired(str(error))) from error
            return codec.encode(message)
        if "until" in given:
            await context.sleep_until(moment(given["until"]).timestamp(), _TIME)
        else:
            await context.sleep(_seconds(given["seconds"]), _TIME)
        return b"null"


def _answers(body: AskBody, given: dict[str, Any]) -> tuple[Any, list[Any] | None]:
    """The type of the answer, and what can be answered."""
    if body.how == "confirm":
        return bool, None
    if body.how == "input":
        return parse_type(body.type) if body.type else str, None
    choices: Any = given.get("choices")
    if not isinstance(choices, list) or not choices:
        raise InvalidInputError(f"ask: choices is a list of what can be answered, not {choices!r:.80}")
    return Any, cast("list[Any]", choices)


def _text(given: Any) -> str:
    return given if isinstance(given, str) else codec.encode(given).decode()


def _seconds(given: Any) -> float:
    seconds = seconds_of(given)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < float("inf"):
        raise InvalidInputError(f"wait: seconds is a number, or 90s or 5m, not {given!r:.80}")
    return float(seconds)


def _expired(message: str) -> ErrorInfo:
    return ErrorInfo(type="timeout", message=message, classes=("TimeoutError",))
