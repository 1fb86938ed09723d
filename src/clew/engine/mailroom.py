"""Signals between processes: into the journal's inbox, and out of it to the driver, with their outcome.

Who wants to tell something to a run that another process drives puts the signal into the durable inbox and
waits for what becomes of it. Who drives runs looks into the inbox some ten times a second, when the journal
says that somebody else has written, and answers in the same transaction in which the signal takes effect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from clew import codec
from clew.engine.clock import Clock
from clew.engine.driver import Driver
from clew.engine.feed import POLL_S
from clew.engine.secrets import Secrets
from clew.errors import ClewError, RunBusyError, UnstorableError
from clew.journal.port import Journal
from clew.journal.records import InboxItem
from clew.kernel import signals as s

_LOG = logging.getLogger("clew.engine")

#: What may come from outside; everything else is the machine's own.
Letter = (
    s.Cancel
    | s.Pause
    | s.Execute
    | s.Resume
    | s.RetryRun
    | s.Rollback
    | s.Answer
    | s.Decide
    | s.Checkpoint
    | s.Send
)

#: How long a sender waits for the outcome, in seconds; the signal stays in the inbox all the same.
PATIENCE_S = 30.0
#: JSON text that the value of an answer or a message may have, in bytes.
MAX_LETTER = 1_000_000
#: Every so many looks, a sender tries to take the run over, in case that the driving process has died.
_DEATH_WATCH = 10

_DECODER = msgspec.json.Decoder(Letter)


class Mailroom:
    """Sends signals to other processes, and hands theirs to the drivers of this one.

    Args:
        journal: holds the inbox.
        clock: the time.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def collect(self, driver: Driver) -> None:
        """Hand a run what waits for it by now."""
        try:
            self.hand_over(driver, await self._journal.inbox(driver.id))
        except ClewError as error:
            _LOG.warning("the inbox of run %s cannot be read: %s", driver.id, error)

    async def send(
        self, run: str, signal: Letter, busy: RunBusyError, take_over: Callable[[], Awaitable[None]]
    ) -> str:
        """Tell a run that another process drives something, and wait until it has taken it.

        Returns:
            Why it does not take it; empty when it does.

        Args:
            run: its id.
            signal: what to tell it.
            busy: says who drives it.
            take_over: takes the run over, with what is in its inbox; used if the other process has died.

        Raises:
            RunBusyError: nobody has answered; the signal waits in the inbox.
        """
        item = await self._journal.post(run, msgspec.json.encode(signal), self._clock.now(), signal.by)
        looks = 0
        while (outcome := await self._journal.outcome(item)) is None:
            if looks * POLL_S >= PATIENCE_S:
                raise RunBusyError(f"{busy}, but has not answered for {PATIENCE_S:g} s; it will be told")
            await asyncio.sleep(POLL_S)
            looks += 1
            if looks % _DEATH_WATCH == 0:
                try:
                    await take_over()
                except RunBusyError:
                    continue
        return outcome

    def hand_over(self, driver: Driver, items: Sequence[InboxItem]) -> None:
        """Hand a run what waits for it; what it was handed before is passed over."""
        for item in items:
            try:
                signal = _DECODER.decode(item.data)
                if isinstance(signal, s.Answer | s.Decide):  # what counts is when it was given
                    signal = msgspec.structs.replace(signal, at=item.at)
                driver.receive(item.id, signal)
            except msgspec.DecodeError as error:
                _LOG.warning("run %s: a signal in its inbox is not understood: %s", item.run, error)
                driver.receive(item.id, None)


def encode_letter(value: object, secrets: Secrets) -> bytes:
    """A value that goes into a run from outside, as JSON text.

    Raises:
        UnstorableError: it cannot be stored, is too large or holds a secret.
    """
    json = codec.encode(value)
    if len(json) > MAX_LETTER:
        why = f"{len(json)} bytes are more than an answer or a message may have ({MAX_LETTER})"
        raise UnstorableError("$", f"{why}; send where it can be found instead")
    secrets.refuse(json)
    return json
