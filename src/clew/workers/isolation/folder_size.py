"""How much of the disk a folder uses, looked at again and again in a thread.

Counted are the blocks that files take, each file once, and also files that have been removed and are still open
in one of the step's processes. A look costs a call for each file, so it is repeated as seldom as makes that a
tenth of the time.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Thread

_BLOCK = 512  #: what `st_blocks` counts, see stat(2)
_LEAST_PAUSE_S = 0.02
_MOST_PAUSE_S = 5.0
#: Pauses are longer than looks by this factor.
_SHARE = 9


def used_bytes(folders: Iterable[str], open_files: Iterable[str] = ()) -> int:
    """Bytes of disk that folders use.

    Args:
        folders: what is in them is counted; other file systems that are mounted in them, too.
        open_files: paths like ``/proc/1/fd/3``, counted where they lead to a removed file of the folders.
    """
    total = 0
    known: set[tuple[int, int]] = set()
    waiting = [*folders]
    starts = tuple(f"{folder.rstrip('/')}/" for folder in waiting)
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # removed meanwhile
                    found = entry.stat(follow_symlinks=False)
                    if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                        if (found.st_dev, found.st_ino) in known:
                            continue
                        known.add((found.st_dev, found.st_ino))
                    total += found.st_blocks * _BLOCK
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(entry.path)
    for path in open_files:
        with contextlib.suppress(OSError):
            where = os.readlink(path)  # noqa: PTH115 - text that the kernel makes
            if where.endswith(" (deleted)") and where.startswith(starts):
                found = os.stat(path)  # noqa: PTH116 - many files
                if (found.st_dev, found.st_ino) not in known:
                    known.add((found.st_dev, found.st_ino))
                    total += found.st_blocks * _BLOCK
    return total


def open_files(pids: Iterable[int]) -> list[str]:
    """The descriptors of processes, as paths."""
    found: list[str] = []
    for pid in pids:
        with contextlib.suppress(OSError):
            found += [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]  # noqa: PTH208
    return found


class FolderWatch:
    """Looks at folders until the process ends.

    Args:
        folders: what is looked at.
        limit: bytes.
        processes: whose open files count, too.
        on_over: told the bytes whenever they are over the limit; in the thread.
    """

    def __init__(
        self,
        folders: Sequence[str],
        limit: int,
        processes: Callable[[], Iterable[int]],
        on_over: Callable[[int], None],
    ) -> None:
        self._folders = folders
        self._limit = limit
        self._processes = processes
        self._on_over = on_over

    def start(self) -> None:
        """Begin."""
        Thread(target=self._watch, name="clew-folder", daemon=True).start()

    def compare(self) -> None:
        """Look now."""
        used = used_bytes(self._folders, open_files(self._processes()))
        if used > self._limit:
            self._on_over(used)

    def _watch(self) -> None:
        """Never ends: what an ended thread has read would count as read by the step (`spending`)."""
        while True:
            start = time.monotonic()
            self.compare()
            time.sleep(min(max(_SHARE * (time.monotonic() - start), _LEAST_PAUSE_S), _MOST_PAUSE_S))
