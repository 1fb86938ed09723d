"""What bodies return on its way to the journal: an output, changes of a state, or what a probe has found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from clew import codec
from clew.errors import InvalidInputError
from clew.graphs.probing import Happened
from clew.graphs.updates import encode_update


def encode_result(value: object, *, probe: bool, updates: bool) -> bytes:
    """What a body returned, as JSON text.

    Args:
        value: what it returned.
        probe: it is a probe: a list of the output, or an empty one.
        updates: the output says what changes in a state (`graphs.updates`).

    Raises:
        InvalidInputError: a probe returned what is no answer.
        UnstorableError: it cannot be stored.
    """
    encode = encode_update if updates else codec.encode
    return _answer_of_probe(value, encode) if probe else encode(value)


def _answer_of_probe(answer: object, encode: Callable[[Any], bytes]) -> bytes:
    """A probe's answer as JSON text: a list of the output, or an empty one.

    Raises:
        InvalidInputError: it is no answer.
        UnstorableError: the output cannot be stored.
    """
    if answer is None:
        return b"[]"
    if isinstance(answer, Happened):
        output: Any = answer.output  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return b"[" + encode(output) + b"]"
    raise InvalidInputError(
        "a probe returns Happened(output) if what it looks for took effect, and None if it did not; this one "
        f"returned {answer!r:.80}"
    )


def output_of_probe(json: bytes) -> bytes | None:
    """The output in what `encode_result` has written for a probe; None if there is none."""
    parts = msgspec.json.decode(json, type=list[msgspec.Raw])
    return bytes(parts[0]) if parts else None
