"""What the state graphs of this folder run."""

from typing import Any, TypedDict


class Trip(TypedDict, total=False):
    town: str


def plan(state: dict[str, Any]) -> dict[str, Any]:
    return {}


def measure(section: str, state: dict[str, Any]) -> dict[str, Any]:
    return {}


def count(state: dict[str, Any]) -> dict[str, int]:
    return {}


async def slow(state: dict[str, Any]) -> str:
    return ""


def longest(old: str) -> str:
    return old


def pay(order: str, cents: int) -> dict[str, str]:
    return {}


def refund(order: str, output: int) -> None: ...


def refund_all(orders: list[str]) -> None: ...


def refunds(order: str):
    yield order


def stay(town: str, output: str) -> str:
    return output


NAME = "trip"
