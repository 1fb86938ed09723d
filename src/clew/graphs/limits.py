"""What a step of a run may use, as data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from clew.errors import InvalidInputError


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step may use, all of its processes together; None is no limit.

    Attributes:
        memory_bytes: memory at any one time, in bytes.
        cpu_s: processor time, in seconds: two processes that work for a second use two.
        cores: processors at once; 0.5 is half of one.
        processes: processes (and, where a cgroup counts them, threads) at any one time.
        disk_bytes: bytes that are used under the working folder, also by what was there before.
        wall_s: time from start to end, in seconds.
        connections: stream connections that are made; 0 is no network.
        network: where connections may go: names or addresses with or without a port, and networks, e.g.
            ``api.example.com:443``, ``10.0.0.0/8``, ``[::1]:8080``. An empty tuple is no network at all.

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

    def __post_init__(self) -> None:
        for name, value in self.given():
            # No float is good for all; `not >` refuses NaN as well.
            if name == "connections" and not value >= 0:
                raise InvalidInputError(f"limits: {name} is {value}; it is 0 (no network) or more")
            if name not in {"connections", "network"} and not value > 0:
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
