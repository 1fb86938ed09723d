"""What `clew.journal.port` promises, sentence by sentence, of every journal."""

import asyncio
from collections.abc import Callable

import pytest
from journal_samples import (
    EVERY_EVENT,
    append,
    blob,
    commit,
    same,
    some_events,
    write,
)

from clew.errors import (
    ClewError,
    InternalError,
    RunConflictError,
    RunFencedError,
    StorageError,
)
from clew.journal.ownership import this_process
from clew.journal.port import Journal
from clew.journal.records import CHANGING, Append, Blob, RunFilter, RunRow, Snapshot
from clew.kernel import events as e

NAMES = ["plain", "Größe 東京 🧵", "a/b c'd\"e%_;--", "x" * 2_000, "nl\n\ttab\0nul", " "]


# Appending ---------------------------------------------------------------------------------------------


async def test_a_run_is_created_once(journal: Journal) -> None:
    first, second, other = await commit(
        journal, append("a", 0, name="one"), append("a", 0, name="two"), append("b", 0)
    )
    assert (first, other) == (None, None)
    assert isinstance(second, RunConflictError)
    assert "run a exists" in str(second)
    (again,) = await commit(journal, append("a", 0, 3, name="three"))
    assert isinstance(again, RunConflictError)
    row = await journal.row("a")
    assert row is not None
    assert (row.name, row.seq) == ("one", 1)
    assert len(await journal.read("a")) == 1


async def test_a_refused_creation_leaves_nothing(journal: Journal) -> None:
    await write(journal, append("a", 0))
    await commit(journal, append("a", 0, blobs=[blob(b"1")], snapshot=Snapshot(1, b"{}")))
    assert await journal.snapshot("a") is None
    with pytest.raises(StorageError, match="is missing"):
        await journal.blob(blob(b"1").digest)


@pytest.mark.parametrize(("after", "epoch", "why"), [(1, 2, "epoch"), (2, 1, "1 events"), (0, 1, "exists")])
async def test_an_append_is_fenced_by_epoch_and_by_number(
    journal: Journal, after: int, epoch: int, why: str
) -> None:
    await write(journal, append("a", 0), append("b", 0))
    bad = append("a", after, 2, epoch=epoch, state="failed", blobs=[blob(b"1")], snapshot=Snapshot(1, b"{}"))
    before, refused, behind = await commit(journal, append("b", 1), bad, append("b", 2))
    assert (before, behind) == (None, None)
    assert isinstance(refused, RunConflictError if after == 0 else RunFencedError)
    assert why in str(refused)
    row = await journal.row("a")
    assert row is not None
    assert (row.state, row.seq, row.epoch) == ("queued", 1, 1)
    assert len(await journal.read("a")) == 1
    assert len(await journal.read("b")) == 3
    assert await journal.snapshot("a") is None
    with pytest.raises(StorageError, match="is missing"):
        await journal.blob(blob(b"1").digest)


async def test_an_append_to_a_run_that_is_not_there_is_fenced(journal: Journal) -> None:
    (refused,) = await commit(journal, append("a", 4))
    assert isinstance(refused, RunFencedError)
    assert "not in the journal" in str(refused)


async def test_appends_of_one_run_may_share_a_group(journal: Journal) -> None:
    await write(journal, append("a", 0, 2), append("a", 2, 3), append("a", 5))
    assert [recorded.seq for recorded in await journal.read("a")] == [1, 2, 3, 4, 5, 6]


async def test_an_append_that_miscounts_is_refused(journal: Journal) -> None:
    wrong = append("a", 0, 2)
    wrong.row.seq = 3
    (outcome, other) = await commit(journal, wrong, append("b", 0))
    assert isinstance(outcome, InternalError | StorageError)
    assert other is None
    assert await journal.row("a") is None


async def test_an_append_without_events_updates_the_row(journal: Journal) -> None:
    await write(journal, append("a", 0))
    await write(journal, append("a", 1, [], running=3, snapshot=Snapshot(1, b"{}")))
    row = await journal.row("a")
    assert row is not None
    assert (row.seq, row.running) == (1, 3)
    assert await journal.snapshot("a") == Snapshot(1, b"{}")


@pytest.mark.parametrize("ended_at", [None, 5.0])
async def test_each_field_that_changes_is_changed_by_itself(journal: Journal, ended_at: float | None) -> None:
    values = {"state": "running", "owner": "o", "idle": True, "ended_at": 7.0, "error": "e", "note": "n"}
    changes = {name: values.get(name, 3) for name in CHANGING if name != "seq"}
    await write(journal, append("a", 0, ended_at=ended_at))
    for seq, (name, value) in enumerate(changes.items(), 1):
        await write(journal, append("a", seq, **{"ended_at": ended_at, name: value}))
        row = await journal.row("a")
        assert row == RunRow(run="a", seq=seq + 1, **{"ended_at": ended_at, name: value})
        assert type(getattr(row, name)) in (type(value), float)


async def test_what_was_fixed_at_admission_stays(journal: Journal) -> None:
    graph = blob(b"{}")
    fixed = {"name": "n", "graph": "g", "definition": graph.digest, "created_at": 5.0, "labels": {"k": "v"}}
    await write(journal, append("a", 0, imported=True, blobs=[graph], **fixed))
    await write(journal, append("a", 1, name="x", graph="x", definition="x", created_at=6.0, labels={"x": "y"}))
    row = await journal.row("a")
    assert row is not None
    assert {name: getattr(row, name) for name in fixed} == fixed
    assert row.imported


async def test_the_journal_keeps_no_hold_on_what_it_is_given(journal: Journal) -> None:
    given = append("a", 0, labels={"k": "v"})
    await write(journal, given)
    given.row.state = "failed"
    given.events.clear()
    row = await journal.row("a")
    assert row is not None
    assert row.state == "queued"
    row.state = "failed"
    again = await journal.row("a")
    assert again is not None
    assert again.state == "queued"
    assert len(await journal.read("a")) == 1


async def test_a_large_group_is_committed(journal: Journal) -> None:
    await write(journal, *(append(f"r{i}", 0) for i in range(600)))
    assert len(await journal.rows(limit=1_000)) == 600


async def test_commits_follow_one_another(journal: Journal) -> None:
    """A commit may be started by the outcome of the one before, as the engine does."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    seen = []

    def go_on(outcomes: list[Exception | None]) -> None:
        seen.append(outcomes)
        if len(seen) == 20:
            done.set_result(None)
        else:
            journal.commit([append("a", len(seen))], go_on)

    journal.commit([append("a", 0)], go_on)
    await asyncio.wait_for(done, 10)
    assert seen == [[None]] * 20


# Reading -----------------------------------------------------------------------------------------------


async def test_every_event_comes_back_as_it_was(make: Callable[[], Journal]) -> None:
    events = EVERY_EVENT
    assert {type(event) for event in events} == set(e.AnyEvent.__args__)
    journal = make()
    await journal.open()
    await write(journal, append("a", 0, events))
    await journal.close()
    again = make()
    await again.open()
    recorded = await again.read("a")
    assert [one.seq for one in recorded] == list(range(1, len(events) + 1))
    assert same([one.event for one in recorded], events)
    await again.close()


@pytest.mark.parametrize("sizes", [[1] * 30, [30], [7, 1, 20, 2], [2_500, 10, 1_000, 1]])
async def test_events_are_read_in_pages(journal: Journal, sizes: list[int]) -> None:
    after = 0
    for size in sizes:
        await write(journal, append("a", after, [e.RetryDue(at=1.0, path=f"n{after + i}") for i in range(size)]))
        after += size
    for start in (0, 1, 5, after // 2, after - 1):
        for limit in (1, 4, 1_000, 10_000):
            last, found = start, []
            while page := await journal.read("a", last, limit):
                assert page[0].seq == last + 1
                assert len(page) <= limit + 1_000
                found += page
                last = page[-1].seq
            assert [one.seq for one in found] == list(range(start + 1, after + 1))
            assert [one.event.path for one in found] == [f"n{i}" for i in range(start, after)]
    assert await journal.read("a", after) == []
    assert len(await journal.read("a", 0, 0)) >= 1
    assert await journal.read("unknown") == []


async def test_rows_are_listed_newest_first_in_pages(journal: Journal) -> None:
    await write(journal, *(append(f"r{i}", 0) for i in range(7)))
    await write(journal, append("r2", 1))
    assert [row.run for row in await journal.rows()] == ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]
    assert [row.run for row in await journal.rows(limit=3)] == ["r6", "r5", "r4"]
    assert [row.run for row in await journal.rows(limit=3, before="r4")] == ["r3", "r2", "r1"]
    assert await journal.rows(before="r0") == []
    assert await journal.rows(before="unknown") == []
    assert await journal.rows(limit=0) == []


async def test_rows_are_found_by_state_name_and_labels(journal: Journal) -> None:
    await write(
        journal,
        append("a", 0, state="running", name="x", labels={"team": "é", "n": "1"}),
        append("b", 0, state="completed", ended_at=2.0, name="x", labels={"team": "é"}),
        append("c", 0, state="failed", ended_at=2.0, name="y", labels={"n": "1"}),
        append("d", 0, state="queued", name="y"),
    )

    async def found(**query: object) -> str:
        page = {name: query.pop(name) for name in ("limit", "before") if name in query}
        rows = await journal.rows(RunFilter(**query), **page)
        assert page or len(rows) == await journal.count(RunFilter(**query))
        return "".join(row.run for row in rows)

    assert await found(states=["running", "queued"]) == "da"
    assert await found(states=["running", "failed"]) == "ca"
    assert await found(states=["paused"]) == ""
    assert await found(name="x") == "ba"
    assert await found(labels={"team": "é"}) == "ba"
    assert await found(labels={"team": "é", "n": "1"}) == "a"
    assert await found(labels={"team": "e"}) == await found(labels={"other": "1"}) == ""
    assert await found(labels={"n": "1"}, name="y", states=["failed"]) == "c"
    assert await found(limit=1, before="d", name="x") == "b"


@pytest.mark.parametrize("text", ["a.b", "1st", "$", "$.x", '"quoted"', "back\\slash", "[0]", "", "🧵 %_", "é"])
async def test_labels_may_be_any_text(journal: Journal, text: str) -> None:
    await write(journal, append("a", 0, labels={text: text}), append("b", 0, labels={"k": "v"}))
    row = await journal.row("a")
    assert row is not None
    assert row.labels == {text: text}
    assert [found.run for found in await journal.rows(RunFilter(labels={text: text}))] == ["a"]


@pytest.mark.parametrize("name", NAMES)
async def test_run_ids_may_be_any_text(journal: Journal, name: str) -> None:
    await write(journal, append(name, 0), append("other", 0))
    await write(journal, append(name, 1, 2))
    await write(journal, append("other", 1))
    row = await journal.row(name)
    assert row is not None
    assert (row.run, row.seq) == (name, 3)
    assert len(await journal.read(name)) == 3
    await journal.post(name, b"1", 1.0, name)
    assert [(item.run, item.by) for item in await journal.inbox(name)] == [(name, name)]
    assert (await journal.acquire(name, this_process(), 1.0)).epoch == 2


async def test_a_row_comes_back_as_it_was(journal: Journal) -> None:
    row = RunRow(
        run="a", name="n", graph="g", definition=blob(b"{}").digest, state="running", seq=1, epoch=4,
        owner="o", generation=2,
        created_at=1.25, started_at=2.5, ended_at=3.5, wake_at=4.5, total=9, settled=5, failed=1, running=2,
        waiting=1, idle=True, imported=True, labels={"k": "v"}, error="e", note="n",
    )  # fmt: skip
    given = Append(row=row, after=0, events=some_events(1), blobs=[blob(b"{}")])
    await write(journal, given)
    assert await journal.row("a") == given.row
    assert await journal.rows() == [given.row]
    assert await journal.row("unknown") is None


async def test_segments_are_kept_until_a_snapshot_does_without_them(journal: Journal) -> None:
    await write(journal, append("a", 0, 2, snapshot=Snapshot(1, b"{}", {"x": b"1", "y": b"2"})), append("b", 0))
    await write(journal, append("a", 2, snapshot=Snapshot(2, b"{}", {"y": b"3", "z": b"4"})))
    assert await journal.snapshot("a") == Snapshot(2, b"{}", {"x": b"1", "y": b"3", "z": b"4"})
    await write(journal, append("b", 1, snapshot=Snapshot(1, b"{}", {"x": b"5"})))
    await write(journal, append("a", 3, snapshot=Snapshot(3, b"{}", {"u": b"6"}, whole=True)))
    assert await journal.snapshot("a") == Snapshot(3, b"{}", {"u": b"6"})
    assert await journal.snapshot("b") == Snapshot(1, b"{}", {"x": b"5"})


async def test_the_newest_snapshot_wins(journal: Journal) -> None:
    assert await journal.snapshot("a") is None
    await write(journal, append("a", 0, 2, snapshot=Snapshot(1, b'{"v":1}')), append("b", 0))
    await write(journal, append("a", 2))
    assert await journal.snapshot("a") == Snapshot(1, b'{"v":1}')
    await write(journal, append("a", 3, snapshot=Snapshot(3, b'{"v":2}')))
    assert await journal.snapshot("a") == Snapshot(3, b'{"v":2}')
    assert await journal.snapshot("b") is None


async def test_values_are_kept_once(journal: Journal) -> None:
    large = b'"' + b"x" * 500_000 + b'"'
    await write(journal, append("a", 0, blobs=[blob(large), blob(b"2"), blob(b"2")]))
    await write(journal, append("b", 0, blobs=[blob(large)]))
    assert await journal.blob(blob(large).digest) == large
    assert await journal.blob(blob(b"2").digest) == b"2"
    with pytest.raises(StorageError, match="is missing"):
        await journal.blob(blob(b"3").digest)


async def test_a_value_that_is_not_what_was_stored_is_refused(journal: Journal) -> None:
    digest = blob(b"1").digest
    await write(journal, append("a", 0, blobs=[Blob(digest, b"2")]))
    with pytest.raises(StorageError, match=f"the value {digest} is damaged"):
        await journal.blob(digest)


# Opening and closing -----------------------------------------------------------------------------------


async def test_a_closed_journal_says_so(journal: Journal) -> None:
    await write(journal, append("a", 0))
    await journal.close()
    await journal.close()
    owner = this_process()
    calls = [
        journal.row("a"),
        journal.rows(),
        journal.count(),
        journal.due(1.0),
        journal.next_wake(),
        journal.read("a"),
        journal.snapshot("a"),
        journal.blob("d"),
        journal.acquire("a", owner, 1.0),
        journal.release("a", owner),
        journal.retire(owner),
        journal.live_owners(1.0),
        journal.take_key("a", "n", "k"),
        journal.keys(),
        journal.note("a", ""),
        journal.post("a", b"1", 1.0, ""),
        journal.inbox("a"),
        journal.outcome(1),
        journal.write_logs("a", []),
        journal.read_logs("a"),
        journal.learn([], 1.0),
        journal.learned("g"),
        journal.delete("a", 1.0),
        journal.pack("a"),
        journal.sweep(1.0),
        journal.reclaim(),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="the journal is closed"):
            await call
    with pytest.raises(StorageError, match="the journal is closed"):
        journal.renew(owner, 1.0)
    with pytest.raises(StorageError, match="the journal is closed"):
        journal.version()
    for group in ([append("a", 1)], [append("a", 1, 5_000), append("b", 0)]):
        outcomes = await commit(journal, *group)
        assert [str(outcome)[-21:] for outcome in outcomes] == ["the journal is closed"] * len(group)
        assert all(isinstance(outcome, StorageError) for outcome in outcomes)


async def test_a_journal_can_be_opened_again(journal: Journal) -> None:
    await journal.open()
    await write(journal, append("a", 0))
    await journal.close()
    await journal.open()
    await write(journal, append("a", 1, 1_000))
    assert len(await journal.read("a", 0, 5_000)) == 1_001


async def test_closing_waits_for_a_commit_under_way(journal: Journal) -> None:
    outcomes: list[Exception | None] = []
    journal.commit([append("a", 0, 3_000)], outcomes.extend)
    await journal.close()
    assert outcomes == [None]


async def test_errors_of_journals_are_ours(journal: Journal) -> None:
    """Whatever cannot be stored is refused alone, as one of our errors."""
    await write(journal, append("good", 0))
    for name, bad in {
        "time": append("bad", 0, created_at="yesterday"),
        "text": append("bad", 0, [e.RunPaused(at=1.0, by="\udcff")]),
        "label": append("bad", 0, labels={"k": "\udcff"}),
        "number": append("bad", 0, total=2**70),
        "later": append("good", 1, error="\udcff"),
    }.items():
        if journal.url == "memory:":
            continue
        first, refused, last = await commit(journal, append(f"1 {name}", 0), bad, append(f"2 {name}", 0))
        assert (first, last) == (None, None), name
        assert isinstance(refused, ClewError), name
        assert "cannot be stored" in str(refused), name
    assert await journal.row("bad") is None
    assert len(await journal.read("good")) == 1
    await write(journal, append("good", 1, some_events(2)))
