"""What ``clew show`` tells besides states: what a run waits for, what a node was given, did and asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from rich.text import Text

from clew import codec
from clew.cli.barriers import document
from clew.cli.columns import in_columns
from clew.cli.judgements import told_decision
from clew.cli.screen import error_line
from clew.cli.steps import told_value
from clew.cli.waits import answering, open_waits, told_wait
from clew.cli.watching import history_of
from clew.cli.words import command, count, moment, plain, shortened
from clew.engine.engine import Engine
from clew.engine.feed import stored
from clew.engine.inputs import InputReader
from clew.engine.status import OpenBarrier, open_barriers
from clew.errors import ClewError
from clew.journal.records import RunRow
from clew.kernel import events as e
from clew.kernel.commands import Wait
from clew.kernel.errors import KernelError
from clew.kernel.questions import BEFORE, DECISION
from clew.kernel.resolve import resolve_inputs
from clew.kernel.state import Run
from clew.kernel.states import RunState
from clew.kernel.values import Binding, Value
from clew.kernel.visits import Visit

#: Waits that are told, unless everything is asked for.
WAITS = 20
#: Characters of a value in one line.
SHORT = 80

_DIM = "bright_black"


class Standing:
    """A folded run, and the values that belong to it.

    Args:
        engine: open.
        row: of the run.
        run: folded.
        now: seconds since the epoch.
        db: added as ``--db`` to commands.
        full: nothing is shortened.
        past: it is told how the run was, and there is nothing to be done about that.
    """

    def __init__(
        self, engine: Engine, row: RunRow, run: Run, *, now: float, db: str, full: bool, past: bool = False
    ) -> None:
        self._engine = engine
        self._row = row
        self._run = run
        self._now = now
        self._db = db
        self._full = full
        self._commands = not past and not row.imported
        self._past = past
        self._reader = InputReader(engine.journal)

    # ------------------------------------------------------------------ the run

    async def driving(self) -> list[Text]:
        """Who drives the run, or how it goes on."""
        row, run = self._row, self._run
        if self._past:
            return []
        if row.imported:
            return [Text("  a copy that was imported, to be looked at", _DIM)]
        if run.ended:
            return []
        if not await self._engine.abandoned([row]):
            return [Text(f"  driven by {plain(row.owner)}", _DIM)]
        how = command("resume", row.run, db=self._db)
        if run.state is RunState.PAUSED:
            return [Text(f"  nobody drives it; to go on: {how}", _DIM)]
        if row.idle:
            return [Text(f"  nobody drives it while it waits; to go on with it: {how}", _DIM)]
        return [Text(f"  nobody drives it, though it has something to do; to go on: {how}", "yellow")]

    async def waits(self) -> list[Text]:
        """What the run waits for, with ages, deadlines and commands; and messages that nobody has received."""
        found = [] if self._run.ended else open_waits(self._run)
        if not found and not self._run.mail:
            return []
        holders = dict(await self._engine.journal.keys())
        lines = [Text(), Text("waiting:" if found else "messages:")]
        limit = len(found) if self._full else WAITS
        for visit, key, wait in found[:limit]:
            told = told_wait(wait, self._now, barrier=visit.node.spec.barrier if visit.is_barrier else None)
            if wait.kind == "key" and (holder := holders.get(wait.name)) is not None:
                told += f", held by {plain(holder.path)} of run {plain(holder.run)}"
            lines.append(Text.assemble("  ", (plain(visit.path), "bold"), f" {told}"))
            lines += self.shown_lines(visit)
            if wait.kind == "answer" and self._commands:
                lines.append(Text(f"    {answering(self._row.run, visit, key, wait, self._db)}", _DIM))
            elif wait.kind == "message" and self._commands:
                lines.append(Text(f"    {command('send', self._row.run, wait.name, 'VALUE', db=self._db)}", _DIM))
        if len(found) > limit:
            lines.append(Text(f"  … and {count(len(found) - limit, 'more wait')}; --full shows all", _DIM))
        for name, mail in self._run.mail.items():
            lines.append(Text(f"  {count(len(mail), 'message')} {plain(name)} not received yet"))
        return lines

    def shown_lines(self, visit: Visit) -> list[Text]:
        """What a barrier that waits shows, one line for each key."""
        found = next((each for each in self._barriers() if each.path == visit.path), None)
        if found is None:
            return []
        rows = [[f"    {plain(key)}", self._told(value)] for key, value in found.shows.items()]
        return in_columns(rows) if rows else []

    def _barriers(self) -> list[OpenBarrier]:
        return open_barriers(self._run)

    def _told(self, value: Any) -> str:
        return told_value(codec.encode(value), self._full)

    async def waits_document(self) -> list[dict[str, Any]]:
        """The same as data."""
        found = [] if self._run.ended else open_waits(self._run)
        barriers = {each.path: document(each) for each in self._barriers()}
        return [
            {"path": visit.path, **await self._wait(key, wait), **barriers.get(visit.path, {})}
            for visit, key, wait in found
        ]

    async def _wait(self, key: str, wait: Wait) -> dict[str, Any]:
        told: dict[str, Any] = {"key": key, "kind": wait.kind, "since": wait.since, "due": wait.due}
        if wait.name:
            told["name"] = wait.name
        for name, value in (("question", wait.question), ("default", wait.default), ("value", wait.value)):
            if value is not None:
                told[name] = await self._plain(value)
        return told | ({"outcome": wait.outcome, "by": wait.by} if wait.outcome else {})

    # ------------------------------------------------------------------ one node

    async def inputs(self, visit: Visit) -> dict[str, str]:
        """What a visit is given, as JSON text; inputs that are not known yet are left out."""
        run = self._run
        if visit.group.walk is not None and visit.attempt:  # the state was another one then
            run = await self._run_when_begun(visit.path)
            visit = run.visits[visit.path]
        try:
            recipes = resolve_inputs(run, visit)
        except (KernelError, LookupError, AssertionError):  # what it is made from is not there yet
            return {}
        found = {name: await self._input(recipe) for name, recipe in recipes.items()}
        return {name: text for name, text in found.items() if text is not None}

    async def _run_when_begun(self, path: str) -> Run:
        """The run as it was when the last attempt of a visit started."""
        began = 0
        async for recorded in stored(self._engine.journal, self._row.run, 0):
            if isinstance(recorded.event, e.AttemptStarted) and recorded.event.path == path:
                began = recorded.seq
            if recorded.seq >= self._run.seq:
                break
        return (await history_of(self._engine, self._row, up_to=began)).run

    async def _input(self, recipe: Binding) -> str | None:
        try:
            return (await self._reader.read(recipe)).decode()
        except ClewError:
            return None  # an expression over what is not there yet

    async def input_lines(self, visit: Visit) -> list[Text]:
        """The inputs as text."""
        found = await self.inputs(visit)
        lines = [Text(f"  {name}: {plain(self._short(text))}") for name, text in found.items()]
        return [Text("inputs:"), *lines, Text()] if lines else []

    async def story(self, path: str) -> AsyncIterator[Text]:
        """What happened to a node, in order, with what its steps returned and what it was told."""
        async for event in self._events(path):
            value = _value_of(event)
            text = "" if value is None else f": {plain(self._short((await self._reader.value(value)).decode()))}"
            yield Text(f"  {moment(event.at)}  {told_event(event)}{text}")

    async def steps(self, path: str) -> list[dict[str, Any]]:
        """The steps of all attempts as data; of one without a value and an error, the end is not known."""
        found: dict[tuple[int, str], dict[str, Any]] = {}
        async for event in self._events(path):
            match event:
                case e.StepCompleted(key=key) if key.startswith(BEFORE):
                    pass  # whole files
                case e.StepStarted(key=key, attempt=attempt):
                    found[attempt, key] = {"key": key, "attempt": attempt, "started_at": event.at}
                case e.StepCompleted(key=key, attempt=attempt, value=value):
                    ended = {"ended_at": event.at, "effect": event.effect, "value": await self._plain(value)}
                    found.setdefault((attempt, key), {"key": key, "attempt": attempt}).update(ended)
                case e.StepFailed(key=key, attempt=attempt, error=error):
                    ended = {"ended_at": event.at, "error": msgspec.to_builtins(error)}
                    found.setdefault((attempt, key), {"key": key, "attempt": attempt}).update(ended)
                case _:
                    pass
        return list(found.values())

    async def node_waits(self, visit: Visit) -> list[dict[str, Any]]:
        """What a visit waits or has waited for, as data, as long as it is kept."""
        return [await self._wait(key, wait) for key, wait in (visit.waits or {}).items()]

    async def _events(self, path: str) -> AsyncIterator[e.AnyEvent]:
        async for recorded in stored(self._engine.journal, self._row.run, 0):
            if recorded.seq > self._run.seq:
                return
            if getattr(recorded.event, "path", None) == path:
                yield recorded.event

    # ------------------------------------------------------------------ values

    async def _plain(self, value: Value) -> Any:
        return msgspec.json.decode(await self._reader.value(value))

    def _short(self, text: str) -> str:
        return text if self._full else shortened(text, SHORT)


def _value_of(event: e.AnyEvent) -> Value | None:
    match event:
        case e.WaitResolved(key=key) if key == DECISION:
            return None  # told in words
        case e.StepCompleted(key=key) if key.startswith(BEFORE):
            return None
        case e.StepCompleted(value=value) | e.WaitResolved(value=value):
            return value
        case _:
            return None


def told_event(event: e.AnyEvent) -> str:
    """What happened to a node, in a few words."""
    attempt = getattr(event, "attempt", 1)
    match event:
        case e.AttemptStarted(probe=True):
            return f"attempt {attempt} finds out whether the lost one took effect"
        case e.AttemptStarted():
            return f"attempt {attempt} started"
        case e.AttemptInterrupted():
            return f"attempt {attempt} was interrupted: its process ended, or it was stopped for a pause"
        case e.DoubtCleared():
            return "the lost attempt took no effect"
        case e.AttemptStopping(reason=reason):
            return f"attempt {attempt} is stopped ({reason})"
        case e.RetryScheduled(error=error, due=due):
            return f"attempt {attempt} failed, the next one is due {moment(due)}: {error_line(error)}"
        case e.NodeFailed(error=error):
            return f"failed: {error_line(error)}"
        case e.NodeSkipped(cause=cause):
            return f"skipped because {plain(cause)} failed"
        case e.WaitOpened(key=key) if key == DECISION:
            return "waits for a decision"
        case e.WaitResolved(key=key) if key == DECISION:
            return told_decision(event)
        case e.Routed(source=source, target=target, why=why):
            way = f"{plain(source) or 'START'} → {plain(target) or 'END'}"
            return way if why == "edge" else f"{way} ({why})"
        case e.StateChanged(by=by):
            return f"its state was changed{f' by {plain(by)}' if by else ''}"
        case e.WaitOpened(key=key, kind=kind, name=name):
            return f"waits ({kind} {plain(name or key)})"
        case e.WaitResolved(key=key, outcome=outcome, by=by):
            return f"wait {plain(key)} {outcome}{f' by {plain(by)}' if by else ''}"
        case e.StepStarted(key=key):
            return f"step {plain(key)} began"
        case e.StepCompleted(key=key) if key.startswith(BEFORE):
            return "what was there before it was recorded"
        case e.StepCompleted(key=key):
            return f"step {plain(key)} completed"
        case e.StepFailed(key=key, error=error):
            return f"step {plain(key)} failed: {error_line(error)}"
        case e.MapOpened(count=items):
            return f"began with {count(items, 'item')}"
        case _:
            tag = str(type(event).__struct_config__.tag)
            return tag.replace("_", " ").removeprefix("node ").removeprefix("attempt ")
