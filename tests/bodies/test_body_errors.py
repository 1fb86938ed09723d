"""An exception becomes a fact: bounded, storable, masked, matched by class, with the user's frames only."""

import asyncio
import traceback

import msgspec
import pytest

from clew.bodies.errors import MAX_MESSAGE, MAX_TRACEBACK, BodyError, bounded, error_info, retry_after_s
from clew.errors import InvalidInputError, Permanent, Retryable, UnresolvedBodyError, UnstorableError
from clew.kernel.values import ErrorInfo


class Mine(ConnectionError):
    pass


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def caught(exc: BaseException) -> BaseException:
    try:
        raise exc  # noqa: TRY301
    except BaseException as error:
        return error


def test_a_plain_error() -> None:
    info = error_info(caught(Mine("gone")))
    assert info.type == "Mine"
    assert info.message == "gone"
    assert info.classes == ("Mine", "ConnectionError", "OSError", "Exception", "BaseException")
    assert info.retryable is None
    assert info.retry_after_s is None
    assert "in caught" in info.traceback
    assert info.traceback.endswith("Mine: gone\n")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UnstorableError("$.a", "a set"), "unstorable"),
        (InvalidInputError("x"), "invalid input"),
        (UnresolvedBodyError("x"), "unresolved"),
    ],
)
def test_mistakes_that_clew_finds_are_not_tried_again(error: Exception, kind: str) -> None:
    info = error_info(error)
    assert (info.type, info.retryable) == (kind, False)
    assert type(error).__name__ in info.classes


def test_what_the_body_says_about_retries() -> None:
    assert error_info(Permanent("no")).retryable is False
    soon = error_info(Retryable("later", after_s=7.5))
    assert (soon.retryable, soon.retry_after_s) == (True, 7.5)


def test_notes_are_told() -> None:
    error = ValueError("bad")
    error.add_note("while reading page 3")
    assert error_info(error).message == "bad\nwhile reading page 3"


def test_groups_tell_all_and_share_classes() -> None:
    group = ExceptionGroup("several", [Mine("a"), ExceptionGroup("inner", [ConnectionResetError("b")])])
    info = error_info(caught(group))
    assert info.type == "ExceptionGroup"
    assert info.message == "several: Mine: a; ConnectionResetError: b"
    assert "ConnectionError" in info.classes  # what they have in common
    assert "Mine" not in info.classes
    assert "Mine: a" in info.traceback
    assert error_info(ExceptionGroup("g", [Retryable("x", 2), Retryable("y", 3)])).retry_after_s == 3
    assert error_info(ExceptionGroup("g", [Retryable("x"), ValueError()])).retryable is None
    assert error_info(ExceptionGroup("g", [Permanent("x"), Retryable("y")])).retryable is False
    many = error_info(ExceptionGroup("g", [ValueError(str(number)) for number in range(50)]))
    assert many.message.endswith("and 40 more")


def test_what_ends_programs_is_told_too() -> None:
    assert error_info(caught(SystemExit(3))).type == "SystemExit"
    assert error_info(caught(asyncio.CancelledError())).classes[0] == "CancelledError"


def test_messages_that_cannot_be_made() -> None:
    info = error_info(caught(Silent()))
    assert "RuntimeError in Silent.__str__" in info.message
    assert info.traceback


def test_tracebacks_that_cannot_be_made() -> None:
    class Rude(SyntaxError):
        @property
        def lineno(self) -> int:  # type: ignore[override]
            raise RuntimeError

    assert "could not be made" in error_info(caught(Rude("x"))).traceback


def test_all_text_is_bounded_and_storable() -> None:
    def sink(depth: int) -> None:
        if depth:
            sink(depth - 1)
        raise ValueError("x" * 1_000_000 + "\ud800 end")

    with pytest.raises(ValueError, match="x") as raised:
        sink(200)
    info = error_info(raised.value)
    assert len(info.message) < MAX_MESSAGE + 100
    assert info.message.endswith("\\ud800 end")
    assert "characters left out" in info.message
    assert len(info.traceback) < MAX_TRACEBACK + 100
    assert msgspec.json.decode(msgspec.json.encode(info), type=ErrorInfo) == info
    assert bounded("short", 10) == "short"


def test_secrets_are_masked_before_text_is_cut() -> None:
    secret = "s3cret" * 100
    info = error_info(
        caught(ValueError("x" * 3000 + secret + "x" * 3000)), mask=lambda t: t.replace(secret, "***")
    )
    assert "s3cret" not in info.message + info.traceback


def test_facts_stay_facts() -> None:
    info = ErrorInfo(type="http 503", message="key=abc", classes=("HTTPError",), retryable=True, retry_after_s=3)
    again = error_info(BodyError(info), mask=lambda text: text.replace("abc", "***"))
    assert again == msgspec.structs.replace(info, message="key=***")
    assert str(BodyError(info)) == "http 503: key=abc"


def test_frames_of_the_loop_and_of_clew_are_left_out() -> None:
    async def inner() -> None:
        raise ValueError("deep")

    async def main() -> None:
        try:
            await asyncio.wait_for(asyncio.gather(inner()), 5)
        except ValueError as error:
            raise RuntimeError("outer") from error

    with pytest.raises(RuntimeError) as raised:
        asyncio.run(main())
    text = error_info(raised.value).traceback
    assert "asyncio/" in "".join(traceback.format_exception(raised.value))
    assert "asyncio/" not in text
    assert "in inner" in text
    assert "direct cause" in text


def test_errors_that_cause_each_other() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__context__, two.__context__ = two, one
    one.__cause__ = ExceptionGroup("three", [two])
    assert "one" in error_info(one).traceback


DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:29:00 GMT", "date": DATE}, 60.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:27:00 GMT", "Date": DATE}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:29:00 GMT"}, None),
        ({"retry-after": "soon", "date": DATE}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e300"}, 86_400.0 * 366),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_an_error_with_a_response_says_when() -> None:
    class Response:
        headers = {"retry-after": "9"}

    error = ValueError("refused")
    error.response = Response()  # type: ignore[attr-defined]
    assert error_info(error).retry_after_s == 9
