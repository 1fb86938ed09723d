"""Run a program with limits, and learn what it has used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from clew.bodies.pipes import PipeReader, PipeWriter, drain, read_pipe, write_pipe
from clew.workers.isolation.confinement import Confinement, order_for
from clew.workers.isolation.limits import Outcome, Violation
from clew.workers.isolation.orders import SAMPLE_S, Sample
from clew.workers.isolation.warden import KeptStep, Warden

#: Takes output: the stream (``stdout``, ``stderr``) and bytes, as they come.
ByteSink = Callable[[str, bytes], None]

#: How long output may still come when nothing of the step is left.
_DRAIN_S = 1.0


async def run_isolated(
    argv: Sequence[str],
    confinement: Confinement,
    *,
    warden: Warden,
    sink: ByteSink,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    on_start: Callable[[int], None] | None = None,
    on_sample: Callable[[Sample], Violation | None] | None = None,
) -> Outcome:
    """Run a program with everything it starts; when this returns or raises, nothing of it is left.

    Args:
        argv: the program, found on the PATH of `env`, and its arguments.
        confinement: what it is held to, and where it runs.
        warden: starts it.
        sink: takes its output as it comes. Nothing is kept here, so the sink bounds what is kept. What it raises
            ends the step.
        env: all of its environment; None is that of this process.
        stdin: its input; None is empty.
        on_start: told the number of its first process.
        on_sample: told what it uses, every `SAMPLE_S`; a violation that it returns ends the step.

    Returns:
        How it ended. A step that passes a limit ends with a `violation`.

    Raises:
        UnenforceableLimitError: a limit cannot be held to on this machine; nothing was started.
        InvalidInputError: a root does not exist, or an entry of the network list is no destination.
        NotADirectoryError: the folder does not exist.
        LaunchError: the program could not be started.
        KeeperDiedError: the process that kept it was killed.
    """
    tells_s = SAMPLE_S * (on_sample is not None)
    order = order_for(confinement, await warden.mechanisms(), argv=argv, env=env, tells_s=tells_s)
    step = await warden.start(order, stdin=stdin is not None, on_sample=on_sample)
    readers: list[PipeReader] = []
    feeding: PipeWriter | None = None
    try:
        for name, pipe in (("stdout", step.stdout), ("stderr", step.stderr)):
            readers.append(await read_pipe(pipe, partial(sink, name)))
        if stdin is not None:
            feeding = await write_pipe(step.stdin, stdin)
        if on_start is not None:
            on_start(await asyncio.shield(step.begun))
        outcome = await _wait(step, readers)
    except BaseException:
        await step.stop(confinement.grace_s)
        raise
    finally:
        await drain(readers, _DRAIN_S)
        # What was cancelled early has no reader to close it.
        for pipe in (feeding, step.stdin, step.stdout, step.stderr):
            if pipe is not None:
                pipe.close()
    for reader in readers:
        if reader.ended.done():
            reader.ended.result()
    return outcome


async def _wait(step: KeptStep, readers: Sequence[PipeReader]) -> Outcome:
    """Wait for the step's end, or for output that is refused."""
    pending: set[asyncio.Future[None] | asyncio.Future[Outcome]] = {step.over, *(each.ended for each in readers)}
    while not step.over.done():
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    return step.over.result()
