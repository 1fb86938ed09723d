"""Confine this process, and all it starts, to some folders: Landlock, see landlock(7).

A rule holds for where a file lies in the end, so symbolic links and ``..`` lead nowhere else, and there is no
moment between a check and the use. What is not in any rule is refused with EACCES. What Landlock does not know
(up to version 7 of its interface) is not refused: changing the mode, owner, times and extended attributes of
files that belong to the step's user, and connecting to sockets in the file system.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Iterator

from clew.workers.isolation.system_calls import numbers, system_call

#: Below this version a file can be emptied without a right to write (truncate(2)), so nothing is promised.
LEAST_VERSION = 3

_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_AND_MAKE = 0b1_1111_1111 << 4  #: REMOVE_DIR, REMOVE_FILE, and MAKE_ of seven kinds
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_SCOPE_ABSTRACT_UNIX_SOCKET, _SCOPE_SIGNAL = 1 << 0, 1 << 1

_READING = _EXECUTE | _READ_FILE | _READ_DIR
_WRITING = _WRITE_FILE | _REMOVE_AND_MAKE | _REFER | _TRUNCATE
#: All that a rule for a single file may name.
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV


def version() -> int:
    """The version of the interface that this kernel offers; raises OSError if it offers none."""
    return system_call("landlock", numbers().landlock_create_ruleset, None, 0, _VERSION_FLAG)


def confine(
    *,
    read: Iterable[str] | None,
    write: Iterable[str] | None,
    only_write: Iterable[str] = (),
    no_abstract_sockets: bool = False,
) -> None:
    """Confine this thread, which has set `no_new_privs`, and what it starts from now on.

    It can neither send signals to processes that are not confined with it, nor trace them (from version 6 and
    1 on), nor change what is mounted where.

    Args:
        read: what may be read and executed; None is everything.
        write: what may be read and written; None is everything.
        only_write: what may be written, but is not to be read for that reason.
        no_abstract_sockets: abstract sockets of other processes are out of reach, too (from version 6 on).

    Raises:
        OSError: a path is not there, or Landlock is not.
    """
    offered = version()
    device = _IOCTL_DEV if offered >= 5 else 0
    reading = _READING if read is not None else 0
    writing = (_WRITING | device) if write is not None else 0
    scopes = 0
    if offered >= 6:
        scopes = _SCOPE_SIGNAL | (_SCOPE_ABSTRACT_UNIX_SOCKET if no_abstract_sockets else 0)
    handled = reading | writing
    if not handled and not scopes:
        handled, read = _READ_DIR, ("/",)  # the weakest rule: what counts is to be confined at all
        reading = _READ_DIR
    # Each version has made the structure longer, and refuses what is longer than it knows.
    attributes = struct.pack("=QQQ", handled, 0, scopes)[: 24 if offered >= 6 else 16 if offered >= 4 else 8]
    ruleset = system_call(
        "landlock_create_ruleset",
        numbers().landlock_create_ruleset,
        ctypes.create_string_buffer(attributes, len(attributes)),
        len(attributes),
        0,
    )
    try:
        for path in read or ():
            _allow(ruleset, path, reading)
        for path in write or ():
            _allow(ruleset, path, reading | writing)
        for path in only_write:
            _allow(ruleset, path, writing)
        system_call("landlock_restrict_self", numbers().landlock_restrict_self, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        if rights:
            rule = struct.pack("=Qi", rights, place)
            buffer = ctypes.create_string_buffer(rule, len(rule))
            system_call("landlock_add_rule", numbers().landlock_add_rule, ruleset, _RULE_PATH_BENEATH, buffer, 0)
    finally:
        os.close(place)


def all_but(excluded: Iterable[str]) -> list[str]:
    """What there is in the file system except some folders, as paths that rules can name.

    New entries cannot be made in the folders above the excluded ones, because a right on these would be one
    on the excluded ones, too.
    """
    return sorted(_besides("/", {os.path.realpath(each) for each in excluded}))


def _besides(folder: str, excluded: set[str]) -> Iterator[str]:
    if folder in excluded:
        return
    if not any(each.startswith(folder.rstrip("/") + "/") for each in excluded):
        yield folder
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            # What a link leads to is allowed where it lies.
            if not entry.is_symlink():
                yield from _besides(entry.path, excluded)
