"""What a step is to be held to, with its paths resolved: from what users say to the order for its keeper."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from clew.errors import InvalidInputError
from clew.graphs.limits import Limits
from clew.workers.isolation.choosing import choose
from clew.workers.isolation.limits import Roots
from clew.workers.isolation.mechanisms import Mechanisms
from clew.workers.isolation.orders import Order

#: Between being asked to end and being killed, in seconds.
GRACE_S = 2.0

#: What programs need to run at all, as far as it is there. Of /etc what is no secret, even for root.
_SYSTEM = (
    *("/bin", "/sbin", "/usr", "/opt", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/run/current-system"),
    *("/proc", "/sys/devices/system", "/sys/fs/cgroup", "/dev/urandom", "/dev/random"),
    *(f"/etc/{name}" for name in ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld.so.preload", "alternatives")),
    *(f"/etc/{name}" for name in ("passwd", "group", "nsswitch.conf", "localtime", "timezone", "os-release")),
    *(f"/etc/{name}" for name in ("hosts", "host.conf", "gai.conf", "resolv.conf", "protocols", "services")),
    *(f"/etc/{name}" for name in ("ssl/certs", "ssl/openssl.cnf", "ca-certificates", "pki/tls", "pki/ca-trust")),
    *(f"/etc/{name}" for name in ("mime.types", "locale.alias", "shells", "inputrc", "terminfo", "profile")),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")


class Confinement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step is held to.

    Attributes:
        limits: what it may use.
        roots: where it may read and write.
        programs: it may start programs; a program may always.
        folder: where it runs, which `Limits.disk_bytes` is about; empty for the folder of this process.
        best_effort: what cannot be enforced here is left out, and told in the outcome, instead of refused.
        grace_s: seconds between being asked to end and being killed.
    """

    limits: Limits = Limits()
    roots: Roots = Roots()
    programs: bool = True
    folder: str = ""
    best_effort: bool = False
    grace_s: float = GRACE_S


def order_for(
    confinement: Confinement,
    offered: Mechanisms,
    *,
    argv: Sequence[str | bytes] = (),
    env: Mapping[str, str] | None = None,
    modules: Sequence[str] = (),
    tells_s: float = 0.0,
) -> Order:
    """The order for a step's keeper.

    Args:
        confinement: what it is held to.
        offered: what the machine has.
        argv: the program and its arguments; empty for a worker process.
        env: all of its environment; None is that of this process.
        modules: where a worker process looks for modules; may be read.
        tells_s: how often it tells what it uses while it runs, in seconds; 0 is never.

    Raises:
        UnenforceableLimitError: a limit or a root cannot be enforced here.
        InvalidInputError: a root is not there, or an entry of the network list is no destination.
        NotADirectoryError: the folder to run in is not there.
    """
    roots = confinement.roots
    how = choose(
        confinement.limits,
        roots,
        offered,
        programs=confinement.programs or bool(argv),
        best_effort=confinement.best_effort,
    )
    folder = os.path.realpath(confinement.folder or Path.cwd())
    if not Path(folder).is_dir():
        raise NotADirectoryError(f"the folder {folder} to run in does not exist")
    needed = [*_SYSTEM, sys.prefix, sys.base_prefix, *modules] if roots.system else [*modules]
    devices = _DEVICES if roots.system else ()
    read = None if roots.read is None else (*_given("read", roots.read), *_there(needed))
    write = None if roots.write is None else (*_given("write", roots.write), *_there(devices))
    if read is not None and write is None:
        read = (*read, *_there(devices))
    environment = os.environ if env is None else env
    return Order(
        argv=tuple(os.fsencode(each) for each in argv),
        env=tuple((os.fsencode(name), os.fsencode(value)) for name, value in environment.items()),
        folder=folder,
        enforcement=how,
        read=read,
        write=write,
        temporary=write is not None and roots.temporary and how.confines_writing,
        sys_path=tuple(modules),
        engine=os.getpid(),
        grace_s=confinement.grace_s,
        tells_s=tells_s,
    )


def _given(kind: str, paths: Iterable[str]) -> list[str]:
    """Roots that a user named, without symbolic links; each has to be there."""
    found: list[str] = []
    for path in paths:
        if not Path(path).exists():
            raise InvalidInputError(
                f"roots: {kind}: {path} does not exist; make it first, or name the folder that will hold it"
            )
        found.append(os.path.realpath(path))
    return found


def _there(paths: Iterable[str]) -> list[str]:
    """What there is of what programs may need."""
    return sorted({os.path.realpath(path) for path in paths if path and Path(path).exists()})
