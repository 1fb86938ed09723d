"""How states look: a sign and a style each, with plain letters where a terminal knows no others."""

from __future__ import annotations

from dataclasses import dataclass

from clew.kernel.states import NodeState

STYLES = {
    "pending": "bright_black",
    "ready": "bright_black",
    "running": "cyan",
    "stopping": "magenta",
    "waiting": "blue",
    "retrying": "yellow",
    "completed": "green",
    "failed": "bold red",
    "skipped": "bright_black",
    "cancelled": "magenta",
    "queued": "bright_black",
    "paused": "blue",
    "rolling_back": "magenta",
    "rolled_back": "magenta",
    "rollback_failed": "bold red",
}


@dataclass(frozen=True, slots=True)
class Symbols:
    """The signs of one alphabet."""

    states: dict[str, str]
    full: str
    half: str
    empty: str
    ellipsis: str

    def bar(self, part: int, whole: int, width: int) -> tuple[str, str]:
        """A bar of `width` cells: what is done, and the rest."""
        if whole <= 0 or width <= 0:
            return "", self.empty * max(width, 0)
        halves = min(2 * width, 2 * width * part // whole)
        done = self.full * (halves // 2) + (self.half if halves % 2 else "")
        return done, self.empty * (width - len(done))


_N = NodeState
UNICODE = Symbols(
    {
        _N.PENDING: "·",
        _N.READY: "·",
        _N.RUNNING: "●",
        _N.STOPPING: "◼",
        _N.WAITING: "◔",
        _N.RETRYING: "↻",
        _N.COMPLETED: "✓",
        _N.FAILED: "✗",
        _N.SKIPPED: "↷",
        _N.CANCELLED: "⊘",
    },
    full="━",
    half="╸",
    empty="─",
    ellipsis="…",
)
ASCII = Symbols(
    {
        _N.PENDING: ".",
        _N.READY: ".",
        _N.RUNNING: ">",
        _N.STOPPING: "#",
        _N.WAITING: "~",
        _N.RETRYING: "?",
        _N.COMPLETED: "+",
        _N.FAILED: "x",
        _N.SKIPPED: "-",
        _N.CANCELLED: "o",
    },
    full="=",
    half="-",
    empty=".",
    ellipsis="~",
)
