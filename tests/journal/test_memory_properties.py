"""Random changes of the memory: both journals do the same, and what one run has done is undone in any order."""

import contextlib
import sqlite3
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from clew.errors import ClewError
from clew.journal import shelf
from clew.journal.entries import Act, Cause, Entry, Query
from clew.journal.shelf_in_memory import ShelfInMemory
from clew.journal.sqlite_append import COLUMNS
from clew.journal.sqlite_file import schema
from clew.journal.sqlite_shelf import FORGOTTEN, SqliteShelf

RUNS = ("", "r", "q")
VALUES = (b"1", b"1.0", b"true", b'{"a":1}', b'{"b":{"c":"x"}}', b"[]")

keys = st.sampled_from("kl")
visits = st.sampled_from("abc")
acts = st.builds(
    lambda operation, key, data, run, path, step: Act(
        operation=operation,
        namespace="n",
        key=key,
        data=data if operation != "delete" else b"null",
        at=1.0,
        cause=Cause(run=run, epoch=1, path=path, step=step) if run else None,
    ),
    st.sampled_from(["store", "update", "delete"]),
    keys,
    st.sampled_from(VALUES),
    st.sampled_from(RUNS),
    visits,
    st.sampled_from(["", "s"]),
)
undos = st.builds(lambda run, path: Cause(run=run, epoch=1, path=path), st.sampled_from(RUNS[1:]), visits)
stories = st.lists(st.one_of(acts, acts, undos, st.just(None)), max_size=25)


@contextlib.contextmanager
def sqlite_shelf() -> Iterator[tuple[SqliteShelf, sqlite3.Connection]]:
    """A shelf on a database in memory, with the runs."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(schema())
        names = ("run", "labels", *COLUMNS)
        for run in RUNS[1:]:
            given_ = {"run": run, "labels": "{}", "epoch": 1}
            numbers = dict.fromkeys(
                ("seq", "generation", "created_at", "total", "settled", "failed", "running"), 0
            )
            row = {**dict.fromkeys(names, ""), **numbers, "waiting": 0, "idle": 0, "imported": 0, **given_}
            row |= dict.fromkeys(("started_at", "ended_at", "wake_at"))
            connection.execute(
                f"INSERT INTO runs ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
                [row[name] for name in names],
            )
        yield SqliteShelf(connection), connection


def memory_shelf() -> ShelfInMemory:
    return ShelfInMemory(lambda run: 1 if run in RUNS[1:] else None)


def told(work: object) -> object:
    """What a call says, or what it raises."""
    try:
        return work()
    except ClewError as error:
        return type(error), str(error)


def on_both(story: Act | Cause | None, memory: ShelfInMemory, sqlite: SqliteShelf, connection: object) -> None:
    """Do one thing on both shelves, and expect the same of both."""

    def do(on: ShelfInMemory | SqliteShelf) -> object:
        if isinstance(story, Act):
            return shelf.remember(on, story)
        assert story is not None
        return shelf.take_back(on, story)

    if story is None:
        memory.sweep()
        connection.execute(FORGOTTEN)
        return
    with contextlib.suppress(ClewError), memory.transaction():
        do(memory)
    connection.execute("SAVEPOINT s")
    answer = told(lambda: do(sqlite))
    connection.execute("ROLLBACK TO s" if isinstance(answer, tuple) else "RELEASE s")
    assert [memory.find("n", key) for key in "kl"] == [sqlite.find("n", key) for key in "kl"]
    assert memory.space("n") == sqlite.space("n")
    for run in RUNS[1:]:
        for path in "abc":
            cause = Cause(run=run, epoch=0, path=path)
            assert memory.changes(cause) == sqlite.changes(cause)


@settings(deadline=None, max_examples=40)
@given(stories)
def test_both_shelves_do_the_same(story: list[Act | Cause | None]) -> None:
    memory = memory_shelf()
    with sqlite_shelf() as (sqlite, connection):
        for each in story:
            on_both(each, memory, sqlite, connection)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(keys, st.sampled_from(VALUES)), max_size=3),
    st.lists(acts.filter(lambda act: act.cause is not None), max_size=12),
    st.randoms(use_true_random=False),
)
def test_what_one_run_has_done_is_undone_in_any_order(
    before: list[tuple[str, bytes]], done: list[Act], chance: object
) -> None:
    memory = memory_shelf()
    for key, data in before:
        shelf.remember(memory, Act(operation="store", namespace="n", key=key, data=data, by="ann"))
    was = memory.entries(Query(namespace="n"))
    causes: dict[Cause, None] = {}
    for number, act in enumerate(done):
        assert act.cause is not None
        cause = Cause(run="r", epoch=1, path=f"{act.cause.path}#{number}")
        with contextlib.suppress(ClewError), memory.transaction():
            shelf.remember(memory, Act(**{**fields(act), "cause": cause}))
            causes[cause] = None
    order = [*causes]
    chance.shuffle(order)
    assert sum(shelf.take_back(memory, cause) for cause in order) == len(order)
    assert memory.entries(Query(namespace="n")) == was
    assert memory.space("n").entries == len(was)


def fields(act: Act) -> dict[str, object]:
    return {name: getattr(act, name) for name in act.__struct_fields__}


@settings(deadline=None, max_examples=60)
@given(stories)
def test_nobody_elses_change_is_destroyed(story: list[Act | Cause | None]) -> None:
    """What somebody has changed last is what it is, unless it is undone by whoever has changed it."""
    memory = memory_shelf()
    last: dict[str, Entry | None] = {}
    for each in story:
        if isinstance(each, Act) and not each.cause:
            with contextlib.suppress(ClewError), memory.transaction():
                shelf.remember(memory, each)
                last[each.key] = memory.find("n", each.key)
        elif isinstance(each, Act) and each.cause is not None and each.cause.run == "r":
            with contextlib.suppress(ClewError), memory.transaction():
                shelf.remember(memory, each)
                found = memory.find("n", each.key)
                if found is not None and found.by == "r":
                    last.pop(each.key, None)
        elif isinstance(each, Cause) and each.run == "r":
            with contextlib.suppress(ClewError), memory.transaction():
                shelf.take_back(memory, each)
            for key, entry in last.items():
                assert data_of(memory.find("n", key)) == data_of(entry)


def data_of(entry: Entry | None) -> str | None:
    return entry.data if entry is not None else None
