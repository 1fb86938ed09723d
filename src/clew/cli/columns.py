"""Rows in columns: aligned, the last one cut at the edge of a terminal and never in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

Cell = str | Text


def console() -> Console:
    """Standard output, without rich's own ideas of what to highlight."""
    return Console(highlight=False, markup=False, emoji=False)


def print_lines(out: Console, lines: Iterable[Text]) -> None:
    """Print lines that are cut at the edge of a terminal."""
    for line in lines:
        if out.is_terminal:
            line.truncate(out.width, overflow="ellipsis")
        line.rstrip()
        out.print(line, soft_wrap=True)


def in_columns(rows: Sequence[Sequence[Cell]], *, right: frozenset[int] = frozenset()) -> list[Text]:
    """Lines in which the cells of a column stand below each other.

    Args:
        rows: of equal length.
        right: columns that are aligned on the right.
    """
    texts = [[Text(cell) if isinstance(cell, str) else cell.copy() for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*texts, strict=True)]
    lines: list[Text] = []
    for row in texts:
        line = Text()
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            if width == 0:
                continue
            space = width - cell.cell_len
            line.append("  " if place else "")
            line.append(" " * space if place in right else "").append_text(cell)
            line.append(" " * space if place not in right else "")
        lines.append(line)
    return lines
