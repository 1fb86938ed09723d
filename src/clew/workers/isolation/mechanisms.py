"""What a machine offers to hold steps to their limits. Found out by `trying`; in tests, given."""

from __future__ import annotations

from typing import Literal

import msgspec

from clew.workers.isolation.cgroups import Place

#: The names under which `Mechanisms.why_not` tells what is missing.
Name = Literal[
    "memory",
    "processes",
    "cores",
    "cpu",
    "kill",
    "subreaper",
    "process tree",
    "landlock",
    "network namespace",
    "filters",
    "notifications",
    "death signal",
]


class Mechanisms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is offered here. What is left out is not.

    Attributes:
        system: the operating system and its version, as it is told in messages.
        root: this process is the superuser, whom some limits do not bind.
        cores: processors that this process may use.
        places: where control groups can be made, by use (`cgroups.USES`).
        subreaper: a process can stay the ancestor of all that it has started.
        process_tree: the kernel tells the children of a process.
        landlock: the version of the interface; 0 is none.
        network_namespace: how a network without connections is made: at once, or with a user namespace.
        filters: system calls can be filtered (seccomp).
        notifications: and put before a supervisor, who can take its decision on copies.
        death_signal: a process can be killed when its parent ends.
        why_not: for what is not offered, why; by `Name`.
    """

    system: str = "this machine"
    root: bool = False
    cores: int = 1
    places: dict[str, Place] = {}
    subreaper: bool = False
    process_tree: bool = False
    landlock: int = 0
    network_namespace: Literal["", "direct", "with user namespace"] = ""
    filters: bool = False
    notifications: bool = False
    death_signal: bool = False
    why_not: dict[str, str] = {}

    @property
    def follows_tree(self) -> bool:
        """All processes of a step can be found at any time, and ended."""
        return self.subreaper and self.process_tree

    def why(self, name: Name) -> str:
        """Why something is not offered."""
        return self.why_not.get(name, f"{self.system} does not offer it")
