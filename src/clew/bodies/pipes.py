"""Pipes of other processes, read and written on the event loop without a task for each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import IO, Any, cast


class PipeReader(asyncio.Protocol):
    """Hands over what comes out of a pipe. Made by `read_pipe`.

    Attributes:
        ended: settled at the end of the pipe, or with what `take` raised.
    """

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take = take
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand data over; an error of the taker ends the reading."""
        try:
            self._take(data)
        except Exception as error:
            if not self.ended.done():
                self.ended.set_exception(error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a broken pipe is an ended one
        """End."""
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        """Read no more."""
        if self._transport is not None:
            self._transport.close()


async def read_pipe(pipe: IO[bytes] | None, take: Callable[[bytes], None]) -> PipeReader:
    """Read `pipe` to its end in the background."""
    _, reader = await asyncio.get_running_loop().connect_read_pipe(lambda: PipeReader(take), cast("Any", pipe))
    return reader


class PipeWriter(asyncio.BaseProtocol):
    """Writes into a pipe. Made by `write_pipe`."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whoever does not read need not
        """End."""
        self._transport = None

    def close(self) -> None:
        """Write no more, also of what is waiting."""
        if self._transport is not None:
            self._transport.abort()


async def write_pipe(pipe: IO[bytes] | None, data: bytes) -> PipeWriter:
    """Write `data` into `pipe` in the background, then close it; nobody has to read it."""
    transport, writer = await asyncio.get_running_loop().connect_write_pipe(PipeWriter, cast("Any", pipe))
    transport.write(data)
    transport.write_eof()
    return writer


async def drain(readers: Iterable[PipeReader], limit_s: float) -> None:
    """Wait for the ends of the pipes, but no longer than `limit_s`: who holds one open by then is a stranger."""
    readers = [*readers]
    try:
        if waiting := [reader.ended for reader in readers if not reader.ended.done()]:
            await asyncio.wait(waiting, timeout=limit_s)
    finally:
        for reader in readers:
            reader.close()
            with contextlib.suppress(asyncio.InvalidStateError):
                reader.ended.exception()  # it has been seen, or is of no interest any more
