"""Findings of a real linter, ruff, about one file.

Ruff is started once per file and reads it from standard input: that takes some ten milliseconds, keeps the
files independent of each other, and works for any encoding that Python accepts.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from itertools import groupby

import msgspec

from code_audit.model import Finding

RULES = (
    *("A", "ASYNC", "B", "BLE", "C4", "DTZ", "E4", "E7", "E9", "ERA", "F", "FLY", "FURB", "G", "ISC", "LOG"),
    *("PERF", "PIE", "PLE", "PLW", "RET", "RUF", "S", "SIM", "TRY", "UP", "W6"),
)
IGNORED_RULES = (
    "F405",  # repeats F403 at every use of a starred name
    "RUF001",  # text may be written in any script
    "RUF002",
    "RUF003",
    "S101",  # asserts are what tests are made of
    "TRY003",  # a matter of taste
)
TIMEOUT_S = 50
_NEWEST_TARGET = (3, 14)

#: What rules are about, by the letters of their codes; all others are about correctness.
FAMILIES = {
    "S": "security",
    **dict.fromkeys(("A", "C", "E", "ERA", "PERF", "PIE", "RET", "RUF", "SIM", "TRY"), "clarity"),
    **dict.fromkeys(("FLY", "FURB", "UP"), "dated idioms"),
}


class LinterError(Exception):
    """The linter could not be run, or did not answer in its format."""


class _Location(msgspec.Struct):
    row: int


class _Diagnostic(msgspec.Struct):
    code: str | None
    message: str
    location: _Location
    name: str = ""


def lint(text: str, file: str) -> list[Finding]:
    """Run ruff over the text of a file.

    Returns:
        One finding per rule that the file breaks, the most frequent first.

    Raises:
        LinterError: ruff is missing, failed or took too long.
    """
    diagnostics = [diagnostic for diagnostic in _run_ruff(text, file) if diagnostic.code]
    diagnostics.sort(key=lambda diagnostic: (diagnostic.code or "", diagnostic.location.row))
    groups = [list(group) for _, group in groupby(diagnostics, key=lambda diagnostic: diagnostic.code)]
    return sorted(map(_finding, groups), key=lambda finding: (-finding.count, finding.code))


def family(code: str) -> str:
    """Return what a rule is about: correctness, security, clarity or dated idioms."""
    return FAMILIES.get(code.rstrip("0123456789"), "correctness")


def _run_ruff(text: str, file: str) -> list[_Diagnostic]:
    try:
        finished = subprocess.run(
            [*_command(), f"--stdin-filename={file}", "-"],
            input=text.encode(),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LinterError(f"ruff did not run on {file}: {error}") from error
    if finished.returncode not in {0, 1}:  # 1 means findings
        raise LinterError(f"ruff failed on {file}: {finished.stderr.decode(errors='replace').strip()}")
    try:
        return msgspec.json.decode(finished.stdout, type=list[_Diagnostic])
    except msgspec.DecodeError as error:
        raise LinterError(f"ruff's answer about {file} is not in the known format: {error}") from error


@cache
def _command() -> tuple[str, ...]:
    """Call ruff's program itself: through `python -m ruff` each file would cost an interpreter more."""
    try:
        from ruff import find_ruff_bin  # noqa: PLC0415  (its absence is to be told in our words)
    except ImportError as error:
        raise LinterError("ruff is not installed: pip install 'clew[examples]'") from error
    major, minor = min(sys.version_info[:2], _NEWEST_TARGET)
    return (
        *(find_ruff_bin(), "check", "--isolated", "--no-cache", "--quiet", "--output-format", "json"),
        *("--target-version", f"py{major}{minor}"),
        *("--select", ",".join(RULES), "--ignore", ",".join(IGNORED_RULES)),
    )


def _finding(diagnostics: list[_Diagnostic]) -> Finding:
    first = diagnostics[0]
    return Finding(
        code=first.code or "",
        name=first.name,
        count=len(diagnostics),
        line=first.location.row,
        message=first.message,
    )
