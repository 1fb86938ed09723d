"""How figures, times and foreign text are told to people: short, aligned, without control characters."""

from __future__ import annotations

import re
import shlex
from datetime import datetime

_CONTROL = re.compile(
    r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|[\x00-\x1f\x7f-\x9f]"
)


def duration(seconds: float | None) -> str:
    """A span of time: ``34 ms``, ``1.2 s``, ``1 min 12 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds is None:
        return ""
    if seconds < 0.0995:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, part in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {part}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def roughly(seconds: float) -> str:
    """A span that is an estimate: no more digits than it deserves."""
    if seconds < 8:
        return "a few seconds"
    if seconds < 57:
        return f"about {5 * round(seconds / 5)} s"
    if seconds < 3_570:
        return f"about {max(1, round(seconds / 60))} min"
    if seconds < 86_400:
        return f"about {seconds / 3_600:.1f} h"
    return f"about {seconds / 86_400:.1f} d"


def count(number: int, noun: str, nouns: str = "") -> str:
    """``1 node``, ``1,514 nodes``."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def amount(size: int) -> str:
    """So many bytes: ``812 bytes``, ``4.2 kB``, ``1.3 GB``."""
    if size < 1_000:
        return count(size, "byte")
    value, unit = size / 1_000, "kB"
    for larger in ("MB", "GB"):
        if value >= 999.95:
            value, unit = value / 1_000, larger
    return f"{value:,.1f} {unit}"


def percent(part: int, whole: int) -> str:
    """A share that says 100 % only when it is all, and 0 % only when it is nothing."""
    if part >= whole:
        return "100 %"
    return f"{max(100 * part // whole, 1) if part else 0} %"


def rate(per_second: float) -> str:
    """``9.8/s``, ``1,203/s``; slow ones per minute."""
    if per_second >= 100:
        return f"{per_second:,.0f}/s"
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{per_second * 60:.0f}/min"


def clock(at: float) -> str:
    """The time of day, here, of a moment in seconds since the epoch."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def moment(at: float | None) -> str:
    """Date and time of day, here."""
    return "" if at is None else datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(seconds: float) -> str:
    """How long ago something was, in one unit."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"


def plain(text: str) -> str:
    """Foreign text without control characters; tabs and ends of lines become spaces."""
    return _CONTROL.sub(lambda found: " " if found[0] in "\t\n\r\v\f" else "", text)


def first_line(text: str) -> str:
    """The first line of foreign text that says something, without control characters."""
    return next((line for line in map(str.strip, map(plain, text.splitlines())) if line), "")


def gist(message: str) -> str:
    """An error in one line: its first line, with its last one if the first leads to it (``its last words:``)."""
    lines = [line for line in map(str.strip, map(plain, message.splitlines())) if line]
    leads = len(lines) > 1 and lines[0].endswith(":")
    return f"{lines[0]} {lines[-1]}" if leads else "".join(lines[:1])


def shortened(text: str, width: int) -> str:
    """Text that fits into `width` characters, with an ellipsis if it had to be cut."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def command(*words: str, db: str = "") -> str:
    """A command line of ours that can be copied; `db` is left out when it is the default."""
    return shlex.join(["clew", *words, *(["--db", db] if db else [])])
