"""A small process from which keepers are forked: it has all that they need loaded, and no threads.

Starting Python and loading what a step needs costs some tenths of a second on a busy machine, forking a few
milliseconds. The engine itself cannot fork: it has threads, and what they hold at that moment would stay held
in the child for ever.

On its socket it says first what the machine offers (JSON); then each message is one step: no content, but
descriptors (link to the engine, standard streams, perhaps the socket of a worker). When the socket ends, so
does this process.

It is a subreaper, too: what a keeper leaves behind that was killed becomes its child, and is ended.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
from typing import NoReturn

import msgspec

# A worker process is forked, too, and needs these; here they are loaded once.
import clew.bodies.tools.files
import clew.bodies.tools.programs
import clew.workers.child
from clew.workers.isolation.descendants import children, kill_all, reap_all, seen, send_signal
from clew.workers.isolation.keeper import keep
from clew.workers.isolation.owners import sweep
from clew.workers.isolation.system_calls import PR_SET_CHILD_SUBREAPER, control
from clew.workers.isolation.trying import try_all

#: Descriptors in one message, at most.
_MOST = 8
#: Orphans are killed again after this time, in seconds, until there are none.
_AGAIN_S = 0.01
#: Bytes before what is said first: its length.
HELLO_HEADER = 4

loaded = (clew.workers.child, clew.bodies.tools.programs, clew.bodies.tools.files)


def main(descriptor: int) -> NoReturn:
    """Fork keepers until the engine closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    offered = try_all()
    sweep(offered.places)
    with socket.socket(fileno=descriptor) as link:
        hello = msgspec.json.encode(offered)
        link.sendall(len(hello).to_bytes(HELLO_HEADER, "big") + hello)
        silence = os.open(os.devnull, os.O_RDWR)
        os.dup2(silence, 2)  # what went wrong at the start was read; later nobody does
        os.close(silence)
        # What is there now stays: the collector of a child would only copy it.
        gc.collect()
        gc.freeze()
        _Nursery(link).serve()
    sys.exit(0)


class _Nursery:
    """Forks keepers, and looks after what they leave.

    Args:
        link: the socket to the engine.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._keepers: set[int] = set()
        self._waking, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        """Until the engine closes the socket."""
        control(PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGCHLD, _notice)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        orphans = False
        while True:
            ready, _, _ = select.select([self._link, self._waking], [], [], _AGAIN_S if orphans else None)
            if self._link in ready and not self._fork_next():
                return
            if self._waking in ready:
                os.read(self._waking, 1 << 12)
            ended, _ = reap_all()
            self._keepers -= ended.keys()
            orphans = self._kill_orphans()

    def _fork_next(self) -> bool:
        """Fork the next keeper; False if the engine has ended."""
        try:
            said, descriptors, _, _ = socket.recv_fds(self._link, 1, _MOST)
        except ConnectionError:
            return False
        if not said:
            return False
        for each in descriptors:
            os.set_inheritable(each, False)
        try:
            pid = os.fork()
        except OSError:  # no room for another process: the link that ends says so
            pid = -1
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                self._link.close()
                os.close(self._waking)
                os.close(self._wakes)
                keep(descriptors[0], descriptors[1:])
            finally:
                os._exit(0)
        self._keepers.add(pid)
        for each in descriptors:
            os.close(each)
        return True

    def _kill_orphans(self) -> bool:
        """Kill what the keepers that have ended have left; tell whether there was something."""
        orphans = {*children(os.getpid())} - self._keepers
        for pid in orphans:
            kill_all(pid)
            found = seen(pid)
            if found is not None:
                send_signal(found, signal.SIGKILL)
        return bool(orphans)


def _notice(number: int, frame: object) -> None:
    """A child has ended: the signal wakes `serve`."""
