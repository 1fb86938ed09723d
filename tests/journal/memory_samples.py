"""Acts on the memory, and what is there, for the tests of journals."""

from typing import Any

from clew.journal.entries import Act, Cause, Query
from clew.journal.port import Journal


def act(operation: str, key: str, data: bytes = b"null", **more: Any) -> Act:
    return Act(operation=operation, namespace=more.pop("namespace", "n"), key=key, data=data, **more)


def by(path: str, run: str = "r", step: str = "", epoch: int = 1) -> Cause:
    return Cause(run=run, epoch=epoch, path=path, step=step)


async def store(journal: Journal, key: str, data: bytes, **more: Any) -> bool:
    return await journal.remember(act("store", key, data, **more))


async def held(journal: Journal, key: str, namespace: str = "n") -> str | None:
    entry = await journal.entry(namespace, key)
    return entry.data if entry is not None else None


async def keys(journal: Journal, **query: Any) -> list[str]:
    return [entry.key for entry in await journal.entries(Query(namespace="n", **query))]
