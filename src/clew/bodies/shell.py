"""Run a program for a node.

The program runs in a process group of its own (`groups`), which is gone when the node has ended: returned,
failed, timed out or cancelled, or because this whole process was killed. What it leaves in the background is
killed too; a program that is to live on has to leave its session (``setsid``).

Result, with ``capture="text"`` or ``"json"``::

    {"exit_code": 0, "stdout": text or parsed JSON, "stderr": the last lines}

and ``{"exit_code": 0}`` with ``capture="none"``. All output also goes to the attempt's log as it comes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, cast

import msgspec

from clew.bodies.errors import BodyError
from clew.bodies.groups import ProcessGroups, Spent
from clew.bodies.output import ByteLines, Sink
from clew.bodies.pipes import PipeReader, PipeWriter, drain, read_pipe, write_pipe
from clew.errors import InvalidInputError
from clew.graphs.body_data import ShellBody
from clew.kernel.values import ErrorInfo

#: Takes output: the stream (``stdout``, ``stderr``) and bytes, as they come.
ByteSink = Callable[[str, bytes], None]
#: Between asking a program to end and killing it.
GRACE_S = 2.0
#: Bytes of standard error that are kept for the result and for messages.
_STDERR_KEPT = 65_536
#: How long output may still come once the group is gone; whoever holds the pipe then has left the group.
_DRAIN_S = 1.0


class Runner(Protocol):
    """Runs a program and returns its exit code (negative: the signal); nothing of it runs any more then.

    Raises:
        FileNotFoundError, NotADirectoryError: the folder does not exist.
    """

    async def __call__(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: str, stdin: bytes | None, take: ByteSink, /
    ) -> int:
        """Run it; `take` gets its output as it comes, and ends it by raising."""
        ...


async def run_shell(
    body: ShellBody,
    inputs: Mapping[str, Any],
    write: Sink,
    env: Mapping[str, str],
    run: Runner,
) -> dict[str, Any]:
    """Run the program of a shell node; whatever happens, nothing of it runs any more afterwards.

    Args:
        body: how it is run.
        inputs: ``command`` (text for the shell, or a list of arguments), and perhaps ``stdin``, ``cwd``, ``env``;
            decoded and resolved.
        write: takes the output, line by line, as ("stdout" | "stderr", text).
        env: environment variables above those of this process, of the body and of the inputs: the last word,
            e.g. with secrets resolved.
        run: starts and ends it, e.g. `in_group`.

    Raises:
        BodyError: ``exit code`` (not in `ok_codes`), ``signal`` (killed), ``output too large``, ``invalid output``
            (no JSON), ``not found`` (no such program or folder).
        InvalidInputError: the command or its input is not what it has to be.
    """
    argv = _argv(inputs.get("command"), shell=body.shell)
    given = inputs.get("env")
    variables = {**body.env, **(cast("dict[str, Any]", given) if isinstance(given, dict) else {}), **env}
    full = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    stdin = _stdin(inputs.get("stdin"))
    cwd = str(inputs.get("cwd") or body.cwd)
    if "/" not in argv[0] and shutil.which(argv[0], path=full.get("PATH")) is None:
        raise _error("not found", f"there is no program {argv[0]} on the PATH", "FileNotFoundError", "OSError")
    capture = _Capture(body, write)
    try:
        code = await run(argv, full, cwd, stdin, capture.take)
    except (FileNotFoundError, NotADirectoryError):
        raise _error(
            "not found", f"the folder {cwd} to run in does not exist", "FileNotFoundError", "OSError"
        ) from None
    finally:
        capture.flush()
    return _result(body, code, capture, inputs["command"] if body.shell else " ".join(argv))


def _argv(command: Any, *, shell: bool) -> list[str]:
    if shell:
        if not isinstance(command, str) or not command.strip():
            raise InvalidInputError(f"command: it is {command!r:.80}, not a line for the shell")
        return ["/bin/sh", "-c", command]
    given = cast("list[Any]", command) if isinstance(command, list | tuple) else []
    if not given or not all(isinstance(each, str | int | float) for each in given):
        raise InvalidInputError(f"command: it is {command!r:.80}, not a list of arguments")
    return [str(each) for each in given]


def _stdin(given: Any) -> bytes | None:
    if given is None or isinstance(given, bytes):
        return given
    return given.encode() if isinstance(given, str) else msgspec.json.encode(given)


class _Capture:
    """What a program has printed: passed on in full, kept within limits."""

    def __init__(self, body: ShellBody, write: Sink) -> None:
        self.stdout = bytearray()
        self._stderr = bytearray()  #: the last bytes; up to twice what is kept, so that it is seldom cut
        self._limit = body.max_output
        self._keeps_all = body.capture != "none"
        self._lines = {"stdout": ByteLines("stdout", write), "stderr": ByteLines("stderr", write)}

    def take(self, stream: str, data: bytes) -> None:
        self._lines[stream].feed(data)
        kept = self.stdout if stream == "stdout" else self._stderr
        kept += data
        if stream == "stderr" or not self._keeps_all:
            if len(kept) > 2 * _STDERR_KEPT:
                del kept[:-_STDERR_KEPT]
        elif len(kept) > self._limit:
            raise _error(
                "output too large",
                f"the command printed more than max_output={self._limit:,} bytes; raise it, write to a file, or "
                'set capture="none"',
                retryable=False,
            )

    def kept_stderr(self) -> bytes:
        return bytes(self._stderr[-_STDERR_KEPT:])

    def flush(self) -> None:
        for lines in self._lines.values():
            lines.flush()

    def last_lines(self) -> str:
        data = bytes(self._stderr if self._stderr.strip() else self.stdout)
        return "\n".join(data[-4_000:].decode(errors="replace").rstrip().splitlines()[-20:])


def in_group(groups: ProcessGroups, on_spent: Spent | None = None) -> Runner:
    """Runs programs in process groups, and tells what they have used."""

    async def run(
        argv: Sequence[str], env: Mapping[str, str], cwd: str, stdin: bytes | None, take: ByteSink
    ) -> int:
        process = groups.spawn(argv, stdin=stdin is not None, env=env, cwd=cwd or None)
        return await _communicate(process, stdin, take, groups, on_spent)

    return run


async def _communicate(
    process: subprocess.Popen[bytes],
    stdin: bytes | None,
    take: ByteSink,
    groups: ProcessGroups,
    on_spent: Spent | None,
) -> int:
    """Feed the program and read its output until it has ended; return its exit code."""
    readers: list[PipeReader] = []
    feeding: PipeWriter | None = None
    try:
        readers.append(await read_pipe(process.stdout, partial(take, "stdout")))
        readers.append(await read_pipe(process.stderr, partial(take, "stderr")))
        if stdin is not None:
            feeding = await write_pipe(process.stdin, stdin)
        await _wait(process, readers, groups)
        code = await groups.reap(process, on_spent)
    except BaseException:
        await groups.stop(process, GRACE_S, on_spent)
        raise
    finally:
        await drain(readers, _DRAIN_S)
        if feeding is not None:
            feeding.close()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:  # what was cancelled early has no reader to close it
                pipe.close()
    for reader in readers:
        if reader.ended.done():
            reader.ended.result()
    return code


async def _wait(process: subprocess.Popen[bytes], readers: list[PipeReader], groups: ProcessGroups) -> None:
    """Wait for the program's end, or for output that is refused."""
    waiting = asyncio.ensure_future(groups.wait(process))
    pending: set[asyncio.Future[None]] = {waiting, *(reader.ended for reader in readers)}
    try:
        while not waiting.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
    finally:
        waiting.cancel()


def _result(body: ShellBody, code: int, capture: _Capture, command: str) -> dict[str, Any]:
    told = command if len(command) <= 200 else f"{command[:200]}..."
    if code < 0:
        said = f"`{told}` was killed by {_signal(-code)}"
        raise _error("signal", _with_lines(said, capture), "SignalError")
    if code not in body.ok_codes:
        # A shell tells in this way that what it ran was killed.
        by = f" ({_signal(code - 128)})" if body.shell and 128 < code < 160 else ""
        said = f"`{told}` ended with exit code {code}{by}"
        raise _error("exit code", _with_lines(said, capture), "ExitCodeError")
    if body.capture == "none":
        return {"exit_code": code}
    stdout: Any = bytes(capture.stdout)
    if body.capture == "json":
        try:
            stdout = msgspec.json.decode(stdout)
        except msgspec.DecodeError as error:
            said = f"`{told}` did not print JSON ({error}); it printed: {stdout[:200].decode(errors='replace')!r}"
            raise _error("invalid output", said, "ValueError") from None
    else:
        stdout = stdout.decode(errors="replace")
    return {"exit_code": code, "stdout": stdout, "stderr": capture.kept_stderr().decode(errors="replace")}


def _with_lines(said: str, capture: _Capture) -> str:
    lines = capture.last_lines()
    return f"{said}; its last words:\n{lines}" if lines else f"{said}; it printed nothing"


def _signal(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} (signal {number})"
    except ValueError:
        return f"signal {number}"


def _error(kind: str, message: str, *classes: str, retryable: bool | None = None) -> BodyError:
    return BodyError(ErrorInfo(type=kind, message=message, classes=(*classes, "Exception"), retryable=retryable))
