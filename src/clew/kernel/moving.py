"""What deciding about a part of a run needs of the whole; `flow.Flow` is it."""

from __future__ import annotations

from typing import Protocol

from clew.kernel import commands as c
from clew.kernel import events as e
from clew.kernel.reducing import Rules
from clew.kernel.state import Run
from clew.kernel.values import ErrorInfo
from clew.kernel.visits import Group, Visit


class Mover(Protocol):
    """Moves one run on; see `flow.Flow`."""

    run: Run
    rules: Rules | None
    now: float
    commands: list[c.Command]
    reading: set[str]

    def emit(self, event: e.AnyEvent) -> None:
        """Record a fact."""
        ...

    def fail(self, visit: Visit, error: ErrorInfo) -> None:
        """A visit failed for good."""
        ...

    def settled(self, visit: Visit) -> None:
        """A visit settled."""
        ...

    def stop(self, group: Group, reason: str, error: ErrorInfo, cause: str = "") -> None:
        """End a group early."""
        ...

    def close(self, group: Group) -> None:
        """A group has ended."""
        ...
