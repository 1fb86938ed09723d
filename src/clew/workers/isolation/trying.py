"""Finds out what this machine offers, by trying each thing in a process of its own; nothing of it is left.

To be called in a process with one thread, because it forks: `zygote` does so when it starts. Everybody else
uses `find_mechanisms`, which starts a process for it.
"""

from __future__ import annotations

import errno
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import msgspec

from clew.workers.isolation import landlock
from clew.workers.isolation.cgroups import find_places, trees
from clew.workers.isolation.descendants import children
from clew.workers.isolation.filters import Filter, install
from clew.workers.isolation.mechanisms import Mechanisms
from clew.workers.isolation.namespaces import enter_empty_network
from clew.workers.isolation.notifications import Listener
from clew.workers.isolation.owners import new_name
from clew.workers.isolation.system_calls import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    control,
    take_descriptor,
)

#: How long a trial may take, in seconds.
_PATIENCE_S = 10
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from clew.workers.isolation.trying import print_mechanisms; print_mechanisms()"
)


def find_mechanisms() -> Mechanisms:
    """What this machine offers; takes about a tenth of a second. Raises OSError if no process can be started."""
    result = subprocess.run(  # noqa: UP022
        [sys.executable, "-c", _PROGRAM, *sys.path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    if result.returncode:
        said = result.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise OSError(f"what the machine offers could not be found out: {''.join(said)}")
    return msgspec.json.decode(result.stdout, type=Mechanisms)


def print_mechanisms() -> None:
    """Write them to standard output, as JSON."""
    sys.stdout.write(msgspec.json.encode(try_all()).decode())


def try_all() -> Mechanisms:
    """Try everything; this process must have one thread."""
    why: dict[str, str] = {}
    places, why_no_group = find_places(trees(), new_name(), lambda door: _in_child(lambda: _join(door)))
    why |= why_no_group
    subreaper = _offered("subreaper", why, lambda: control(PR_SET_CHILD_SUBREAPER, 1))
    follows = _offered("process tree", why, _see_child)
    version = 0
    if _offered("landlock", why, _confine):
        version = landlock.version()
    filters = _offered("filters", why, lambda: _filter(Filter()))
    notifications = _tried("notifications", why, _be_notified) if filters else False
    if not filters:
        why["notifications"] = why["filters"]
    death_signal = _offered("death signal", why, lambda: control(PR_SET_PDEATHSIG, signal.SIGKILL))
    direct = _in_child(lambda: enter_empty_network(user_namespace=False))
    by_user = _in_child(lambda: enter_empty_network(user_namespace=True)) if direct else ""
    if direct and by_user:
        why["network namespace"] = by_user
    return Mechanisms(
        system=f"{platform.system()} {platform.release()}",
        root=hasattr(os, "geteuid") and os.geteuid() == 0,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        places=places,
        subreaper=subreaper,
        process_tree=follows,
        landlock=version,
        network_namespace="direct" if not direct else "with user namespace" if not by_user else "",
        filters=filters,
        notifications=notifications,
        death_signal=death_signal,
        why_not=why,
    )


def _offered(name: str, why: dict[str, str], attempt: Callable[[], object]) -> bool:
    """Whether an attempt succeeds in a process of its own."""
    return _tried(name, why, lambda: _in_child(attempt))


def _tried(name: str, why: dict[str, str], trial: Callable[[], str]) -> bool:
    problem = trial()
    if problem:
        why[name] = problem
    return not problem


def _in_child(attempt: Callable[[], object]) -> str:
    """Make an attempt in a process of its own; what went wrong, or nothing."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _end_with(attempt, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return said or ("" if code == 0 else f"the trial ended with {code}")


def _end_with(attempt: Callable[[], object], writing: int) -> None:
    try:
        signal.alarm(_PATIENCE_S)
        attempt()
    except BaseException as error:
        text = f"{error.strerror or error}" if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        os.write(writing, text.encode()[:1_000])
        os._exit(1)
    os._exit(0)


def _join(door: str) -> None:
    with open(door, "w", encoding="ascii") as file:  # noqa: PTH123 - imported by each keeper
        file.write("0")


def _see_child() -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    found = children(os.getpid())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if pid not in found:
        raise OSError("the kernel does not tell the children of a process")


def _confine() -> None:
    trial = os.path.join(tempfile.gettempdir(), f"clew-try-{os.getpid()}")  # noqa: PTH118 - as below
    os.mkdir(trial)  # noqa: PTH102 - this module is imported by each keeper
    os.rmdir(trial)  # noqa: PTH106
    control(PR_SET_NO_NEW_PRIVS, 1)
    landlock.confine(read=("/",), write=())
    try:
        os.mkdir(trial)  # noqa: PTH102
    except PermissionError:
        return
    raise OSError("what Landlock should have refused was done")


def _filter(wanted: Filter) -> int | None:
    control(PR_SET_NO_NEW_PRIVS, 1)
    descriptor = install(wanted)
    os.getpid()  # the filter lets through what it does not know
    return descriptor


def _be_notified() -> str:
    """Be asked about a connection of a child, take its socket, and refuse."""
    return _in_child(_supervise)


def _supervise() -> None:
    telling, told = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        telling.close()
        _end_with(lambda: _connect_under_filter(told), os.dup(2))
    told.close()
    number = int(telling.recv(16) or b"-1")
    if number < 0:
        os.waitpid(pid, 0)
        raise OSError("a filter with notifications was refused")
    pidfd = os.pidfd_open(pid)
    listener = Listener(take_descriptor(pidfd, number))
    telling.send(b"go")
    deadline = time.monotonic() + _PATIENCE_S
    call = None
    while call is None and time.monotonic() < deadline:
        call = listener.receive()
    if call is None:
        raise OSError("no notification came")
    call.read(call.arguments[1], 2)
    os.close(call.take(call.arguments[0]))
    call.answer(error=errno.EDOM)
    if telling.recv(16) != b"33":
        raise OSError("the answer to a notification did not arrive")
    os.waitpid(pid, 0)


def _connect_under_filter(told: socket.socket) -> None:
    number = _filter(Filter(notify_connect=True))
    os.write(told.fileno(), str(-1 if number is None else number).encode())
    os.read(told.fileno(), 2)
    with socket.socket() as trial:
        os.write(told.fileno(), str(trial.connect_ex(("127.0.0.1", 9))).encode())
