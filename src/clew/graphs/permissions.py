"""What a tool, or a step, may do."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from clew.errors import InvalidInputError
from clew.graphs.names import did_you_mean, listed


class Permissions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a tool, or a step, may do. None is no restriction; an empty tuple is nothing.

    Attributes:
        read: folders and files that it may read.
        write: folders and files that it may change.
        network: where it may connect to: hosts with or without a port, networks.
        shell: it may start programs.
    """

    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None
    network: tuple[str, ...] | None = ()
    shell: bool = False


#: The permissions that name places.
PLACES = ("read", "write", "network")


def permissions_of(given: Mapping[str, Any], base: Permissions) -> Permissions:
    """Permissions as people write them: lists of places, and whether programs may be started.

    Args:
        given: by name.
        base: what holds where nothing is said.

    Raises:
        InvalidInputError: there is no such permission, or it cannot be that.
    """
    if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"is a mapping with read, write, network and shell, not {given!r:.60}")
    changes: dict[str, Any] = {}
    for name, value in given.items():
        known = (*PLACES, "shell")
        if name not in known:
            has = did_you_mean(str(name), known) or f"; there are {listed(known, last='and')}"
            raise InvalidInputError(f"there is no permission {name!r}{has}")
        changes[name] = _flag(value) if name == "shell" else _listed(name, value)
    return msgspec.structs.replace(base, **changes)


def narrowed_permissions(tool: str, has: Permissions, wants: Mapping[str, Any]) -> Permissions:
    """The permissions of a tool with less of them.

    Args:
        tool: its name.
        has: what it may do.
        wants: what it is to be allowed, by field; what is not named stays.

    Raises:
        InvalidInputError: it would be allowed more than the tool has.
    """
    asked = msgspec.structs.replace(has, **wants)
    for field, place in excess(has, asked):
        if field == "shell":
            raise InvalidInputError(f"the tool {tool} may not start programs, and so a step of it may not either")
        some = listed_places(getattr(has, field))
        raise InvalidInputError(
            f"{field}: {place} is more than the tool {tool} may do, which is {some}; name places inside of that, "
            f"or give the tool itself more by tool({field}=[...])"
        )
    return asked


def excess(has: Permissions, wants: Permissions) -> Iterator[tuple[str, str]]:
    """What of some permissions is not in others, as (field, place)."""
    for field in ("read", "write"):
        for place in _beyond(getattr(has, field), getattr(wants, field)):
            readable = field == "read" and has.write is not None and not list(_beyond(has.write, (place,)))
            if not readable:
                yield field, place
    if has.network is not None:
        if wants.network is None:
            yield "network", "everywhere"
        for host in wants.network or ():
            if host not in has.network and host.rpartition(":")[0] not in has.network:
                yield "network", host
    if wants.shell and not has.shell:
        yield "shell", "programs"


def may_connect(network: tuple[str, ...] | None, host: str, port: int) -> bool:
    """Whether a list of destinations has a host, which is told as there: by its name or by its address."""
    if network is None:
        return True
    host = host.lower().strip("[]")
    for each in network:
        place = each.lower()
        if place in {host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"}:
            return True
        with contextlib.suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(place, strict=False):
                return True
    return False


def listed_places(places: tuple[str, ...] | None) -> str:
    """Places in a sentence."""
    return "everything" if places is None else ", ".join(places) or "nothing"


def _beyond(has: tuple[str, ...] | None, wants: tuple[str, ...] | None) -> Iterator[str]:
    if has is None:
        return
    if wants is None:
        yield "everything"
        return
    roots = [os.path.normpath(each) for each in has]
    for place in wants:
        path = os.path.normpath(place)
        if not any((root == "." and not path.startswith(("..", "/"))) or _below(path, root) for root in roots):
            yield place


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root.rstrip('/')}/")


def _listed(name: str, value: Any) -> tuple[str, ...]:
    places = cast("list[Any]", value if isinstance(value, list | tuple) else [None])
    if not all(isinstance(place, str) for place in places):
        raise InvalidInputError(f"{name} is a list of places, not {value!r:.60}")
    return tuple(places)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInputError(f"shell is true or false, not {value!r:.60}")
    return value
