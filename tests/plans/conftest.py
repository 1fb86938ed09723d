"""Tests of plans that run them are coroutines; each runs in a loop of its own."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

#: A test that takes longer hangs.
PATIENCE_S = 30.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test."""
    function: Callable[..., Any] = pyfuncitem.obj
    if not inspect.iscoroutinefunction(function):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(asyncio.wait_for(function(**arguments), PATIENCE_S))
    return True
