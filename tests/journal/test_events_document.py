"""The tables in docs/events.md tell the fields of every event."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from clew.kernel import events as e

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "events.md").read_text("utf-8")
ROW = re.compile(r"^\| `([A-Z]\w+)` \| (.+) \| ?([^|]*)\|$", re.MULTILINE)


def test_every_event_is_told_with_its_fields() -> None:
    told = {name: tuple(re.findall(r"`(\w+)`", fields)) for name, _, fields in ROW.findall(PAGE)}
    assert told == {event.__name__: event.__struct_fields__[1:] for event in e.AnyEvent.__args__}


def test_the_version_is_told() -> None:
    assert f"one version, {e.VERSION} today" in PAGE


def test_the_query_shows_a_run() -> None:
    (query,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    script = (ROOT / "tests" / "fixtures" / "journal-v1.sql").read_text("utf-8")
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(script)
        found = connection.execute(query.replace("digest-42", "audit-1")).fetchall()
    assert found[0] == (3, "run_admitted", None)
    assert found[3] == (8, "node_completed", "discover")
    assert len(found) > 40
