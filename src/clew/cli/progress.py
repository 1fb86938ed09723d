"""How far a long command is, on the error channel: in one line on a terminal, now and then elsewhere."""

from __future__ import annotations

import sys
import time

#: Seconds between two updates, on a terminal and elsewhere.
_TERMINAL_S, _PIPE_S = 0.1, 5.0


class Progress:
    """Counts what is done.

    Args:
        of: how many there are, or 0 if that is not known.
    """

    def __init__(self, of: int = 0) -> None:
        self._of = of
        self._is_terminal = sys.stderr.isatty()
        self._every_s = _TERMINAL_S if self._is_terminal else _PIPE_S
        self._next = time.monotonic() + self._every_s
        self._shown = False

    def tell(self, what: str, done: int) -> None:
        """So many are done by now."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._every_s
        text = f"{what}: {done:,}{f' of {self._of:,}' if self._of else ''}"
        sys.stderr.write(f"\r\x1b[2K{text}" if self._is_terminal else f"{text}\n")
        sys.stderr.flush()
        self._shown = self._is_terminal

    def close(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._shown = False
