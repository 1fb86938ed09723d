"""The file that a run is exported to: gzip of JSON lines, written and read one by one, with a checksum at the end.

A file is a header, the run's row, then values, events and logs, each value before the first event that refers to
it, and a line that counts them and holds the SHA-256 of all lines before it. What is in a line is told by its
``type``.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from typing import IO

import msgspec

from clew import codec
from clew.errors import StorageError
from clew.journal.records import LogLine, RunRow
from clew.journal.upcast import decode_events
from clew.journal.values_of import values_of
from clew.kernel import events as e

#: Of the lines below. Events and rows have rules of their own by which old ones stay readable.
FORMAT = 1
#: A longer line is taken for damage, in bytes.
MAX_LINE = 2**30
#: Tells zlib to write the header and the end of gzip, with the largest window.
_GZIP = 16 + 15


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="clew_export"):
    """The first line.

    Attributes:
        format: of the lines of this file.
        clew: the version of Clew that wrote it.
        run: id of the run.
        exported_at: seconds since the epoch.
    """

    format: int
    clew: str
    run: str
    exported_at: float


class RowLine(msgspec.Struct, frozen=True, tag_field="type", tag="row"):
    """The second line: the run's row, without its owner."""

    row: RunRow


class ValueLine(msgspec.Struct, frozen=True, tag_field="type", tag="value"):
    """A value that does not travel inline, as JSON text; the run's definition is the first one."""

    digest: str
    text: str


class EventsLine(msgspec.Struct, frozen=True, tag_field="type", tag="events"):
    """Events in order, in the format `version` of events; `after` is the number of the one before them."""

    after: int
    version: int
    events: msgspec.Raw


class LogsLine(msgspec.Struct, frozen=True, tag_field="type", tag="logs"):
    """What attempts printed."""

    lines: list[LogLine]


class EndLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="end", omit_defaults=True):
    """The last line: what the file holds, and the SHA-256 of the lines before it."""

    events: int = 0
    values: int = 0
    logs: int = 0
    sha256: str = ""


Line = Header | RowLine | ValueLine | EventsLine | LogsLine | EndLine

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Line)


class Writer:
    """Writes lines to a binary file, which stays open."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        # The header of gzip without a time and a name: the same lines make the same file.
        self._zip = zlib.compressobj(wbits=_GZIP)
        self._hash = hashlib.sha256()

    def write(self, *lines: Line) -> None:
        """Write some lines."""
        for line in lines:
            text = _ENCODER.encode(line) + b"\n"
            self._hash.update(text)
            self._out.write(self._zip.compress(text))

    def end(self, counts: EndLine) -> None:
        """Write the last line."""
        text = _ENCODER.encode(msgspec.structs.replace(counts, sha256=self._hash.hexdigest())) + b"\n"
        self._out.write(self._zip.compress(text) + self._zip.flush())


class Chunk(msgspec.Struct, frozen=True):
    """Events that belong together with the values that they are the first to refer to; or logs.

    Attributes:
        after: number of the last event before these.
        events: in today's format.
        values: JSON text by digest.
        logs: what attempts printed.
    """

    after: int = 0
    events: list[e.AnyEvent] = []
    values: dict[str, bytes] = {}
    logs: list[LogLine] = []


class Reader:
    """Reads a file from its beginning, and finds out what is wrong with it.

    Args:
        file: binary, at its beginning.
        name: of the file, for messages.

    Attributes:
        header: its first line.
        row: of the run.

    Raises:
        StorageError: it is no export, was written by a newer Clew, or is damaged; so do all methods.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._gzip = gzip.GzipFile(fileobj=file, mode="rb")
        self._name = name
        self._hash = hashlib.sha256()
        self.header = self._first()
        second = self._next()
        if not isinstance(second, RowLine):
            raise self._wrong("its second line is not the row of the run")
        self.row = second.row

    def chunks(self) -> Iterator[Chunk]:
        """What the file holds, in order; at its end, everything has been checked."""
        counts = EndLine()
        seen: set[str] = set()
        values: dict[str, bytes] = {}
        while not isinstance(line := self._next(), EndLine):
            match line:
                case ValueLine(digest=digest, text=text):
                    values[digest] = self._checked(digest, text)
                    counts = msgspec.structs.replace(counts, values=counts.values + 1)
                case EventsLine():
                    events = self._events(line, counts.events)
                    seen |= values.keys()
                    self._refuse_missing(events, seen)
                    yield Chunk(counts.events, events, values)
                    counts = msgspec.structs.replace(counts, events=counts.events + len(events))
                    values = {}
                case LogsLine(lines=lines):
                    yield Chunk(logs=lines)
                    counts = msgspec.structs.replace(counts, logs=counts.logs + len(lines))
                case _:
                    raise self._wrong("a line stands where it does not belong")
        if msgspec.structs.replace(line, sha256="") != counts or values:
            raise self._wrong("it does not hold what its last line says")
        if counts.events != self.row.seq:
            raise self._wrong(f"it holds {counts.events} of the {self.row.seq} events of the run")
        if self._line():
            raise self._wrong("something follows its last line")

    def _first(self) -> Header:
        try:
            told = msgspec.json.decode(self._line())
            if told["type"] != Header.__struct_config__.tag:
                raise KeyError
            if told["format"] > FORMAT:
                raise StorageError(
                    f"{self._name} was exported by Clew {told['clew']} in a newer format ({told['format']}); this "
                    f"one reads up to {FORMAT}. Install that version"
                )
            return msgspec.convert(told, Header)
        except (msgspec.MsgspecError, TypeError, LookupError, gzip.BadGzipFile) as error:
            raise StorageError(f"{self._name} is not a run that was exported by `clew export`") from error

    def _next(self) -> Line:
        before = self._hash.hexdigest()
        text = self._line()
        if not text:
            raise self._short()
        try:
            line = _DECODER.decode(text)
        except msgspec.MsgspecError as error:
            raise self._wrong(f"a line cannot be read: {error}") from error
        if isinstance(line, EndLine) and line.sha256 != before:
            raise self._wrong("its checksum does not fit")
        return line

    def _line(self) -> bytes:
        try:
            text = self._gzip.readline(MAX_LINE)
        except EOFError as error:
            raise self._short() from error
        except zlib.error as error:
            raise self._wrong(str(error)) from error
        except gzip.BadGzipFile as error:
            if self._gzip.tell() == 0:
                raise
            raise self._wrong(str(error)) from error
        except OSError as error:
            raise StorageError(f"{self._name} cannot be read: {error}") from error
        self._hash.update(text)
        if text and not text.endswith(b"\n"):
            raise self._short()
        return text

    def _checked(self, digest: str, text: str) -> bytes:
        data = text.encode()
        if codec.digest(data) != digest:
            raise self._wrong(f"the value {digest[:12]}… has another digest")
        return data

    def _events(self, line: EventsLine, after: int) -> list[e.AnyEvent]:
        try:
            events = decode_events(bytes(line.events), line.version)
        except StorageError as error:
            if line.version > e.VERSION:
                raise StorageError(f"the events in {self._name} cannot be read: {error}") from error
            raise self._wrong(str(error)) from error
        if line.after != after or not events:
            raise self._wrong(f"the events after {after} are missing")
        if (after == 0) != isinstance(events[0], e.RunAdmitted):
            raise self._wrong("its events do not begin with the admission of the run")
        return events

    def _refuse_missing(self, events: list[e.AnyEvent], seen: set[str]) -> None:
        for event in events:
            for value in values_of(event):
                if value.blob and value.blob not in seen:
                    raise self._wrong(f"the value {value.blob[:12]}… is missing")
        if self.row.definition not in seen:
            raise self._wrong("the definition of the graph is missing")

    def _wrong(self, why: str) -> StorageError:
        return StorageError(
            f"{self._name} was changed or damaged since it was exported: {why}. Nothing was imported; export the "
            "run again"
        )

    def _short(self) -> StorageError:
        return StorageError(
            f"{self._name} is not complete: its end is missing. Nothing was imported; copy the file again"
        )
