"""What the first process of a step does to itself before it becomes the program.

It is forked by the keeper, which has one thread at that time, so any code may run here; what it sets holds for
all that the program starts later. The order counts: what comes early needs rights that what comes late takes
away. Nothing is passed on but the three standard streams (and the socket of a worker process).
"""

from __future__ import annotations

import gc
import math
import os
import resource
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from clew.workers.isolation import filters, landlock
from clew.workers.isolation.namespaces import enter_empty_network
from clew.workers.isolation.orders import Order
from clew.workers.isolation.system_calls import (
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    control,
    drop_capabilities,
)

_CGROUPS = "/sys/fs/cgroup"
_FILE_SLACK = 16 << 20


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why the program could not be started: what was being done, and what the system said."""

    stage: str
    why: str
    errno: int = 0


class Launch:
    """The way from a fork to the program.

    Args:
        order: the step.
        doors: files of its control group.
        streams: what become its standard input, output and error, and after them the socket of a worker.
        telling: where to write the number of the notification descriptor, or the failure; closed by success.
        waiting: where one byte comes when the keeper has got what was told.
    """

    def __init__(
        self, order: Order, doors: Sequence[str], streams: Sequence[int], telling: int, waiting: int
    ) -> None:
        self._order = order
        self._doors = doors
        self._streams = streams
        self._telling = telling
        self._waiting = waiting
        self._stage = "begin"

    def go(self) -> NoReturn:
        """Become the program; never returns, whatever happens: this is a copy of the keeper up to then."""
        try:
            self._join()
            self._confine()
            self._become()
        except BaseException as error:
            self._tell(error)
        finally:
            os._exit(125)

    def _tell(self, error: BaseException) -> None:
        number = (error.errno or 0) if isinstance(error, OSError) else 0
        said = error.strerror or str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        path = getattr(error, "filename", None)
        why = f"{os.fsdecode(path)}: {said}" if isinstance(path, str | bytes) else said
        os.write(self._telling, b"!" + msgspec.json.encode(Failure(stage=self._stage, why=why, errno=number)))

    def _join(self) -> None:
        self._stage = "leaving the keeper"
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # ignored ones would stay so in the program
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if self._order.enforcement.kills_orphans:
            control(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number, stream in enumerate(self._streams[:3]):
            os.dup2(stream, number)
        self._stage = f"changing to {self._order.folder}"
        os.chdir(self._order.folder)
        for door in self._doors:
            self._stage = f"joining {door}"
            file = os.open(door, os.O_WRONLY)
            os.write(file, b"0")
            os.close(file)

    def _confine(self) -> None:
        order, how = self._order, self._order.enforcement
        self._stage = "setting limits"
        self._limit_resources()
        if how.processors:
            usable = sorted(os.sched_getaffinity(0))
            start = os.getpid() % len(usable)
            os.sched_setaffinity(0, (usable[start:] + usable[:start])[: how.processors])
        if not how.restricted:
            return
        if how.namespace:
            self._stage = "leaving the network"
            enter_empty_network(user_namespace=how.namespace != "direct")
        self._stage = "giving up rights"
        drop_capabilities()
        control(PR_SET_NO_NEW_PRIVS, 1)
        if how.landlock:
            self._stage = "Landlock"
            spared: list[str] = []
            if how.places and not how.confines_writing:
                # A step of a user who may change control groups could leave its own.
                spared = landlock.all_but([_CGROUPS, *(place.folder for place in how.places.values())])
            landlock.confine(
                read=order.read if how.confines_reading else None,
                write=order.write if how.confines_writing else () if spared else None,
                only_write=spared,
                no_abstract_sockets=how.confines_writing or how.guards,
            )
        if how.filter is not None:
            self._stage = "system call filter"
            listener = filters.install(how.filter)
            if listener is not None:
                os.write(self._telling, b"%d\n" % listener)
                os.read(self._waiting, 1)
                os.close(listener)

    def _limit_resources(self) -> None:
        """Second lines behind what counts for all processes together: these count for each."""
        how = self._order.enforcement
        limits = how.limits
        if how.restricted:
            _lower(resource.RLIMIT_CORE, 0)  # a dump would fill the disk
        if limits.cpu_s is not None:
            _lower(resource.RLIMIT_CPU, math.ceil(limits.cpu_s) + 1)
        if "memory_bytes" in how.watched and limits.memory_bytes is not None:
            _lower(resource.RLIMIT_DATA, 2 * limits.memory_bytes + (512 << 20))
        if how.limits_user and limits.processes is not None:
            _lower(resource.RLIMIT_NPROC, _threads_of_user() + 2 * limits.processes + 256)
        if limits.disk_bytes is not None and self._order.small_files:
            # A little more, so that what is over the limit is seen; the signal alone would not say why.
            _lower(resource.RLIMIT_FSIZE, limits.disk_bytes + _FILE_SLACK)

    def _become(self) -> NoReturn:
        order = self._order
        if order.argv:
            self._stage = f"starting {os.fsdecode(order.argv[0])}"
            os.execvpe(order.argv[0], list(order.argv), dict(order.env))  # noqa: S606
        self._stage = "starting the worker"
        os.environb.clear()
        os.environb.update(dict(order.env))
        sys.path[:] = order.sys_path
        link = os.dup2(self._streams[3], 3, inheritable=False)
        from clew.workers.child import main  # noqa: PLC0415 - loaded by the zygote, if it is needed

        gc.unfreeze()
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            # Those that are there were made for other files, and know things about them.
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))  # `telling`, too: its end says that all went well
        try:
            main(link)
        finally:
            traceback.print_exc()  # nobody else can be told any more
            os._exit(1)


def _lower(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))


def _threads_of_user() -> int:
    """Threads of this user, as the limit on processes counts them."""
    user = os.geteuid()
    count = 0
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are wanted
        try:
            if name.isdecimal() and os.stat(f"/proc/{name}").st_uid == user:  # noqa: PTH116
                count += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208
        except OSError:  # it has ended
            continue
    return count
