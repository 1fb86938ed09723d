"""Events, appends and owners for the tests of journals."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from clew import codec
from clew.errors import StorageError
from clew.journal import ownership
from clew.journal.ownership import this_process
from clew.journal.port import Journal, Outcomes
from clew.journal.records import Append, Blob, Owner, RunRow
from clew.journal.sqlite import SqliteJournal
from clew.kernel import events as e
from clew.kernel.definition import EdgeSpec, GraphSpec, KeySpec, NodeSpec, RouteSpec
from clew.kernel.undo_events import Remaining
from clew.kernel.values import GATHERED, ErrorInfo, Undo, Value
from clew.kernel.writes import Change, Write

TEXT = Value(json=Raw(b'{"a":[1,2.5,null,"\xc3\xa9\xe2\x80\xa8"],"big":123456789012345678901234567890}'))
LARGE = Value(blob="ab" * 32, size=70_000)
ERROR = ErrorInfo(
    type="ValueError",
    message="not “this”",
    classes=("ValueError", "Exception"),
    retryable=True,
    retry_after_s=1.5,
    traceback="line 1\nline 2",
)

UNDO = Undo(kind="function", body=Raw(b'{"ref":"shop:refund"}'), inputs={"amount": TEXT}, output="charge")

#: One of each, with all fields set.
EVERY_EVENT: list[e.AnyEvent] = [
    e.RunAdmitted(
        at=1.5,
        run="r",
        graph="g" * 64,
        definition="d" * 64,
        inputs={"x": TEXT, "y": LARGE},
        labels={"who": "é"},
        timeout_s=60.0,
        confirmed=True,
    ),
    e.RunStarted(at=1.6),
    e.RunPaused(at=2.0, by="ann"),
    e.RunResumed(at=3.0, by="ann"),
    e.RunCompleted(at=4.0, settled=5, failed=1),
    e.RunFailed(at=4.0, error=ERROR, settled=5, failed=1),
    e.RunCancelled(at=4.0, reason="enough", settled=5, failed=1),
    e.RunRetried(at=5.0, generation=2, by="bob"),
    e.OwnershipTaken(at=6.0, epoch=2, owner="engine-2"),
    e.GroupStopping(at=7.0, path="sub", reason="upstream", error=ERROR, cause="fetch"),
    e.ScopeOpened(at=8.0, path="sub"),
    e.MapOpened(at=9.0, path="m", count=2, keys=("a", "ü/[x]"), items=TEXT),
    e.AttemptStarted(at=10.0, path="a", attempt=2),
    e.AttemptSuspended(at=11.0, path="a", attempt=2),
    e.AttemptResumed(at=12.0, path="a", attempt=2),
    e.AttemptStopping(at=13.0, path="a", attempt=2, reason="timeout"),
    e.AttemptInterrupted(at=14.0, path="a", attempt=2),
    e.RetryScheduled(at=15.0, path="a", attempt=2, error=ERROR, due=16.25),
    e.RetryDue(at=16.25, path="a"),
    e.NodeCompleted(at=17.0, path="m[a]", attempt=3, output=TEXT),
    e.NodeCompleted(at=17.0, path="m", output=GATHERED),
    e.NodeFailed(at=18.0, path="b", attempt=2, error=ERROR),
    e.NodeSkipped(at=19.0, path="c", cause="b"),
    e.NodeCancelled(at=20.0, path="d", attempt=2, reason="failed"),
    e.StepCompleted(at=21.0, path="a", attempt=2, key="pay", digest="00", value=LARGE, effect=True),
    e.StepFailed(at=22.0, path="a", attempt=2, key="call", digest="01", error=ERROR),
    e.WaitOpened(at=23.0, path="a", attempt=2, key="ok?", kind="answer", due=99.5, question=TEXT),
    e.WaitOpened(at=23.0, path="a", attempt=2, key="m", kind="message", name="mail", digest="02", default=TEXT),
    e.WaitResolved(at=24.0, path="a", key="ok?", outcome="answered", value=TEXT, by="ann"),
    # In the order in which they came to be: the journal of the first release has those above.
    e.DoubtCleared(at=14.5, path="a", attempt=2),
    e.StepStarted(at=21.0, path="a", attempt=2, key="pay", digest="00"),
    e.MessageArrived(at=25.0, name="mail", value=LARGE, by="ann"),
    # Of state graphs, and of forks.
    e.RunForked(at=26.0, run="f", origin="r", shift_s=1.5, labels={"who": "é"}, by="ann"),
    e.AttemptInterrupted(at=26.0, path="a", attempt=2, left=True),
    e.WalkEntered(at=27.0, path="s", values={"topic": Raw(b'"cats"')}),
    e.Routed(at=28.0, path="s", source="a", target="b", edge=3, why="fallback", error=ERROR),
    e.NodeCompleted(
        at=29.0,
        path="s/a",
        output=GATHERED,
        writes=(
            Write("log", Raw(b'["x"]')),
            Write("n", becomes=Change(json=Raw(b"7"))),
            Write("l", Raw(b"1"), becomes=Change(items=(Raw(b"1"), Raw(b'"2"')), at=2, cut=1)),
            Write("o", becomes=Change(fields={"a": Raw(b"{}")}, removed=("b",))),
            Write("gone", deleted=True),
        ),
        goto="",
        cost=0.5,
        effects=True,
    ),
    e.StateChanged(at=30.0, path="s", writes=(Write("n", Raw(b"null"), put=True),), by="ann"),
    e.DecisionKept(at=31.0, barrier="s/review", value=TEXT, by="ann", standing=True),
    e.WaitResolved(at=32.0, path="s/review", key="#decision", outcome="answered", kept=True, standing=True),
    e.CheckpointTaken(at=33.0, name="here", path="s/a", by="ann"),
    # Of rollbacks, and of what was used.
    e.StepStarted(at=34.0, path="a", key="pay", digest="00", undo=UNDO),
    e.NodeCompleted(at=34.5, path="b", output=TEXT, undo=LARGE),
    e.UsageRecorded(at=35.0, path="a", attempt=2, used={"cpu_s": 0.25, "peak_memory_bytes": 1e6}),
    e.RollbackStarted(at=36.0, why="failed", by="ann"),
    e.RunRolledBack(at=37.0, undone=2),
    e.RollbackFailed(at=38.0, undone=1, remaining=(Remaining(path="a", why="irreversible", step="pay"),)),
    # Of runs whose graph was changed.
    e.DefinitionChanged(
        at=37.0,
        graph="h" * 64,
        definition="e" * 64,
        spec=GraphSpec(
            name="g",
            nodes=(NodeSpec(id="a", kind="function", body=Raw(b'{"ref":"m:f"}')),),
            routes=RouteSpec(
                keys=(KeySpec(name="n", default=Raw(b"0")),),
                edges=(EdgeSpec(source="", target="a", when=Raw(b"1")), EdgeSpec(source="a", target="")),
            ),
        ),
        by="ann",
        forced=True,
    ),
]


def some_events(number: int) -> list[e.AnyEvent]:
    """Small events, each unlike the others."""
    return [e.RetryDue(at=1.0, path=f"n{i}") for i in range(number)]


def blob(data: bytes) -> Blob:
    """A value to store."""
    return Blob(codec.digest(data), data)


def append(run: str, after: int, events: int | list[e.AnyEvent] = 1, **more: Any) -> Append:
    """An append of some events, or of the given ones; `more` are fields of the append or of its row."""
    listed = some_events(events) if isinstance(events, int) else events
    own = {name: more.pop(name) for name in ("blobs", "snapshot", "inbox", "freed", "redefines") if name in more}
    row = RunRow(run=run, seq=after + len(listed), **more)
    return Append(row=row, after=after, events=listed, **own)


async def commit(journal: Journal, *appends: Append) -> Outcomes:
    """Commit, and wait for the outcomes."""
    outcomes: asyncio.Future[Outcomes] = asyncio.get_running_loop().create_future()
    journal.commit(appends, outcomes.set_result)
    return await asyncio.wait_for(outcomes, 20)


async def write(journal: Journal, *appends: Append) -> None:
    """Commit appends that must all be taken."""
    outcomes = await commit(journal, *appends)
    assert outcomes == [None] * len(appends), outcomes


def same(events: list[e.AnyEvent], others: list[e.AnyEvent]) -> bool:
    """Whether two lists of events are the same facts (`Raw` itself compares by identity)."""
    return [type(event) for event in events] == [type(event) for event in others] and (
        msgspec.json.encode(events) == msgspec.json.encode(others)
    )


def ended_process() -> Owner:
    """An owner whose process has really run on this machine, and has ended."""
    with subprocess.Popen([sys.executable, "-Sc", "input()"], stdin=subprocess.PIPE) as process:
        started = ownership._start_time(process.pid)
        owner = msgspec.structs.replace(this_process("ended"), pid=process.pid, started=started)
        assert ownership.is_alive(owner, 0.0, 0.0)
        process.communicate(b"\n")
    return owner


def elsewhere(name: str) -> Owner:
    """An owner on another machine, of which nothing is known but its lease."""
    return Owner(id=name, host="other", pid=1, started="1")


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
print("held", flush=True)
input()
"""


@contextmanager
def held(path: Path, statement: str) -> Iterator[Callable[[], None]]:
    """A foreign process has executed a statement, and keeps its lock until told to end."""
    process = subprocess.Popen(
        [sys.executable, "-Sc", HOLD, path, statement], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield lambda: process.communicate(b"\n")[0]
        process.kill()


def contents(path: Path) -> dict[str, bytes]:
    """All files of a database, but for an empty log and its index, which any reader of a database makes."""
    files = {file.name: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-shm")}
    return {name: data for name, data in files.items() if data or not name.endswith("-wal")}


async def refusal(path: Path, **options: object) -> str:
    """Why a journal cannot be opened; it can be closed all the same, and nothing on disk is changed."""
    before = contents(path) if path.parent.is_dir() else {}
    journal = SqliteJournal(path, **options)
    with pytest.raises(StorageError) as caught:
        await journal.open()
    await journal.close()
    if before:
        assert contents(path) == before
    assert str(path.name) in str(caught.value)
    return str(caught.value)
