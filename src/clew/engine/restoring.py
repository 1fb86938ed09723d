"""Files before a node: recorded before its body is entered for the first time, and put back in a rollback."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from clew import codec
from clew.bodies.before_images import Image, put_back
from clew.engine.entries import stored
from clew.engine.jobs import Job
from clew.engine.secrets import Secrets
from clew.engine.undos import absolute, images_of
from clew.errors import InvalidInputError
from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.questions import BEFORE
from clew.kernel.values import Absent, Value

#: Paths that the output of a compensation names.
_NAMED = 100


async def record_before(job: Job, secrets: Secrets) -> None:
    """Record what is there before the body is entered, if a rollback is to put that back, and unless it was.

    Raises:
        InvalidInputError: what is to be recorded is none, or too much.
        UnstorableError: it holds a secret.
        OSError: it cannot be read.
    """
    command = job.command
    if command.before is None:
        return
    paths = absolute(await _paths(job, command.before["paths"]))
    digest = codec.digest(codec.encode(paths))
    known = {key: step for key, step in command.steps.items() if key.startswith(BEFORE)}
    if any(step.digest == digest for step in known.values()):
        return
    if known:  # the node is made anew, with other inputs: what was recorded first counts
        recorded = await _recorded(job, known)
        paths = [path for path in paths if path not in recorded]
    json = await images_of(paths, secrets)
    key = BEFORE if not known else f"{BEFORE} {len(known) + 1}"
    value, blobs = stored(json)
    ended = s.StepEnded(
        path=command.path, attempt=command.attempt, key=key, digest=digest, value=value, effect=True
    )
    await job.context().record(ended, *blobs)


class RestorePerformer:
    """Puts files back."""

    async def __call__(self, job: Job) -> bytes:
        """Perform a compensation that puts files back; its output names those that were different."""
        before = (await job.inputs())["before"]
        assert isinstance(before, bytes)
        recordings = msgspec.json.decode(before, type=list[list[Image]])
        first: dict[str, Image] = {}
        for images in recordings:
            first = {**{image.path: image for image in images}, **first}
        changed = await asyncio.to_thread(put_back, _in_order(first))
        return codec.encode({"restored": len(changed), "paths": changed[:_NAMED]})


def _in_order(images: Mapping[str, Image]) -> list[Image]:
    """Folders before what is in them."""
    return [images[path] for path in sorted(images)]


async def _paths(job: Job, binding: Any) -> list[str]:
    if isinstance(binding, Absent):
        raise InvalidInputError(f"compensate: the paths to restore come from {binding.node}, which is not there")
    value = codec.decode(await job.read(binding))
    flat: list[Any] = []
    for each in cast("list[Any]", value if isinstance(value, list) else [value]):
        flat += cast("list[Any]", each) if isinstance(each, list) else [each]
    for path in flat:
        if not isinstance(path, str) or not path.strip() or "\0" in path:
            raise InvalidInputError(f"compensate: a path to restore is text, not {path!r:.80}")
    return flat


async def _recorded(job: Job, steps: Mapping[str, c.Step]) -> set[str]:
    values: list[Value] = [step.value for step in steps.values() if step.value is not None]
    texts = [await job.context().read_recorded(value) for value in values]
    return {image.path for text in texts for image in msgspec.json.decode(text, type=list[Image])}
