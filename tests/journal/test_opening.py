"""Which journal a URL means, and who is taken for alive."""

import os
from pathlib import Path

import pytest
from journal_samples import elsewhere, ended_process
from msgspec.structs import replace

from clew.errors import StorageError
from clew.journal import ownership
from clew.journal.memory import MemoryJournal
from clew.journal.opening import journal_for
from clew.journal.ownership import LEASE_S, is_alive, this_process


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///clew.db", "clew.db"),
        ("sqlite:///sub/clew.db", "sub/clew.db"),
        ("sqlite:////var/clew.db", "/var/clew.db"),
        ("clew.db", "clew.db"),
        ("/var/a b.db", "/var/a b.db"),
        ("./memory", "memory"),
    ],
)
def test_a_file_is_named(url: str, path: str) -> None:
    assert journal_for(url, "process").url == f"sqlite:///{path}"


def test_home_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert journal_for("sqlite:///~/clew.db").url == "sqlite:////somewhere/clew.db"


def test_nothing_need_be_kept() -> None:
    assert isinstance(journal_for("memory:"), MemoryJournal)
    assert isinstance(journal_for("memory://"), MemoryJournal)
    assert isinstance(journal_for("sqlite:///clew.db", "memory"), MemoryJournal)
    assert not Path("clew.db").exists()


@pytest.mark.parametrize("url", ["postgresql://localhost/x", "http://x", "memory", "sqlite:clew.db", "postgres:x"])
def test_what_means_no_journal_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="use memory: or sqlite:///FILE"):
        journal_for(url)


@pytest.mark.parametrize("url", ["memory:", "clew.db"])
def test_a_durability_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="'ful' is not one of full, process, memory"):
        journal_for(url, "ful")


def test_this_process_is_alive_until_its_lease_ends() -> None:
    owner = this_process("name")
    assert owner.id.startswith("name-")
    assert owner.id != this_process("name").id
    assert owner.pid == os.getpid()
    assert is_alive(owner, 100.0, 100.0 + LEASE_S)
    assert is_alive(owner, 100.0, 100.0 - LEASE_S)
    assert not is_alive(owner, 100.0, 99.9 - LEASE_S)
    assert not is_alive(owner, 100.0, 100.1 + LEASE_S)


def test_a_process_that_ended_is_not_alive() -> None:
    assert not is_alive(ended_process(), 100.0, 100.0)
    assert not is_alive(replace(this_process(), started="1"), 100.0, 100.0)


def test_of_another_machine_only_the_lease_is_known() -> None:
    assert is_alive(elsewhere("far"), 100.0, 101.0)
    assert not is_alive(elsewhere("far"), 100.0, 101.0 + LEASE_S)


def test_a_container_with_the_same_name_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ended_process()
    monkeypatch.setattr(ownership, "_namespace", lambda: "pid:[other]")
    assert is_alive(gone, 100.0, 101.0)


def test_without_a_table_of_processes_their_existence_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    here, gone = this_process(), ended_process()
    monkeypatch.setattr(ownership, "_stat_of", lambda _pid: "")
    assert this_process().started == ""
    assert is_alive(here, 100.0, 101.0)
    assert not is_alive(gone, 100.0, 101.0)
