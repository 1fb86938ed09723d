"""Keeps a picture at the foot of a terminal: lines above it scroll away, the picture is drawn over itself.

Everything of a frame goes out in one write, as one synchronised update where the terminal knows them, so nothing
flickers. When the window has become narrower, the lines of the last frame were wrapped by the terminal; the
painter goes up by as many lines as they take now.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.text import Text

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_CLEAR_LINE, _CLEAR_BELOW = "\x1b[2K", "\x1b[J"
#: Terminals that know synchronised updates show the frame at once; the others ignore this.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"


class Painter:
    """The foot of one terminal. Use it with ``with``: it hides the cursor and gives it back."""

    def __init__(self, console: Console) -> None:
        self._console = console
        #: Widths of the lines of the last frame, which are on the screen above the cursor.
        self._widths: list[int] = []
        self._open = False

    def __enter__(self) -> Self:
        self._write(_HIDE)
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal at this moment."""
        return self._console.width, self._console.height

    def paint(self, lines: Sequence[Text], above: Sequence[Text] = ()) -> None:
        """Draw a frame over the last one; lines of `above` stay and scroll away."""
        # What is above may take several lines of the screen each, so all is cleared for it.
        kept = _CLEAR_BELOW + "".join(self._line(line, wrap=True) for line in above) if above else ""
        text = self._up() + kept + "".join(self._line(line) for line in lines)
        self._widths = [line.cell_len for line in lines]
        self._write(f"{_BEGIN}{text}{_CLEAR_BELOW}{_END}")

    def close(self) -> None:
        """Leave what is drawn, and give the cursor back."""
        if self._open:
            self._open = False
            self._widths = []
            self._write(f"\r{_CLEAR_BELOW}{_SHOW}")

    def _up(self) -> str:
        width = max(1, self._console.width)
        taken = sum(max(1, -(-each // width)) for each in self._widths)
        return f"\r\x1b[{taken}A" if taken else "\r"

    def _line(self, line: Text, *, wrap: bool = False) -> str:
        with self._console.capture() as captured:
            self._console.print(line, end="", soft_wrap=not wrap, highlight=False, markup=False)
        # Clearing comes first: after a line of full width the cursor still stands on its last character.
        return f"{_CLEAR_LINE}{captured.get()}\n"

    def _write(self, text: str) -> None:
        try:
            self._console.file.write(text)
            self._console.file.flush()
        except OSError:  # the terminal is gone; the run is not
            self._open = False
