"""One command for many runs: counted first, agreed to, filtered, and failures told at the end."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from graph_texts import ASKING, FAILING, SMALL
from waiting_runs import leave_waiting

from clew.cli.filters import Age, Selection, is_abandoned
from clew.journal.records import RunRow

Write = Callable[[str], str]


@pytest.fixture
def five(clew, graph_file: Write) -> str:
    """Two failed runs, two completed ones, one that waits; the file of the failing graph."""
    failing = graph_file(FAILING)
    for run, team in (("f1", "a"), ("f2", "b")):
        clew("run", failing, "--id", run, "--label", f"team={team}", code=1)
    small = graph_file(SMALL)
    for run, team in (("s1", "a"), ("s2", "b")):
        clew("run", small, "--id", run, "--label", f"team={team}")
    leave_waiting(graph_file(ASKING), "w")
    return failing


def left(clew) -> list[str]:
    return sorted(row["run"] for row in clew("ls", "--json").json)


# delete -----------------------------------------------------------------------------------------------------


def test_runs_are_deleted_by_filter_when_that_is_agreed_to(clew, five: str) -> None:
    said = clew("delete", "--state", "failed", code=2).err
    assert "Error: 2 runs would be deleted; nothing was done. Say --yes to do it, --dry-run to see them" in said
    assert (
        clew("delete", "--state", "failed", "--dry-run").out
        == "2 runs would be deleted\n  f2  failed\n  f1  failed\n"
    )
    assert clew("delete", "--graph", "none", "--yes").err == "no such runs\n"
    assert len(left(clew)) == 5
    assert clew("delete", "--state", "failed", "--label", "team=a", "--yes").out == "1 run was deleted\n"
    assert left(clew) == ["f2", "s1", "s2", "w"]
    said = clew("delete", "--label", "team=b", "--yes", "--json").json
    assert said == {"runs": 2, "deleted": 2, "dry_run": False, "failures": {}}
    assert clew("delete", "--older", "0s", "--yes").out == "1 run was deleted\n"
    assert left(clew) == ["w"]  # it has not ended


def test_runs_are_deleted_by_name(clew, five: str) -> None:
    said = clew("delete", "f1", "w", code=2).err
    assert "run w has not ended (running); cancel it first (clew cancel w), or say --force" in said
    assert "there is no run f" in clew("delete", "f", code=4).err  # whole ids only
    assert len(left(clew)) == 5
    assert clew("delete", "f1", "s1", "--dry-run").err == "2 runs would be deleted\n"
    assert clew("delete", "f1", "s1", "f1").out == "2 runs were deleted\n"
    assert clew("delete", "w", "--force", "--json").json["deleted"] == 1
    assert left(clew) == ["f2", "s2"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["delete"], "name RUNs, or say which"),
        (["delete", "x", "--graph", "g"], "name RUNs, or say which"),
        (["delete", "--state", "running"], "--state running: cancel such runs first, or say --force"),
        (["delete", "--abandoned"], "such runs have not ended"),
        (["delete", "--older", "30"], "'30' is no span of time; write 45s, 90m, 12h, 30d or 2w"),
        (["cancel"], "name a RUN, or say which runs"),
        (["cancel", "x", "--state", "running"], "name a RUN, or say which runs"),
        (["cancel", "--state", "failed"], "--state failed: such runs have ended"),
        (["retry"], "name a RUN, or say which runs"),
        (["retry", "--abandoned"], "to go on with them: clew resume --all"),
        (["retry", "--state", "paused"], "--state paused: such runs have not ended"),
        (["ls", "--label", "x"], "--label x: write NAME=VALUE"),
    ],
)
def test_what_cannot_be_meant_is_refused(clew, five: str, arguments, told) -> None:
    assert told in clew(*arguments, code=2).err


# cancel -----------------------------------------------------------------------------------------------------


def test_unfinished_runs_are_cancelled_by_filter(clew, five: str) -> None:
    assert clew("cancel", "--graph", "order", "--dry-run").out == "1 run would be cancelled\n  w  running\n"
    assert clew("cancel", "--older", "1h", "--yes").err == "no such runs\n"
    assert (
        clew("cancel", "--older", "0s", "--yes", "--reason", "old", "--by", "ann").out == "1 run was cancelled\n"
    )
    assert "  old (ann)\n" in clew("show", "w").out
    assert {row["state"] for row in clew("ls", "--json").json} == {"failed", "completed", "cancelled"}


# retry ------------------------------------------------------------------------------------------------------


def test_failed_runs_are_retried_by_filter(clew, five: str) -> None:
    said = clew("retry", "--graph", "failing", "--yes", code=1)
    assert len(re.findall(r"^run f\d failed after .*: again: not yet$", said.out, re.MULTILINE)) == 2
    assert said.out.endswith("2 runs were retried\n")
    assert said.err.endswith("2 failed\n")
    Path("mended").touch()
    assert "run f1 completed after" in clew("retry", "--label", "team=a", "--yes").out
    document = clew("retry", "--state", "failed", "--yes", "--json").json
    assert document == {"runs": 1, "retried": 1, "dry_run": False, "failures": {}}
    assert clew("ls", "--state", "failed").err == "no such runs\n"


def test_runs_that_cannot_be_retried_are_told(clew, five: str) -> None:
    said = clew("retry", "--state", "completed", "--yes", code=1)
    assert said.out == "0 runs were retried\n"
    assert said.err.startswith(
        "2 runs could not be:\n  s2: run s2: it has completed, and nothing in it failed\n  s1: "
    )


# ls ---------------------------------------------------------------------------------------------------------


def test_ls_pages_and_filters(clew, five: str) -> None:
    said = clew("ls", "--limit", "2")
    assert "--limit N lists more, --before s2 those after them" in said.err
    assert [row["run"] for row in clew("ls", "--limit", "2", "--before", "s2", "--json").json] == ["s1", "f2"]
    assert [row["run"] for row in clew("ls", "--label", "team=a", "--older", "0s", "--json").json] == ["s1", "f1"]
    assert clew("ls", "--older", "1d").err == "no such runs\n"
    assert "there is no run x" in clew("ls", "--before", "x", code=4).err
    assert not any(row["abandoned"] for row in clew("ls", "--json").json)


def test_ages() -> None:
    read = {text: Age().convert(text, None, None) for text in ("45s", "90m", "1.5h", "30d", "2w")}
    assert read == {"45s": 45, "90m": 5_400, "1.5h": 5_400, "30d": 2_592_000, "2w": 1_209_600}
    assert not Selection(copies=False).is_given
    assert Selection(older_s=0.0).is_given


@pytest.mark.parametrize(
    ("row", "abandoned"),
    [
        (RunRow(run="r", state="running", owner="dead"), True),
        (RunRow(run="r", state="running", owner=""), True),
        (RunRow(run="r", state="running", owner="alive"), False),
        (RunRow(run="r", state="running", imported=True), False),
        (RunRow(run="r", state="paused", owner="dead"), False),
        (RunRow(run="r", state="completed", ended_at=1.0), False),
        (RunRow(run="r", state="running", idle=True), False),
        (RunRow(run="r", state="running", idle=True, wake_at=11.0), False),
        (RunRow(run="r", state="running", idle=True, wake_at=9.0), True),
    ],
)
def test_abandoned_is_what_has_something_to_do(row: RunRow, abandoned: bool) -> None:
    assert is_abandoned(row, {"alive"}, now=10.0) is abandoned


# gc ---------------------------------------------------------------------------------------------------------


def test_gc_tells_what_would_go_and_what_went(clew, five: str) -> None:
    out = clew("gc").out
    assert out.startswith("runs:    0 deleted\nvalues:  0 swept, 0 bytes\nspace:   ")
    out = clew("gc", "--older", "0s", "--dry-run").out
    assert re.match(
        r"runs:    4 would be deleted \(2 completed, 2 failed\), up to [\d.]+ kB of events, values", out
    )
    assert len(left(clew)) == 5
    assert clew("gc", "--older", "1h", "--state", "failed").out.startswith("runs:    0 deleted")
    assert clew("gc", "--keep", "1", "--graph", "small").out.startswith("runs:    1 deleted (1 completed)")
    out = clew("gc", "--older", "0s", "--label", "team=a", "--grace", "0s", "--pack").out
    assert out.startswith("runs:    1 deleted (1 failed)\nevents:  2 runs packed, ")
    assert left(clew) == ["f2", "s2", "w"]
    document = clew("gc", "--older", "0s", "--grace", "0s", "--json").json
    assert document["runs"] == {"completed": 1, "failed": 1}
    assert document["values"] == 2  # the definitions
    assert left(clew) == ["w"]
    assert "is not one of" in clew("gc", "--state", "running", code=2).err


# export and import ------------------------------------------------------------------------------------------


def test_a_run_goes_through_a_file(clew, five: str) -> None:
    said = clew("export", "f1").err
    assert re.fullmatch(
        r"run f1 was written to f1\.clew\.gz: \d+ events, 0 values, 0 lines of output, [\d.]+ kB\n", said
    )
    assert "f1.clew.gz exists; --force writes over it" in clew("export", "f1", code=2).err
    assert clew("export", "f1", "--force", "--json").json["file"] == "f1.clew.gz"
    assert [*Path().glob(".*.gz*")] == []  # no half-written file is left
    assert "give the copy another id" in clew("import", "f1.clew.gz", code=2).err
    said = clew("import", "f1.clew.gz", "--db", "other.db").err
    assert re.fullmatch(
        r"run f1 was imported: \d+ events, failed; to look at it: clew show f1 --db other.db\n", said
    )
    there = clew("show", "f1", "--db", "other.db").out
    here = clew("show", "f1").out
    assert "  a copy that was imported, to be looked at\n" in there
    assert there.replace("  a copy that was imported, to be looked at\n", "").replace(" --db other.db", "") == here
    assert "failed, 1 failed, a copy" in clew("ls", "--db", "other.db").out
    assert clew("ls", "--db", "other.db", "--json").json[0]["imported"] is True
    assert clew("logs", "f1", "--follow", "--db", "other.db").err == "no node printed anything\n"


def test_copies_are_never_driven(clew, five: str) -> None:
    clew("export", "w", "-o", "w.gz")
    clew("import", "w.gz", "--as", "copy")
    for command in (
        ["resume", "copy"],
        ["retry", "copy"],
        ["cancel", "copy"],
        ["pause", "copy"],
        ["send", "copy", "x"],
        ["answer", "copy", "yes"],
    ):
        assert "error: run copy is an imported copy, to be looked at" in clew(*command, code=2).err
    assert "approve asks" in clew("answer", "copy").out
    assert clew("cancel", "--state", "running", "--dry-run").out == "1 run would be cancelled\n  w  running\n"
    assert clew("resume", "--all").err.startswith("there is no unfinished run that could go on here")
    assert clew("ls", "--abandoned").err == "no such runs\n"
    assert clew("delete", "copy").out == "1 run was deleted\n"


def test_files_that_are_not_whole_are_refused(clew, five: str) -> None:
    clew("export", "s1", "-o", "s.gz")
    Path("cut.gz").write_bytes(Path("s.gz").read_bytes()[:-20])
    Path("text.gz").write_text("hello")
    assert "error: cut.gz is not complete: its end is missing" in clew("import", "cut.gz", "--as", "x", code=6).err
    assert "error: text.gz is not a run that was exported" in clew("import", "text.gz", code=6).err
    assert "there is no file none.gz" in clew("import", "none.gz", code=4).err
    assert "the file cannot be written" in clew("export", "s1", "-o", "no/such/folder.gz", code=6).err
    assert "there is no run x" in clew("export", "x", code=4).err
    assert "x" not in left(clew)
