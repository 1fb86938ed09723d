"""Who owns what a step leaves behind, and who has ended."""

import os

from clew.workers.isolation import owners


def test_an_owner_that_nobody_has_reaped_has_ended() -> None:
    asked, asking = os.pipe()
    told, telling = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(telling, owners.new_name().encode())
        os.read(asked, 1)
        os._exit(0)
    name = os.read(told, 1_000).decode()
    assert not owners.is_abandoned(name)
    os.write(asking, b"!")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert owners.is_abandoned(name)
    os.waitpid(pid, 0)
    for each in (asked, asking, told, telling):
        os.close(each)
