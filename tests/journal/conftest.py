"""Journals to test, and a loop for tests that are coroutines."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clew.journal.memory import MemoryJournal
from clew.journal.port import Journal
from clew.journal.sqlite import SqliteJournal


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


MakeJournal = Callable[[], Journal]


@pytest.fixture(params=["memory", "full", "process"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeJournal:
    """What makes a journal, not yet opened; each call gives one of the same store."""
    if request.param == "memory":
        memory = MemoryJournal()
        return lambda: memory
    return lambda: SqliteJournal(tmp_path / "clew.db", request.param, busy_s=0.05)


@pytest.fixture
def journal(make: MakeJournal) -> Iterator[Journal]:
    """An open journal of each kind."""
    journal = make()
    asyncio.run(journal.open())
    yield journal
    asyncio.run(journal.close())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "clew.db"


@pytest.fixture
def sqlite(path: Path) -> Iterator[SqliteJournal]:
    """An open journal on disk, with the quick durability."""
    journal = SqliteJournal(path, "process", busy_s=0.05)
    asyncio.run(journal.open())
    yield journal
    asyncio.run(journal.close())
