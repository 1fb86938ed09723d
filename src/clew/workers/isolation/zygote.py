"""A small process from which keepers are forked: it has all that they need loaded, and no threads.

Starting Python and loading what a step needs costs some tenths of a second on a busy machine, forking a few
milliseconds. The engine itself cannot fork: it has threads, and what they hold at that moment would stay held
in the child for ever.

On its socket it says first what the machine offers (JSON); then each message is one step: no content, but
descriptors (link to the engine, standard streams, perhaps the socket of a worker). When the socket ends, so
does this process.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from typing import NoReturn

import msgspec

# A worker process is forked, too, and needs this; here it is loaded once.
import clew.workers.child
from clew.workers.isolation.keeper import keep
from clew.workers.isolation.owners import sweep
from clew.workers.isolation.trying import try_all

#: Descriptors in one message, at most.
_MOST = 8
#: Bytes before what is said first: its length.
HELLO_HEADER = 4

loaded = clew.workers.child


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
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers tell the engine how they end, not us
        # What is there now stays: the collector of a child would only copy it.
        gc.collect()
        gc.freeze()
        while True:
            try:
                said, descriptors, _, _ = socket.recv_fds(link, 1, _MOST)
            except ConnectionError:
                break
            if not said:
                break
            for each in descriptors:
                os.set_inheritable(each, False)
            try:
                pid = os.fork()
            except OSError:  # no room for another process: the link that ends says so
                pid = -1
            if pid == 0:
                link.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                keep(descriptors[0], descriptors[1:])
                os._exit(0)
            for each in descriptors:
                os.close(each)
    sys.exit(0)
