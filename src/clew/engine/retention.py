"""What is kept of runs that have ended: deleted by age, packed, values swept, space given back."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec

from clew.engine.archive import is_left_over
from clew.engine.clock import Clock
from clew.errors import InvalidInputError, RefusedError, RunBusyError, StorageError, UnknownRunError
from clew.journal.port import Journal
from clew.journal.records import RunFilter, RunRow
from clew.journal.upcast import encode_events
from clew.journal.values_of import values_of
from clew.kernel.states import RUN_ENDED, RunState

#: States of runs that have ended.
ENDED = tuple(state.value for state in RunState if state in RUN_ENDED)
#: Values that no run refers to are kept for so many seconds: a run that is about to begin may refer to them.
GRACE_S = 3_600.0
#: Rows that are read at once.
PAGE = 500

#: Is told what is being done (``deleted``, ``packed``, ``looked at``) and how many runs were by now.
Progress = Callable[[str, int], None]


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection has taken away; in a dry run, what it would take.

    Attributes:
        runs: deleted, by state.
        run_bytes: what their events, output and values take as text; counted in a dry run only. Values that other
            runs refer to as well stay, so this is the most that it can be.
        left_over: imports that were deleted because their process died before it had finished.
        packed: runs that take less now (in a dry run: that would be looked at).
        packed_bytes: how much less.
        values: swept, because no run refers to them; in a dry run, without those of the runs above.
        value_bytes: their size.
        owners: entries of processes that are gone.
        reclaimed: bytes that were given back to the system.
        is_in_use: space was not given back, because a living process drives runs and would have to wait.
        failures: why single runs could not be packed, by their id.
    """

    runs: dict[str, int]
    run_bytes: int = 0
    left_over: int = 0
    packed: int = 0
    packed_bytes: int = 0
    values: int = 0
    value_bytes: int = 0
    owners: int = 0
    reclaimed: int = 0
    is_in_use: bool = False
    failures: dict[str, str]


class Retention:
    """Keeps one journal small.

    Args:
        journal: the journal.
        clock: the time.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def collect(
        self,
        *,
        older_s: float | None = None,
        keep: int = 0,
        states: Sequence[str] = ENDED,
        graph: str = "",
        labels: Mapping[str, str] | None = None,
        pack: bool = False,
        grace_s: float = GRACE_S,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Collected:
        """Delete old runs, then what nothing refers to any more, and give the space back.

        Without `older_s` and `keep`, no run is deleted. Copies that were imported stay until they are deleted.

        Args:
            older_s: only runs that ended more than so many seconds ago; None is any age, if `keep` is given.
            keep: of each graph, so many of the newest runs that fit the rest stay, whatever their age.
            states: only runs that ended like this.
            graph: only runs of the graph with this name.
            labels: only runs with all of these.
            pack: store the events of the ended runs that are left compressed.
            grace_s: values that nothing refers to are swept when they are so many seconds old.
            dry_run: change nothing.
            progress: is told how far it is.

        Raises:
            InvalidInputError: an argument is out of range.
            StorageError: the journal cannot be read or written; what was done by then stays done.
        """
        _check(older_s, keep, states, grace_s)
        now = self._clock.now()
        tell = progress or _untold
        wanted = RunFilter(states=tuple(states), name=graph, labels=dict(labels or {}))
        counts, sizes = Counter[str](), _Sizes(self._journal)
        if older_s is not None or keep:
            doomed = self._doomed(wanted, None if older_s is None else now - older_s, keep)
            await self._delete_old(doomed, counts, sizes if dry_run else None, tell)
        left_over = await self._delete_left_over(dry_run=dry_run)
        packed, saved, failures = await self._pack(tell, dry_run=dry_run) if pack else (0, 0, dict[str, str]())
        swept = await self._journal.sweep(now - grace_s, dry_run=dry_run)
        in_use = bool(await self._journal.live_owners(self._clock.wall()))
        freed = counts.total() + left_over + saved + swept.blobs
        reclaimed = await self._journal.reclaim() if freed and not (dry_run or in_use) else 0
        return Collected(
            runs=dict(counts),
            run_bytes=sizes.total,
            left_over=left_over,
            packed=packed,
            packed_bytes=saved,
            values=swept.blobs,
            value_bytes=swept.bytes,
            owners=swept.owners,
            reclaimed=reclaimed,
            is_in_use=in_use and freed > 0,
            failures=failures,
        )

    async def _delete_old(
        self, doomed: AsyncIterator[RunRow], counts: Counter[str], sizes: _Sizes | None, tell: Progress
    ) -> None:
        """Delete runs, or only add up their sizes if that is asked for."""
        async for row in doomed:
            if sizes is not None:
                await sizes.add(row.run)
            elif not await self._deleted(row.run):
                continue
            counts[str(row.state)] += 1
            tell("deleted" if sizes is None else "looked at", counts.total())

    async def delete(self, run: str, *, unfinished: bool = False) -> None:
        """Delete one run with all that is kept of it; its values go with the next collection.

        Args:
            run: its id.
            unfinished: also if it has not ended and nobody drives it.

        Raises:
            UnknownRunError: there is none.
            RefusedError: it has not ended.
            RunBusyError: it has not ended, and a living process drives it.
        """
        row = await self._journal.row(run)
        if row is not None and row.ended_at is None and not (unfinished or row.imported):
            raise RefusedError(f"run {run} has not ended ({row.state}); cancel it first")
        await self._journal.delete(run, self._clock.wall())

    async def _doomed(self, wanted: RunFilter, ended_before: float | None, keep: int) -> AsyncIterator[RunRow]:
        kept: Counter[str] = Counter()
        if not keep:
            wanted = msgspec.structs.replace(wanted, ended_before=ended_before)
        async for row in each_row(self._journal, wanted):
            if row.imported:
                continue
            if kept[row.name] < keep:
                kept[row.name] += 1
            elif ended_before is None or (row.ended_at is not None and row.ended_at < ended_before):
                yield row

    async def _deleted(self, run: str) -> bool:
        """Delete a run, unless somebody was quicker: it is gone, or was taken up again."""
        try:
            await self.delete(run)
        except (UnknownRunError, RefusedError, RunBusyError):
            return False
        return True

    async def _delete_left_over(self, *, dry_run: bool) -> int:
        alive = await self._journal.live_owners(self._clock.wall())
        count = 0
        async for row in each_row(self._journal, RunFilter(unfinished=True)):
            if is_left_over(row) and row.owner not in alive:
                count += dry_run or await self._deleted(row.run)
        return count

    async def _pack(self, tell: Progress, *, dry_run: bool) -> tuple[int, int, dict[str, str]]:
        packed, saved, looked_at = 0, 0, 0
        failures: dict[str, str] = {}
        if dry_run:
            return await self._journal.count(RunFilter(states=ENDED)), 0, failures
        async for row in each_row(self._journal, RunFilter(states=ENDED)):
            looked_at += 1
            try:
                less = await self._journal.pack(row.run)
            except (UnknownRunError, RefusedError):
                continue  # deleted or taken up again meanwhile
            except StorageError as error:
                await self._journal.count()  # or is it the journal that does not work?
                failures[row.run] = str(error)
                continue
            packed, saved = packed + (less > 0), saved + less
            tell("packed", looked_at)
        return packed, saved, failures


class _Sizes:
    """What runs take as text; a value that several of them refer to counts once."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._values: set[str] = set()
        self.total = 0

    async def add(self, run: str) -> None:
        """Count a run. One that cannot be read counts as far as it can."""
        after = 0
        try:
            while page := await self._journal.read(run, after):
                events = [recorded.event for recorded in page]
                self.total += len(encode_events(events))
                for value in (value for event in events for value in values_of(event)):
                    if value.blob and value.blob not in self._values:
                        self._values.add(value.blob)
                        self.total += value.size
                after = page[-1].seq
        except StorageError:
            await self._journal.count()  # damaged is this run, not the journal
        after = 0
        while lines := await self._journal.read_logs(run, after=after):
            self.total += sum(len(line.text.encode()) for line in lines)
            after = lines[-1].id


async def each_row(
    journal: Journal, wanted: RunFilter, *, before: str = "", at_once: int = PAGE
) -> AsyncIterator[RunRow]:
    """The rows that fit, newest first, from the one after run `before`; each may be deleted when it has come."""
    page = await journal.rows(wanted, limit=at_once, before=before)
    while page:
        # Read before the last row of this page is gone, after which nothing would be found.
        more = len(page) == at_once
        following = await journal.rows(wanted, limit=at_once, before=page[-1].run) if more else []
        for row in page:
            yield row
        page = following


def _check(older_s: float | None, keep: int, states: Sequence[str], grace_s: float) -> None:
    for name, number in (("older_s", older_s or 0.0), ("keep", keep), ("grace_s", grace_s)):
        if not number >= 0:
            raise InvalidInputError(f"{name} is {number!r}; it must not be negative")
    if wrong := [state for state in states if state not in ENDED]:
        raise InvalidInputError(f"runs that are {', '.join(wrong)} have not ended; states are {', '.join(ENDED)}")


def _untold(_: str, __: int) -> None:
    """Nobody asked how far it is."""
