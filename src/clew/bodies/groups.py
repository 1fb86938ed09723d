"""Process groups: programs that are started, stopped and reaped with everything they start themselves.

Each program leads a session, and so a process group, of its own: no key pressed at a terminal reaches it, and
one signal reaches all of it. What leaves the group on purpose (a daemon that calls ``setsid``) is not followed.

None may outlive this process, however it ends. A parent-death signal would reach the program only, not what it
has started, and only on Linux; so a *guard* is used, a shell of a few lines in a session of its own. It is told
which groups there are; when its pipe ends because this process is gone, it kills them. So that there is no
moment in which a program runs unknown to the guard, the program waits at a *gate*: it is let go by a line on its
standard input, after the guard has been told; if that ends first, so does the program.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from threading import Thread
from typing import Any, TypeVar

_T = TypeVar("_T")
#: Told of a program's processor time, in seconds, and the most memory that one of its processes had, in bytes, if
#: that can be told.
Spent = Callable[[float, int | None], None]

_SHELL = "/bin/sh"

_GUARD = """
trap '' HUP INT QUIT TERM
groups=
while read -r sign group; do
  if [ "$sign" = + ]; then groups="$groups $group"; continue; fi
  rest=
  for each in $groups; do [ "$each" = "$group" ] || rest="$rest $each"; done
  groups=$rest
done
for each in $groups; do kill -s KILL -- "-$each"; done
"""

#: `exec`: the program replaces the shell and leads the group itself. `read` takes no byte beyond the line.
_GATE = 'read -r _ || exit 125; exec "$@"'
_GATE_WITHOUT_INPUT = f"{_GATE} </dev/null"

#: How long killed processes may take to vanish; what hangs in the kernel is not waited for any longer.
_VANISH_S = 2.0


class ProcessGroups:
    """Starts programs and sees to their end. One for an engine; used in one thread.

    `close` it after the programs have been stopped.
    """

    def __init__(self) -> None:
        self._guard: subprocess.Popen[bytes] | None = None
        #: leaders that have not been reaped; the guard knows exactly these
        self._leaders: set[int] = set()

    def spawn(
        self,
        argv: Sequence[str],
        *,
        stdin: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program at the gate and let it go; its output, and its input with `stdin`, are pipes.

        Raises:
            OSError: the folder does not exist, or no process can be made. (That there is no such program
                shows later: exit code 127.)
        """
        gate = _GATE if stdin else _GATE_WITHOUT_INPUT
        process = self.spawn_waiting([_SHELL, "-c", gate, "clew", *argv], stdin=True, env=env, cwd=cwd)
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # killed already
                process.stdin.write(b"\n")
            if not stdin:
                process.stdin.close()
        return process

    def spawn_waiting(
        self,
        argv: Sequence[str],
        *,
        stdin: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Start a program that does nothing before it is told to, and ends by itself if it never is."""
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            pass_fds=pass_fds,
            start_new_session=True,
            bufsize=0,
        )
        self._leaders.add(process.pid)
        self._tell("+", process.pid)
        return process

    async def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the program has ended; it is not reaped, so that its group's number stays its own."""
        if process.returncode is None:
            await _wait_exited(process.pid)

    async def reap(self, process: subprocess.Popen[bytes], on_spent: Spent | None = None) -> int:
        """Kill what is left of the group and wait for it; return the exit code (negative: the signal).

        A cancellation is raised only when that has been done.

        Args:
            process: the program.
            on_spent: told what it has used.
        """
        return await unbroken(self._reap(process, on_spent))

    async def stop(self, process: subprocess.Popen[bytes], grace_s: float, on_spent: Spent | None = None) -> int:
        """Ask the group to end (SIGTERM), kill it after a grace period, and `reap` it."""
        return await unbroken(self._stop(process, grace_s, on_spent))

    async def _stop(self, process: subprocess.Popen[bytes], grace_s: float, on_spent: Spent | None) -> int:
        if process.returncode is None:
            _kill(process.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wait(process), grace_s)
        return await self._reap(process, on_spent)

    async def _reap(self, process: subprocess.Popen[bytes], on_spent: Spent | None) -> int:
        if process.returncode is not None:
            return process.returncode
        _kill(process.pid, signal.SIGKILL)
        await self.wait(process)
        self._tell("-", process.pid)
        code = _reaped(process, on_spent)
        self._leaders.discard(process.pid)
        await _wait_vanished(process.pid)
        return code

    def close(self) -> None:
        """End the guard, which kills what was not reaped."""
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()
            self._guard.wait()
            self._guard = None

    def _tell(self, sign: str, group: int) -> None:
        """Tell the guard; begin with a new one if there is none or it has been killed."""
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.write(f"{sign} {group}\n".encode())
                return
            self._guard.stdin.close()
            self._guard.wait()
        self._guard = guard = subprocess.Popen(
            [_SHELL, "-c", _GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            bufsize=0,
        )
        known = self._leaders - {group} if sign == "-" else self._leaders
        if guard.stdin is not None:
            guard.stdin.write("".join(f"+ {each}\n" for each in known).encode())


def _reaped(process: subprocess.Popen[bytes], on_spent: Spent | None) -> int:
    """Reap a process that has ended; what is told of it includes the children that it has waited for."""
    if on_spent is None or not hasattr(os, "wait4"):
        return process.wait()
    try:
        _, status, spent = os.wait4(process.pid, 0)
    except ChildProcessError:  # somebody else has reaped it
        return process.wait()
    process.returncode = os.waitstatus_to_exitcode(status)
    on_spent(spent.ru_utime + spent.ru_stime, _peak_of(spent.ru_maxrss))
    return process.returncode


def _peak_of(most: int) -> int | None:
    """The most memory that a process had, in bytes; it began as a copy of this one, whose memory counts for it."""
    import resource  # noqa: PLC0415 - not there on all systems, and not needed by every process we start

    if most <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        return None
    return most * (1 if sys.platform == "darwin" else 1_024)


def _kill(group: int, number: signal.Signals) -> None:
    # The leader has not been reaped, so the number cannot belong to another group by now. macOS refuses to
    # signal a group of which only a zombie is left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


async def _wait_vanished(group: int) -> None:
    """Wait until the killed members of a group are gone, with what they held open; init reaps them, not we."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _VANISH_S
    while _runs(group) and loop.time() < deadline:  # noqa: ASYNC110 - nobody tells of others' children
        await asyncio.sleep(0.002)


def _runs(group: int) -> bool:
    """Whether a member of the group is alive. Where there is no /proc, one that init has not reaped counts."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    if not os.path.isdir("/proc/self"):  # noqa: PTH112 - this module is imported by every process we start
        return True
    for pid in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
                state, _, its_group = file.read().rpartition(b")")[2].split()[:3]
        except OSError:  # it has ended meanwhile
            continue
        if int(its_group) == group and state not in b"ZX":
            return True
    return False


async def _wait_exited(pid: int) -> None:
    """Wait until process `pid` has ended, without reaping it where the system can do that."""
    loop = asyncio.get_running_loop()
    exited = loop.create_future()
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):  # refused by an old kernel or a sandbox
            descriptor = os.pidfd_open(pid)
            try:
                loop.add_reader(descriptor, _settle, exited)
                await exited
            finally:
                loop.remove_reader(descriptor)
                os.close(descriptor)
            return

    def wait_in_thread() -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(_settle, exited)

    Thread(target=wait_in_thread, name=f"clew-wait-{pid}", daemon=True).start()
    await exited


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def unbroken(waiting: Coroutine[Any, Any, _T]) -> _T:
    """Await to the end, whatever cancels this task meanwhile; the cancellation is raised afterwards.

    For what must not be left half done: a process that has been killed and not yet reaped.
    """
    task = asyncio.ensure_future(waiting)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except BaseException:
            break
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result
