"""``clew fork``: go on as another run from where a run was."""

# ruff: noqa: PLC0415 - what a command needs is imported when it is called

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from clew.cli.changes import delete_option, set_option
from clew.cli.options import by_option, existing, find_run, from_options, pairs, watching_options, who

if TYPE_CHECKING:
    from clew.cli.driving import Session, Settings
    from clew.engine.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be forked, and how; see the command."""

    run: str
    at: str | None
    changes: tuple[str, ...]
    delete: tuple[str, ...]
    id: str | None
    labels: dict[str, str]
    by: str


@dataclass(frozen=True, kw_only=True)
class Fork:
    """A fork that is on disk.

    Attributes:
        run: its id.
        origin: the run that it comes from.
        seq: the last event that is of that one.
    """

    run: str
    origin: str
    seq: int

    @property
    def told(self) -> str:
        """The same in words."""
        return f"run {self.run} is a fork of {self.origin}, after its event {self.seq}"

    @property
    def document(self) -> dict[str, Any]:
        """The same as data."""
        return {"type": "forked", "run": self.run, "origin": self.origin, "seq": self.seq}


@click.command(name="fork", short_help="Go on as another run from where a run was.")
@click.argument("run")
@click.option("--at", metavar="SEQ", help="After which event, or checkpoint by its name. [default: as it is now]")
@set_option
@delete_option
@click.option("--id", "run_id", metavar="ID", help="The new run's id; made up if not given.")
@click.option(
    "--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label, instead of those of the first run."
)
@click.option("--detach", is_flag=True, help="Do not go on with it here: that is left to `clew resume`.")
@by_option
@from_options
@watching_options
def command(
    run: str,
    at: str | None,
    changes: tuple[str, ...],
    delete: tuple[str, ...],
    run_id: str | None,
    labels: tuple[str, ...],
    detach: bool,
    by: str | None,
    **settings: Any,
) -> int:
    """Go on as another run from where a run was, with its state changed if that is wanted.

    What had completed by then is kept; what was under way is begun anew. The first run stays as it is. The new one
    goes on in this terminal, as `clew resume` lets a run go on: its functions must be found here.
    """
    wish = Wish(
        run=run, at=at, changes=changes, delete=delete, id=run_id, labels=pairs(labels, "--label"), by=who(by)
    )
    url = existing(settings["db"])
    from msgspec.structs import replace

    from clew.cli.driving import Settings, Watched, drive

    options = Settings(**settings)
    if detach:
        return _leave(url, wish, options)

    async def work(session: Session) -> int:
        engine = session.engine
        fork = await _fork(engine, wish, options)
        session.print_line(fork.document)
        # What was done to it when it was forked is told as well.
        before = replace(await engine.looking.row(fork.run), seq=fork.seq + 1)
        handle = await engine.open_run(fork.run)
        return await session.follow(Watched(engine, handle), before=before, first=fork.told)

    return drive(options, url, work)


def _leave(url: str, wish: Wish, settings: Settings) -> int:
    """Fork a run and start nothing."""
    from clew.cli import exits
    from clew.cli.telling import print_json, say
    from clew.cli.words import command as command_line
    from clew.engine.engine import Engine

    settings.load()

    async def work() -> Fork:
        async with Engine(url, drives=False) as engine:
            return await _fork(engine, wish, settings)

    fork = asyncio.run(work())
    if settings.as_json:
        print_json(fork.document)
    else:
        say(f"{fork.told}; to go on with it: {command_line('resume', fork.run, db=settings.told_db)}")
    return exits.COMPLETED


async def _fork(engine: Engine, wish: Wish, settings: Settings) -> Fork:
    """Store the new run, and take it up if this engine drives; what cannot go on here is not kept."""
    from clew.cli.barriers import key_types
    from clew.cli.changes import known_key, read_changes
    from clew.cli.positions import position
    from clew.errors import GraphError, RefusedError, UnresolvedBodyError

    row = await find_run(engine, wish.run)
    if wish.at is None and row.ended_at is not None:
        raise RefusedError(
            f"run {row.run} has ended ({row.state}): say from where it is to go on, with --at; these are its "
            f"positions: clew checkpoints {row.run}"
        )
    topology = (await engine.looking.folded(row.run)).topology
    if (wish.changes or wish.delete) and topology.routing is None:
        raise RefusedError(f"run {row.run} is none of a state graph: it has no state that could be changed")
    types = key_types(topology)
    new = wish.id or f"{row.name}-{secrets.token_hex(3)}"
    try:
        await engine.fork(
            row.run,
            None if wish.at is None else await position(engine, row, wish.at),
            id=new,
            changes=read_changes(wish.changes, types),
            delete=[known_key(key, types) for key in wish.delete],
            labels=wish.labels or None,
            by=wish.by,
            graph=settings.graph,
            on_change=settings.on_change,
        )
    except (UnresolvedBodyError, GraphError) as error:
        if await engine.journal.row(new) is not None:
            await engine.retention.delete(new, unfinished=True)
        what = f"a fork of {row.run} could not go on here and was not made (--detach makes one all the same)"
        raise UnresolvedBodyError(f"{what}: {error}") from error
    origin = (await engine.looking.folded(new)).origin
    assert origin is not None
    return Fork(run=new, origin=origin[0], seq=origin[1])
