"""A seccomp filter that puts some of a step's system calls before its supervisor, see seccomp(2).

The filter is a program of the classic Berkeley packet filter that the kernel runs at each system call of the
step, in all of its processes. It sees numbers only, so what depends on memory (an address, a message) is asked
of the supervisor (`supervisor`), and decided here is:

- ``io_uring`` is not there (ENOSYS), because it makes connections without such calls;
- system calls of another architecture (32-bit programs) end the process; those of x32 are not there;
- which kinds of sockets there are, if the network is limited.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from collections.abc import Iterator
from typing import Literal

import msgspec

from clew.workers.isolation.system_calls import (
    FILTER_FLAG_NEW_LISTENER,
    FILTER_FLAG_WAIT_KILLABLE_RECV,
    PIDFD_GETFD,
    SECCOMP_SET_MODE_FILTER,
    Numbers,
    numbers,
    system_call,
)

_ALLOW = 0x7FFF_0000
_NOTIFY = 0x7FC0_0000
_ERRNO = 0x0005_0000
_KILL = 0x8000_0000

_LOAD, _MASK, _RETURN = 0x20, 0x54, 0x06  # ld absolute word; and; ret
_EQUAL, _AT_LEAST, _ANY_BIT = 0x15, 0x35, 0x45  # jump if ==, >=, &

#: Offsets in `struct seccomp_data`.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32 = 0x4000_0000
_CLONE_THREAD = 0x0001_0000

#: Protocols of sockets whose destination a supervisor understands: the default, TCP, UDP, MPTCP.
_PROTOCOLS = (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP, 262)

_IPV6_OLD_OPTIONS = 6  # IPV6_2292PKTOPTIONS, which may hold a routing header

Sockets = Literal["any", "guarded", "no network"]


class Filter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a filter does.

    Attributes:
        sockets: ``guarded``: those to the internet, and local ones; ``no network``: local ones only.
        notify_connect: the supervisor is asked about connections.
        notify_sending: it is asked about each message that may name its destination, too.
        notify_forking: it is asked for each process that is to be made.
        no_programs: no program can be started.
        keep_affinity: a process cannot choose its processors.
        keep_apart: processes cannot reach into others, because Landlock is not there to keep them from it.
    """

    sockets: Sockets = "any"
    notify_connect: bool = False
    notify_sending: bool = False
    notify_forking: bool = False
    no_programs: bool = False
    keep_affinity: bool = False
    keep_apart: bool = False

    @property
    def listens(self) -> bool:
        """A supervisor is needed."""
        return self.notify_connect or self.notify_sending or self.notify_forking


def install(wanted: Filter) -> int | None:
    """Install a filter for this process, which has set `no_new_privs` and has one thread, and all it starts.

    Returns:
        The descriptor at which the supervisor is asked; None if it is not.

    Raises:
        OSError: the kernel refuses it.
    """
    text = program(wanted)
    code = ctypes.create_string_buffer(text, len(text))
    header = struct.pack("HxxxxxxP", len(text) // 8, ctypes.addressof(code))
    buffer = ctypes.create_string_buffer(header, len(header))
    if not wanted.listens:
        system_call("seccomp", numbers().seccomp, SECCOMP_SET_MODE_FILTER, 0, buffer)
        return None
    flags = FILTER_FLAG_NEW_LISTENER | FILTER_FLAG_WAIT_KILLABLE_RECV
    try:
        return system_call("seccomp", numbers().seccomp, SECCOMP_SET_MODE_FILTER, flags, buffer)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    flags = FILTER_FLAG_NEW_LISTENER  # before Linux 5.19
    return system_call("seccomp", numbers().seccomp, SECCOMP_SET_MODE_FILTER, flags, buffer)


def program(wanted: Filter) -> bytes:
    """The filter as the kernel reads it: eight bytes for each instruction."""
    code = _Code()
    known = numbers()
    code.load(_ARCHITECTURE)
    code.jump(_EQUAL, known.audit, otherwise="other architecture")
    code.load(_NUMBER)
    code.jump(_AT_LEAST, _X32, then="missing")
    code.jump(_EQUAL, known.io_uring_setup, then="missing")
    code.jump(_EQUAL, known.seccomp, then="seccomp")
    if wanted.notify_connect:
        code.jump(_EQUAL, known.connect, then="ask")
    if wanted.notify_sending:
        code.jump(_EQUAL, known.sendmsg, then="ask")
        code.jump(_EQUAL, known.sendmmsg, then="ask")
        code.jump(_EQUAL, known.sendto, then="sendto")
    if wanted.notify_forking:
        code.jump(_EQUAL, known.clone, then="clone")
        for number in known.forks:
            code.jump(_EQUAL, number, then="ask")
    if wanted.sockets != "any":
        code.jump(_EQUAL, known.socket, then="socket")
        code.jump(_EQUAL, known.setsockopt, then="setsockopt")
    for number, result in _refused(wanted, known):
        code.jump(_EQUAL, number, then=result)
    code.give(_ALLOW)
    # A process that could answer its own notifications, or those of its children, would need no supervisor.
    code.label("seccomp")
    code.load_argument(0)
    code.jump(_EQUAL, SECCOMP_SET_MODE_FILTER, otherwise="allow")
    code.load_argument(1)
    code.jump(_ANY_BIT, FILTER_FLAG_NEW_LISTENER, then="busy", otherwise="allow")
    if wanted.notify_sending:
        # Without an address it goes where the socket is connected to.
        code.label("sendto")
        code.load_argument(4)
        code.jump(_EQUAL, 0, otherwise="ask")
        code.load_argument(4, upper=True)
        code.jump(_EQUAL, 0, then="allow", otherwise="ask")
    if wanted.notify_forking:
        code.label("clone")
        code.load_argument(0)
        code.jump(_ANY_BIT, _CLONE_THREAD, then="allow", otherwise="ask")
    if wanted.sockets != "any":
        _sockets(code, guarded=wanted.sockets == "guarded")
    code.ends(
        {
            "allow": _ALLOW,
            "ask": _NOTIFY,
            "missing": _ERRNO | errno.ENOSYS,
            "busy": _ERRNO | errno.EBUSY,
            "not permitted": _ERRNO | errno.EPERM,
            "refused": _ERRNO | errno.EACCES,
            "other architecture": _KILL,
        }
    )
    return code.assembled()


def _refused(wanted: Filter, known: Numbers) -> Iterator[tuple[int, str]]:
    """The system calls that are refused whatever they are given, and how."""
    if wanted.no_programs:
        yield from ((number, "refused") for number in known.execs)
    if wanted.keep_affinity:
        yield known.sched_setaffinity, "not permitted"
    if wanted.keep_apart:
        yield from ((number, "not permitted") for number in (known.ptrace, known.process_vm_writev, PIDFD_GETFD))


def _sockets(code: _Code, *, guarded: bool) -> None:
    # Source routes would send what is meant for an allowed address to another one first.
    code.label("setsockopt")
    code.load_argument(1)
    code.jump(_EQUAL, socket.IPPROTO_IP, then="options of IPv4")
    code.jump(_EQUAL, socket.IPPROTO_IPV6, otherwise="allow")
    code.load_argument(2)
    code.jump(_EQUAL, socket.IPV6_RTHDR, then="not permitted")
    code.jump(_EQUAL, _IPV6_OLD_OPTIONS, then="not permitted", otherwise="allow")
    code.label("options of IPv4")
    code.load_argument(2)
    code.jump(_EQUAL, socket.IP_OPTIONS, then="not permitted", otherwise="allow")
    code.label("socket")
    code.load_argument(0)
    code.jump(_EQUAL, socket.AF_UNIX, then="allow")
    if not guarded:
        code.give(_ERRNO | errno.EACCES)
        return
    code.jump(_EQUAL, socket.AF_INET, then="internet")
    code.jump(_EQUAL, socket.AF_INET6, then="internet")
    code.jump(_EQUAL, 16, otherwise="refused")  # AF_NETLINK: name resolution asks for the machine's addresses
    code.load_argument(2)
    code.jump(_EQUAL, 0, then="allow", otherwise="refused")  # NETLINK_ROUTE
    code.label("internet")
    code.load_argument(1)
    code.mask(0xF)
    code.jump(_EQUAL, socket.SOCK_STREAM, then="protocol")
    code.jump(_EQUAL, socket.SOCK_DGRAM, then="protocol", otherwise="refused")
    code.label("protocol")
    code.load_argument(2)
    for number in _PROTOCOLS:
        code.jump(_EQUAL, number, then="allow")
    code.give(_ERRNO | errno.EACCES)


class _Code:
    """Instructions, and labels to jump to; an empty label is the next instruction."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, int, str, str]] = []
        self._labels: dict[str, int] = {}

    def load(self, offset: int) -> None:
        self._lines.append((_LOAD, offset, "", ""))

    def load_argument(self, index: int, *, upper: bool = False) -> None:
        """Load half of an argument; the machines that are known are little-endian."""
        self.load(_ARGUMENTS + 8 * index + 4 * upper)

    def mask(self, bits: int) -> None:
        self._lines.append((_MASK, bits, "", ""))

    def give(self, result: int) -> None:
        self._lines.append((_RETURN, result, "", ""))

    def jump(self, test: int, value: int, *, then: str = "", otherwise: str = "") -> None:
        self._lines.append((test, value, then, otherwise))

    def label(self, name: str) -> None:
        self._labels[name] = len(self._lines)

    def ends(self, results: dict[str, int]) -> None:
        """The last instructions: a result for each label."""
        for name, result in results.items():
            self.label(name)
            self.give(result)

    def assembled(self) -> bytes:
        parts: list[bytes] = []
        for place, (code, value, then, otherwise) in enumerate(self._lines):
            steps = [self._labels[name] - place - 1 if name else 0 for name in (then, otherwise)]
            parts.append(struct.pack("=HBBI", code, *steps, value))
        return b"".join(parts)
