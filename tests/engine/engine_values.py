"""Types that bodies declare, at the top level of a module so that every process finds them."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import BaseModel


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    at: datetime


class Model(BaseModel):
    name: str
    points: list[int]


async def make_point(x: int) -> Point:
    return Point(x, datetime(2026, 1, 2, 3, 4, 5))  # noqa: DTZ001 - without a zone, on purpose


async def make_model() -> Model:
    return Model(name="m", points=[1, 2])


async def make_pair() -> tuple[int, Colour]:
    return (1, Colour.RED)


async def make_ids() -> list[UUID]:
    return [UUID(int=1)]


async def told(
    point: Point, model: Model, pair: tuple[int, Colour], ids: list[UUID], plain: Any = None
) -> list[str]:
    """Say what came in, with its types."""
    return [repr(point), repr(model), repr(pair), repr(ids), repr(plain)]


def told_in_thread(point: Point, model: Model, pair: tuple[int, Colour], ids: list[UUID]) -> list[str]:
    return [repr(point), repr(model), repr(pair), repr(ids)]
