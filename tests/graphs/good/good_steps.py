"""What the state graphs of this folder run."""

from typing import Any, Literal, TypedDict

from clew import Context, Happened, Update


class Trip(TypedDict, total=False):
    town: str
    nights: int
    kind: Literal["sea", "city"]


def plan(state: dict[str, Any], ctx: Context) -> Update:
    ctx.heartbeat()
    return Update({"town": "Bergen", "nights": 2, "kind": "sea"})


def planned(state: dict[str, Any]) -> Happened[dict[str, Any]] | None: ...


def cancel(state: dict[str, Any], output: dict[str, Any] | None) -> None: ...


def measure(part: str, state: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {"sizes": {part: len(part)}}


def name_of(part: str) -> str:
    return part.lower()


def ferry(state: Trip) -> Trip:
    return {}


def museum(state: Trip) -> Trip:
    return {}


def kind_of(state: Trip) -> Literal["sea", "city"]:
    return "city"


def is_long(state: dict[str, Any]) -> bool:
    return state["nights"] > 3


def longest(old: str | None, new: str) -> str:
    return max(old or "", new, key=len)


def undo_trip(town: str, output: dict[str, Any] | None, ctx: Context) -> None: ...


def pay(cents: int) -> str:
    return f"paid {cents}"
