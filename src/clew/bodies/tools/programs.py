"""Tools that run programs."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TypedDict

from clew.bodies.errors import BodyError
from clew.errors import InvalidInputError
from clew.graphs.tools import tool
from clew.kernel.values import ErrorInfo

#: Bytes of each stream that are returned.
MAX_OUTPUT = 1_000_000
#: Characters of standard error that are told of a program that failed.
_TOLD = 2_000


class Ran(TypedDict):
    """What a program left."""

    exit_code: int
    stdout: str
    stderr: str


def _would_run(command: str | list[str], cwd: str = ".", ok_codes: list[int] | None = None) -> str:  # noqa: ARG001
    return f"would run in {cwd}: {command if isinstance(command, str) else ' '.join(command)}"


@tool(name="shell", effects="unknown", network=None, shell=True, dry_run=_would_run)  # noqa: S604
def run(command: str | list[str], cwd: str = ".", ok_codes: list[int] | None = None) -> Ran:
    """Run a program, and wait until it and all that writes to its output have ended.

    Args:
        command: a line for the shell, or a list of arguments, which no shell reads.
        cwd: the folder it runs in.
        ok_codes: exit codes that mean success; 0 if not given.
    """
    if not command or (isinstance(command, str) and not command.strip()):
        raise InvalidInputError("command is empty")
    with (
        subprocess.Popen(
            command,
            shell=isinstance(command, str),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
        ThreadPoolExecutor(2) as readers,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        stdout, stderr = readers.map(_read, (process.stdout, process.stderr))
        code = process.wait()
    if code not in (ok_codes if ok_codes is not None else [0]):
        raise BodyError(_failure(code, stderr))
    return {"exit_code": code, "stdout": stdout, "stderr": stderr}


def _failure(code: int, stderr: str) -> ErrorInfo:
    kind, number, known = ("signal", -code, "SignalError") if code < 0 else ("exit code", code, "ExitCodeError")
    how = f"{kind} {number}"
    told = stderr.strip()[-_TOLD:]
    message = f"the program ended {'by' if code < 0 else 'with'} {how}{f': {told}' if told else ''}"
    return ErrorInfo(type=kind, message=message, classes=(how, known, "Exception"))


def _read(pipe: IO[bytes]) -> str:
    """All that comes, of which so much is kept; a program that prints more is not held up."""
    kept, more = bytearray(), 0
    while chunk := pipe.read(1 << 16):
        room = MAX_OUTPUT - len(kept)
        kept += chunk[:room]
        more += max(len(chunk) - room, 0)
    text = kept.decode(errors="replace")
    return f"{text}\n… {more:,} bytes more" if more else text
