"""The conditions and reducers of state graphs, as the kernel calls them: synchronous, and with errors as facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from clew import codec
from clew.bodies.errors import error_info
from clew.bodies.functions import find
from clew.errors import UnstorableError
from clew.graphs.body_data import FunctionBody
from clew.graphs.conditions import Condition, evaluate_condition, reduce_custom
from clew.kernel.definition import KeySpec
from clew.kernel.errors import RuleError
from clew.kernel.reducing import Asked
from clew.kernel.values import Cells


class GraphRules:
    """The rules of one graph; see `clew.kernel.reducing.Rules`.

    Args:
        functions: those of the graph object, by reference.
        mask: hides secrets in what errors say.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]], mask: Callable[[str], str]) -> None:
        self._functions = functions
        self._mask = mask

    def ask(self, when: msgspec.Raw, cells: Cells) -> Asked:
        """What a condition gives on a state."""
        try:
            value = evaluate_condition(_condition(bytes(when)), self._find, cells)
            return Asked(bool(value), msgspec.Raw(_shown(value)))
        except Exception as error:
            raise RuleError(error_info(error, mask=self._mask)) from error

    def reduce(self, key: KeySpec, old: msgspec.Raw, new: msgspec.Raw) -> msgspec.Raw:
        """What a custom reducer makes of a value and what is written."""
        try:
            function = self._find(_function(bytes(key.custom)))
            return msgspec.Raw(reduce_custom(function, old or None, new))
        except Exception as error:
            info = error_info(error, mask=self._mask)
            message = f"the reducer of {key.name!r} raised {info.type}: {info.message}"
            raise RuleError(msgspec.structs.replace(info, message=message)) from error

    def _find(self, body: FunctionBody) -> Callable[..., Any]:
        return find(body, self._functions)


@lru_cache(maxsize=1024)
def _condition(text: bytes) -> Condition:
    return msgspec.json.decode(text, type=Condition)


@lru_cache(maxsize=1024)
def _function(text: bytes) -> FunctionBody:
    return msgspec.json.decode(text, type=FunctionBody)


def _shown(value: object) -> bytes:
    """What a condition gave, as JSON text; what cannot be stored is told in words."""
    try:
        return codec.encode(value)
    except UnstorableError:
        return codec.encode(repr(value)[:200])
