"""What of an engine its drivers are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from clew.engine.clock import Clock
from clew.engine.committer import Committer
from clew.engine.definitions import Definitions
from clew.engine.driver import Driver
from clew.engine.keeper import Keeper
from clew.engine.keys import Keys
from clew.engine.mailroom import Mailroom
from clew.engine.observers import Bus
from clew.engine.slots import Slots
from clew.engine.workshop import Workshop
from clew.journal.port import Journal
from clew.journal.records import Owner


class Parts(NamedTuple):
    """What of an engine a driver is made of; see `Driver`."""

    journal: Journal
    committer: Committer
    bus: Bus
    definitions: Definitions
    workshop: Workshop
    slots: Slots
    keeper: Keeper
    keys: Keys
    mailroom: Mailroom
    clock: Clock
    owner: Owner
    performs: bool
    driver: Callable[..., Driver] = Driver
