"""The graphs that this engine knows: compiled once, found by hash, read from the journal when need be."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clew import codec
from clew.engine.slots import Slots
from clew.engine.snapshots import Snapshots, load, no_collection
from clew.errors import GraphError, StorageError, UnresolvedBodyError
from clew.graphs.written import WrittenGraph
from clew.journal.port import Journal
from clew.journal.records import Recorded, RunRow
from clew.kernel import events as e
from clew.kernel.definition import GraphSpec
from clew.kernel.machine import Machine
from clew.kernel.state import Run
from clew.kernel.topology import Topology, compile_graph

#: Compiled graphs that are kept besides those that were given to the engine when it was made.
KEPT = 128
#: Events that are read at once.
_PAGE = 10_000


@dataclass(slots=True)
class Known:
    """A graph that runs can be driven with.

    Attributes:
        hash: of the definition, sources and places left out.
        topology: compiled.
        json: the definition as it is stored.
        digest: of `json`; names its blob.
        functions: callables by reference, of the graph object if there is one.
        stored: the blob is on disk.
        fits: the engine has the resources that it uses.
        asks: a server is to be asked about calls of its tools before each run; None before that is known.
    """

    hash: str
    topology: Topology
    json: bytes
    digest: str
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])
    stored: bool = False
    fits: bool = False
    asks: bool | None = None


class Definitions:
    """Known graphs.

    Args:
        journal: where definitions of earlier runs are.
        graphs: given by the program; their functions are preferred to imported ones.
    """

    def __init__(self, journal: Journal, graphs: Sequence[WrittenGraph]) -> None:
        self._journal = journal
        self._given: dict[str, Known] = {}
        #: Started or read, the last used at the end; whoever drives a run holds what he needs of it.
        self._recent: OrderedDict[str, Known] = OrderedDict()
        for graph in graphs:
            self._given[graph.hash] = self._known(graph, None)

    def add(self, graph: WrittenGraph) -> Known:
        """Know a graph of the program.

        Raises:
            GraphError: it is not valid.
        """
        known = self._find(graph.hash)
        if known is None or known.functions is not graph.bodies:
            known = self._keep(self._known(graph, known))
        return known

    def _known(self, graph: WrittenGraph, before: Known | None) -> Known:
        spec = graph.spec()
        json = msgspec.json.encode(spec)
        topology = before.topology if before is not None else compile_graph(spec)
        return Known(graph.hash, topology, json, codec.digest(json), graph.bodies)

    def _find(self, graph: str) -> Known | None:
        if graph in self._recent:
            self._recent.move_to_end(graph)
            return self._recent[graph]
        return self._given.get(graph)

    def _keep(self, known: Known) -> Known:
        self._recent[known.hash] = known
        if len(self._recent) > KEPT:
            self._recent.popitem(last=False)
        return known

    def lacking(self, known: Known, slots: Slots) -> list[str]:
        """The resources that a graph uses and the engine does not have, each with what to do."""
        problems = [] if known.fits else list(_unknown_resources(known.topology.spec, slots))
        known.fits = not problems
        return problems

    async def refuse_unfit(self, run: str, known: Known, missing: list[str], slots: Slots) -> None:
        """Refuse a run that could not go on here, and note what it lacks where people see it.

        Args:
            run: its id.
            known: its graph.
            missing: its functions that are not found, each with what to do.
            slots: what the engine has.

        Raises:
            UnresolvedBodyError: functions are missing.
            GraphError: resources are.
        """
        lacking = self.lacking(known, slots)
        if not missing and not lacking:
            return
        text = f"cannot go on: {'; '.join([*missing, *lacking])}"
        await self._journal.note(run, text)
        if missing:
            raise UnresolvedBodyError(f"run {run} {text}. Give Engine(graphs=[…]) its graph, or start it again")
        raise GraphError(lacking, f"run {run}")

    async def load(self, row: RunRow) -> Known:
        """The graph of a run, from the program or from the journal."""
        return await self._read(row.run, row.graph, row.definition)

    async def first(self, row: RunRow) -> Topology:
        """The definition that a run began with: its events are folded with it, from the first one on.

        A run that goes on with another one says so itself, in its events.
        """
        return await self._began(row, await self._journal.read(row.run, 0, 1))

    async def _began(self, row: RunRow, page: list[Recorded]) -> Topology:
        event = page[0].event if page else None
        if isinstance(event, e.RunAdmitted):
            return (await self._read(row.run, event.graph, event.definition)).topology
        return (await self.load(row)).topology

    async def _read(self, run: str, graph: str, definition: str) -> Known:
        known = self._find(graph)
        if known is None:
            json = await self._journal.blob(definition)
            try:
                spec = msgspec.json.decode(json, type=GraphSpec)
            except msgspec.MsgspecError as error:
                raise StorageError(f"the definition of run {run} cannot be read: {error}") from error
            known = self._keep(Known(graph, compile_graph(spec), json, definition, stored=True))
        return known

    async def fold(self, row: RunRow) -> Run:
        """The folded state of a run, from its newest snapshot and the events after it."""
        return (await self.recover(row))[0]

    async def recover(self, row: RunRow) -> tuple[Run, Snapshots]:
        """The same, and who takes its snapshots from now on.

        Raises:
            StorageError: the events do not hold together.
        """

        async def compiled(graph: str, definition: str) -> Topology:
            return (await self._read(row.run, graph, definition)).topology

        run, snapshots = await load(self._journal, row.run, compiled)
        page = await self._journal.read(row.run, run.seq if run is not None else 0, _PAGE)
        run = run or Run("", await self._began(row, page))
        while page:
            try:
                with no_collection():
                    Machine.restore(run.topology, run, (recorded.event for recorded in page))
            except Exception as error:  # whatever it is: what was written does not hold together
                raise StorageError(
                    f"run {row.run}: its events do not fit its graph or each other ({error!r}); was the database "
                    "edited? Restore it from a copy"
                ) from error
            page = await self._journal.read(row.run, run.seq, _PAGE)
        return run, snapshots


def _unknown_resources(spec: GraphSpec, slots: Slots) -> Iterator[str]:
    for node in spec.nodes:
        if node.graph is not None:
            yield from _unknown_resources(node.graph, slots)
        for problem in slots.unknown(tuple(node.uses.items())):
            yield f"node {node.id}: {problem}"
