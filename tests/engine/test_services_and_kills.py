"""A real service that did or did not act before the process that asked it was really killed: the probe finds out.

The service itself kills whoever asks it: before it acts, or after that and before it answers. It counts what it
has really done.
"""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from test_kills import events_of

from clew.kernel import events as e

PROGRAM = Path(__file__).with_name("ordering_program.py")
KINDS = ("tool", "http", "step")


class Service(ThreadingHTTPServer):
    """Takes orders.

    Attributes:
        orders: that there are now.
        done: what was done to them, by method and order.
        asked: all requests.
        kills: when the process that asks is killed, once each: ``before POST``, ``after DELETE``, …
        asks: the process.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Requests)
        self.orders: set[str] = set()
        self.done: Counter[tuple[str, str]] = Counter()
        self.asked: list[str] = []
        self.kills: set[str] = set()
        self.asks: subprocess.Popen[str] | None = None

    def kill(self, when: str) -> bool:
        """Kill whoever asks, if it is to be killed then."""
        if when not in self.kills:
            return False
        self.kills.discard(when)
        assert self.asks is not None
        os.kill(self.asks.pid, signal.SIGKILL)
        return True


class Requests(BaseHTTPRequestHandler):
    """One connection."""

    server: Service

    def _do(self) -> None:
        service, method, order = self.server, self.command, self.path.rpartition("/")[2]
        service.asked.append(method)
        if service.kill(f"before {method}"):
            return  # and nothing comes of it
        there = order in service.orders
        if method == "POST":
            service.orders.add(order)
            service.done[method, order] += 1
        elif method == "DELETE" and there:
            service.orders.discard(order)
            service.done[method, order] += 1
        service.kill(f"after {method}")
        data = b'{"order": "%s"}' % order.encode()
        try:
            self.send_response(201 if method == "POST" else 200 if there else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            service.asked.append("nobody is there any more")

    do_GET = do_POST = do_DELETE = _do

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.01,))
        thread.start()
        yield service
        service.shutdown()
        thread.join()


def live(service: Service, database: Path, how: str) -> tuple[int, str]:
    """One life of the program; how it ended, and what it said."""
    host, port = service.server_address[:2]
    command = [sys.executable, str(PROGRAM), str(database), f"{host!s}:{port}", how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        service.asks = process
        said, complaints = process.communicate(timeout=60)
    assert process.returncode in {0, -signal.SIGKILL}, complaints
    return process.returncode, said.strip()


def lives(service: Service, database: Path, how: str, deaths: int) -> str:
    """Die so often, and then live to the end; what was said then."""
    for _ in range(deaths):
        assert live(service, database, how) == (-signal.SIGKILL, "")
    code, said = live(service, database, how)
    assert code == 0
    assert not service.kills
    return said


def check_probed(database: Path, how: str) -> None:
    """The node was interrupted once, and its outcome was found out by the probe."""
    events = [recorded.event for recorded in events_of(database, "r")]
    assert sum(isinstance(x, e.AttemptInterrupted) and x.path == "order" for x in events) == 1
    probes = sum(isinstance(x, e.AttemptStarted) and x.probe for x in events)
    assert probes == (0 if how.startswith("step") else 1)
    undone = Counter(x.path for x in events if isinstance(x, e.NodeCompleted) and "#undo" in x.path)
    where = "order#undo[order]" if how.startswith("step") else "order#undo"
    assert undone == ({where: 1} if "fails" in how else {})


def ordered_once(service: Service, tmp_path: Path, kind: str, when: str) -> None:
    service.kills = {f"{when} POST"}
    assert lives(service, tmp_path / "clew.db", kind, 1) == "completed A-1"
    assert service.orders == {"A-1"}
    assert service.done == {("POST", "A-1"): 1}
    assert service.asked.count("GET") == 1
    check_probed(tmp_path / "clew.db", kind)


def given_back_once(service: Service, tmp_path: Path, kind: str, when: str, undo: str) -> None:
    service.kills = {f"{when} POST", *([f"{undo} DELETE"] if undo else [])}
    said = lives(service, tmp_path / "clew.db", f"{kind} fails", 1 + bool(undo))
    assert said.startswith("rolled_back")
    assert service.orders == set()
    assert service.done == {("POST", "A-1"): 1, ("DELETE", "A-1"): 1}
    check_probed(tmp_path / "clew.db", f"{kind} fails")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_service_did_before_a_kill_is_not_done_again(
    service: Service, tmp_path: Path, kind: str, when: str
) -> None:
    ordered_once(service, tmp_path, kind, when)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("undo", ["", "before", "after"])
def test_what_a_service_did_before_a_kill_is_undone_once(
    service: Service, tmp_path: Path, kind: str, when: str, undo: str
) -> None:
    given_back_once(service, tmp_path, kind, when, undo)
