"""Which journal a URL means."""

from __future__ import annotations

from pathlib import Path

from clew.errors import StorageError
from clew.journal.memory import MemoryJournal
from clew.journal.port import Journal

_DURABILITIES = ("full", "process", "memory")
_SCHEMES = ("memory:", "sqlite:", "postgres:", "postgresql:")


def journal_for(url: str, durability: str = "full") -> Journal:
    """The journal, not yet opened, that a URL names.

    Args:
        url: ``memory:``, ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or the path of a file.
        durability: ``full``, ``process``, or ``memory``, which keeps nothing whatever the URL says.

    Raises:
        StorageError: another kind of URL, or of durability.
    """
    if durability not in _DURABILITIES:
        raise StorageError(f"durability {durability!r} is not one of {', '.join(_DURABILITIES)}")
    if url in ("memory:", "memory://") or durability == "memory":
        return MemoryJournal()
    scheme, separator, rest = url.partition("://")
    if separator and scheme != "sqlite":
        raise StorageError(f"{url}: there is no journal for {scheme}; use memory: or sqlite:///FILE")
    if not separator and f"{url}:".startswith(_SCHEMES):
        raise StorageError(f"{url}: this is neither a URL nor a file; use memory: or sqlite:///FILE")
    from clew.journal.sqlite import SqliteJournal  # noqa: PLC0415 - sqlite3 is only loaded when it is used

    path = Path(rest.removeprefix("/") if separator else url)
    return SqliteJournal(path.expanduser(), durability)
