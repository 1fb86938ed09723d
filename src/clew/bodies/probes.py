"""What probes answer, on its way to the journal: an output, or that there is none."""

from __future__ import annotations

from typing import Any

import msgspec

from clew import codec
from clew.errors import InvalidInputError
from clew.graphs.probing import Happened


def answer_of_probe(answer: object) -> bytes:
    """A probe's answer as JSON text: a list of the output, or an empty one.

    Raises:
        InvalidInputError: it is no answer.
        UnstorableError: the output cannot be stored.
    """
    if answer is None:
        return b"[]"
    if isinstance(answer, Happened):
        output: Any = answer.output  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return b"[" + codec.encode(output) + b"]"
    raise InvalidInputError(
        "a probe returns Happened(output) if what it looks for took effect, and None if it did not; this one "
        f"returned {answer!r:.80}"
    )


def output_of_probe(json: bytes) -> bytes | None:
    """The output in what `answer_of_probe` has written; None if there is none."""
    parts = msgspec.json.decode(json, type=list[msgspec.Raw])
    return bytes(parts[0]) if parts else None
