"""Chooses for each limit how it is held to here, before anything is started; refuses what cannot be.

Pure: what the machine offers comes as `Mechanisms`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from clew.graphs.limits import Limits
from clew.workers.isolation import landlock
from clew.workers.isolation.addresses import target
from clew.workers.isolation.cgroups import Place
from clew.workers.isolation.filters import Filter
from clew.workers.isolation.limits import Roots, UnenforceableLimitError
from clew.workers.isolation.mechanisms import Mechanisms

_ANYWAY = "leave it out, or run the step with best_effort, which then runs without it"


class Enforcement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a step is held to its limits.

    Attributes:
        limits: those that are held to.
        mechanisms: for each, how, in words; ``read`` and ``write`` are those of `Roots`.
        unenforced: for each that is not, why.
        places: of the step's control groups, by use.
        watched: limits that are held to by looking at the processes again and again.
        processors: to how many a step is bound by affinity; 0 is none.
        namespace: how it gets a network without connections, see `Mechanisms.network_namespace`.
        filter: its system call filter.
        guards: connections are decided on, not only counted.
        restricted: it is confined: no new rights, no signals to others, no way out of its group.
        landlock: Landlock is offered.
        confines_reading: Landlock holds it to the read roots.
        confines_writing: and to the write roots.
        limits_user: the number of the user's processes is bounded, too (RLIMIT_NPROC).
        kills_orphans: its first process is killed if its keeper ends.
    """

    limits: Limits
    mechanisms: dict[str, str] = {}
    unenforced: dict[str, str] = {}
    places: dict[str, Place] = {}
    watched: tuple[str, ...] = ()
    processors: int = 0
    namespace: str = ""
    filter: Filter | None = None
    guards: bool = False
    restricted: bool = False
    landlock: bool = False
    confines_reading: bool = False
    confines_writing: bool = False
    limits_user: bool = False
    kills_orphans: bool = False


def choose(
    limits: Limits, roots: Roots, offered: Mechanisms, *, programs: bool = True, best_effort: bool = False
) -> Enforcement:
    """Choose how a step is held to its limits.

    Args:
        limits: what it may use.
        roots: where it may read and write.
        offered: what the machine has.
        programs: it may start programs.
        best_effort: what cannot be enforced is left out and told, instead of refused.

    Raises:
        UnenforceableLimitError: a limit cannot be enforced here.
        InvalidInputError: an entry of `Limits.network` is no destination.
    """
    for text in limits.network or ():
        target(text)
    choice = _Choice(limits, roots, offered, programs=programs, best_effort=best_effort)
    for name, _ in limits.given():
        if name in _HOLDERS:
            choice.hold(name, _HOLDERS[name])
    if limits.no_network:
        choice.hold("network" if limits.network is not None else "connections", _no_network)
    else:
        for name in ("network", "connections"):
            if getattr(limits, name) is not None:
                choice.hold(name, _network)
    for name in ("read", "write"):
        if getattr(roots, name) is not None:
            choice.hold(name, _roots)
    if not programs:
        choice.hold("shell", _no_programs)
    return choice.made()


class _Choice:
    """A choice in the making."""

    def __init__(
        self, limits: Limits, roots: Roots, offered: Mechanisms, *, programs: bool, best_effort: bool
    ) -> None:
        self.limits = limits
        self.offered = offered
        self.watched: list[str] = []
        self.processors = 0
        self.namespace = ""
        self.filter = Filter()
        self.guards = False
        self._given = limits.need_isolation or roots.given or not programs
        self._best_effort = best_effort
        self._mechanisms: dict[str, str] = {}
        self._unenforced: dict[str, str] = {}

    def hold(self, name: str, holder: Callable[[_Choice, str], str]) -> None:
        """Choose for one limit."""
        try:
            self._mechanisms[name] = holder(self, name)
        except UnenforceableLimitError as error:
            if not self._best_effort:
                raise
            self._unenforced[name] = error.why

    def refuse(self, name: str, why: str, advice: str) -> UnenforceableLimitError:
        return UnenforceableLimitError(name, why, f"{advice}, or {_ANYWAY}")

    def watch(self, name: str) -> str:
        """Hold a limit by looking at the processes."""
        if not self.offered.follows_tree:
            why = self.offered.why("process tree" if self.offered.subreaper else "subreaper")
            raise self.refuse(name, why, "use Linux")
        self.watched.append(name)
        return "watched: all processes of the step are looked at many times a second"

    def made(self) -> Enforcement:
        offered = self.offered
        filtered = None
        if self._given and offered.filters:
            filtered = msgspec.structs.replace(
                self.filter, notify_connect=offered.notifications, keep_apart=not offered.landlock
            )
        held = {name: value for name, value in self.limits.given() if name not in self._unenforced}
        if self.limits.no_network and {"network", "connections"} & self._unenforced.keys():
            held = {name: value for name, value in held.items() if name not in {"network", "connections"}}
        writing = "write" in self._mechanisms
        return Enforcement(
            limits=Limits(**held),
            mechanisms=self._mechanisms,
            unenforced=self._unenforced,
            places=offered.places,
            watched=tuple(self.watched),
            processors=self.processors,
            namespace=self.namespace,
            filter=filtered,
            guards=self.guards or (writing and offered.notifications),
            restricted=self._given,
            landlock=offered.landlock > 0,
            confines_reading="read" in self._mechanisms,
            confines_writing=writing,
            limits_user="processes" in self.watched and not offered.root,
            kills_orphans=offered.death_signal,
        )


def _in_group(use: str, does: str) -> Callable[[_Choice, str], str]:
    def hold(choice: _Choice, name: str) -> str:
        place = choice.offered.places.get(use)
        if place is not None:
            return f"control group (version {place.version}): {does}"
        return choice.watch(name)

    return hold


def _processes(choice: _Choice, name: str) -> str:
    offered = choice.offered
    if (place := offered.places.get("processes")) is not None:
        return f"control group (version {place.version}): the kernel lets no more be started"
    if offered.notifications and offered.process_tree:
        choice.filter = msgspec.structs.replace(choice.filter, notify_forking=True)
        return "a supervisor is asked for each process (seccomp user notification)"
    if offered.root:
        why = f"no control group ({offered.why('processes')}) and no supervisor ({offered.why('notifications')})"
        why += "; the limit on a user's processes does not bind the superuser"
        raise choice.refuse(name, why, "run as another user")
    return choice.watch(name)


def _cores(choice: _Choice, name: str) -> str:
    wanted = choice.limits.cores or 0.0
    offered = choice.offered
    if (place := offered.places.get("cores")) is not None:
        return f"control group (version {place.version}): the scheduler gives no more"
    if wanted >= offered.cores:
        return f"there are no more than {offered.cores} processors"
    if not offered.filters:
        raise choice.refuse(name, offered.why("filters"), "use a machine with control groups")
    if wanted != int(wanted):
        why = f"a part of a processor needs a control group ({offered.why('cores')})"
        raise choice.refuse(name, why, "ask for whole processors")
    choice.processors = int(wanted)
    choice.filter = msgspec.structs.replace(choice.filter, keep_affinity=True)
    return "the step is bound to so many processors, and cannot choose others"


def _disk(choice: _Choice, name: str) -> str:
    if not choice.offered.follows_tree:
        why = choice.offered.why("process tree" if choice.offered.subreaper else "subreaper")
        raise choice.refuse(name, why, "use Linux")
    return "watched: the files under the working folder are added up again and again; there is no quota"


def _wall(choice: _Choice, name: str) -> str:
    if not choice.offered.follows_tree:
        why = choice.offered.why("process tree" if choice.offered.subreaper else "subreaper")
        raise choice.refuse(name, why, "give the node a timeout instead")
    return "a timer; then all processes of the step are ended"


def _no_network(choice: _Choice, name: str) -> str:
    offered = choice.offered
    if offered.network_namespace:
        choice.namespace = offered.network_namespace
        if offered.filters:  # sockets of other kinds than the internet's do not belong to the namespace
            choice.filter = msgspec.structs.replace(choice.filter, sockets="guarded")
        choice.guards = offered.notifications  # so that what is refused is told
        how = f"a network namespace ({offered.network_namespace}), in which even the loopback is down"
        return how.replace(" (direct)", "")
    if offered.filters:
        choice.filter = msgspec.structs.replace(choice.filter, sockets="no network")
        return "a system call filter: sockets of the network cannot be made"
    raise choice.refuse(name, f"{offered.why('network namespace')}; {offered.why('filters')}", "use Linux")


def _network(choice: _Choice, name: str) -> str:
    offered = choice.offered
    if not offered.notifications:
        why = f"connections cannot be put before a supervisor ({offered.why('notifications')})"
        raise choice.refuse(name, why, "allow no network at all (network=()), or use Linux 5.6 or later")
    choice.filter = msgspec.structs.replace(choice.filter, sockets="guarded", notify_sending=True)
    choice.guards = True
    return "a supervisor makes each connection in the step's place (seccomp user notification)"


def _roots(choice: _Choice, name: str) -> str:
    offered = choice.offered
    if offered.landlock >= landlock.LEAST_VERSION:
        return f"Landlock, version {offered.landlock} of its interface"
    why = offered.why("landlock")
    if offered.landlock:
        least = landlock.LEAST_VERSION
        why = (
            f"Landlock is of version {offered.landlock}; it lets files be emptied anywhere before version {least}"
        )
    raise choice.refuse(name, why, "use Linux 6.2 or later with Landlock among its security modules")


def _no_programs(choice: _Choice, name: str) -> str:
    if not choice.offered.filters:
        raise choice.refuse(
            name, choice.offered.why("filters"), "let it start programs (shell=True), or use Linux"
        )
    choice.filter = msgspec.structs.replace(choice.filter, no_programs=True)
    return "a system call filter: programs cannot be started"


_HOLDERS: dict[str, Callable[[_Choice, str], str]] = {
    "memory_bytes": _in_group("memory", "the kernel counts all of the step's memory and gives no more"),
    "cpu_s": _in_group("cpu", "the kernel adds up all of the step's processor time; it is looked at"),
    "processes": _processes,
    "cores": _cores,
    "disk_bytes": _disk,
    "wall_s": _wall,
}


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """How one limit would be held to here.

    Attributes:
        limit: its name.
        mechanism: how; empty if it would be refused.
        why: why it would be refused; empty if it would not.
    """

    limit: str
    mechanism: str
    why: str


def describe_mechanisms(offered: Mechanisms) -> list[Described]:
    """How each limit would be held to on a machine that offers these."""
    samples: dict[str, tuple[Limits, Roots]] = {
        "memory_bytes": (Limits(memory_bytes=1), Roots()),
        "cpu_s": (Limits(cpu_s=1), Roots()),
        "cores": (Limits(cores=0.5), Roots()),
        "processes": (Limits(processes=1), Roots()),
        "disk_bytes": (Limits(disk_bytes=1), Roots()),
        "wall_s": (Limits(wall_s=1), Roots()),
        "network=()": (Limits(network=()), Roots()),
        "network": (Limits(network=("127.0.0.1",)), Roots()),
        "connections": (Limits(connections=1), Roots()),
        "read": (Limits(), Roots(read=())),
        "write": (Limits(), Roots(write=())),
        "shell": (Limits(), Roots()),
    }
    found: list[Described] = []
    for name, (limits, roots) in samples.items():
        try:
            chosen = choose(limits, roots, offered, programs=name != "shell")
        except UnenforceableLimitError as error:
            found.append(Described(limit=name, mechanism="", why=error.why))
        else:
            found.append(Described(limit=name, mechanism=chosen.mechanisms[name.removesuffix("=()")], why=""))
    return found
