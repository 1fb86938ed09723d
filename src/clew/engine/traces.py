"""Names of runs and attempts for tracing, derived and never stored: the same in every process, at any time."""

from __future__ import annotations

from clew import codec


def trace_id(run: str) -> str:
    """The trace of a run, as 32 hexadecimal digits; it stays the same however often the run is resumed."""
    return codec.digest(f"clew run\0{run}".encode())[:32]


def span_id(run: str, path: str, attempt: int) -> str:
    """The span of an attempt, as 16 hexadecimal digits; with an empty path, that of a generation of the run."""
    return codec.digest(f"clew attempt\0{run}\0{path}\0{attempt}".encode())[:16]
