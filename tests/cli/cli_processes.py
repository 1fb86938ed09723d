"""The program as a process of its own: its lines are waited for, in a pipe or in a terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

PROGRAM = [sys.executable, "-c", "from clew.cli.main import main; main()"]


class Process:
    """A `clew` process whose lines are waited for."""

    def __init__(self, *arguments: str) -> None:
        self.popen = subprocess.Popen(
            [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []

    def wait_for(self, text: str, times: int = 1) -> str:
        """Read on until a line with `text` has come so many times."""
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(line.rstrip("\n"))
            times -= text in line
            if times == 0:
                return self.lines[-1]
        raise AssertionError(f"{text!r} did not come in:\n" + "\n".join(self.lines))

    def end(self, signal_number: int | None = None) -> int:
        """Send a signal, if any, and wait for the end; the exit code."""
        if signal_number is not None:
            self.popen.send_signal(signal_number)
        assert self.popen.stdout is not None
        self.lines += self.popen.stdout.read().splitlines()
        return self.popen.wait(30)


class Terminal:
    """A `clew` process in a terminal of its own."""

    def __init__(self, width: int, height: int, *arguments: str) -> None:
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # The environment as Python knows it: pytest imports readline, which sets COLUMNS behind its back.
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests may run where it is ignored
            environment = {**os.environ, "TERM": "xterm-256color"}
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            os.execve(sys.executable, [*PROGRAM, *arguments], environment)

    def wait_for(self, pattern: str) -> None:
        """Read until the pattern has come, without what only colours and moves."""
        limit = time.monotonic() + 30
        while not re.search(pattern, self.plain):
            ready, _, _ = select.select([self.fd], [], [], max(0.0, limit - time.monotonic()))
            assert ready, f"{pattern} did not come in {self.plain[-2_000:]}"
            try:
                self.text += os.read(self.fd, 65_536).decode()
            except OSError:  # the other side is closed
                raise AssertionError(f"{pattern} did not come in {self.plain[-2_000:]}") from None

    @property
    def plain(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text).replace("\r", "")

    def end(self) -> int:
        """Read to the end; the exit code."""
        while True:
            try:
                data = os.read(self.fd, 65_536)
            except OSError:
                break
            if not data:
                break
            self.text += data.decode()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
