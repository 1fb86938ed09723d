"""Ctrl-C: once asks a command to stop cleanly, twice ends it now. SIGTERM counts as one of them.

The handlers are Python's own, not the event loop's: they also run while a body blocks the loop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from types import FrameType, TracebackType
from typing import Any, Self

from clew.cli import exits

_SHOW_CURSOR = b"\r\x1b[J\x1b[?25h"


class Interrupts:
    """Listens for signals while it is entered.

    Attributes:
        asked: set when the first signal has come.
        last_words: printed when the second one ends the program; say how to go on.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.last_words = ""
        self._number = 0
        self._loop = asyncio.get_running_loop()
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """What the first signal means for the exit code."""
        return exits.TERMINATED if self._number == signal.SIGTERM else exits.INTERRUPTED

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _received(self, number: int, _: FrameType | None) -> None:
        if self._number:
            self._end_now()
        self._number = number
        self._loop.call_soon_threadsafe(self.asked.set)

    def _end_now(self) -> None:
        """Leave at once. Buffered streams may be in use where the signal came, so this writes past them."""
        if sys.stdout.isatty():
            os.write(1, _SHOW_CURSOR)
        os.write(2, f"{self.last_words}\n".encode())
        os._exit(self.exit_code)
