"""Messages that a step wants to send, copied from its memory (sendto(2), sendmsg(2), sendmmsg(2)).

What goes with a message (ancillary data) is passed on as far as it cannot change where the message goes:
descriptors on local sockets, and a few options of datagrams.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

from clew.workers.isolation.notifications import Call
from clew.workers.isolation.system_calls import send_message

FAST_OPEN = 0x2000_0000  #: MSG_FASTOPEN: connect by sending

_NO_SIGNAL = 0x4000  # MSG_NOSIGNAL: a broken pipe is the step's, not ours
_MAX_ADDRESS = 128
_MAX_DATA = 1 << 20
_MAX_PIECES = 1_024  # UIO_MAXIOV
_MAX_CONTROL = 1 << 16
_MAX_MESSAGES = 1_024

_HEADER = struct.Struct("=QIxxxxQQQQixxxx")  # struct msghdr on 64-bit machines
_CONTROL = struct.Struct("=Qii")  # struct cmsghdr
_HEADERS_STEP = _HEADER.size + 8  # struct mmsghdr

#: (level, type) of what may go with a datagram: TOS, TTL, PKTINFO; the same of IPv6; UDP_SEGMENT.
_HARMLESS = frozenset({(0, 1), (0, 2), (0, 8), (41, 67), (41, 52), (41, 50), (17, 103)})


class Sent:
    """One message: its destination (empty if it has none), its data and what goes with it."""

    def __init__(self, address: bytes, data: bytes, control: bytes, *, cut: bool) -> None:
        self.address = address
        self._data = data
        self._control = control
        self._cut = cut  #: there was more than is copied at once

    @classmethod
    def to(cls, call: Call) -> Sent:
        """The message of a call of sendto(2)."""
        _, at, size, _, address_at, address_size = call.arguments
        data = call.read(at, min(size, _MAX_DATA))
        return cls(_address(call, address_at, address_size & 0xFFFF_FFFF), data, b"", cut=size > _MAX_DATA)

    def send(self, call: Call, descriptor: int, domain: int, address: bytes, flags: int) -> int:
        """Send it; return how many bytes were. Raises OSError."""
        with socket.socket(fileno=os.dup(descriptor)) as known:
            if self._cut and known.type != socket.SOCK_STREAM:
                raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        taken: list[int] = []
        try:
            control = b"".join(_passed_on(call, self._control, domain, taken))
            call.check()
            return send_message(descriptor, self._data, address, control, (flags & 0xFFFF_FFFF) | _NO_SIGNAL)
        finally:
            for each in taken:
                os.close(each)


def message_at(call: Call, at: int) -> Sent:
    """The message that a `struct msghdr` describes."""
    header = _HEADER.unpack(call.read(at, _HEADER.size))
    address_at, address_size, pieces_at, pieces, control_at, control_size, _ = header
    if pieces > _MAX_PIECES or control_size > _MAX_CONTROL:
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
    parts: list[bytes] = []
    room = _MAX_DATA
    cut = False
    for piece_at, size in struct.iter_unpack("=QQ", call.read(pieces_at, 16 * pieces)):
        cut = cut or size > room
        parts.append(call.read(piece_at, min(size, room)))
        room -= len(parts[-1])
    address = _address(call, address_at, address_size) if address_at else b""
    control = call.read(control_at, control_size) if control_at else b""
    return Sent(address, b"".join(parts), control, cut=cut)


def messages_at(call: Call, at: int, count: int) -> Iterator[tuple[Sent, int]]:
    """The messages of a call of sendmmsg(2), one by one, each with where its length is to be written."""
    for number in range(min(count & 0xFFFF_FFFF, _MAX_MESSAGES)):
        start = at + number * _HEADERS_STEP
        yield message_at(call, start), start + _HEADER.size


def _address(call: Call, at: int, size: int) -> bytes:
    if size > _MAX_ADDRESS:
        raise OSError(errno.EINVAL, "an address of this size is none")
    return call.read(at, size)


def _passed_on(call: Call, control: bytes, domain: int, taken: list[int]) -> Iterator[bytes]:
    """Ancillary data as it can be sent from here; descriptors that were taken for it are added to `taken`."""
    at = 0
    while at + _CONTROL.size <= len(control):
        size, level, kind = _CONTROL.unpack_from(control, at)
        data = control[at + _CONTROL.size : at + size]
        if size < _CONTROL.size or at + size > len(control):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if domain == socket.AF_UNIX:
            # Who the sender is (SCM_CREDENTIALS) could only be said of ourselves.
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                first = len(taken)
                for (number,) in struct.iter_unpack("=i", data[: len(data) // 4 * 4]):
                    taken.append(call.take(number))
                yield _ancillary(level, kind, struct.pack(f"={len(taken) - first}i", *taken[first:]))
        elif (level, kind) in _HARMLESS:
            yield _ancillary(level, kind, data)
        else:
            raise OSError(errno.EPERM, "ancillary data that might lead elsewhere")
        at += (size + 7) // 8 * 8


def _ancillary(level: int, kind: int, data: bytes) -> bytes:
    padding = b"\0" * (-len(data) % 8)
    return _CONTROL.pack(_CONTROL.size + len(data), level, kind) + data + padding
