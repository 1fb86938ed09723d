"""System calls of Linux that Python has no door to, by ctypes.

Sources: the manual pages landlock(7), seccomp(2), seccomp_unotify(2), capabilities(7), pidfd_getfd(2) and
process_vm_readv(2), and the kernel's headers of the same names.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_CAPBSET_DROP: Final = 24
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWNET: Final = 0x4000_0000

SECCOMP_SET_MODE_FILTER: Final = 1
SECCOMP_GET_NOTIF_SIZES: Final = 3
FILTER_FLAG_NEW_LISTENER: Final = 1 << 3
PIDFD_GETFD: Final = 438
#: Since Linux 5.19: what a supervisor has received is interrupted by fatal signals only.
FILTER_FLAG_WAIT_KILLABLE_RECV: Final = 1 << 5

_CAPABILITY_VERSION_3: Final = 0x2008_0522
#: What a step that runs as root keeps: with these it can work on files and change users, but not undo its limits.
KEPT_CAPABILITIES: Final = frozenset(
    {0, 1, 3, 4, 5, 6, 7, 8, 10, 31}
    # CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, SETFCAP
)


class Numbers:
    """The numbers of system calls on one architecture, and its name in filters (`AUDIT_ARCH_*`)."""

    def __init__(self, audit: int, **numbers: int) -> None:
        self.audit = audit
        self.socket = numbers["socket"]
        self.setsockopt = numbers["setsockopt"]
        self.connect = numbers["connect"]
        self.sendto = numbers["sendto"]
        self.sendmsg = numbers["sendmsg"]
        self.sendmmsg = numbers["sendmmsg"]
        self.ptrace = numbers["ptrace"]
        self.sched_setaffinity = numbers["sched_setaffinity"]
        self.process_vm_writev = numbers["process_vm_writev"]
        self.seccomp = numbers["seccomp"]
        self.clone = numbers["clone"]
        self.execs = (numbers["execve"], numbers["execveat"])
        #: what makes a process besides clone(2), and has no flags in its arguments
        self.forks = tuple(numbers[name] for name in ("fork", "vfork") if name in numbers) + (435,)  # clone3  # noqa: RUF005
        # From 424 on they are the same everywhere.
        self.io_uring_setup = 425
        self.pidfd_getfd = PIDFD_GETFD
        self.landlock_create_ruleset = 444
        self.landlock_add_rule = 445
        self.landlock_restrict_self = 446


_NUMBERS = {
    "x86_64": Numbers(
        audit=0xC000_003E,
        socket=41,
        setsockopt=54,
        connect=42,
        sendto=44,
        sendmsg=46,
        sendmmsg=307,
        ptrace=101,
        sched_setaffinity=203,
        process_vm_writev=311,
        seccomp=317,
        clone=56,
        execve=59,
        execveat=322,
        fork=57,
        vfork=58,
    ),
    "aarch64": Numbers(
        audit=0xC000_00B7,
        socket=198,
        setsockopt=208,
        connect=203,
        sendto=206,
        sendmsg=211,
        sendmmsg=269,
        ptrace=117,
        sched_setaffinity=122,
        process_vm_writev=271,
        seccomp=277,
        clone=220,
        execve=221,
        execveat=281,
    ),
}


def numbers() -> Numbers:
    """The numbers on this machine.

    Raises:
        OSError: this is no Linux, or a 32-bit Python, or the architecture is not known here.
    """
    found = _NUMBERS.get(platform.machine()) if sys.platform == "linux" and sys.maxsize > 2**32 else None
    if found is None:
        raise OSError(f"system calls of {platform.system()} on {platform.machine()} are not known")
    return found


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def failed(what: str) -> OSError:
    """The error of the last call."""
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def system_call(what: str, number: int, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call; raises OSError."""
    passed = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(_libc().syscall(ctypes.c_long(number), *passed))
    if result < 0:
        raise failed(what)
    return result


def control(option: int, *arguments: int) -> None:
    """prctl(2); raises OSError."""
    padded = [ctypes.c_ulong(each) for each in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc().prctl(ctypes.c_int(option), *padded) < 0:
        raise failed(f"prctl {option}")


def unshare(flags: int) -> None:
    """unshare(2); raises OSError."""  # noqa: D402
    if _libc().unshare(ctypes.c_int(flags)) < 0:
        raise failed("unshare")


def drop_capabilities() -> None:
    """Keep `KEPT_CAPABILITIES` only, for this process and all it starts; raises OSError."""
    kept = 0
    for number in range(64):
        if number in KEPT_CAPABILITIES:
            kept |= 1 << number
        else:
            try:
                control(PR_CAPBSET_DROP, number)
            except OSError:
                break  # EINVAL: there are no more; EPERM: it has none to lose
    held = _capabilities()
    low, high = 0xFFFF_FFFF, 32
    words: list[int] = []
    for half in (0, 1):
        mask = kept >> (high * half) & low
        words += [held[3 * half] & mask, held[3 * half + 1] & mask, 0]
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if _libc().capset(header, (ctypes.c_uint32 * 6)(*words)) < 0:
        raise failed("capset")
    try:
        control(PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    except OSError:
        return  # before Linux 4.3 there are none


def _capabilities() -> list[int]:
    """Effective, permitted and inheritable ones; first the lower halves, then the upper ones."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    if _libc().capget(header, data) < 0:
        raise failed("capget")
    return list(data)


def take_descriptor(pidfd: int, number: int) -> int:
    """A duplicate of descriptor `number` of another process; raises OSError."""
    return system_call("pidfd_getfd", PIDFD_GETFD, pidfd, number, 0)


class _Piece(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def read_memory(pid: int, address: int, size: int) -> bytes:
    """Copy memory of another process; fewer bytes if it ends before `size`. Raises OSError."""
    if size == 0:
        return b""
    buffer = ctypes.create_string_buffer(size)
    ours, theirs = _Piece(ctypes.addressof(buffer), size), _Piece(address, size)
    count = _libc().process_vm_readv(
        ctypes.c_int(pid),
        ctypes.byref(ours),
        ctypes.c_ulong(1),
        ctypes.byref(theirs),
        ctypes.c_ulong(1),
        ctypes.c_ulong(0),
    )
    if count < 0:
        raise failed("process_vm_readv")
    return buffer.raw[:count]


def write_memory(pid: int, address: int, data: bytes) -> None:
    """Write into the memory of another process; raises OSError."""
    buffer = ctypes.create_string_buffer(data, len(data))
    ours, theirs = _Piece(ctypes.addressof(buffer), len(data)), _Piece(address, len(data))
    count = _libc().process_vm_writev(
        ctypes.c_int(pid),
        ctypes.byref(ours),
        ctypes.c_ulong(1),
        ctypes.byref(theirs),
        ctypes.c_ulong(1),
        ctypes.c_ulong(0),
    )
    if count < 0:
        raise failed("process_vm_writev")


def request(descriptor: int, number: int, data: ctypes.Array[ctypes.c_char]) -> None:
    """ioctl(2) with a buffer; raises OSError."""
    if _libc().ioctl(ctypes.c_int(descriptor), ctypes.c_ulong(number), data) < 0:
        raise failed("ioctl")


def connect_socket(descriptor: int, address: bytes) -> None:
    """connect(2) with an address as bytes; may take long. Raises OSError."""
    if _libc().connect(ctypes.c_int(descriptor), address, ctypes.c_uint(len(address))) < 0:
        raise failed("connect")


class Message(ctypes.Structure):
    """`struct msghdr`, as it is on 64-bit machines."""

    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("pieces", ctypes.c_void_p),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


def send_message(descriptor: int, data: bytes, address: bytes, control_data: bytes, flags: int) -> int:
    """sendmsg(2); may take long. Returns how many bytes were sent; raises OSError."""
    body = ctypes.create_string_buffer(data, len(data))
    piece = _Piece(ctypes.addressof(body), len(data))
    name = ctypes.create_string_buffer(address, len(address))
    extra = ctypes.create_string_buffer(control_data, len(control_data))
    message = Message()
    message.name = ctypes.addressof(name) if address else None
    message.name_length = len(address)
    message.pieces = ctypes.addressof(piece)
    message.piece_count = 1
    message.control = ctypes.addressof(extra) if control_data else None
    message.control_length = len(control_data)
    count = int(_libc().sendmsg(ctypes.c_int(descriptor), ctypes.byref(message), ctypes.c_int(flags)))
    if count < 0:
        raise failed("sendmsg")
    return count
