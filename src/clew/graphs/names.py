"""Where something was written, and the nearest right name: what every message of this package needs."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep  # noqa: PTH100, PTH120 -- compared per frame


class Place(NamedTuple):
    """A place in a file; lines and columns count from 1, 0 is unknown."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.file:
            return "line " + str(self.line) if self.line else ""
        parts = [_short(self.file), *(str(n) for n in (self.line, self.column) if n)]
        return ":".join(parts)

    def before(self, sentence: str) -> str:
        """The sentence with the place in front."""
        place = str(self)
        return f"{place}: {sentence}" if place else sentence


#: What has no place.
NOWHERE = Place()


def caller() -> Place:
    """The line outside this package that is being executed."""
    frame = inspect.currentframe()  # inspect.stack() would read source files, 1,000 times as slow
    assert frame is not None
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was most likely meant to be."""
    by_folded = {each.casefold(): each for each in known}
    found = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause that offers the nearest known name; empty if none is near."""
    found = nearest(name, known)
    return f"; did you mean {found!r}?" if found is not None and found != name else ""


def listed(names: Iterable[str], *, limit: int = 8, last: str = "or") -> str:
    """Names in a sentence: ``'a', 'b' or 'c'``; the first few, if there are many."""
    all_names = [repr(name) for name in names]
    if len(all_names) > limit:
        return f"{', '.join(all_names[:limit])} and {len(all_names) - limit} more"
    head, tail = all_names[:-1], all_names[-1:]
    return f" {last} ".join(filter(None, [", ".join(head), *tail]))


def _short(file: str) -> str:
    """The path as seen from the current folder, if that is inside it."""
    try:
        relative = os.path.relpath(file)
    except ValueError:  # another drive
        return file
    return file if relative.startswith("..") else relative
