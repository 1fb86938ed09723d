"""A world outside of plans: marks, files and a memory, changed by steps that can be undone; some fail, some can't.

What fails, and how, is said by the arguments of a step, so that a plan tells all that will happen to it.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clew import Context, tool

#: How a step goes: well, or it fails before it takes effect, after that, or the first time only.
MODES = ("well", "well", "well", "well", "before", "after", "first")
#: How undoing it goes: likewise, or it never succeeds.
UNDOINGS = ("well", "well", "well", "first", "never")


@dataclass
class Outside:
    """What is outside.

    Attributes:
        folder: holds the files.
        marks: left by steps, each by the address of its visit.
        attempts: how often a visit was tried, and how often its undoing.
        undone: how often the undoing of something took effect.
        hopeless: what could not be undone.
        healed: everything can be undone from now on.
    """

    folder: Path
    marks: set[str] = field(default_factory=set)
    attempts: Counter[str] = field(default_factory=Counter)
    undone: Counter[str] = field(default_factory=Counter)
    hopeless: set[str] = field(default_factory=set)
    healed: bool = False

    def facts(self) -> dict[str, Any]:
        """All that is there, but for the memory."""
        files = {path.name: path.read_text() for path in self.folder.iterdir()}
        return {"files": files, **dict.fromkeys(self.marks, "marked")}

    def act(self, path: str, mode: str, effect: Any) -> str:
        """Do something, as the mode says."""
        self.attempts[path] += 1
        if mode == "before":
            raise ValueError("on purpose, before")
        effect()
        if mode == "after" or (mode == "first" and self.attempts[path] == 1):
            raise ConnectionError("on purpose, after")
        return path

    def undo(self, path: str, mode: str, effect: Any) -> None:
        """Undo it, as its mode says; `path` is the address of the compensation."""
        self.attempts[path] += 1
        if mode == "never" and not self.healed:
            self.hopeless.add(path)
            raise PermissionError("on purpose, always")
        effect()
        if mode == "first" and self.attempts[path] == 1:
            raise ConnectionError("on purpose, once")
        self.undone[path] += 1


#: What there is now; tools are found by their names, and so is this.
OUTSIDE: dict[str, Outside] = {}


@tool(effects="unknown")
async def mark(mode: str, undoing: str, ctx: Context) -> str:
    """Leave a mark."""
    outside = OUTSIDE["now"]
    return outside.act(ctx.path, mode, lambda: outside.marks.add(ctx.path))


@tool(effects="idempotent")
async def unmark(undoing: str, ctx: Context) -> None:
    """Take a mark away."""
    outside = OUTSIDE["now"]
    outside.undo(ctx.path, undoing, lambda: outside.marks.discard(ctx.path.removesuffix("#undo")))


@tool(effects="unknown")
async def write(file: str, mode: str, ctx: Context) -> str:
    """Write something else to a file."""
    return OUTSIDE["now"].act(ctx.path, mode, lambda: Path(file).write_text(f"{file} by {ctx.path}"))


async def take_back(undoing: str, ctx: Context) -> None:
    """The same as the tool."""
    outside = OUTSIDE["now"]
    outside.undo(ctx.path, undoing, lambda: outside.marks.discard(ctx.path.removesuffix("#undo")))


async def take_all_back(undoing: str, ctx: Context) -> None:
    """Take away all marks that a part has left."""
    outside, within = OUTSIDE["now"], ctx.path.removesuffix("#undo")
    inside = {path for path in outside.marks if path.startswith(f"{within}/")}
    outside.undo(ctx.path, undoing, lambda: outside.marks.difference_update(inside))


async def in_steps(mode: str, undoing: str, ctx: Context) -> int:
    """Leave two marks, in steps of a body that fails as it is told."""
    outside = OUTSIDE["now"]
    for key in ("one", "two"):
        await ctx.step(key, leave, f"{ctx.path} {key}", undoing, compensate=erase)
    outside.act(ctx.path, mode, int)
    return 2


async def leave(name: str, undoing: str) -> None:
    """A step."""
    OUTSIDE["now"].marks.add(name)


async def erase(name: str, undoing: str, ctx: Context) -> None:
    """What undoes it."""
    outside = OUTSIDE["now"]
    outside.undo(ctx.path, undoing, lambda: outside.marks.discard(name))
