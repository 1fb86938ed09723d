"""How steps are undone: the call of their compensation as data, so that another process can make it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from clew import codec
from clew.engine.entries import stored
from clew.errors import InvalidInputError
from clew.graphs.bodies import describe_function
from clew.journal.records import Blob
from clew.kernel.values import Undo, Value

#: The parameter of a compensation that is given what was returned.
OUTPUT = "output"


def undo_of(
    compensate: Callable[..., Any] | None, args: tuple[Any, ...], kwargs: dict[str, Any], what: str
) -> tuple[Undo | None, list[Blob]]:
    """The call that undoes a step, and the blobs of its arguments.

    Args:
        compensate: the function.
        args: what the step was called with, by position; the compensation takes the same.
        kwargs: likewise, by name.
        what: names the step, for messages.

    Raises:
        InvalidInputError: it does not take these arguments, or no other process could find it.
    """
    if compensate is None:
        return None, []
    if not callable(compensate):
        raise InvalidInputError(f"{what}: compensate is a function, not {compensate!r:.80}")
    signature = inspect.signature(compensate)
    takes_output = OUTPUT in signature.parameters
    rest = [p for name, p in signature.parameters.items() if name != OUTPUT]
    try:
        bound = inspect.Signature(rest).bind(*args, **kwargs).arguments
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{what}: its compensation {compensate.__name__} is called like the step, and cannot be: {error}"
        ) from None
    body = describe_function(compensate, what, is_async=inspect.iscoroutinefunction(compensate))
    if "@" in body.ref:
        raise InvalidInputError(
            f"{what}: its compensation {body.ref} could not be found by another process; move it to the top level "
            "of a module"
        )
    inputs: dict[str, Value] = {}
    blobs: list[Blob] = []
    for name, value in bound.items():
        inputs[name], more = stored(codec.encode(value))
        blobs += more
    raw = msgspec.Raw(msgspec.json.encode(body))
    return Undo(kind="function", body=raw, inputs=inputs, output=OUTPUT if takes_output else ""), blobs
