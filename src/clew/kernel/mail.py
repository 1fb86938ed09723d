"""Messages to a run, and who waits for them: mailboxes by name, first come, first served."""

from __future__ import annotations

from bisect import insort
from heapq import heappop, heappush
from operator import attrgetter

from clew.kernel.commands import Wait
from clew.kernel.state import Run
from clew.kernel.values import Message
from clew.kernel.visits import Visit


def watch_wait(run: Run, visit: Visit, key: str, wait: Wait) -> None:
    """A wait is open: remember when it ends by itself, or what from outside ends it."""
    if wait.outcome:
        return
    if wait.due is not None:
        run.timers.set(wait.due, "wait", visit, key)
    if wait.kind == "message":
        receiver(run, wait.name)  # forgets whoever came first and waits no more
        heappush(run.receivers.setdefault(wait.name, []), (wait.opened, visit, key))
    elif wait.kind == "key":
        run.key_waits.append((wait.opened, visit, key))


def receiver(run: Run, name: str) -> tuple[Visit, str] | None:
    """Who has waited longest for a message of that name, and by which key."""
    queue = run.receivers.get(name, [])
    while queue:
        opened, visit, key = queue[0]
        if visit.open_wait(key, opened):
            return visit, key
        heappop(queue)
    run.receivers.pop(name, None)
    return None


def deliver(run: Run, message: Message, name: str) -> None:
    """Lay a message into its mailbox."""
    run.mail.setdefault(name, []).append(message)


def take(run: Run, name: str) -> Message:
    """The oldest message of a mailbox has been received."""
    messages = run.mail[name]
    message = messages.pop(0)
    if not messages:
        del run.mail[name]
    return message


def give_back(run: Run, visit: Visit) -> None:
    """What a visit has received is not lost when the visit is made anew: it lies where it lay before."""
    for wait in (visit.waits or {}).values():
        if wait.outcome == "received":
            assert wait.value is not None
            message = Message(wait.value, wait.by, wait.message)
            insort(run.mail.setdefault(wait.name, []), message, key=attrgetter("number"))
