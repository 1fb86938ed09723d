"""Tools that run programs."""

from __future__ import annotations

import subprocess
from typing import TypedDict

from clew.errors import Permanent
from clew.graphs.tools import tool

#: Bytes of each stream that are returned.
MAX_OUTPUT = 1_000_000


class Ran(TypedDict):
    """What a program left."""

    exit_code: int
    stdout: str
    stderr: str


def _would_run(command: str | list[str], cwd: str = ".", ok_codes: list[int] | None = None) -> str:  # noqa: ARG001
    return f"would run in {cwd}: {command if isinstance(command, str) else ' '.join(command)}"


@tool(name="shell", effects="unknown", shell=True, isolation="process", dry_run=_would_run)  # noqa: S604
def run(command: str | list[str], cwd: str = ".", ok_codes: list[int] | None = None) -> Ran:
    """Run a program, and wait for its end.

    Args:
        command: a line for the shell, or a list of arguments, which no shell reads.
        cwd: the folder it runs in.
        ok_codes: exit codes that mean success; 0 if not given.
    """
    done = subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    ran: Ran = {"exit_code": done.returncode, "stdout": _shown(done.stdout), "stderr": _shown(done.stderr)}
    if done.returncode not in (ok_codes or [0]):
        raise ProgramFailedError(done.returncode, ran["stderr"])
    return ran


class ProgramFailedError(Permanent):
    """A program ended with a code that does not mean success.

    Args:
        code: its exit code; negative is the signal that ended it.
        stderr: what it wrote there.
    """

    def __init__(self, code: int, stderr: str) -> None:
        how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        told = stderr.strip()[-2_000:]
        super().__init__(f"the program {how}{f': {told}' if told else ''}")
        self.code = code


def _shown(data: bytes) -> str:
    text = data.decode(errors="replace")
    return (
        text if len(text) <= MAX_OUTPUT else f"{text[:MAX_OUTPUT]}\n… {len(text) - MAX_OUTPUT:,} characters more"
    )
