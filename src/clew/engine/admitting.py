"""What a new run begins with: its first signal, and its row."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from clew.engine.definitions import Known
from clew.journal.records import Owner, RunRow
from clew.kernel import signals as s
from clew.kernel.values import Value


def admission(
    known: Known,
    inputs: dict[str, Value],
    *,
    id: str | None,  # noqa: A002 - the word that users expect
    labels: Mapping[str, str] | None,
    timeout: float | None,
    confirmed: bool,
    paused: bool,
) -> s.Admit:
    """The signal that admits a run, see `Engine.start`; its id is made up if there is none."""
    return s.Admit(
        run=id if id is not None else f"{known.topology.spec.name}-{secrets.token_hex(4)}",
        graph=known.hash,
        definition=known.digest,
        inputs=inputs,
        labels=dict(labels or {}),
        timeout_s=timeout,
        confirmed=confirmed,
        paused=paused,
    )


def first_row(admit: s.Admit, known: Known, owner: Owner, now: float) -> RunRow:
    """The row of a run that is about to be admitted."""
    return RunRow(
        run=admit.run,
        name=known.topology.spec.name,
        graph=known.hash,
        definition=known.digest,
        owner=owner.id,
        created_at=now,
        labels=admit.labels,
    )
