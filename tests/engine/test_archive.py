"""Runs go into files and come out as copies: whole, unchanged, and never driven."""

import asyncio
import gzip
import io
import json
import tracemalloc
import typing
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from engine_kit import Later, history, seen, turns

from clew import Engine, Graph, RunFailedError
from clew.engine import archive
from clew.engine.archive import CHUNK_EVENTS, IMPORTING
from clew.engine.archive_file import MAX_LINE, EventsLine, Header, LogsLine, RowLine, ValueLine
from clew.errors import RefusedError, RunBusyError, RunConflictError, StorageError, UnknownRunError
from clew.journal import upcast
from clew.journal.memory import MemoryJournal
from clew.journal.records import RunFilter
from clew.journal.values_of import values_of
from clew.kernel import events as e
from clew.kernel.values import Value
from clew.testing import CrashPlan, Faults, FaultyJournal, run_until_crash

LARGE = "x" * 5_000


async def large(n: int) -> str:
    print("made", n)
    return LARGE + str(n)


async def total(texts: list[str]) -> int:
    if not texts:
        raise ValueError("there is nothing")
    return sum(map(len, texts))


def sizes() -> Graph:
    graph = Graph("sizes")
    graph.returns(graph.add(total, graph.map(large, over=graph.input("numbers", list[int]))))
    return graph


@asynccontextmanager
async def exported(items: int = 3) -> AsyncIterator[tuple[Engine, bytes]]:
    """An engine with the run `a`, and what it is exported to."""
    async with Engine("memory:") as engine:
        run = await engine.start(sizes(), {"numbers": [*range(items)]}, id="a", labels={"team": "b"})
        if items:
            await run.result()
        else:
            with pytest.raises(RunFailedError):
                await run.result()
        yield engine, await file_of(engine, "a")


async def file_of(engine: Engine, run: str) -> bytes:
    out = io.BytesIO()
    told = await engine.archive.export_run(run, out)
    lines = lines_of(out.getvalue())
    assert told.events == lines[-1]["events"]
    assert told.values == lines[-1]["values"] - 1  # the definition is no value of the run
    return out.getvalue()


def lines_of(data: bytes) -> list:
    return [json.loads(line) for line in gzip.decompress(data).splitlines()]


def packed(lines: list) -> bytes:
    return gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines))


@pytest.mark.parametrize("items", [3, 0])
async def test_a_copy_is_what_was_exported(items: int, url: str) -> None:
    async with exported(items) as (engine, data), Engine(url) as other:
        row = await other.archive.import_run(io.BytesIO(data))
        there, here = await engine.open_run("a"), await other.open_run("a")
        assert await history(here) == await history(there)
        assert await here.status() == await there.status()
        before = await engine.journal.row("a")
        assert before is not None
        assert row == await other.journal.row("a")
        assert row == msgspec.structs.replace(before, imported=True)
        for path in (f"large[{n}]" for n in range(items)):
            assert (await here.node(path))[1] == (await there.node(path))[1]
        printed = [(line.path, line.text) async for line in here.logs()]
        assert sorted(printed) == [(f"large[{n}]", f"made {n}") for n in range(items)]
        assert await file_of(other, "a") != data  # it says that it is a copy,
        assert lines_of(await file_of(other, "a"))[2:-1] == lines_of(data)[2:-1]  # and is the same otherwise


async def test_the_same_run_makes_the_same_lines() -> None:
    async with exported() as (engine, data):
        again = await file_of(engine, "a")
        assert lines_of(again)[1:-1] == lines_of(data)[1:-1]
        header = lines_of(data)[0]
        assert (header["type"], header["format"], header["run"]) == ("clew_export", 1, "a")
        assert lines_of(data)[1]["row"].get("owner", "") == ""


async def test_a_copy_can_have_another_id() -> None:
    async with exported() as (engine, data):
        with pytest.raises(RunConflictError, match="run a exists already; give the copy another id"):
            await engine.archive.import_run(io.BytesIO(data))
        await engine.archive.import_run(io.BytesIO(data), "copy")
        copy = await engine.open_run("copy")
        assert (await copy.status()).run == "copy"
        assert (await copy.result()).output == (await (await engine.open_run("a")).result()).output
        assert [row.run for row in await engine.runs()] == ["copy", "a"]


async def wait_for_ever(ctx=None) -> None:
    await ctx.ask("Shall I?", key="ok")


async def test_a_copy_is_never_driven() -> None:
    graph = Graph("asks")
    graph.add(wait_for_ever, id="asks")
    async with Engine("memory:") as engine:
        run = await engine.start(graph, id="a")
        await seen(run, e.AttemptSuspended)
        data = await file_of(engine, "a")
    async with Engine("memory:", graphs=[graph]) as engine:
        row = await engine.archive.import_run(io.BytesIO(data))
        assert (row.state, row.waiting, row.owner) == ("running", 1, "")
        run = await engine.open_run("a")
        assert [question.key for question in await run.questions()] == ["ok"]
        assert await engine.resume_all() == []
        telling = (
            engine.resume("a"),
            run.cancel(),
            run.pause(),
            run.resume(),
            run.retry(),
            run.answer("yes"),
            run.send("x"),
            run.result(),
            engine.start(graph, id="a"),
        )
        for told in telling:
            with pytest.raises(RefusedError, match="run a is an imported copy"):
                await told
        assert await engine.journal.row("a") == row
        await engine.retention.delete("a")
        with pytest.raises(UnknownRunError):
            await engine.open_run("a")


@pytest.mark.slow
async def test_long_runs_are_stored_in_parts() -> None:
    async with exported(CHUNK_EVENTS) as (_, data):
        parts = [line for line in lines_of(data) if line["type"] == "events"]
        assert len(parts) > 2
        assert all(len(part["events"]) <= CHUNK_EVENTS for part in parts)
        firsts = [place for place, line in enumerate(lines_of(data)) if line["type"] == "events"]
        values = [place for place, line in enumerate(lines_of(data)) if line["type"] == "value"]
        assert values[-1] > firsts[0]  # values come with the events that refer to them, not all at once
        async with Engine("memory:") as other:
            row = await other.archive.import_run(io.BytesIO(data))
            assert row.seq == sum(len(part["events"]) for part in parts)
            assert (await (await other.open_run("a")).status()).counts["completed"] == CHUNK_EVENTS + 1


# Files that are not as they were -----------------------------------------------------------------------


async def refused(data: bytes, told: str) -> None:
    async with Engine("memory:") as engine:
        with pytest.raises(StorageError, match=told):
            await engine.archive.import_run(io.BytesIO(data), name="a.gz")
        assert await engine.runs() == []
        assert (await engine.journal.sweep(2e9, dry_run=True)).blobs == 0


async def test_a_file_that_was_cut_is_refused() -> None:
    async with exported() as (_, data):
        for length in (*range(0, len(data), 97), len(data) - 8, len(data) - 1):
            told = "a.gz is not (complete: its end is missing|a run that was exported)"
            await refused(data[:length], told)
        await refused(packed(lines_of(data)[:-1]), "its end is missing. Nothing was imported")


def says_the_same(broken: bytes, data: bytes) -> bool:
    """Some bits of a gzip file say nothing: the padding of its last block, or two ways to name one match."""
    try:
        return gzip.decompress(broken) == gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return False


async def test_a_file_that_was_changed_is_refused() -> None:
    async with exported() as (_, data):
        for place in range(10, len(data), 41):
            broken = bytearray(data)
            broken[place] ^= 0x10
            if not says_the_same(bytes(broken), data):
                await refused(bytes(broken), "a.gz ")
        lines = lines_of(data)
        await refused(packed([*lines[:3], *lines[4:]]), "changed or damaged since it was exported: ")
        await refused(packed([*lines, lines[-1]]), "changed or damaged since it was exported: ")
        await refused(data + b"more", "changed or damaged since it was exported: ")
        await refused(packed([lines[0], *lines[2:]]), "its second line is not the row")
        edited = gzip.decompress(data).replace(b'"team":"b"', b'"team":"c"')
        await refused(gzip.compress(edited), "its checksum does not fit")


async def test_other_files_are_no_exports() -> None:
    for data in (
        b"",
        b"hello",
        gzip.compress(b"hello\n"),
        gzip.compress(b"[1]\n"),
        gzip.compress(b'{"type":"x"}\n'),
    ):
        await refused(data, "a.gz is not a run that was exported by `clew export`")
    async with exported() as (_, data):
        header, *rest = lines_of(data)
        newer = packed([header | {"format": 2, "clew": "7.0"}, *rest])
        await refused(newer, r"exported by Clew 7.0 in a newer format \(2\); this one reads up to 1")
        events = next(line for line in rest if line["type"] == "events")
        newer = packed([header, *rest[: rest.index(events)], events | {"version": 99}])
        await refused(newer, "the events in a.gz cannot be read: they are of format 99, written by a newer Clew")


async def test_old_events_are_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with exported() as (_, data):
        monkeypatch.setattr(upcast, "VERSION", 2)
        monkeypatch.setattr(upcast, "UPCASTERS", (_lift,))
        async with Engine("memory:") as engine:
            await engine.archive.import_run(io.BytesIO(data))
            first = (await history(await engine.open_run("a")))[0].event
            assert isinstance(first, e.RunAdmitted)
            assert first.labels == {"team": "b", "lifted": "yes"}


def _lift(event: dict) -> dict:
    return event | {"labels": event["labels"] | {"lifted": "yes"}} if event["type"] == "run_admitted" else event


# What happens on the way ---------------------------------------------------------------------------------


async def test_nothing_is_left_of_an_import_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CHUNK_EVENTS", 5)
    async with exported() as (_, data):
        outcomes = [await _with_a_fault(data, call) for call in range(1, 20)]
    failed = outcomes.index(True)
    assert 5 < failed < 12  # as many calls as an import makes: each of them failed once
    assert not any(outcomes[:failed])
    assert all(outcomes[failed:])


async def _with_a_fault(data: bytes, call: int) -> bool:
    """Import while this call of the journal fails; whether that did not matter."""
    inner = MemoryJournal()
    async with Engine(FaultyJournal(inner, Faults(fail_at=frozenset({call})))) as engine:
        try:
            await engine.archive.import_run(io.BytesIO(data))
        except StorageError as error:
            assert "on purpose" in str(error)
            assert await inner.rows() == []
            assert (await engine.archive.import_run(io.BytesIO(data))).imported
            return False
        assert await inner.count(RunFilter(states=("completed",))) == 1
        return True


async def test_what_a_dead_process_left_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CHUNK_EVENTS", 5)
    inner, clock = MemoryJournal(), Later()
    async with exported() as (_, data):
        dying = FaultyJournal(inner, Faults(crash=CrashPlan(at_commit=3)))

        async def life() -> None:
            engine = Engine(dying)
            await engine.open()
            await engine.archive.import_run(io.BytesIO(data))

        await run_until_crash(life(), dying.crashed)
        async with Engine(inner, clock=clock) as engine:
            (left,) = await engine.runs()
            assert (left.state, left.note, left.ended_at) == ("queued", IMPORTING, None)
            assert left.seq > 5
            # The owner lives: it is this process.
            with pytest.raises(RunBusyError, match="run a is being imported by another process"):
                await engine.archive.import_run(io.BytesIO(data))
            assert (await engine.retention.collect()).left_over == 0
            clock.ahead_s = 60.0
            assert (await engine.retention.collect(dry_run=True)).left_over == 1
            assert (await engine.archive.import_run(io.BytesIO(data))).state == "completed"
            assert await engine.journal.count() == 1


@pytest.mark.slow
async def test_an_import_that_is_stopped_leaves_nothing() -> None:
    async with exported(CHUNK_EVENTS) as (_, data), Engine("memory:") as engine:
        importing = asyncio.create_task(engine.archive.import_run(io.BytesIO(data)))
        await turns(lambda: bool(engine.journal._runs), "the first part")
        importing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await importing
        assert await engine.journal.rows() == []


async def test_a_run_must_exist_to_be_exported() -> None:
    async with Engine("memory:") as engine:
        with pytest.raises(UnknownRunError, match="there is no run x in memory:"):
            await engine.archive.export_run("x", io.BytesIO())


def test_every_value_of_every_event_is_found() -> None:
    """Where a value may stand in an event: as a field, or in a mapping. For another place, change `values_of`."""
    forms = {str(Value), str(Value | None), str(dict[str, Value])}
    for kind in typing.get_args(e.AnyEvent):
        hints = typing.get_type_hints(kind)
        assert {str(hint) for hint in hints.values() if "Value" in str(hint)} <= forms
    event = e.WaitOpened(
        at=0.0, path="p", key="k", kind="answer", question=Value(blob="a"), default=Value(blob="b")
    )
    assert [value.blob for value in values_of(event)] == ["a", "b"]
    admitted = e.RunAdmitted(at=0.0, run="r", graph="g", definition="d", inputs={"x": Value(blob="c")})
    assert [value.blob for value in values_of(admitted)] == ["c"]


def test_the_format_of_lines_is_written_down() -> None:
    """A change of these is a new `FORMAT`, and old files have to be read all the same."""
    assert Header.__struct_fields__ == ("format", "clew", "run", "exported_at")
    assert (RowLine.__struct_fields__, ValueLine.__struct_fields__) == (("row",), ("digest", "text"))
    assert (EventsLine.__struct_fields__, LogsLine.__struct_fields__) == (
        ("after", "version", "events"),
        ("lines",),
    )
    assert MAX_LINE > 256 * 2**20


@pytest.mark.slow
async def test_a_run_need_not_fit_into_memory(tmp_path: Path) -> None:
    async def wide(n: int) -> str:
        return f"{n:>20000}"

    graph = Graph("wide")
    graph.map(wide, over=[*range(2_000)])
    path, url = tmp_path / "wide.gz", f"sqlite:///{tmp_path}/wide.db"
    async with Engine(url, durability="process") as engine:
        await (await engine.start(graph, id="w")).result()
    async with Engine(url, durability="process") as engine:
        tracemalloc.start()
        try:
            with path.open("wb") as out:
                told = await engine.archive.export_run("w", out)
            assert told.values == 2_001  # 40 MB; and the list
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
            tracemalloc.reset_peak()
            with path.open("rb") as source:
                assert (await engine.archive.import_run(source, "copy")).state == "completed"
            assert tracemalloc.get_traced_memory()[1] < 25_000_000
        finally:
            tracemalloc.stop()
