"""What bodies print, on its way to the journal: as whole lines, and no more than can be kept."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable
from threading import RLock

#: Takes a piece of output: the stream (``stdout``, ``stderr``, ``log``) and text, mostly whole lines.
Sink = Callable[[str, str], None]

#: A line that is longer is passed on in pieces.
MAX_LINE = 65_536
#: Characters kept at either end of each stream of an attempt.
MAX_KEPT = 262_144


def storable(text: str) -> str:
    """The text with lone surrogates (of file names that are no Unicode, say) written as escapes."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


class Lines:
    """Collects text until a line is whole. Threads may share one; pieces reach the sink in order.

    Args:
        stream: named to the sink with each piece.
        sink: takes the pieces.
    """

    def __init__(self, stream: str, sink: Sink) -> None:
        self._stream = stream
        self._sink = sink
        self._parts: list[str] = []
        self._held = 0  #: characters in `_parts`, which hold no line end
        #: Reentrant: while the sink works, the garbage collector may close a stream, which flushes this.
        self._lock = RLock()

    def write(self, text: str) -> None:
        """Take text; pass on what is whole."""
        with self._lock:
            end = text.rfind("\n") + 1
            if end:
                self._pass_on(text[:end])
                text = text[end:]
            if text:
                self._parts.append(text)
                self._held += len(text)
                if self._held >= MAX_LINE:
                    self._pass_on("")

    def flush(self) -> None:
        """Pass on the beginning of a line, too."""
        with self._lock:
            self._pass_on("")

    def _pass_on(self, text: str) -> None:
        if self._parts:
            self._parts.append(text)
            text = "".join(self._parts)
            self._parts.clear()
            self._held = 0
        if text:
            self._sink(self._stream, storable(text))


class ByteLines:
    """`Lines` for bytes, which may be cut in the middle of a character; what is no UTF-8 shows as U+FFFD."""

    def __init__(self, stream: str, sink: Sink) -> None:
        self._lines = Lines(stream, sink)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> None:
        """Take bytes; pass on the lines that are whole."""
        self._lines.write(self._decoder.decode(data))

    def flush(self) -> None:
        """Pass on all there is; the stream has ended, or what follows is somebody else's."""
        self._lines.write(self._decoder.decode(b"", final=True))
        self._lines.flush()


class Bounded:
    """Passes the beginning of each stream on at once, and of the rest only the end, when it has come.

    So an attempt that prints without limit is followed live for a while, costs bounded memory and disk, and
    still shows its last words. Between the two stands how much is missing.

    Args:
        sink: takes what is kept.
        kept: characters kept at either end of a stream.
    """

    def __init__(self, sink: Sink, kept: int = MAX_KEPT) -> None:
        self._sink = sink
        self._kept = kept
        self._streams: dict[str, _End] = {}
        self._lock = RLock()

    def __call__(self, stream: str, text: str) -> None:
        """Take a piece of output."""
        with self._lock:
            end = self._streams.get(stream)
            if end is None:
                end = self._streams[stream] = _End(self._kept)
            if end.room:
                head, text = text[: end.room], text[end.room :]
                end.room -= len(head)
                self._sink(stream, head)
            if text:
                end.add(text, self._kept)

    def close(self) -> None:
        """Pass on the ends; what comes later starts anew."""
        with self._lock:
            for stream, end in self._streams.items():
                if end.dropped:
                    self._sink(stream, f"\n[... {end.dropped:,} characters are left out here ...]\n")
                if end.pieces:
                    self._sink(stream, "".join(end.pieces))
            self._streams.clear()


class _End:
    """The last pieces of one stream."""

    def __init__(self, room: int) -> None:
        self.room = room  #: characters that may still be passed on at once
        self.pieces: deque[str] = deque()
        self.held = 0  #: characters in `pieces`, at most what is kept
        self.dropped = 0

    def add(self, text: str, kept: int) -> None:
        self.pieces.append(text)
        self.held += len(text)
        while self.held > kept:
            first = self.pieces.popleft()
            cut = min(len(first), self.held - kept)
            if cut < len(first):
                self.pieces.appendleft(first[cut:])
            self.held -= cut
            self.dropped += cut
