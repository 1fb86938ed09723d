"""What undoes the nodes and steps of a plan, chosen by its seed: bodies that are counted like all others."""

from typing import Any
from zlib import crc32

from crash_bodies import LIMIT_S, Bodies
from crash_plans import Undo

from clew import Context, Retry, fixed, undo
from clew.graphs.policies import Compensation
from clew.kernel.addresses import bare, node_of, segments

#: What a compensation does: see `crash_bodies`. The last two never come to a good end, or only if nothing is lost.
UNDOINGS = (
    "plain", "plain", "flaky", "steps", "sleeper", "slow", "asks", "unheard", "both", "large", "fails", "loses",
)  # fmt: skip
#: Those of steps, which have three attempts each.
UNDOINGS_OF_STEPS = ("", "plain", "plain", "sleeper", "once", "fails")
#: Nodes whose names are the same in all graphs that have them.
_INSIDE = frozenset({"first", "items", "second"})
_RETRIES = {"flaky": 4, "slow": 4, "fails": 2}

#: Whose steps are undone now: compensations of steps are found by their names, like those of other processes.
WORLD: dict[str, "Undos"] = {}


def name_of(path: str) -> str:
    """What tells a node at an address from the others of its plan."""
    parts = segments(bare(path))
    return "/".join(parts[-2:]) if parts[-1] in _INSIDE else parts[-1]


class Undos(Bodies):
    """Bodies that can be undone.

    Attributes:
        undo: how they are.
        given: what compensations were given as the output of what they undo, by their addresses.
    """

    def __init__(self, how: Undo | None) -> None:
        super().__init__()
        self.undo = how
        self.given: dict[str, list[Any]] = {}
        self.wholes: set[str] = set()

    # ------------------------------------------------------------------ choosing

    def _dice(self, what: str) -> int:
        assert self.undo is not None
        return crc32(f"{self.undo.seed} {what}".encode()) >> 3

    def undoing(self, name: str) -> str:
        """What undoes a node: a kind, ``irreversible``, or nothing."""
        if self.undo is None:
            return ""
        number = self._dice(name)
        if number % 16 in {0, 1}:
            return ("", "irreversible")[number % 16]
        return UNDOINGS[number % len(UNDOINGS)]

    def undoing_whole(self, name: str) -> str:
        """The same for a sub-graph, most of which are undone by their parts."""
        if self.undo is None or self._dice(f"whole {name}") % 3:
            return ""
        return ("plain", "flaky", "fails")[self._dice(name) % 3]

    def undoing_step(self, path: str, key: str) -> str:
        """The same for a step."""
        if self.undo is None or "#undo" in path:
            return ""
        return UNDOINGS_OF_STEPS[self._dice(f"{name_of(path)} {key}") % len(UNDOINGS_OF_STEPS)]

    def undoing_of(self, path: str) -> str:
        """The same for the visit at an address."""
        return self.undoing(name_of(path))

    # ------------------------------------------------------------------ declaring

    def undone(self, name: str) -> dict[str, Any]:
        """The options of a node that say how it is undone."""
        kind = self.undoing(name)
        if kind == "irreversible":
            return {"irreversible": True}
        return {"compensate": self._compensation(kind)} if kind else {}

    def undone_whole(self, name: str, *, tells: bool = True) -> dict[str, Any]:
        """Those of a sub-graph; what it returned is known to its compensation if it `tells`."""
        kind = self.undoing_whole(name)
        if not kind:
            return {}
        self.wholes.add(name)
        return {"compensate": self._compensation(kind, tells=tells)}

    def step_undone(self, path: str, key: str) -> dict[str, Any]:
        """The options of a step."""
        return {"compensate": undo_step} if self.undoing_step(path, key) else {}

    def _compensation(self, kind: str, *, tells: bool = True) -> Compensation:
        async def undo_this(ctx: Context, output: Any) -> None:
            self.given.setdefault(ctx.path, []).append(output)
            await self.attempt(ctx, kind, 1, 0)

        async def undo_silent(ctx: Context) -> None:
            await self.attempt(ctx, kind, 1, 0)

        return undo(
            undo_this if tells else undo_silent,
            retry=Retry(max_attempts=_RETRIES.get(kind, 3), backoff=fixed(1)),
            timeout=LIMIT_S if kind == "slow" else None,
            on_interrupt="fail" if kind == "loses" else "retry",
        )

    # ------------------------------------------------------------------ kinds of their own

    async def _loses(self, ctx: Context, number: int, turns: int) -> Any:
        return number

    async def _once(self, ctx: Context, number: int, turns: int) -> Any:
        if self.ledger.times(ctx.path) <= 1:
            raise ConnectionError("try again")
        return number


async def undo_step(key: str, turns: int, output: Any, ctx: Context) -> None:
    """Undo a step: called like it, and with what it returned."""
    world = WORLD["now"]
    world.given.setdefault(ctx.path, []).append(output)
    await world.attempt(ctx, world.undoing_step(ctx.path.partition("#undo[")[0], key), turns, 0)


def undoers(world: Undos, path: str) -> tuple[str, str]:
    """The address of the visit or the group whose compensation undoes a visit as a whole, and the kind of that."""
    parts = segments(path)
    for end in range(1, len(parts)):
        above = "/".join(parts[:end])
        if (name := node_of(parts[end - 1])) in world.wholes:
            return above, world.undoing_whole(name)
    return path, world.undoing_of(path)
