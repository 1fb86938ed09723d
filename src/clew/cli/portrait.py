"""A run, or one node of it, as lines of text and as data: what ``clew show`` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from rich.text import Text

from clew import codec
from clew.cli.board import Board
from clew.cli.columns import Cell, in_columns
from clew.cli.rollback_lines import undone_lines
from clew.cli.screen import begun_at, error_line, waits_of
from clew.cli.standing import Standing
from clew.cli.steps import (
    early_document,
    early_lines,
    kind_of,
    state_lines,
    state_of,
    step_document,
    told_members,
    told_step,
    told_steps,
    under_step,
    wrote_lines,
)
from clew.cli.summing_up import leaf_counts
from clew.cli.symbols import STYLES, UNICODE
from clew.cli.usage import told_briefly, told_progress, told_usage
from clew.cli.waits import answering, told_wait
from clew.cli.watching import history_of
from clew.cli.words import command, count, duration, moment, plain, shortened
from clew.engine.engine import Engine
from clew.engine.progress import Progress
from clew.engine.status import NodeStatus, status_of, visit_status
from clew.errors import RefusedError
from clew.journal.records import RunRow
from clew.kernel.states import NodeState, RunState
from clew.kernel.values import ErrorInfo, Value
from clew.kernel.visits import Visit, Walk

#: Rows of the table of nodes, unless everything is asked for.
ROWS = 100
#: Failed items of one map that get a row, unless everything is asked for.
ITEMS = 10
#: Characters of an output in a table.
SHORT = 80

_DIM = "bright_black"
#: What is shown when not all rows are: the most telling first.
_RANK = {"failed": 0, "running": 1, "stopping": 1, "retrying": 2, "waiting": 3, "cancelled": 5, "skipped": 5}


class Portrait:
    """What is on disk of a run.

    Args:
        engine: open.
        row: of the run.
        board: everything folded.
        now: seconds since the epoch.
        full: nothing is shortened.
        told_db: to add as ``--db`` to commands.
        past: the run is told as it was, and not as it is.
    """

    def __init__(
        self,
        engine: Engine,
        row: RunRow,
        board: Board,
        *,
        now: float,
        full: bool,
        told_db: str,
        past: bool = False,
    ) -> None:
        self._engine = engine
        self._row = row
        self._board = board
        self._now = now
        self._full = full
        self._db = told_db
        self._past = past
        self._status = status_of(board.run, board.run.seq)
        self._standing = Standing(engine, row, board.run, now=now, db=told_db, full=full, past=past)

    @classmethod
    async def of(
        cls, engine: Engine, row: RunRow, *, now: float, full: bool, told_db: str, at: int | None = None
    ) -> Portrait:
        """Read a run; with `at`, as it was after the event of that number."""
        board = await history_of(engine, row, up_to=at, keeps_values=True)
        if at is not None:
            now = (await engine.journal.read(row.run, at - 1, 1))[0].event.at
        return cls(engine, row, board, now=now, full=full, told_db=told_db, past=at is not None)

    # ------------------------------------------------------------------ the run

    async def lines(self) -> list[Text]:
        """The run: header, nodes, what to look at next."""
        nodes, left_out = self._nodes()
        noun = "STEP" if self._board.is_walk else "NODE"
        rows: list[list[Cell]] = [[Text(head, _DIM) for head in ("", noun, "KIND", "TRIES", "TOOK", "USED", "")]]
        rows += [await self._cells(node) for node in nodes]
        if not any(node.used for node in nodes):
            rows = [[*row[:5], *row[6:]] for row in rows]
        head, *table = in_columns(rows, right=frozenset({3, 4}))
        lines = [*await self._head(), *await self._standing.waits(), *early_lines(self._board.run), Text(), head]
        if left_out and self._board.is_walk:
            lines.append(Text(f"   … {count(left_out, 'earlier row')}; --full shows all", _DIM))
        for node, line in zip(nodes, table, strict=True):
            lines += [line, *under_step(self._board, node.path)]
        if left_out and not self._board.is_walk:
            lines.append(Text(f"   … and {count(left_out, 'more row')}; --full shows all", _DIM))
        lines += undone_lines(self._board, self._now, full=self._full)
        if isinstance(self._board.run.root, Walk):
            lines += state_lines(self._board.run.root.cells, full=self._full)
        failed = next((node for node in self._status.nodes if node.state == "failed" and not node.members), None)
        if failed is not None:
            lines.append(Text())
            where = command("show", self._row.run, "--node", failed.path, db=self._db)
            lines.append(Text(f"the whole error: {where}", _DIM))
        return lines

    async def document(self) -> dict[str, Any]:
        """The run as data."""
        row = {name: getattr(self._row, name) for name in self._row.__struct_fields__}
        inputs = {name: await self._decoded(value) for name, value in self._board.run.inputs.items()}
        nodes = [await self._node_document(node) for node in self._status.nodes]
        output = await self._result() if self._board.run.state is RunState.COMPLETED else None
        waits = await self._standing.waits_document()
        return {
            **row,
            "waits": waits,
            "counts": leaf_counts(self._board),
            "used": self._status.used,
            "progress": msgspec.to_builtins(await self._progress()),
            "inputs": inputs,
            "nodes": nodes,
            "output": output,
            **self._walk_document(),
        }

    def _walk_document(self) -> dict[str, Any]:
        """What there is of a state graph besides."""
        run = self._board.run
        told: dict[str, Any] = (
            {} if run.origin is None else {"origin": {"run": run.origin[0], "seq": run.origin[1]}}
        )
        if self._board.is_walk:
            told |= {"steps": len(run.root.members) if run.root is not None else 0, "state": state_of(None, run)}
            told["kept"] = early_document(run)
        return told

    def state(self, path: str) -> dict[str, Any]:
        """The state of the run's state graph, or of a step that is one, as data.

        Raises:
            RefusedError: it has none.
        """
        visit = None
        if path:
            self._board.must_know(path)
            visit = self._board.run.visits.get(path)
        state = state_of(visit, self._board.run) if visit is not None or not path else None
        if state is None:
            what = f"{path} of run {self._row.run}" if path else f"run {self._row.run}"
            raise RefusedError(f"{what} is no state graph that has begun: it has no state")
        return state

    async def _head(self) -> list[Text]:
        run, row = self._board.run, self._row
        state = Text(run.state.value, STYLES[run.state])
        kind = "state graph" if self._board.is_walk else "graph"
        when = f", as it was after its event {run.seq} at {moment(self._now)}" if self._past else ""
        lines = [Text.assemble("run ", (plain(run.id), "bold"), f" of {kind} {plain(row.name)}{when}: ", state)]
        if run.error is not None:
            lines.append(Text(f"  {error_line(run.error)}", "red"))
        elif run.reason:
            lines.append(Text(f"  {plain(run.reason)}"))
        lines += await self._standing.driving()
        if row.note and not self._past:
            lines.append(Text(f"  {plain(row.note)}", "yellow"))
        times = f"started {moment(run.started_at)}"
        if run.ended_at is not None and run.started_at is not None:
            times += f", ended {moment(run.ended_at)} ({duration(run.ended_at - run.started_at)})"
        if run.generation > 1:
            times += f", retried {count(run.generation - 1, 'time')}"
        lines.append(Text(times))
        if run.origin is not None:
            lines.append(Text(f"a fork of {plain(run.origin[0])}, after its event {run.origin[1]}"))
        if run.labels:
            lines.append(Text(plain("labels: " + " ".join(f"{k}={v}" for k, v in run.labels.items()))))
        if run.inputs:
            told = [f"{name}={await self._short(value)}" for name, value in run.inputs.items()]
            lines.append(Text(plain(f"inputs: {'  '.join(told)}")))
        counts = ", ".join(f"{number:,} {state}" for state, number in leaf_counts(self._board).items())
        lines.append(Text(f"{told_steps(self._board)}nodes and items: {counts or 'none'}"))
        if run.used:
            lines.append(Text(f"used: {told_usage(run.used)}"))
        if (told := told_progress(await self._progress())) != "":
            lines.append(Text(told))
        if run.state is RunState.COMPLETED and not self._board.is_walk:  # the state is told below
            text = codec.encode(await self._result()).decode()
            lines.append(Text(plain(f"result: {text if self._full else shortened(text, 2 * SHORT)}")))
        return lines

    async def _progress(self) -> Progress:
        """How far the run is now; nothing of one that has ended, or as it was."""
        if self._past or self._board.run.ended or self._row.imported:
            return Progress()
        return (await (await self._engine.open_run(self._row.run)).status()).progress or Progress()

    async def _result(self) -> Any:
        """What the graph returned."""
        return (await (await self._engine.open_run(self._row.run)).result()).output

    def _nodes(self) -> tuple[list[NodeStatus], int]:
        """The nodes that get a row, and how many do not."""
        nodes = [node for node in self._status.nodes if not node.undoes]  # those that do stand below
        if self._full:
            return nodes, 0
        items: dict[str, int] = {}
        kept: list[NodeStatus] = []
        for node in nodes:
            if node.path.endswith("]"):
                owner = node.path.rpartition("[")[0]
                items[owner] = items.get(owner, 0) + 1
                if items[owner] > ITEMS:
                    continue
            kept.append(node)
        if len(kept) > ROWS and self._board.is_walk:
            kept = kept[-ROWS:]
        elif len(kept) > ROWS:
            best = sorted(range(len(kept)), key=lambda i: (_RANK.get(kept[i].state, 4), i))[:ROWS]
            kept = [kept[i] for i in sorted(best)]
        return kept, len(nodes) - len(kept)

    async def _cells(self, node: NodeStatus) -> list[Cell]:
        depth = node.path.count("/") + node.path.endswith("]")
        name = Text("  " * depth + plain(node.path))
        name.stylize(_DIM if node.state in ("pending", "ready", "skipped") else "")
        visit = self._board.run.visits.get(node.path)
        since = begun_at(visit) if visit is not None else None
        ended = node.ended_at or (self._now if self._past else self._row.ended_at or self._now)
        took = duration(ended - since) if since is not None else ""
        kind = kind_of(visit, node.kind) if visit is not None else node.kind
        tries = f"{node.attempt}" if node.attempt > 1 else ""
        sign = Text(UNICODE.states[NodeState(node.state)], STYLES[node.state])
        used = Text(told_briefly(node.used), _DIM)
        return [sign, name, Text(kind, _DIM), tries, took, used, await self._remark(node, visit)]

    async def _remark(self, node: NodeStatus, visit: Visit | None) -> Text:
        if node.members:
            note = told_step(self._board.journey, visit) if visit is not None else ""
            return Text("; ".join(filter(None, [told_members(visit, node.members), note])))
        if node.error is not None and node.state in ("failed", "retrying"):
            return Text(error_line(node.error), "red")
        if node.cause:
            return Text(f"because {plain(node.cause)} failed", _DIM)
        if visit is not None and node.state == "waiting":
            return Text(waits_of(visit, self._now), "blue")
        if visit is not None and visit.group.walk is not None and node.state == "completed":
            return Text(told_step(self._board.journey, visit))
        if visit is not None and visit.output is not None and not visit.is_group:
            return Text(plain(await self._short(visit.output)))
        return Text(node.state if node.state not in ("completed", "failed") else "", _DIM)

    # ------------------------------------------------------------------ one node

    async def node_lines(self, path: str) -> list[Text]:
        """One node or item in detail."""
        status = self._of(path)
        visit = self._board.run.visits.get(path)
        kind = kind_of(visit, status.kind) if visit is not None else status.kind
        title = Text.assemble((plain(path), "bold"), f" ({kind}) of run {plain(self._row.run)}: ")
        lines = [title.append(status.state, STYLES[status.state])]
        if status.cause:
            lines.append(Text(f"  because {plain(status.cause)} failed"))
        if status.members:
            lines.append(Text(f"  {told_members(visit, status.members)}"))
        if status.used:
            lines.append(Text(f"  used: {told_usage(status.used)}"))
        if visit is not None:
            lines += await self._standing.input_lines(visit)
        lines += [line async for line in self._standing.story(path)]
        if visit is not None:
            lines += under_step(self._board, path, always=True)
            lines += wrote_lines(self._board.journey, visit, full=self._full)
            if isinstance(visit.inner, Walk):
                lines += state_lines(visit.inner.cells, full=self._full)
        if status.error is not None:
            lines += [Text(), *_whole_error(status.error)]
        lines += self._open_waits(path)
        if visit is not None and visit.output is not None and not visit.output.gathered:
            text = await self._json(visit.output)
            if not self._full and len(text) > 20 * SHORT:
                lines += [Text(), Text(f"output ({count(len(text), 'character')}; --full shows all):")]
                text = shortened(text, 20 * SHORT)
            else:
                lines += [Text(), Text("output:")]
                text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
            lines += [Text(plain(line)) for line in text.split("\n")]
        lines += [Text(), Text(f"what it printed: {command('logs', self._row.run, path, db=self._db)}", _DIM)]
        return lines

    def _open_waits(self, path: str) -> list[Text]:
        """What a node waits for now."""
        lines: list[Text] = []
        visit = self._board.run.visits.get(path)
        for key, wait in ((visit.waits or {}) if visit is not None else {}).items():
            assert visit is not None
            if visit.open_wait(key) is not None:
                barrier = visit.node.spec.barrier if visit.is_barrier else None
                lines += [Text(), Text(told_wait(wait, self._now, barrier=barrier), "blue")]
                lines += self._standing.shown_lines(visit)
                if wait.kind == "answer" and not self._row.imported and not self._past:
                    lines.append(Text(f"  {answering(self._row.run, visit, key, wait, self._db)}", _DIM))
        return lines

    async def node_document(self, path: str) -> dict[str, Any]:
        """One node or item as data."""
        document = await self._node_document(self._of(path))
        document["steps"] = await self._standing.steps(path)
        visit = self._board.run.visits.get(path)
        if visit is not None:
            given = await self._standing.inputs(visit)
            document["inputs"] = {name: msgspec.json.decode(text) for name, text in given.items()}
            document["waits"] = await self._standing.node_waits(visit)
        return document

    async def _node_document(self, status: NodeStatus) -> dict[str, Any]:
        visit = self._board.run.visits.get(status.path)
        output = visit.output if visit is not None else None
        known = output is not None and not output.gathered
        plain_status: dict[str, Any] = msgspec.to_builtins(status)
        told = step_document(self._board.journey, visit) if visit is not None else {}
        return {**plain_status, **told, "output": await self._decoded(output) if known and output else None}

    def _of(self, path: str) -> NodeStatus:
        self._board.must_know(path)
        visit = self._board.run.visits.get(path)
        if visit is not None:
            return visit_status(visit)
        return next(node for node in self._status.nodes if node.path == path)

    # ------------------------------------------------------------------ values

    async def _json(self, value: Value) -> str:
        text = bytes(value.json) if value.json else await self._engine.journal.blob(value.blob)
        return text.decode()

    async def _decoded(self, value: Value) -> Any:
        return msgspec.json.decode((await self._json(value)).encode())

    async def _short(self, value: Value) -> str:
        if value.gathered:
            return ""
        if self._full:
            return await self._json(value)
        return shortened(bytes(value.json).decode(), SHORT) if value.json else f"({value.size:,} bytes)"


def _whole_error(error: ErrorInfo) -> Iterator[Text]:
    yield Text(f"{plain(error.type)}: ", "bold red").append(plain(error.message), "red")
    for line in error.traceback.rstrip().split("\n") if error.traceback else ():
        yield Text(f"  {plain(line.rstrip()) if not line.startswith(' ') else line.rstrip()}", _DIM)
