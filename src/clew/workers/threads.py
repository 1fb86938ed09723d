"""Run a synchronous body beside the event loop.

A thread cannot be killed. So whoever waits is released at once when the attempt is cancelled, the thread runs
on for nobody (its output is dropped, see `capture`), and `on_end` tells when it really ended: until then it
holds its slot. Threads are daemons: one that hangs does not keep the program from ending.

How many run at once is bounded by the caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Mapping
from threading import Thread
from typing import Any, TypeVar

from clew.bodies.errors import BodyError, error_info

T = TypeVar("T")


async def run_in_thread(
    function: Callable[..., T],
    arguments: Mapping[str, Any],
    *,
    name: str = "clew-body",
    on_end: Callable[[], None] | None = None,
) -> T:
    """Call `function` in a thread of its own, with a copy of the current context.

    Args:
        function: what is called.
        arguments: by name.
        name: of the thread, for debuggers.
        on_end: called on the loop when the thread has ended, also if nobody waits any more.

    Returns:
        What the function returns.

    Raises:
        BodyError: the function tried to end the program (`SystemExit`, `KeyboardInterrupt`) or to cancel the
            task; as an error of the body it ends neither.
    """
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if not waiting.done():
            if error is not None:
                waiting.set_exception(error)
            else:
                waiting.set_result(result)  # pyright: ignore[reportArgumentType]
        if on_end is not None:
            on_end()

    def run() -> None:
        result, error = None, None
        try:
            result = context.run(function, **arguments)
        except (SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, asyncio.CancelledError) as raised:
            error = BodyError(error_info(raised))
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(deliver, result, error)

    Thread(target=run, name=name, daemon=True).start()
    return await waiting
