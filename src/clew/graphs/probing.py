"""What a probe answers: whether an attempt whose process died has taken effect all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Happened(Generic[T_co]):
    """A probe's answer that the lost attempt took effect. None is the other one: it did not, and is made again.

    Attributes:
        output: what the attempt returned, or would have; it becomes the node's output.
    """

    output: T_co
