"""What attempts print and log: kept with the attempt, written in batches, never in the way of the run.

Lines are not facts. They are written some times a second and when their run ends; a crash loses at most the
last of them. A journal that refuses them loses them as well, with one warning.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from clew.errors import ClewError
from clew.journal.port import Journal
from clew.journal.records import LogLine

_LOG = logging.getLogger("clew.engine")

#: Lines are written at the latest so many seconds after they came.
DELAY_S = 0.25
#: Longer lines are cut into pieces of so many characters.
LINE = 8_000
#: Lines of one attempt that are kept; what is beyond is counted and dropped.
ATTEMPT_LINES = 100_000


class Page:
    """The output of one attempt: collects pieces of text into lines.

    Args:
        write: takes each line.
        mask: replaces secrets.
    """

    def __init__(self, write: Callable[[str, str], None], mask: Callable[[str], str]) -> None:
        self._write = write
        self._mask = mask
        self._open: dict[str, str] = {}
        self._lines = 0

    def add(self, stream: str, text: str) -> None:
        """A piece of output, ending anywhere."""
        *lines, rest = (self._open.get(stream, "") + text).split("\n")
        for line in lines:
            self._line(stream, line)
        # Masked before it is cut, and not near its end: no secret may be cut in two.
        while len(rest) > 2 * LINE and len(rest := self._mask(rest)) > 2 * LINE:
            self._line(stream, rest[:LINE])
            rest = rest[LINE:]
        self._open[stream] = rest

    def close(self) -> None:
        """The attempt has ended: what is left open is a line too."""
        for stream, rest in self._open.items():
            if rest:
                self._line(stream, rest)
        self._open.clear()
        if self._lines > ATTEMPT_LINES:
            self._write(
                "log", f"({self._lines - ATTEMPT_LINES} more lines were dropped: over {ATTEMPT_LINES} lines)"
            )

    def _line(self, stream: str, line: str) -> None:
        self._lines += 1
        if self._lines <= ATTEMPT_LINES:
            text = self._mask(line)
            for start in range(0, len(text) or 1, LINE):
                self._write(stream, text[start : start + LINE])


class LogBook:
    """Writes the lines of all runs of an engine."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lines: dict[str, list[LogLine]] = {}
        self._task: asyncio.Task[None] | None = None
        #: Held while lines are written: who flushes also waits for those that are under way.
        self._writing = asyncio.Lock()
        self._warned = False
        self._closed = False

    def add(self, run: str, line: LogLine) -> None:
        """A line of a run; it is written soon."""
        if self._closed:  # a body that could not be stopped goes on for nobody
            return
        self._lines.setdefault(run, []).append(line)
        if self._task is None:
            self._task = asyncio.create_task(self._write_soon())

    async def flush(self) -> None:
        """Write what there is, now."""
        async with self._writing:
            lines, self._lines = self._lines, {}
            for run, of_run in lines.items():
                try:
                    await self._journal.write_logs(run, of_run)
                except ClewError as error:
                    if not self._warned:
                        self._warned = True
                        _LOG.warning("output of attempts cannot be kept: %s", error)

    async def close(self) -> None:
        """Write what there is, and stop."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    async def _write_soon(self) -> None:
        await asyncio.sleep(DELAY_S)
        self._task = None
        await self.flush()
