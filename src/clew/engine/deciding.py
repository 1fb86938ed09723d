"""Decisions at the barriers of a run, as its handle gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from clew.engine.status import OpenBarrier
from clew.errors import InvalidInputError, RefusedError
from clew.kernel import signals as s
from clew.kernel.writes import Judgement


def judgement(
    kind: str,
    encode: Callable[[object], bytes],
    *,
    reason: str = "",
    changes: Mapping[str, object] | None = None,
    delete: Iterable[str] = (),
    target: str = "",
) -> Judgement:
    """A decision as data.

    Raises:
        UnstorableError: a change cannot be stored.
    """
    written = {name: msgspec.Raw(encode(value)) for name, value in (changes or {}).items()}
    return Judgement(kind=kind, reason=reason, changes=written, delete=tuple(delete), target=target)


def decision(
    run: str,
    barriers: list[OpenBarrier],
    barrier: str,
    judged: Judgement,
    *,
    by: str,
    shown: str,
    standing: bool,
) -> s.Decide:
    """The signal of a decision; without the name of a barrier, it is the one that waits.

    Raises:
        RefusedError: no barrier waits, and none is named.
        InvalidInputError: several wait, and none is named.
    """
    if not barrier:
        barrier = _only(run, barriers).path
    return s.Decide(barrier=barrier, judgement=judged, by=by, shown=shown, standing=standing)


def _only(run: str, barriers: list[OpenBarrier]) -> OpenBarrier:
    if not barriers:
        raise RefusedError(
            f"run {run} waits at no barrier now; a decision for one that is not reached yet names it"
        )
    if len(barriers) > 1:
        paths = ", ".join(each.path for each in barriers[:10])
        raise InvalidInputError(f"run {run} waits at several barriers, say which is meant: {paths}")
    return barriers[0]
