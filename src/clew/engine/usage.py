"""What visits have used, summed over what is in them; what was not measured is not there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clew.kernel.recording import add_usage
from clew.kernel.visits import Visit


def used_by(visit: Visit) -> dict[str, float]:
    """What the attempts of a visit have used, or those of all that is in it."""
    return summed(visit.used for visit in _leaves(visit) if visit.used is not None)


def summed(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    """Several usages together: the sum; of what is a peak, the highest."""
    whole: dict[str, float] = {}
    for part in parts:
        add_usage(whole, part)
    return whole


def _leaves(visit: Visit) -> Iterator[Visit]:
    yield visit
    for member in visit.inner.members if visit.inner is not None else ():
        if member is not None:
            yield from _leaves(member)
