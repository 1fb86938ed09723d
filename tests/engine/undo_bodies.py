"""Bodies that can be undone, and what undoes them: both say to `HEARD` what they were given."""

from typing import Any, TypedDict

from clew import Context

#: What was called, in order: a name, and what it was given.
HEARD: list[tuple[Any, ...]] = []


class Walk(TypedDict, total=False):
    """The state of a walk."""

    steps: int
    towns: list[str]


def pay(order: str, cents: int) -> dict[str, str]:
    HEARD.append(("pay", order, cents))
    return {"number": f"R-{order}"}


async def refund(order: str, output: dict[str, str], ctx: Context) -> None:
    HEARD.append(("refund", order, output, ctx.path))


def pay_back(order: str, cents: int, ctx: Context, output: dict[str, str]) -> None:
    HEARD.append(("pay back", order, cents, output, ctx.path))


def deliver(receipt: str) -> str:
    HEARD.append(("deliver", receipt))
    raise ValueError("nobody is at home")


def collect(receipt: str, output: str | None) -> None:
    HEARD.append(("collect", receipt, output))


def refuse(receipt: str) -> None:
    HEARD.append(("refuse", receipt))
    raise ConnectionError("the bank is closed")


async def measure(part: str) -> int:
    return len(part)


async def forget(part: str, output: int) -> None:
    HEARD.append(("forget", part, output))


def walk(state: Walk) -> Walk:
    steps = state.get("steps", 0) + 1
    return {"steps": steps, "towns": [f"town {steps}"]}


async def walk_back(state: Walk, output: Walk) -> None:
    HEARD.append(("walk back", state.get("steps"), output))


def stumble(state: Walk) -> Walk:
    raise ValueError("a stone")


async def get_up(state: Walk, output: Walk | None) -> None:
    HEARD.append(("get up", state["towns"], output))


def visit(town: str, state: Walk) -> Walk:
    return {"towns": [f"{town}!"]}


async def leave(town: str, output: Walk) -> None:
    HEARD.append(("leave", town, output["towns"]))
