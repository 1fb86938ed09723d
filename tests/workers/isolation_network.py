"""Servers that a step is not to reach, and what it tells of trying."""

import socket
from collections.abc import Iterator

import pytest
from isolation_bench import Steps

pytestmark = pytest.mark.slow

#: Defines `tries(name, do)`, which prints what came of something.
TRYING = """
import array, ctypes, errno, os, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def tries(name, do):
    try:
        do()
        print(name, "done", flush=True)
    except OSError as error:
        print(name, errno.errorcode.get(error.errno, error), flush=True)
def connect(port, host="127.0.0.1", family=socket.AF_INET):
    with socket.socket(family) as client:
        client.settimeout(20)
        client.connect((host, port))
        client.sendall(b"hello")
"""


class Server:
    """Listens on the loopback, and knows who came."""

    def __init__(self, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET) -> None:
        self.socket = socket.socket(family, kind)
        self.socket.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            self.socket.listen(64)
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    def seen(self) -> list[bytes]:
        """What was sent by each who came since."""
        found: list[bytes] = []
        while True:
            try:
                if self.socket.type == socket.SOCK_DGRAM:
                    found.append(self.socket.recv(1 << 16))
                else:
                    with self.socket.accept()[0] as client:
                        client.settimeout(20)
                        found.append(b"".join(iter(lambda: client.recv(1 << 16), b"")))
            except BlockingIOError:
                return found


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    made = [Server(), Server()]
    yield made
    for each in made:
        each.socket.close()


@pytest.fixture
def mailbox() -> Iterator[Server]:
    made = Server(socket.SOCK_DGRAM)
    yield made
    made.socket.close()


def told(steps: Steps) -> dict[str, str]:
    assert steps.errors == ""
    return dict(line.split(" ", 1) for line in steps.text.splitlines())
