"""Tests of the engine are coroutines; each runs in a loop of its own that leaves nothing behind."""

import asyncio
import gc
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_kit import PATIENCE_S, Troubles

# What the test program itself consists of is looked through once, not after each test.
gc.collect()
gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test; what the loop complains about, and tasks that are left, are failures."""
    function: Callable[..., Any] = pyfuncitem.obj
    if not inspect.iscoroutinefunction(function):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    troubles = Troubles()
    asyncio.run(_guarded(function(**arguments), troubles))
    gc.collect()
    assert not troubles.told, troubles.told
    return True


async def _guarded(test: Any, troubles: Troubles) -> None:
    asyncio.get_running_loop().set_exception_handler(troubles.hear)
    async with asyncio.timeout(PATIENCE_S):
        await test
    gc.collect()  # streams that were left half-read are closed by the loop, in its next turns
    for _ in range(3):
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks were left behind: {left}"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A journal in a file of its own; what the disk does in a power cut is not tested here."""
    yield f"sqlite:///{tmp_path}/clew.db"
