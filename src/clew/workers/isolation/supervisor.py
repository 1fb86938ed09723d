"""Decides about the connections of a step, and makes them in its place; and about its processes, if need be.

A step's call of connect(2), and of what sends to an address, is held until it is answered here (`filters`,
`notifications`). Letting it go on after a look at its arguments would be no check: another thread of the step
can exchange the address, or the socket behind the number, between the look and the use. So the arguments are
copied, the socket is duplicated, the decision is made on the copies, and the call is made here with just these;
the step only gets the result. What is merely counted is let go on, and so is what makes a process: of that no
argument matters.

What a peer on a local socket learns about the sender (SO_PEERCRED) is then the supervisor's process number.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from threading import Lock, Thread

from clew.workers.isolation.addresses import Endpoint, Rules, endpoint, family_of
from clew.workers.isolation.messages import FAST_OPEN, Sent, message_at, messages_at
from clew.workers.isolation.notifications import Call, Listener
from clew.workers.isolation.system_calls import connect_socket, numbers

#: Calls that may wait for the network at once; more wait for one of these.
_MAX_THREADS = 64
#: What is refused is told so often.
_MAX_TOLD = 20
#: Sockets that are remembered, so that asking again for the same connection is not counted twice.
_MAX_KNOWN = 65_536
_MAX_ADDRESS = 128  #: bytes of a `struct sockaddr_storage`


class Supervisor:
    """Answers the calls of one step, in threads of its own.

    Args:
        listener: where they are announced.
        rules: where it may connect to.
        connections: how many stream connections it may make; None is any number.
        write_roots: where local sockets may lie; None is everywhere.
        guards: decide, and make the calls here; else they are only counted.
        network_limited: only sockets of the internet and local ones are understood, and others refused.
        on_over: told how many connections were asked for when that is one too many.
        may_start: whether one more process may be made; None if that is not asked.

    Attributes:
        made: stream connections that were let through.
        refused: sentences about what was not, the first few.
        fault: what went wrong in here, as a traceback; empty if nothing did.
    """

    def __init__(
        self,
        listener: Listener,
        rules: Rules,
        *,
        connections: int | None,
        write_roots: Sequence[str] | None,
        guards: bool,
        network_limited: bool,
        on_over: Callable[[int], None],
        may_start: Callable[[], bool] | None = None,
    ) -> None:
        self._listener = listener
        self._rules = rules
        self._connections = connections
        self._roots = write_roots
        self._guards = guards
        self._network_limited = network_limited
        self._on_over = on_over
        self._may_start = may_start
        self.made = 0
        self.refused: list[str] = []
        self.fault = ""
        self._counted: set[tuple[int, Endpoint]] = set()
        self._lock = Lock()
        self._calls: SimpleQueue[Call] = SimpleQueue()
        self._threads = 0
        self._idle = 0

    def start(self) -> None:
        """Begin to answer; ends with the process."""
        Thread(target=self._receive, name="clew-notifications", daemon=True).start()

    def _receive(self) -> None:
        while True:
            try:
                call = self._listener.receive()
            except EOFError:
                return
            except OSError as error:
                self.fault = f"notifications ended: {error}"
                return
            if call is None:
                continue
            if self._makes_process(call):
                self._let_start(call)  # at once: it must not wait for calls that wait for the network
                continue
            with self._lock:
                if not self._idle and self._threads < _MAX_THREADS:
                    self._threads += 1
                    Thread(target=self._work, name="clew-calls", daemon=True).start()
                else:
                    self._idle -= bool(self._idle)
            self._calls.put(call)

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            number = errno.EACCES
            try:
                self._answer(call)
                number = 0
            except OSError as error:
                number = error.errno or number
            except Exception as error:  # a fault of ours must not hold the step for ever
                import traceback  # noqa: PLC0415 - for a failure only

                self.fault = "".join(traceback.format_exception(error))
            if number:
                call.answer(error=number)
            with self._lock:
                self._idle += 1

    def _answer(self, call: Call) -> None:
        known = numbers()
        if call.number == known.connect:
            self._connect(call)
        elif call.number == known.sendmmsg:
            messages = messages_at(call, call.arguments[1], call.arguments[2])
            self._send_many(call, messages)
        else:
            sent = Sent.to(call) if call.number == known.sendto else message_at(call, call.arguments[1])
            flags = call.arguments[3] if call.number == known.sendto else call.arguments[2]
            with _Socket(call, call.arguments[0]) as taken:
                call.answer(self._send(call, taken, sent, flags))

    @staticmethod
    def _makes_process(call: Call) -> bool:
        known = numbers()
        return call.number == known.clone or call.number in known.forks

    def _let_start(self, call: Call) -> None:
        if self._may_start is None or self._may_start():
            call.let_go()
        else:
            call.answer(error=errno.EAGAIN)

    # Connections ------------------------------------------------------------------------------------

    def _connect(self, call: Call) -> None:
        size = call.arguments[2] & 0xFFFF_FFFF
        if size > _MAX_ADDRESS:
            raise OSError(errno.EINVAL, "an address of this size is none")
        raw = call.read(call.arguments[1], size)
        with _Socket(call, call.arguments[0]) as taken:
            wanted = endpoint(raw)
            if not self._guards:
                self._count(taken, wanted)
                call.let_go()
                return
            if wanted is not None:
                self._permit(taken, wanted)
                connect_socket(taken.descriptor, raw)
            elif family_of(raw) == socket.AF_UNIX:
                with _Local(call, raw, self._permit_local) as local:
                    connect_socket(taken.descriptor, local.address)
            elif family_of(raw) == socket.AF_UNSPEC:
                self._forget(taken)
                connect_socket(taken.descriptor, raw)
            elif self._network_limited and family_of(raw) != _NETLINK:
                raise OSError(errno.EACCES, "a kind of address that is not understood")
            else:
                connect_socket(taken.descriptor, raw)
        call.answer()

    def _permit(self, taken: _Socket, wanted: Endpoint) -> None:
        """Raise OSError if a connection, or a message, may not go there; count it if it is a connection."""
        why = self._rules.refusal(wanted, stream=taken.is_stream)
        if why:
            kind = "connection" if taken.is_stream else "datagram"
            self._tell(f"{kind} to {wanted}: {why}")
            raise OSError(errno.EACCES, why)
        self._count(taken, wanted)

    def _count(self, taken: _Socket, wanted: Endpoint | None) -> None:
        if wanted is None or not taken.is_stream or self._rules.is_resolver(wanted):
            return
        key = (taken.identity, wanted)
        with self._lock:
            if key in self._counted:
                return
            if self._connections is not None and self.made >= self._connections:
                asked = self.made + 1
            else:
                asked = 0
                self.made += 1
                if len(self._counted) >= _MAX_KNOWN:
                    self._counted.clear()
                self._counted.add(key)
        if asked and self._guards:
            self._tell(f"connection to {wanted}: it is one more than limits.connections allows")
            self._on_over(asked)
            raise OSError(errno.EACCES, "one connection too many")

    def _forget(self, taken: _Socket) -> None:
        """A socket is disconnected: its next connection is another one."""
        with self._lock:
            self._counted = {key for key in self._counted if key[0] != taken.identity}

    def _permit_local(self, path: str) -> None:
        """Raise OSError if a local socket may not be used; `path` is empty for an abstract one."""
        if not path:
            if self._roots is not None or self._network_limited:
                self._tell("connection to an abstract local socket: only those with a path can be told apart")
                raise OSError(errno.EACCES, "an abstract socket")
            return
        if self._roots is not None and not any(_beneath(path, root) for root in self._roots):
            self._tell(f"connection to the local socket {path}: it lies outside of the write roots")
            raise OSError(errno.EACCES, "outside of the write roots")

    def _tell(self, what: str) -> None:
        with self._lock:
            if len(self.refused) < _MAX_TOLD and what not in self.refused:
                self.refused.append(what)

    # Messages ---------------------------------------------------------------------------------------

    def _send_many(self, call: Call, messages: Iterable[tuple[Sent, int]]) -> None:
        done = 0
        with _Socket(call, call.arguments[0]) as taken:
            for sent, length_at in messages:
                try:
                    count = self._send(call, taken, sent, call.arguments[3])
                except OSError:
                    if not done:
                        raise
                    break
                call.write(length_at, count.to_bytes(4, "little"))
                done += 1
        call.answer(done)

    def _send(self, call: Call, taken: _Socket, sent: Sent, flags: int) -> int:
        family = family_of(sent.address)
        if family == socket.AF_UNIX and taken.domain == socket.AF_UNIX:
            with _Local(call, sent.address, self._permit_local) as local:
                return sent.send(call, taken.descriptor, taken.domain, local.address, flags)
        if sent.address and taken.domain in {socket.AF_INET, socket.AF_INET6}:
            wanted = endpoint(sent.address)
            if wanted is None:  # AF_UNSPEC means one thing here and another there
                raise OSError(errno.EAFNOSUPPORT, "an address of another kind")
            if taken.is_stream and not flags & FAST_OPEN:
                # A stream goes where it is connected to; only who connects by sending needs an address.
                return sent.send(call, taken.descriptor, taken.domain, b"", flags)
            self._permit(taken, wanted)
        return sent.send(call, taken.descriptor, taken.domain, sent.address, flags)


_NETLINK = 16


class _Socket:
    """A duplicate of the target's socket; what is done with it is done with the very same socket."""

    def __init__(self, call: Call, number: int) -> None:
        self.descriptor = call.take(_descriptor(number))
        try:
            with socket.socket(fileno=os.dup(self.descriptor)) as known:
                self.domain = int(known.family)
                self.is_stream = known.type == socket.SOCK_STREAM
            self.identity = os.fstat(self.descriptor).st_ino
            call.check()
        except BaseException:
            os.close(self.descriptor)
            raise

    def __enter__(self) -> _Socket:  # noqa: PYI034
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


class _Local:
    """An address of a local socket, held fast: the path that is looked at is the one that is connected to."""

    def __init__(self, call: Call, raw: bytes, permit: Callable[[str], None]) -> None:
        self._place: int | None = None
        self.address = raw
        name = raw[2:]
        if not name or name[0] == 0:
            permit("")
            return
        path = os.fsdecode(name.partition(b"\0")[0])
        base = f"/proc/{call.thread}/root" if path.startswith("/") else f"/proc/{call.thread}/cwd/"
        self._place = os.open(base + path, os.O_PATH | os.O_CLOEXEC)
        try:
            call.check()
            permit(os.path.realpath(f"/proc/self/fd/{self._place}"))
        except BaseException:
            os.close(self._place)
            raise
        self.address = socket.AF_UNIX.to_bytes(2, "little") + f"/proc/self/fd/{self._place}".encode() + b"\0"

    def __enter__(self) -> _Local:  # noqa: PYI034
        return self

    def __exit__(self, *_: object) -> None:
        if self._place is not None:
            os.close(self._place)


def _descriptor(argument: int) -> int:
    """The number as the kernel reads it: an int of 32 bits."""
    number = argument & 0xFFFF_FFFF
    if number > 0x7FFF_FFFF:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return number


def _beneath(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
