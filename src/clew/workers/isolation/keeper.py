"""The parent of a step's processes: starts the first, watches all, ends all, and tells how it went.

A keeper is a process of one step. It is forked by the `zygote`, and its only tie to the engine is a socket; when
that ends, or the engine does, so does the step. It is the *subreaper* of what the step starts, so that nothing
can leave it: as long as there is a process of the step, the keeper has children.

Everything is decided in one loop, which waits for the socket, for children that end, and for the next look.
"""

from __future__ import annotations

import os
import select
import signal
import time
import traceback
from collections.abc import Sequence

import msgspec

from clew.workers.isolation.addresses import Rules
from clew.workers.isolation.cgroups import Group
from clew.workers.isolation.descendants import Ledger, below, kill_all, reap_all, signal_all
from clew.workers.isolation.folder_size import FolderWatch
from clew.workers.isolation.launch import Failure, Launch
from clew.workers.isolation.limits import Outcome
from clew.workers.isolation.limits_watch import LimitsWatch
from clew.workers.isolation.notifications import Listener
from clew.workers.isolation.orders import Inbox, Message, Order, Report, Sample, Started, Stop, send_all
from clew.workers.isolation.owners import clear_folder, new_name, temporary_folder
from clew.workers.isolation.spending import spent
from clew.workers.isolation.supervisor import Supervisor
from clew.workers.isolation.system_calls import PR_SET_CHILD_SUBREAPER, control, take_descriptor

#: These limits end a step at once; the others leave it a while to end by itself.
_WITHOUT_GRACE = frozenset({"memory_bytes", "processes", "disk_bytes"})
#: Killing is repeated after this time, until all have ended; what has not after the other hangs in the kernel.
_AGAIN_S = 0.005
_HOPELESS_S = 10.0


def keep(link: int, streams: Sequence[int]) -> None:
    """Run one step to its end.

    Args:
        link: the socket to the engine, which sends the order.
        streams: standard input, output and error of the step, and the socket of a worker process.
    """
    os.setpgid(0, 0)
    try:
        inbox = Inbox()
        orders: list[Message] = []
        while not orders:
            data = os.read(link, 1 << 16)
            if not data:
                return  # the engine has thought better of it
            orders = inbox.feed(data)
        order, *more = orders
        if not isinstance(order, Order):
            raise TypeError(f"the first message is {type(order).__name__}")  # noqa: TRY301
        keeper = _Keeper(link, inbox, order)
        keeper.take(more)
        report = keeper.run(streams)
    except BaseException as error:
        report = Report(fault="".join(traceback.format_exception(error)))
    try:
        send_all(link, report)
    except OSError:  # the engine has ended
        return


def _notice(number: int, frame: object) -> None:
    """A child has ended: the signal wakes the loop. Were it ignored, the children would not be reaped here."""


class _Keeper:
    """One step.

    Args:
        link: the socket to the engine.
        inbox: what comes from there.
        order: what is to be run.
    """

    def __init__(self, link: int, inbox: Inbox, order: Order) -> None:
        self._link = link
        self._inbox = inbox
        self._order = order
        self._how = order.enforcement
        self._name = new_name()
        self._group = Group(self._how.places, self._name)
        self._ledger = Ledger(os.getpid())
        # Whatever happens elsewhere (a child ends, a thread finds something) comes to the loop by this pipe.
        self._waking, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watch = LimitsWatch(self._how, self._group, self._ledger, self._wake)
        self._folders = [order.folder]  #: what counts as used disk
        self._folder_watch: FolderWatch | None = None
        self._supervisor: Supervisor | None = None
        self._engine: int | None = None  #: a descriptor that tells when the engine ends
        self._main = 0  #: the step's first process
        self._status: int | None = None  #: how that ended, as waitpid(2) says
        self._has_children = False
        self._kill_at: float | None = None  #: all is to be killed from then on
        self._left = 0
        self._next_sample = 0.0  #: when the engine wants to know what is used

    def run(self, streams: Sequence[int]) -> Report:
        """Run it; nothing of it is left afterwards."""
        try:
            failure = self._prepare() or self._launch(streams)
            if failure is None:
                self._watch.begin()
                send_all(self._link, Started(pid=self._main))
                self._watch_folders()
                self._loop()
        finally:
            self._end_all()
        try:
            if failure is not None:
                return Report(stage=failure.stage, why=failure.why, errno=failure.errno)
            return Report(outcome=self._outcome(), fault=self._supervisor.fault if self._supervisor else "")
        finally:
            self._clear_away()

    # Start ------------------------------------------------------------------------------------------

    def _prepare(self) -> Failure | None:
        """Make what the step needs around it; what went wrong, or None."""
        limits, places = self._how.limits, self._how.places
        try:
            control(PR_SET_CHILD_SUBREAPER, 1)
            self._engine = os.pidfd_open(self._order.engine)
            self._group.make()
            if limits.memory_bytes is not None and "memory" in places:
                self._group.bound_memory(limits.memory_bytes)
            if limits.processes is not None and "processes" in places:
                self._group.bound_processes(limits.processes)
            if limits.cores is not None and "cores" in places:
                self._group.bound_cores(limits.cores)
            if self._order.temporary:
                self._make_temporary()
        except OSError as error:
            why = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
            return Failure(stage="preparing its surroundings", why=why, errno=error.errno or 0)
        inside = [f"{folder.rstrip('/')}/" for folder in (*self._folders, "/dev")]
        small = all(f"{path}/".startswith(tuple(inside)) for path in self._order.write or ())
        if self._how.confines_writing and small:
            self._order = msgspec.structs.replace(self._order, small_files=True)
        return None

    def _make_temporary(self) -> None:
        folder = os.path.join(os.path.realpath(temporary_folder()), self._name)  # noqa: PTH118 - for a name
        os.mkdir(folder, 0o700)  # noqa: PTH102
        self._folders.append(folder)
        env = {**dict(self._order.env), **dict.fromkeys((b"TMPDIR", b"TEMP", b"TMP"), os.fsencode(folder))}
        write = (*(self._order.write or ()), folder)
        self._order = msgspec.structs.replace(self._order, env=tuple(env.items()), write=write)

    def _launch(self, streams: Sequence[int]) -> Failure | None:
        """Start the first process; what went wrong, or None."""
        signal.signal(signal.SIGCHLD, _notice)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        told, telling = os.pipe()
        waiting, ready = os.pipe()
        try:
            self._main = os.fork()
        except OSError as error:
            return Failure(stage="forking", why=str(error.strerror), errno=error.errno or 0)
        if not self._main:
            try:
                for each in (told, ready, self._link):
                    os.close(each)
                Launch(self._order, self._group.doors, streams, telling, waiting).go()
            finally:
                os._exit(125)  # a copy of the keeper must not go on as one
        self._has_children = True
        for each in (telling, waiting, *streams):
            os.close(each)
        try:
            while said := os.read(told, 1 << 16):
                if said.startswith(b"!"):
                    return msgspec.json.decode(said[1:], type=Failure)
                self._supervise(int(said))
                os.write(ready, b"!")
        finally:
            os.close(told)
            os.close(ready)
        return None

    def _supervise(self, number: int) -> None:
        """Take the step's notifications and begin to answer them."""
        limits, how = self._how.limits, self._how
        target = os.pidfd_open(self._main)
        listener = Listener(take_descriptor(target, number))
        os.close(target)
        limited = how.filter is not None and how.filter.sockets != "any"
        self._supervisor = Supervisor(
            listener,
            Rules(limits.network, limits.connections),
            connections=limits.connections,
            write_roots=self._order.write if how.confines_writing else None,
            guards=how.guards,
            network_limited=limited,
            on_over=lambda asked: self._watch.report("connections", asked),
            may_start=self._watch.may_start,
        )
        self._supervisor.start()

    def _watch_folders(self) -> None:
        limit = self._how.limits.disk_bytes
        if limit is not None:
            me = os.getpid()
            self._folder_watch = FolderWatch(
                self._folders,
                limit,
                lambda: [each.pid for each in below(me)],
                lambda used: self._watch.report("disk_bytes", used),
            )
            self._folder_watch.start()

    # While it runs ----------------------------------------------------------------------------------

    def _loop(self) -> None:
        """Until the first process has ended, or all have to be killed."""
        waiting = select.poll()
        for each in (self._link, self._waking, *([self._engine] if self._engine is not None else [])):
            waiting.register(each, select.POLLIN)
        while self._status is None and not self._is_time_to_kill():
            self._watch.look()
            self._tell()
            if self._watch.found is not None:
                at_once = self._watch.found.limit in _WITHOUT_GRACE
                self._ask_to_end(0.0 if at_once else self._order.grace_s)
            due_s = self._watch.due_s()
            if self._order.tells_s:
                due_s = min(due_s, max(self._next_sample - time.monotonic(), 0.0))
            if self._kill_at is not None:
                due_s = min(due_s, max(self._kill_at - time.monotonic(), 0.0))
            for descriptor, _ in waiting.poll(due_s * 1000 + 1):
                self._hear(descriptor)
            self._reap()

    def _tell(self) -> None:
        """Tell the engine what is used, if that is due."""
        if not self._order.tells_s or time.monotonic() < self._next_sample:
            return
        cpu_s, memory, processes = self._watch.sample()
        made = self._supervisor.made if self._supervisor is not None else 0
        try:
            send_all(self._link, Sample(cpu_s=cpu_s, memory_bytes=memory, processes=processes, connections=made))
        except OSError:  # the engine has ended, which is heard of in a moment
            return
        self._next_sample = time.monotonic() + self._order.tells_s

    def _hear(self, descriptor: int) -> None:
        if descriptor == self._waking:
            os.read(self._waking, 1 << 12)
            return
        data = os.read(self._link, 1 << 16) if descriptor == self._link else b""
        if data:
            self.take(self._inbox.feed(data))
        else:  # the engine has ended
            self._ask_to_end(0.0)

    def take(self, messages: Sequence[Message]) -> None:
        """Do as the engine says."""
        for message in messages:
            if isinstance(message, Stop):
                self._ask_to_end(message.grace_s)

    def _ask_to_end(self, grace_s: float) -> None:
        """Ask all processes to end, once; kill them after a while."""
        now = time.monotonic()
        if self._kill_at is None and grace_s > 0:
            signal_all(os.getpid(), signal.SIGTERM)
        self._kill_at = min(now + grace_s, self._kill_at if self._kill_at is not None else now + grace_s)

    def _is_time_to_kill(self) -> bool:
        return self._kill_at is not None and time.monotonic() >= self._kill_at

    def _wake(self) -> None:
        try:
            os.write(self._wakes, b"!")
        except BlockingIOError:
            return  # it is awake

    # End --------------------------------------------------------------------------------------------

    def _end_all(self) -> None:
        """Kill all that is left, until there is nothing."""
        hopeless = time.monotonic() + _HOPELESS_S
        me = os.getpid()
        while self._has_children:
            if self._group.kill():
                signal_all(me, signal.SIGKILL)  # whatever was in no group yet
            else:
                kill_all(me)
            self._reap()
            if self._has_children:
                if time.monotonic() > hopeless:
                    self._left = sum(1 for _ in below(me))
                    return
                if select.select([self._waking], [], [], _AGAIN_S)[0]:
                    os.read(self._waking, 1 << 12)

    def _reap(self) -> None:
        statuses, self._has_children = reap_all()
        self._status = statuses.get(self._main, self._status)

    def _clear_away(self) -> None:
        try:
            self._group.remove()
        except OSError:
            if not self._left:  # what hangs keeps its group, which is removed at the next start of an engine
                raise
        for folder in self._folders[1:]:
            clear_folder(folder)

    def _outcome(self) -> Outcome:
        supervisor = self._supervisor
        usage = spent(self._group, self._ledger, supervisor.made if supervisor is not None else None)
        self._watch.last_look(usage)
        if self._folder_watch is not None:
            self._folder_watch.compare()
        code = os.waitstatus_to_exitcode(self._status) if self._status is not None else None
        return Outcome(
            exit_code=code if code is not None and code >= 0 else None,
            signal=-code if code is not None and code < 0 else None,
            usage=usage,
            violation=self._watch.found,
            refused=tuple(supervisor.refused) if supervisor is not None else (),
            mechanisms=self._how.mechanisms,
            unenforced=self._how.unenforced,
            left=self._left,
        )
