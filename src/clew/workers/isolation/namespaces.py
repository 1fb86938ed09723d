"""A network of a process's own, in which nothing can be reached: network_namespaces(7).

Without the rights of the superuser a process gets it together with a user namespace (user_namespaces(7)), in
which it stays the user that it is; files of others then belong to nobody in its eyes.
"""

from __future__ import annotations

import os

from clew.workers.isolation.system_calls import CLONE_NEWNET, CLONE_NEWUSER, unshare


def enter_empty_network(*, user_namespace: bool) -> None:
    """Leave the network for one with a loopback that is down; this process must have one thread.

    Raises:
        OSError: that is not permitted.
    """
    if not user_namespace:
        unshare(CLONE_NEWNET)
        return
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | CLONE_NEWNET)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - imported by each keeper
            file.write(text)
