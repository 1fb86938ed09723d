"""The functions of state graphs in tests, as data: conditions, and reducers of their own.

A condition is a JSON list: what is asked, the key, and what it is compared with. Both the machine under test and
`reckoning`, which calculates beside it, ask here; what they do with the answer is their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from clew.kernel.cells import plain
from clew.kernel.definition import KeySpec
from clew.kernel.errors import RuleError
from clew.kernel.reducing import Asked
from clew.kernel.values import Cells, ErrorInfo

OUCH = ErrorInfo(type="KeyError", message="ouch", classes=("KeyError", "Exception"))
#: A sum in a state stays below this.
MODULUS = 1_000


def raw(value: Any) -> Raw:
    """A plain value as JSON text, as short as it gets."""
    return Raw(json.dumps(value, separators=(",", ":")).encode())


def unraw(text: Raw) -> Any:
    return json.loads(bytes(text))


def answer(condition: list[Any], state: Mapping[str, Any]) -> Any:
    """What a condition gives on a state.

    Raises:
        KeyError: it is one that raises.
    """
    match condition:
        case ["below", key, limit]:
            found = state.get(key)
            return (found if isinstance(found, int) else 0) < limit
        case ["shorter", key, limit]:
            found = state.get(key)
            return not isinstance(found, list) or len(found) < limit
        case ["has", key]:
            return key in state
        case ["value", key]:
            return state.get(key)
        case ["remainder", key, divisor]:
            found = state.get(key)
            return (found if isinstance(found, int) else 0) % divisor
        case _:
            raise KeyError("ouch")


def reduced(how: str, old: Any, new: Any) -> Any:
    """What a reducer of the user's own makes of two values; `old` is None if there is none.

    Raises:
        KeyError: it is one that raises.
    """
    match how:
        case "shift":
            return ((old if isinstance(old, int) else 0) * 10 + new) % MODULUS
        case "before":
            return [*new, *(old if isinstance(old, list) else [])][:6]
        case "count":
            return {**new, **(old if isinstance(old, dict) else {}), "n": len(new)}
        case "raise":
            raise KeyError("ouch")
        case _:
            return new


class TripRules:
    """The `Rules` of all state graphs in tests; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.reduced = 0

    def ask(self, when: Raw, cells: Cells) -> Asked:
        self.asked += 1
        try:
            gave = answer(unraw(when), plain(cells))
        except KeyError:
            raise RuleError(OUCH) from None
        return Asked(bool(gave), raw(gave))

    def reduce(self, key: KeySpec, old: Raw, new: Raw) -> Raw:
        self.reduced += 1
        try:
            return raw(reduced(unraw(key.custom), unraw(old) if old else None, unraw(new)))
        except (KeyError, TypeError):
            raise RuleError(OUCH) from None
