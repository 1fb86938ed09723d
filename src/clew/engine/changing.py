"""A run that exists is asked for with a graph: it is the same run, goes on with a changed graph, or is another."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec.json import decode

from clew.engine.clock import Clock
from clew.engine.definitions import Definitions, Known
from clew.engine.drivers import Drivers
from clew.engine.looking import Looking
from clew.engine.redefinition import OnChange, Redefinition, other_graph
from clew.errors import RunBusyError, RunConflictError
from clew.kernel.definition import GraphSpec, InputSpec
from clew.kernel.state import Run
from clew.kernel.states import RunState

#: Of runs in one of these nothing goes on, whatever their graph.
_OVER = frozenset({RunState.COMPLETED, RunState.ROLLED_BACK})


class Changing:
    """Attaches to runs of one journal.

    Args:
        definitions: their graphs.
        looking: knows what is on disk of runs that are driven here.
        drivers: those that are driven here.
        clock: the time.
    """

    def __init__(self, definitions: Definitions, looking: Looking, drivers: Drivers, clock: Clock) -> None:
        self._definitions = definitions
        self._looking = looking
        self._drivers = drivers
        self._clock = clock

    async def attach(
        self,
        run: str,
        known: Known,
        given: Mapping[str, bytes],
        asked: Collection[str],
        how: OnChange,
        by: str,
    ) -> None:
        """Go on with a run that exists, if it is the one that is meant. Call it in the run's turn.

        Args:
            run: its id.
            known: the graph that it is asked for with.
            given: inputs, defaults included.
            asked: names of the inputs that are no defaults.
            how: what happens if its graph is another one.
            by: who asks.

        Raises:
            RunConflictError: it has another graph, or other inputs.
            RunBusyError: its graph is to be changed, and somebody drives it.
        """
        row = await self._looking.row(run)
        folded = await self._looking.folded(run)
        if row.graph == known.hash:
            await self._looking.refuse_other_inputs(folded, given)
        else:
            before = (await self._definitions.load(row)).topology.spec
            if how is OnChange.STRICT:
                raise other_graph(run, before, known.topology.spec)
            but = _by_default(folded, before, known.topology.spec).difference(asked)
            await self._looking.refuse_other_inputs(folded, given, but)
            if row.state not in _OVER:
                await self.change(run, known, how, by)
                return
        idle = await self._drivers.undriven(run)
        if idle is not None and idle.ended_at is None:
            try:
                await self._drivers.adopt(idle)
            except RunBusyError:
                self._drivers.want(run)

    async def change(self, run: str, known: Known, how: OnChange, by: str) -> None:
        """Let a run go on with another graph, unless it is over. Call it in the run's turn.

        Raises:
            RunConflictError: it cannot, or is not to.
            RunBusyError: somebody drives it.
        """
        row = await self._looking.row(run)
        if row.graph == known.hash or row.state in _OVER:
            return
        folded = await self._looking.folded(run)
        change = Redefinition(known, how, self._clock.now(), by)
        change.signal(folded)  # refused before anything is taken from anybody
        await self._rest(run)
        idle = await self._drivers.undriven(run)
        assert idle is not None
        if refusal := await self._drivers.adopt(idle, change=change):
            raise RunConflictError(f"run {run} cannot go on with the changed graph: {refusal}")
        known.stored = True

    async def _rest(self, run: str) -> None:
        """Let go of a run that is driven here, if nothing of it is under way."""
        driver = self._drivers.by_run.get(run)
        if driver is None:
            return
        await driver.settle()
        if driver.is_idle:
            driver.park()
        elif self._drivers.by_run.get(run) is driver:
            raise RunBusyError(
                f"run {run} is under way in this process; its graph can change while nothing of it is: pause it, "
                "and wait until its attempts have ended"
            )


def _by_default(folded: Run, before: GraphSpec, after: GraphSpec) -> set[str]:
    """Inputs that nobody gave, and inputs that there are no more: what they are now is said by the graphs."""
    declared = {spec.name for spec in after.inputs}
    names = {name for name in declared if name not in folded.inputs}
    names.update(name for name in folded.inputs if name not in declared)
    return names | {spec.name for spec in before.inputs if _is_default(folded, spec)}


def _is_default(folded: Run, spec: InputSpec) -> bool:
    value = folded.inputs.get(spec.name)
    return value is not None and bool(value.json) and decode(value.json) == decode(spec.default)
