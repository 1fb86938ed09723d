"""What a step of a run may use, or all steps of a run together, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from clew.errors import InvalidInputError
from clew.graphs.names import did_you_mean
from clew.graphs.units import bytes_of, seconds_of

#: Of `Limits`, what may be nothing at all.
_MAY_BE_ZERO = frozenset({"connections", "tool_invocations"})
_WHOLE = frozenset({"memory_bytes", "processes", "disk_bytes", "connections", "tool_invocations"})


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step may use, all of its processes together; None is no limit.

    Of a graph: what all steps of a run may use together, at any one time or in sum.

    Attributes:
        memory_bytes: memory at any one time, in bytes.
        cpu_s: processor time, in seconds: two processes that work for a second use two.
        cores: processors at once; 0.5 is half of one. Of a step only.
        processes: processes (and, where a cgroup counts them, threads) at any one time.
        disk_bytes: bytes that are used under the working folder, also by what was there before.
        wall_s: time from start to end, in seconds.
        connections: stream connections that are made; 0 is no network.
        network: where connections may go: names or addresses with or without a port, and networks, e.g.
            ``api.example.com:443``, ``10.0.0.0/8``, ``[::1]:8080``. An empty tuple is no network at all. Of a step
            only.
        tool_invocations: calls of tools; of a step, those of all its attempts.

    Raises:
        InvalidInputError: a figure is not positive.
    """

    memory_bytes: int | None = None
    cpu_s: float | None = None
    cores: float | None = None
    processes: int | None = None
    disk_bytes: int | None = None
    wall_s: float | None = None
    connections: int | None = None
    network: tuple[str, ...] | None = None
    tool_invocations: int | None = None

    def __post_init__(self) -> None:
        for name, value in self.given():
            # No float is good for all; `not >` refuses NaN as well.
            if name in _MAY_BE_ZERO and not value >= 0:
                also = " (no network)" if name == "connections" else ""
                raise InvalidInputError(f"limits: {name} is {value}; it is 0{also} or more")
            if name not in _MAY_BE_ZERO and name != "network" and not value > 0:
                raise InvalidInputError(f"limits: {name} is {value}; it has to be more than 0, or left out")

    def given(self) -> Iterator[tuple[str, Any]]:
        """The limits that are set, with their names."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None:
                yield name, value

    @property
    def no_network(self) -> bool:
        """No connection may be made at all."""
        return self.connections == 0 or self.network == ()

    @property
    def need_isolation(self) -> bool:
        """Only a process of its own can be held to them."""
        return any(name != "tool_invocations" for name, _ in self.given())


NO_LIMITS = Limits()


def limits_of(given: Limits | Mapping[str, Any] | None) -> Limits:
    """Limits by name, as users write them: sizes as ``512MB`` or ``1GiB``, times as ``90s``, or plain numbers.

    Raises:
        InvalidInputError: there is no such limit, or it cannot be that.
    """
    if given is None:
        return NO_LIMITS
    if isinstance(given, Limits):
        return given
    read: dict[str, Any] = {}
    for name, value in given.items():
        if name not in Limits.__struct_fields__:
            known = Limits.__struct_fields__
            has = did_you_mean(name, known) or f"; there are {', '.join(known)}"
            raise InvalidInputError(f"limits: there is no limit {name!r}{has}")
        read[name] = _read(name, value)
    try:
        return msgspec.convert(read, Limits)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"limits: {error}") from None


def _read(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        raise InvalidInputError(f"limits: {name} is {value}; it has to be a number")
    if name.endswith(("_bytes", "_s")) and isinstance(value, str):
        number = bytes_of(value) if name.endswith("_bytes") else seconds_of(value)
        if isinstance(number, str):
            shown = "bytes, or a size like 512MB or 1GiB" if name.endswith("_bytes") else "seconds, or 90s or 5m"
            raise InvalidInputError(f"limits: {name} is {value!r}; write {shown}")
        return number
    if name in _WHOLE and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
