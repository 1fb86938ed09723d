"""Questions to people: made from what a body asks, and what is refused as an answer to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from clew import codec
from clew.errors import InvalidInputError
from clew.graphs.json_schemas import problem_of, schema_of
from clew.kernel.questions import Question

#: Characters of a question's text.
MAX_TEXT = 20_000
#: Characters of a key that is made of a text.
_SHORT = 60


def question_of(text: str, hint: Any, choices: Sequence[Any] | None) -> Question:
    """What is asked, as data.

    Args:
        text: what people read.
        hint: the answer is decoded as this.
        choices: the answer is one of these; any if None.

    Raises:
        InvalidInputError: there is no text, the type cannot be decoded to, or a choice does not fit it.
    """
    if not isinstance(text, str) or not text.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"a question is text, not {text!r:.80}")
    if len(text) > MAX_TEXT:
        raise InvalidInputError(f"a question of {len(text)} characters is longer than the limit of {MAX_TEXT}")
    if problem := codec.hint_problem(hint):
        raise InvalidInputError(f"the type of the answer: {problem}")
    schema = schema_of(hint) if choices is None else {"enum": _plain_choices(choices, hint)}
    return Question(text=text, schema=msgspec.Raw(msgspec.json.encode(schema)))


def key_of(text: str) -> str:
    """The key of a question that is given none: its text, in one line and short enough to be typed."""
    line = " ".join(text.split()).lstrip("# ")
    if len(line) <= _SHORT and line:
        return line
    return f"{line[: _SHORT - 10]}… {codec.digest(text.encode())[:8]}".lstrip()


def refuse_unfit(question: Question, json: bytes) -> None:
    """Refuse an answer that does not fit what was asked.

    Raises:
        InvalidInputError: says where in the answer what was expected; or it is not JSON text.
    """
    problem = problem_of(codec.decode(json), bytes(question.schema))
    if problem is not None:
        raise InvalidInputError(f"the answer does not fit the question: {problem}")


def _plain_choices(choices: Sequence[Any], hint: Any) -> list[Any]:
    if not isinstance(choices, list | tuple) or not choices:
        raise InvalidInputError(f"choices are a list of one answer or more, not {choices!r:.80}")
    texts = [codec.encode(choice) for choice in choices]
    for text, choice in zip(texts, choices, strict=True):
        try:
            codec.decode(text, hint)
        except InvalidInputError as error:
            raise InvalidInputError(f"the choice {choice!r:.80} does not fit the answer's type: {error}") from None
    if len(set(texts)) < len(texts):
        raise InvalidInputError("the same choice is given twice")
    return [codec.decode(text) for text in texts]
