"""The filter of system calls, run by a small machine as seccomp(2) describes it."""

import errno
import socket
import struct

import pytest

from clew.workers.isolation.filters import Filter, program
from clew.workers.isolation.system_calls import Numbers, numbers

ALLOW, ASK, KILL = 0x7FFF_0000, 0x7FC0_0000, 0x8000_0000


THREAD = 0x10000


@pytest.fixture
def known() -> Numbers:
    try:
        return numbers()
    except OSError as error:
        pytest.skip(str(error))


def run(code: bytes, number: int, *arguments: int, audit: int) -> int | str:
    """What the kernel would do with a system call."""
    padded = (*arguments, *[0] * 6)[:6]
    data = struct.pack("=iIQ6Q", number if number < 2**31 else number - 2**32, audit, 0, *padded)
    lines = [*struct.iter_unpack("=HBBI", code)]
    place, word, steps = 0, 0, 0
    while True:
        operation, then, otherwise, value = lines[place]
        place += 1
        steps += 1
        assert steps <= len(lines)  # it only goes forward
        match operation:
            case 0x20:
                (word,) = struct.unpack_from("=I", data, value)
            case 0x54:
                word &= value
            case 0x15:
                place += then if word == value else otherwise
            case 0x35:
                place += then if word >= value else otherwise
            case 0x45:
                place += then if word & value else otherwise
            case 0x06:
                return errno.errorcode[value & 0xFFFF] if value & 0xFFFF_0000 == 0x0005_0000 else value
            case _:
                raise AssertionError(f"no such instruction: {operation:#x}")


def test_what_is_not_asked_for_is_let_through(known: Numbers) -> None:
    code = program(Filter())
    for number in (known.connect, known.socket, known.sendmsg, known.clone, known.ptrace, 0, 1):
        assert run(code, number, audit=known.audit) == ALLOW
    assert run(code, known.io_uring_setup, audit=known.audit) == "ENOSYS"


def test_other_architectures(known: Numbers) -> None:
    code = program(Filter())
    assert run(code, 0, audit=0x4000_0003) == KILL  # i386
    assert run(code, 0x4000_0000 + known.connect, audit=known.audit) == "ENOSYS"  # x32


def test_no_supervisor_of_its_own(known: Numbers) -> None:
    code = program(Filter())
    assert run(code, known.seccomp, 1, 8, audit=known.audit) == "EBUSY"
    assert run(code, known.seccomp, 1, 1 | 8 | 32, audit=known.audit) == "EBUSY"
    assert run(code, known.seccomp, 1, 1, audit=known.audit) == ALLOW
    assert run(code, known.seccomp, 2, 0, audit=known.audit) == ALLOW


def test_what_is_asked(known: Numbers) -> None:
    code = program(Filter(notify_connect=True))
    assert run(code, known.connect, audit=known.audit) == ASK
    assert run(code, known.sendmsg, audit=known.audit) == ALLOW
    code = program(Filter(notify_connect=True, notify_sending=True))
    for number in (known.connect, known.sendmsg, known.sendmmsg):
        assert run(code, number, audit=known.audit) == ASK
    assert run(code, known.sendto, 3, 0, 0, 0, 0, audit=known.audit) == ALLOW
    assert run(code, known.sendto, 3, 0, 0, 0, 0x1000, audit=known.audit) == ASK
    assert run(code, known.sendto, 3, 0, 0, 0, 0x1000_0000_0000, audit=known.audit) == ASK
    code = program(Filter(notify_forking=True))
    assert run(code, known.clone, 17, audit=known.audit) == ASK
    assert run(code, known.clone, 17 | THREAD, audit=known.audit) == ALLOW
    assert all(run(code, number, audit=known.audit) == ASK for number in known.forks)
    assert run(code, known.connect, audit=known.audit) == ALLOW


def test_kinds_of_sockets(known: Numbers) -> None:
    guarded = program(Filter(sockets="guarded"))
    none = program(Filter(sockets="no network"))
    stream, datagram, raw = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW
    flags = socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    for family, kind, protocol, fits in (
        (socket.AF_UNIX, stream, 0, True),
        (socket.AF_INET, stream, 0, True),
        (socket.AF_INET, stream | flags, 6, True),
        (socket.AF_INET6, datagram, 17, True),
        (socket.AF_INET, stream, 262, True),
        (socket.AF_INET, stream, 132, False),  # SCTP
        (socket.AF_INET, datagram, 1, False),  # ICMP
        (socket.AF_INET, raw, 0, False),
        (socket.AF_INET6, 5, 0, False),
        (socket.AF_NETLINK, raw, 0, True),
        (socket.AF_NETLINK, raw, 12, False),  # netfilter
        (socket.AF_PACKET, raw, 0, False),
        (socket.AF_VSOCK, stream, 0, False),
    ):
        given = (family, kind, protocol)
        assert run(guarded, known.socket, *given, audit=known.audit) == (ALLOW if fits else "EACCES"), given
        local = family == socket.AF_UNIX
        assert run(none, known.socket, *given, audit=known.audit) == (ALLOW if local else "EACCES"), given
    for level, option, fits in (
        (0, 4, False),
        (41, 57, False),
        (41, 6, False),
        (0, 2, True),
        (41, 26, True),
        (1, 4, True),
    ):
        result = run(guarded, known.setsockopt, 3, level, option, audit=known.audit)
        assert result == (ALLOW if fits else "EPERM"), (level, option)


def test_staying_apart(known: Numbers) -> None:
    code = program(Filter(keep_apart=True, keep_affinity=True))
    for number in (known.ptrace, known.process_vm_writev, 438, known.sched_setaffinity):
        assert run(code, number, audit=known.audit) == "EPERM"
    assert run(program(Filter()), known.sched_setaffinity, audit=known.audit) == ALLOW


def test_everything_at_once_is_short(known: Numbers) -> None:
    code = program(
        Filter(
            sockets="guarded",
            notify_connect=True,
            notify_sending=True,
            notify_forking=True,
            keep_affinity=True,
            keep_apart=True,
        )
    )
    assert len(code) // 8 < 100
    assert run(code, known.socket, socket.AF_INET, socket.SOCK_RAW, audit=known.audit) == "EACCES"
    assert run(code, 39, audit=known.audit) == ALLOW
