"""System calls that wait for an answer: seccomp_unotify(2), as the supervisor sees it.

The process that made a call (the target) is held in it until it is answered. It may end meanwhile, and its
number be given to another; so whatever was read of it counts only if the call is still waiting afterwards
(`Call.check`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct

from clew.workers.isolation.system_calls import (
    SECCOMP_GET_NOTIF_SIZES,
    numbers,
    read_memory,
    request,
    system_call,
    take_descriptor,
    write_memory,
)

_RECEIVE, _SEND, _IS_VALID = 0, 1, 2
_READ_WRITE, _WRITE = 3, 1
_CONTINUE = 1
#: `struct seccomp_notif`: id, pid, flags; `struct seccomp_data`: number, architecture, pointer, six arguments.
_CALL = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")


def _ioctl(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("!") << 8 | number


class Call:
    """A system call that waits for its answer.

    Attributes:
        number: which one.
        arguments: six numbers.
        thread: who made it.
    """

    def __init__(self, listener: Listener, raw: bytes) -> None:
        self._listener = listener
        self.id, self.thread, _, self.number, _, _, *arguments = _CALL.unpack_from(raw)
        self.arguments: list[int] = arguments

    def read(self, address: int, size: int) -> bytes:
        """Memory of the target; raises OSError, also if it ends before `size`."""
        data = read_memory(self.thread, address, size)
        if len(data) < size:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        return data

    def write(self, address: int, data: bytes) -> None:
        """Write into the target's memory; raises OSError."""
        self.check()
        write_memory(self.thread, address, data)

    def take(self, descriptor: int) -> int:
        """A duplicate of a descriptor of the target; raises OSError."""
        pidfd = os.pidfd_open(self._process())
        try:
            self.check()
            return take_descriptor(pidfd, descriptor)
        finally:
            os.close(pidfd)

    def check(self) -> None:
        """Raise OSError if nobody waits for the answer any more."""
        self._listener.check(self.id)

    def answer(self, value: int = 0, error: int = 0) -> None:
        """Let the call return `value`, or fail with the number `error`; it is not made."""
        self._listener.send(_ANSWER.pack(self.id, value, -error, 0))

    def let_go(self) -> None:
        """Let the call be made by the target. It may have changed its arguments by now."""
        self._listener.send(_ANSWER.pack(self.id, 0, 0, _CONTINUE))

    def _process(self) -> int:
        with open(f"/proc/{self.thread}/status", "rb") as file:  # noqa: PTH123 - no path is needed for it
            for line in file:
                if line.startswith(b"Tgid:"):
                    return int(line[5:])
        raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))


class Listener:
    """The descriptor at which calls are announced.

    Args:
        descriptor: what `filters.install` gave; closed with the process.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        sizes = ctypes.create_string_buffer(6)
        system_call("seccomp", numbers().seccomp, SECCOMP_GET_NOTIF_SIZES, 0, sizes)
        self._waiting = select.poll()
        self._waiting.register(descriptor, select.POLLIN)
        self._call_size, self._answer_size, _ = struct.unpack("=HHH", sizes.raw)

    def receive(self) -> Call | None:
        """The next call; waits for one. None if it has vanished meanwhile.

        Raises:
            EOFError: nobody is left who could make one.
        """
        for _, events in self._waiting.poll():
            if not events & select.POLLIN:
                raise EOFError
        buffer = ctypes.create_string_buffer(self._call_size)
        try:
            # The size that counts is that of the structure as it was first published.
            request(self._descriptor, _ioctl(_READ_WRITE, _RECEIVE, _CALL.size), buffer)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINTR}:
                return None
            raise
        return Call(self, buffer.raw)

    def check(self, identity: int) -> None:
        """Raise OSError if the call does not wait any more."""
        data = struct.pack("=Q", identity)
        request(self._descriptor, _ioctl(_WRITE, _IS_VALID, 8), ctypes.create_string_buffer(data, 8))

    def send(self, answer: bytes) -> None:
        """Answer; nothing happens if the target has ended."""
        buffer = ctypes.create_string_buffer(answer, max(len(answer), self._answer_size))
        try:
            request(self._descriptor, _ioctl(_READ_WRITE, _SEND, _ANSWER.size), buffer)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
