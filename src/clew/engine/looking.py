"""Answers about runs, whoever drives them: where they stand, what came of them. Nothing is changed here.

What is told is on disk: a run that is driven here is looked at between two appends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from clew import codec
from clew.engine.definitions import Definitions
from clew.engine.driver import Driver
from clew.engine.foresight import Foresight
from clew.engine.inputs import InputReader
from clew.engine.logbook import LogBook
from clew.engine.status import (
    NodeStatus,
    OpenBarrier,
    OpenQuestion,
    Result,
    RunStatus,
    failures_of,
    open_barriers,
    open_questions,
    status_of,
    visit_status,
)
from clew.engine.undoables import Undoable, undoables
from clew.errors import RunConflictError, UnknownRunError
from clew.journal.port import Journal
from clew.journal.records import RunRow
from clew.kernel.commands import Wait
from clew.kernel.questions import Question
from clew.kernel.resolve import output_of, output_of_group
from clew.kernel.state import Run
from clew.kernel.states import NodeState
from clew.kernel.topology import Topology
from clew.kernel.values import Binding, Known, Value
from clew.kernel.visits import Group, Visit, Walk


class Memento:
    """Kept by the handles on a run: who drove it, once it has ended."""

    ended: Driver | None = None


class Looking:
    """Looks at the runs of one journal.

    Args:
        journal: where they are.
        definitions: their graphs.
        reader: reads their values.
        logbook: written before a result is told.
        drivers: of the runs that are driven here.
        foresight: tells how far runs are.

    Attributes:
        mementos: of runs that somebody holds a handle on.
    """

    def __init__(
        self,
        journal: Journal,
        definitions: Definitions,
        reader: InputReader,
        logbook: LogBook,
        drivers: Mapping[str, Driver],
        foresight: Foresight,
    ) -> None:
        self._journal = journal
        self._definitions = definitions
        self._reader = reader
        self._logbook = logbook
        self._drivers = drivers
        self.foresight = foresight
        self.mementos: WeakValueDictionary[str, Memento] = WeakValueDictionary()

    async def row(self, run: str) -> RunRow:
        """The row of a run.

        Raises:
            UnknownRunError: there is none.
        """
        row = await self._journal.row(run)
        if row is None:
            raise UnknownRunError(f"there is no run {run} in {self._journal.url}")
        return row

    async def folded(self, run: str) -> Run:
        """The folded state of a run as it is on disk; look at it before the loop turns."""
        driver = self._drivers.get(run)
        if driver is not None:
            await driver.wait_durable()
            return driver.run
        row = await self.row(run)
        memento = self.mementos.get(run)
        ended = memento.ended if memento is not None else None
        if ended is not None and ended.durable == ended.run.seq == row.seq:
            return ended.run
        return await self._definitions.fold(row)

    def memento(self, run: str) -> Memento:
        """What is kept of a run for as long as the result is held."""
        return self.mementos.setdefault(run, Memento())

    def remember(self, driver: Driver) -> None:
        """A run has ended here: whoever holds it need not fold it again."""
        if (memento := self.mementos.get(driver.id)) is not None:
            memento.ended = driver

    async def refuse_other_inputs(
        self, folded: Run, given: Mapping[str, bytes], but: Collection[str] = frozenset()
    ) -> None:
        """Refuse to take a run for another one.

        Args:
            folded: its state.
            given: inputs as JSON text.
            but: names of inputs that are not compared.

        Raises:
            RunConflictError: it has other inputs than those given.
        """
        for name in sorted({*given, *folded.inputs}.difference(but)):
            value = folded.inputs.get(name)
            before = await self._reader.value(value) if value is not None else None
            after = given.get(name)
            if before != after and (
                before is None or after is None or codec.decode(before) != codec.decode(after)
            ):
                change = f"{name} was {_shown(before)}, now {_shown(after)}"
                raise RunConflictError(f"run {folded.id} exists with other inputs: {change}")

    async def topology(self, run: str) -> Topology:
        """The compiled definition that a run began with; its row names the one that it goes on with."""
        return await self._definitions.first(await self.row(run))

    async def plain(self, binding: Binding) -> Any:
        """A stored value, or what is put together from several, as plain data."""
        return await self._reader.plain(binding)

    async def status(self, run: str) -> RunStatus:
        """See `engine.run.Run.status`."""
        outlook = await self.foresight.outlook(await self.row(run), is_here=run in self._drivers)
        folded = await self.folded(run)
        return msgspec.structs.replace(status_of(folded, folded.seq), progress=outlook(folded))

    async def node(self, run: str, path: str) -> tuple[NodeStatus, object]:
        """See `engine.run.Run.node`."""
        folded = await self.folded(run)
        visit = folded.visits.get(path)
        if visit is None:
            for status in status_of(folded, folded.seq).nodes:
                if status.path == path:
                    return status, None
            raise UnknownRunError(f"run {run} has no node {path}")
        status = visit_status(visit)
        done = visit.state is NodeState.COMPLETED
        return status, await self._reader.plain(output_of(folded, visit)) if done else None

    async def questions(self, run: str) -> list[OpenQuestion]:
        """See `engine.run.Run.questions`."""
        folded = await self.folded(run)
        return await self._questions(open_questions(folded))

    async def rollback_plan(self, run: str) -> list[Undoable]:
        """See `engine.run.Run.rollback_plan`."""
        return undoables(await self.folded(run))

    async def barriers(self, run: str) -> list[OpenBarrier]:
        """See `engine.run.Run.barriers`."""
        return open_barriers(await self.folded(run))

    async def _questions(self, found: list[tuple[Visit, str, Wait]]) -> list[OpenQuestion]:
        questions: list[OpenQuestion] = []
        for visit, key, wait in found:
            assert wait.question is not None
            question = msgspec.json.decode(await self._reader.value(wait.question), type=Question)
            questions.append(
                OpenQuestion(node=visit.path, key=key, question=question, due=wait.due, digest=wait.digest)
            )
        return questions

    async def result(self, run: str) -> tuple[Result, str]:
        """The result of a run that has ended, and why it ended so."""
        folded = await self.folded(run)
        assert folded.root is not None
        bindings = dict(_outputs(folded, folded.root))
        returned = output_of_group(folded, folded.root)
        state, failures = folded.state, failures_of(folded)
        why = folded.error.message if folded.error else folded.reason
        await self._logbook.flush()
        values: dict[str, Any] = {id_: await self._reader.plain(binding) for id_, binding in bindings.items()}
        return Result(run, state, values, await self._reader.plain(returned), failures, folded.used), why


def _outputs(run: Run, group: Group) -> Iterator[tuple[str, Binding]]:
    """What came of a run by name: of a state graph the keys of its state, else the outputs of the nodes."""
    if isinstance(group, Walk):
        yield from ((key, Known(Value(json=cell.text()))) for key, cell in group.cells.items())
        return
    for visit in group.members:
        if visit is not None and visit.state is NodeState.COMPLETED:
            yield visit.node.spec.id, output_of(run, visit)


def _shown(json: bytes | None) -> str:
    return json.decode()[:80] if json is not None else "nothing"
