"""Where a step may connect to: what the user wrote, compared with what a socket is given.

A name is looked up by the supervisor, with the machine's own resolver (``getaddrinfo``), when the step first
asks for an address that is not known yet, and again, not more than once a second, when another one is asked
for. What a name has once stood for is allowed until the step ends, because the step may have looked it up
before. A name with very many addresses, of which each answer shows a few, can so be refused at times.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock

from clew.errors import InvalidInputError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: A name is not looked up again sooner than this, in seconds.
_LOOK_AGAIN_S = 1.0
_RESOLVERS = "/etc/resolv.conf"
_DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Target:
    """One entry of an allow-list: a network or a name, and a port or None for all."""

    network: Network | None
    name: str
    port: int | None


def target(text: str) -> Target:
    """Read an entry like ``host``, ``host:443``, ``10.0.0.0/8``, ``10.0.0.1:80``, ``::1`` or ``[::1]:80``.

    Raises:
        InvalidInputError: it is none.
    """
    host, port = text.strip(), ""
    if host.startswith("["):
        host, _, rest = host[1:].partition("]")
        if rest and not rest.startswith(":"):
            raise _unclear(text)
        port = rest[1:]
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    number = None
    if port:
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
            raise _unclear(text)
        number = int(port)
    try:
        return Target(ipaddress.ip_network(host, strict=False), "", number)
    except ValueError:
        pass
    if not host or not all(each.isalnum() or each in "-._" for each in host) or host.replace(".", "").isdigit():
        raise _unclear(text)
    return Target(None, host.rstrip("."), number)


def _unclear(text: str) -> InvalidInputError:
    return InvalidInputError(
        f"limits: network: {text!r} is no destination; write a name, an address or a network, with or without a "
        "port: api.example.com:443, 10.0.0.0/8, [::1]:8080"
    )


def resolvers(path: str = _RESOLVERS) -> frozenset[Address]:
    """The name servers of this machine."""
    found: set[Address] = set()
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - imported by each keeper
            lines = file.read().splitlines()
    except OSError:
        lines = []
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                found.add(_plain(ipaddress.ip_address(words[1].partition("%")[0])))
            except ValueError:
                continue
    return frozenset(found or {ipaddress.ip_address("127.0.0.1")})  # what resolv.conf(5) says is then used


def look_up(name: str) -> set[Address]:
    """The addresses of a name, by the machine's resolver; may take long. None if it is not known."""
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {_plain(ipaddress.ip_address(str(each[4][0]).partition("%")[0])) for each in answers}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of the internet and a port."""

    address: Address
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


def endpoint(raw: bytes) -> Endpoint | None:
    """What a `struct sockaddr` names; None if it is none of the internet, or too short for one."""
    family = family_of(raw)
    if family == socket.AF_INET and len(raw) >= 8:
        (port,) = struct.unpack_from("!H", raw, 2)
        return Endpoint(_meant(ipaddress.IPv4Address(raw[4:8])), port)
    if family == socket.AF_INET6 and len(raw) >= 24:
        (port,) = struct.unpack_from("!H", raw, 2)
        return Endpoint(_meant(_plain(ipaddress.IPv6Address(raw[8:24]))), port)
    return None


def family_of(raw: bytes) -> int:
    """The family of a `struct sockaddr`; AF_UNSPEC if it is too short to say."""
    return int.from_bytes(raw[:2], "little") if len(raw) >= 2 else socket.AF_UNSPEC


def _plain(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _meant(address: Address) -> Address:
    """Connecting to the unspecified address reaches this machine."""
    if not address.is_unspecified:
        return address
    return ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")


class Rules:
    """Decides where a step may connect to. Used by several threads.

    Args:
        network: the allow-list; None allows all.
        connections: how many stream connections; None is any number.
        find: looks a name up; another one in tests.
    """

    def __init__(
        self,
        network: Iterable[str] | None,
        connections: int | None,
        find: Callable[[str], set[Address]] = look_up,
    ) -> None:
        self._targets = None if network is None else [target(each) for each in network]
        self._connections = connections
        self._find = find
        self._names = {each.name: _Name() for each in self._targets or () if each.name}
        by_name = self._targets is None or any(each.name for each in self._targets)
        #: who may be asked for names; nobody if there are no names to ask for
        self._resolvers = resolvers() if by_name else frozenset[Address]()

    def refusal(self, wanted: Endpoint, *, stream: bool) -> str:
        """Why there may be no connection or message to an address; empty if there may be one.

        With a number of connections and no allow-list, messages that need no connection go to the name servers
        only, because they could not be counted.
        """
        if self.is_resolver(wanted):
            return ""
        if self._targets is None:
            if self._connections is not None and not stream:
                return "with a limit on connections, datagrams go to the name servers only"
            return ""
        if any(self._fits(each, wanted) for each in self._targets if each.network is not None):
            return ""
        if any(self._fits_name(each, wanted) for each in self._targets if each.network is None):
            return ""
        return "limits.network does not allow it"

    def is_resolver(self, wanted: Endpoint) -> bool:
        """Whether it is a name server; asking it counts as no connection."""
        return wanted.port == _DNS_PORT and wanted.address in self._resolvers

    @staticmethod
    def _fits(entry: Target, wanted: Endpoint) -> bool:
        if entry.network is None or entry.port not in {None, wanted.port}:
            return False
        return wanted.address.version == entry.network.version and wanted.address in entry.network

    def _fits_name(self, entry: Target, wanted: Endpoint) -> bool:
        if entry.port not in {None, wanted.port}:
            return False
        name = self._names[entry.name]
        with name.lock:  # whoever asks meanwhile waits for the same answer
            if wanted.address not in name.addresses and time.monotonic() >= name.next_look:
                name.addresses |= self._find(entry.name)
                name.next_look = time.monotonic() + _LOOK_AGAIN_S
            return wanted.address in name.addresses


class _Name:
    """What is known about a name."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.addresses: set[Address] = set()
        self.next_look = 0.0
