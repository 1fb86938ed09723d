"""How steps are undone: the call of their compensation as data, so that another process can make it."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from clew import codec
from clew.bodies.before_images import take
from clew.bodies.functions import Signature
from clew.engine.entries import stored
from clew.engine.inputs import refuse_large
from clew.engine.secrets import Secrets
from clew.errors import InvalidInputError
from clew.graphs.bodies import Description, describe_function, holds_expression
from clew.graphs.body_data import RestoreBody
from clew.graphs.handles import Handle
from clew.journal.records import Blob
from clew.kernel.values import Undo, Value

#: The parameter of a compensation that is given what was returned.
OUTPUT = "output"

_RESTORE = msgspec.Raw(msgspec.json.encode(RestoreBody()))


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
    context = Signature.of(compensate).context
    rest = [p for name, p in signature.parameters.items() if name not in (OUTPUT, context)]
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


def paths_of(compensate: Description, what: str) -> list[str]:
    """The files that the compensation of a step puts back.

    Args:
        compensate: made by `restore`.
        what: names the step, for messages.

    Raises:
        InvalidInputError: it is another description, or a path is not told by now.
    """
    if not isinstance(compensate.body, RestoreBody):
        raise InvalidInputError(
            f"{what}: compensate is a function or restore(…), not a description of {compensate.kind}"
        )
    paths: list[Any] = compensate.inputs["paths"]
    for path in paths:
        if isinstance(path, Handle) or holds_expression(path):
            raise InvalidInputError(f"{what}: restore(…) takes paths as they are here, not {path!r:.80}")
    return paths


def absolute(paths: Sequence[str]) -> list[str]:
    """Paths that mean the same in every process."""
    return [os.path.abspath(path) for path in paths]  # noqa: PTH100 -- resolve() would follow links


async def images_of(paths: Sequence[str], secrets: Secrets) -> bytes:
    """What is at some absolute paths, as JSON text; see `bodies.before_images.take`."""
    json = msgspec.json.encode(await asyncio.to_thread(take, paths, secrets.refuse_content))
    refuse_large(json)
    return json


async def undo_by_restoring(paths: Sequence[str], secrets: Secrets) -> tuple[Undo, list[Blob]]:
    """How files are put back as they are now, and the blobs of what they are."""
    value, blobs = stored(b"[%s]" % await images_of(absolute(paths), secrets))
    return Undo(kind="restore", body=_RESTORE, inputs={"before": value}), blobs
