"""The checks of ``clew doctor``. Each tries the real thing, changes nothing that is kept, and says what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clew.cli.options import file_of
from clew.cli.words import count, plain

Verdict = Literal["ok", "warn", "fail"]

_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs"})
_LIBRARIES = ("click", "httpx", "jinja2", "msgspec", "pyyaml", "rich")
#: Bytes free below which a warning is due.
_LITTLE = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `advice` says what to do about it."""

    verdict: Verdict
    what: str
    found: str
    advice: str = ""


def examine(url: str) -> list[Finding]:
    """Make every check; `url` is the journal that commands would use."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _libraries,
        _sqlite,
        lambda: _database(url),
        _processes,
        _isolation,
        _machine,
        _terminal,
    ]
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check()
        except Exception as error:
            name = getattr(check, "__name__", "database").strip("_")
            findings.append(Finding("fail", name, f"the check itself failed: {type(error).__name__}: {error}"))
    return findings


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    where = f"{version} ({platform.python_implementation()}, {sys.executable})"
    yield Finding("ok", "python", where)


def _libraries() -> Iterator[Finding]:
    found: list[str] = []
    missing: list[str] = []
    for name in ("clew", *_LIBRARIES):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("fail", "libraries", f"missing: {', '.join(missing)}", "install Clew again with pip")
    else:
        yield Finding("ok", "libraries", ", ".join(found))


def _sqlite() -> Iterator[Finding]:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < (3, 38):
        yield Finding("fail", "sqlite", version, "Clew needs SQLite 3.38 or later; use a newer Python")
        return
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "try.db")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        connection.close()
    advice = "" if mode == "wal" else f"the file system of {tempfile.gettempdir()} does not allow shared memory"
    yield Finding("ok" if mode == "wal" else "warn", "sqlite", f"{version}, write-ahead log: {mode}", advice)


def _database(url: str) -> Iterator[Finding]:
    name = file_of(url)
    if not name:
        yield Finding("warn", "database", plain(url), "nothing of it outlives the process")
        return
    file = Path(name).expanduser().absolute()
    yield from _folder(file.parent)
    if not file.exists():
        yield Finding("ok", "database", f"{file} does not exist yet; `clew run` makes it")
        return
    if not os.access(file, os.W_OK):
        yield Finding("fail", "database", f"{file} is read-only for this user", "change its rights, or use --db")
        return
    yield _health(file)


def _folder(folder: Path) -> Iterator[Finding]:
    if not folder.is_dir():
        yield Finding("fail", "folder", f"{folder} does not exist", "make it, or name another place with --db")
        return
    kind = file_system(folder)
    what = f"{folder}{f' ({kind})' if kind else ''}"
    if not os.access(folder, os.W_OK):
        yield Finding("fail", "folder", f"{what} is read-only for this user", "change its rights, or use --db")
    elif kind in _NETWORK:
        yield Finding("fail", "folder", what, "SQLite is not safe on a network file system; choose a local disk")
    else:
        free = shutil.disk_usage(folder).free
        advice = "" if free > _LITTLE else "make room: a full disk stops all runs (nothing acknowledged is lost)"
        yield Finding("warn" if advice else "ok", "folder", f"{what}, {free / 2**30:.1f} GB free", advice)


def _health(file: Path) -> Finding:
    """Look into a database as a reader, without changing or making anything."""
    from clew.journal.sqlite_file import APPLICATION_ID, newest_version  # noqa: PLC0415 - only if there is one

    size = f"{file.stat().st_size / 2**20:.1f} MB"
    try:
        connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if application != APPLICATION_ID:
                found = f"{file} belongs to another program"
                return Finding("fail", "database", found, "name another file with --db")
            if version > newest_version():
                found = f"{file} was written by a newer Clew (tables of version {version})"
                return Finding("fail", "database", found, "install that version")
            problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problem != "ok":
                found = f"{file} is damaged: {plain(str(problem))}"
                return Finding(
                    "fail", "database", found, "keep the file; restore a copy, or sqlite3 FILE .recover"
                )
            states = dict(connection.execute("SELECT ended_at IS NULL, count(*) FROM runs GROUP BY 1").fetchall())
        finally:
            connection.close()
    except sqlite3.Error as error:
        return Finding("fail", "database", f"{file}: {error}", "keep the file, and name another one with --db")
    runs = count(sum(states.values()), "run")
    unfinished = f", {states[1]} unfinished" if states.get(1) else ""
    return Finding("ok", "database", f"{file}, {size}, {runs}{unfinished}, healthy")


def _processes() -> Iterator[Finding]:
    """Start a process with a child of its own, kill the group, and see that both are gone."""
    code = "import subprocess, sys; subprocess.Popen(['sleep', '600']); print('up', flush=True); sys.stdin.read()"
    if os.name != "posix":
        yield Finding(
            "warn", "processes", os.name, "process groups are not known here: a killed body may leave children"
        )
        return
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdout is not None
        started = child.stdout.readline().strip() == b"up"
        os.killpg(child.pid, signal.SIGKILL)
        ended = child.wait(timeout=10) == -signal.SIGKILL
        # The grandchild holds the pipe as well: its end shows that it has been killed, too.
        gone = child.stdout.read() == b""
    if started and ended and gone:
        yield Finding("ok", "processes", "are started fresh (never forked), and killed with their children")
    else:
        advice = "time limits of synchronous bodies and shell commands cannot be kept here"
        yield Finding("fail", "processes", "a child could not be started or killed", advice)


def _isolation() -> Iterator[Finding]:
    """Which limits of steps can be held to here, and how."""
    from clew.workers.isolation.choosing import describe_mechanisms  # noqa: PLC0415 - only if it is asked for
    from clew.workers.isolation.trying import find_mechanisms  # noqa: PLC0415

    described = describe_mechanisms(find_mechanisms())
    if not any(each.mechanism for each in described):
        advice = "steps with limits are refused here; run them on Linux"
        yield Finding("warn", "limits", f"none can be held to: {described[0].why}", advice)
        return
    for each in described:
        if each.mechanism:
            yield Finding("ok", f"limit {each.limit}", each.mechanism)
        else:
            advice = "steps with it are refused here, unless they run with best_effort; see docs/isolation.md"
            yield Finding("warn", f"limit {each.limit}", each.why, advice)


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    verdict: Verdict = "ok" if sys.platform in ("linux", "darwin") else "warn"
    advice = "" if verdict == "ok" else "Clew is tried on Linux and macOS"
    yield Finding(verdict, "machine", f"{platform.system()} {platform.machine()}, {count(cores, 'core')}", advice)


def _terminal() -> Iterator[Finding]:
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only needed here

    console = Console()
    if not console.is_terminal:
        yield Finding("ok", "terminal", "none here: runs are told in plain lines")
        return
    what = f"{os.environ.get('TERM', '?')}, {console.width}x{console.height}, {console.encoding}"
    if console.is_dumb_terminal:
        yield Finding("warn", "terminal", what, "it cannot move its cursor: runs are told in plain lines")
    elif console.options.ascii_only:
        yield Finding("warn", "terminal", what, "set LANG to a UTF-8 one for better signs")
    else:
        yield Finding("ok", "terminal", what)


def file_system(folder: Path) -> str:
    """The type of the file system that holds a folder, where the system tells; else empty."""
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in mounts:
        _, place, type_name, *_ = line.split(" ")
        place = place.replace("\\040", " ")
        inside = f"{folder.resolve()}/".startswith(f"{place.rstrip('/')}/")
        if inside and len(place) >= len(best):
            best, kind = place, type_name
    return kind
