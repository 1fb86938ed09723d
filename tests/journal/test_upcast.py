"""Old formats of events are lifted, newer ones and damaged ones are refused."""

from typing import Any

import msgspec
import pytest
from journal_samples import EVERY_EVENT, TEXT, append, same, write

from clew.errors import StorageError
from clew.journal import upcast
from clew.journal.sqlite import SqliteJournal
from clew.journal.upcast import UPCASTERS, decode_events, encode_events
from clew.kernel import events as e


def first_to_second(event: dict[str, Any]) -> dict[str, Any]:
    """As if `path` had been called `node` in format 1."""
    if "node" in event:
        event["path"] = event.pop("node")
    return event


def second_to_third(event: dict[str, Any]) -> dict[str, Any]:
    """As if format 2 had called a completion `node_done`, and had counted attempts from 0."""
    if event["type"] == "node_done":
        return {**event, "type": "node_completed", "attempt": event.get("attempt", 0) + 1}
    return event


@pytest.fixture
def third_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upcast, "VERSION", 3)
    monkeypatch.setattr(upcast, "UPCASTERS", (first_to_second, second_to_third))


def test_each_former_format_has_its_upcaster() -> None:
    assert len(UPCASTERS) == e.VERSION - 1


def test_events_of_today_come_back() -> None:
    assert same(decode_events(encode_events(EVERY_EVENT), e.VERSION), EVERY_EVENT)


@pytest.mark.usefixtures("third_format")
def test_old_formats_are_lifted_step_by_step() -> None:
    value = TEXT.json
    assert value is not None
    old = b'[{"type":"node_done","at":1,"%s":"a","output":{"json":%s}},{"type":"run_paused","at":2}]'
    lifted = [e.NodeCompleted(at=1.0, path="a", output=TEXT), e.RunPaused(at=2.0)]
    assert same(decode_events(old % (b"node", bytes(value)), 1), lifted)
    assert same(decode_events(old % (b"path", bytes(value)), 2), lifted)
    assert same(decode_events(encode_events(lifted), 3), lifted)
    assert same(decode_events(encode_events(EVERY_EVENT), 1), EVERY_EVENT)


def test_values_survive_being_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upcast, "VERSION", 2)
    monkeypatch.setattr(upcast, "UPCASTERS", (first_to_second,))
    for text in (b"1", b"1.0", b"-0.0", b"1e300", b"12345678901234567890123", b'"\xc3\xa9\\n"', b"[{}]", b"null"):
        event = e.NodeCompleted(at=0.1, path="a", output=e.Value(json=msgspec.Raw(text)))
        (lifted,) = decode_events(encode_events([event]), 1)
        assert isinstance(lifted, e.NodeCompleted)
        assert lifted.output.json is not None
        assert msgspec.json.decode(lifted.output.json) == msgspec.json.decode(text)


async def test_a_journal_of_several_formats_is_read(
    sqlite: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(sqlite, append("a", 0, 2), append("a", 2, 2))
    monkeypatch.setattr(upcast, "VERSION", 3)
    monkeypatch.setattr(upcast, "UPCASTERS", (first_to_second, second_to_third))
    monkeypatch.setattr("clew.journal.sqlite_append.VERSION", 3)
    await write(sqlite, append("a", 4, 2))
    assert [recorded.seq for recorded in await sqlite.read("a")] == [1, 2, 3, 4, 5, 6]
    monkeypatch.undo()
    with pytest.raises(
        StorageError, match="run a: events 5 to 6 cannot be read: they are of format 3, written by"
    ):
        await sqlite.read("a")


@pytest.mark.parametrize("version", [0, -1, 2, 99])
def test_formats_that_are_not_known_are_refused(version: int) -> None:
    with pytest.raises(StorageError, match="format"):
        decode_events(b"[]", version)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[",
        b"{}",
        b"[1]",
        b"\xff",
        b'[{"at":1.0}]',
        b'[{"type":"no_such_event","at":1.0}]',
        b'[{"type":"run_paused"}]',
        b'[{"type":"run_paused","at":"now"}]',
        b'[{"type":"run_paused","at":1.0,"by":"\xff"}]',
        b'[{"type":"run_paused","at":1.0},',
        b'[{"type":"node_completed","at":1.0,"path":"a"}]',
    ],
)
@pytest.mark.parametrize("version", [1, 3])
@pytest.mark.usefixtures("third_format")
def test_damaged_events_are_refused(data: bytes, version: int) -> None:
    with pytest.raises(StorageError, match="they are damaged: "):
        decode_events(data, version)
