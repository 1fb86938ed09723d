"""Decisions at barriers, as ``clew approve``, ``reject``, ``modify`` and ``reroute`` give them.

At a terminal, what is decided on is shown first, and its digest goes with the decision: if the state has changed
by then, the decision is refused, and what it is now is shown.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from clew import codec
from clew.cli import exits
from clew.cli.barriers import asked_when, barrier_lines, barriers_of, document, key_types
from clew.cli.changes import known_key, read_changes
from clew.cli.options import existing, find_run, told_db, who
from clew.cli.reaching import Told, named, tell
from clew.cli.telling import print_json, say
from clew.cli.words import command, plain
from clew.engine.clock import Clock
from clew.engine.engine import Engine
from clew.engine.run import Run
from clew.engine.status import OpenBarrier
from clew.errors import RefusedError
from clew.graphs.names import did_you_mean, listed
from clew.graphs.updates import END
from clew.journal.records import RunRow
from clew.kernel import addresses
from clew.kernel.topology import Topology

#: Lines of one value that are shown before a decision.
SHOWN = 60

_ASK = {
    "approve": "approve {barrier}?",
    "reject": "reject {barrier}?",
    "modify": "change the state that {barrier} decides on?",
    "reroute": "let the run go on from {barrier} with {target}?",
}
_DONE = {"approve": "approved", "reject": "rejected", "reroute": "rerouted to {target}"}


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A decision as it was typed.

    Attributes:
        kind: ``approve``, ``reject``, ``modify`` or ``reroute``.
        run: its id, or the beginning of it.
        barrier: address of its visit; empty is the one that waits.
        reason: of a rejection; None if it was not said.
        changes: of the state, as ``key=value``.
        delete: keys that are taken out.
        target: where to go on, of ``reroute``.
        standing: for all visits of the barrier.
        by: who decides; None is the login name.
        shown: digest of what that person saw.
        yes: nobody is asked.
        as_json: told as JSON.
        db: as it was typed.
    """

    kind: str
    run: str
    barrier: str = ""
    reason: str | None = ""
    changes: Sequence[str] = ()
    delete: Sequence[str] = ()
    target: str = ""
    standing: bool = False
    by: str | None = None
    shown: str = ""
    yes: bool = False
    as_json: bool = False
    db: str | None = None

    @property
    def asks(self) -> bool:
        """Whether a person is at a terminal, and is to be shown what is decided on."""
        quiet = self.yes or self.as_json or bool(self.shown)
        return not quiet and sys.stdin.isatty() and sys.stdout.isatty()


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A run as it stands.

    Attributes:
        row: of the run.
        waiting: the barriers that wait.
        barriers: all that there are, by address without visits and items, with their state graphs.
        now: when it was looked at.
    """

    row: RunRow
    waiting: list[OpenBarrier]
    barriers: dict[str, Topology]
    now: float


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is decided, checked against the graph: at which barrier, with what, and going where."""

    barrier: str
    open: OpenBarrier | None
    changes: dict[str, Any]
    target: str


def decide(wish: Wish) -> int:
    """Decide at a barrier; the exit code.

    Raises:
        UnknownRunError: there is no such run.
        RefusedError: it does not take the decision.
        InvalidInputError: the state does not have what is to be changed.
    """
    url = existing(wish.db)
    while True:
        seen = asyncio.run(_look(url, wish.run))
        barrier = _which(seen, wish)
        if barrier is None:
            return exits.USAGE
        choice = _checked(seen, wish, barrier)
        wish = replace(wish, barrier=barrier)
        if not wish.asks or seen.row.imported:
            if wish.reason is None:
                raise click.UsageError("say why it is rejected: --reason TEXT")
            return _told(wish, choice, _give(url, seen, wish, choice, wish.shown))
        agreed = _agreed(seen, wish, choice)
        if agreed is None:
            say("nothing was done")
            return exits.COMPLETED
        wish = agreed
        try:
            return _told(wish, choice, _give(url, seen, wish, choice, choice.open.digest if choice.open else ""))
        except RefusedError:
            if not _has_changed(url, choice, wish):
                raise
            say("it was refused, because what is decided on has changed meanwhile; this is what it is now:")


async def _look(url: str, run: str) -> Seen:
    async with Engine(url, drives=False) as engine:
        row = await find_run(engine, run)
        if row.ended_at is not None:
            raise RefusedError(f"run {row.run}: it has ended ({row.state})")
        folded = await engine.looking.folded(row.run)
        barriers = barriers_of(folded.topology)
        waiting = await engine.looking.barriers(row.run)
        return Seen(row=row, waiting=waiting, barriers=barriers, now=Clock().now())


def _has_changed(url: str, choice: Choice, wish: Wish) -> bool:
    """Whether a barrier still waits, but shows something else than it did."""
    if choice.open is None:
        return False
    seen = asyncio.run(_look(url, wish.run))
    return any(each.path == choice.barrier and each.digest != choice.open.digest for each in seen.waiting)


# Which, and what ---------------------------------------------------------------------------------------


def _which(seen: Seen, wish: Wish) -> str | None:
    """The address of the barrier that is meant; None if several could be, which were told.

    Raises:
        RefusedError: there is none, or none of this name.
    """
    run, waiting = seen.row.run, seen.waiting
    if not seen.barriers:
        raise RefusedError(f"run {run} has no barriers; what it asks otherwise is answered by: clew answer {run}")
    if wish.barrier:
        return _known(seen, addresses.first_visits(wish.barrier))
    if len(waiting) == 1:
        return waiting[0].path
    if wish.standing and len(seen.barriers) == 1:
        return next(iter(seen.barriers))
    if not waiting:
        there = listed(seen.barriers, limit=20, last="and")
        raise RefusedError(
            f"run {run} waits at no barrier now. To decide before it comes to one, name it; there "
            f"{'is' if len(seen.barriers) == 1 else 'are'} {there}"
        )
    if wish.as_json:
        print_json([document(each) for each in waiting])
        return None
    if wish.asks:
        for number, each in enumerate(waiting, 1):
            text = plain(each.text.splitlines()[0]) if each.text else ""
            click.echo(f"{number}  {plain(each.path)}  {text}\n   {asked_when(each, seen.now)}")
        return waiting[click.prompt("which one", type=click.IntRange(1, len(waiting))) - 1].path
    say(f"run {run} waits at several barriers; say which is meant:")
    for each in waiting:
        say(f"  {command(wish.kind, run, each.path, db=told_db(wish.db))}")
    return None


def _known(seen: Seen, barrier: str) -> str:
    bare = addresses.bare(barrier)
    if bare not in seen.barriers:
        near = did_you_mean(bare, seen.barriers) or f"; it has {listed(seen.barriers, limit=20, last='and')}"
        raise RefusedError(f"run {seen.row.run} has no barrier {barrier!r}{near}")
    return barrier


def _checked(seen: Seen, wish: Wish, barrier: str) -> Choice:
    """The decision with its values read.

    Raises:
        RefusedError: there is no such node to go on with.
        InvalidInputError: the state has no such key.
    """
    graph = seen.barriers[addresses.bare(barrier)]
    types = key_types(graph)
    for key in wish.delete:
        known_key(key, types)
    target = wish.target
    if target == "END" and target not in graph.index:
        target = END
    if target and target != END and target not in graph.index:
        near = (
            did_you_mean(target, [*graph.index, "END"]) or f"; there are {listed([*graph.index, 'END'], limit=20)}"
        )
        raise RefusedError(f"run {seen.row.run}: there is no node {target!r} to go on with{near}")
    waits = next((each for each in seen.waiting if each.path == barrier), None)
    return Choice(barrier=barrier, open=waits, changes=read_changes(wish.changes, types), target=target)


# Asking, giving, telling -------------------------------------------------------------------------------


def _agreed(seen: Seen, wish: Wish, choice: Choice) -> Wish | None:
    """Show what is decided on and ask; the wish with what was said, or None if it is not wanted any more."""
    barrier, waits = plain(choice.barrier), choice.open
    if waits is not None:
        click.echo(f"{barrier} of {named(seen.row.run)} waits for a decision:")
        click.echo("\n".join(f"  {line}" for line in barrier_lines(waits, seen.now, SHOWN)))
    else:
        click.echo(f"{named(seen.row.run)} does not wait at {barrier} now; the decision is kept until it does")
    for key, value in choice.changes.items():
        click.echo(f"  to be written: {plain(key)} = {plain(codec.encode(value).decode())}")
    for key in wish.delete:
        click.echo(f"  to be taken out: {plain(key)}")
    reason = wish.reason
    if reason is None:
        reason = click.prompt("reason")
    text = _ASK[wish.kind].format(barrier=barrier, target=plain(wish.target))
    if wish.standing:
        text = f"{text.removesuffix('?')}, now and each time it is reached?"
    return replace(wish, reason=reason) if click.confirm(text) else None


def _give(url: str, seen: Seen, wish: Wish, choice: Choice, shown: str) -> Told:
    barrier, changes, by = choice.barrier, choice.changes, who(wish.by)

    async def work(_: Engine, handle: Run, __: RunRow) -> None:
        match wish.kind:
            case "approve":
                await handle.approve(barrier, changes=changes, by=by, shown=shown, standing=wish.standing)
            case "reject":
                reason = wish.reason or ""
                await handle.reject(barrier, reason, changes=changes, by=by, shown=shown, standing=wish.standing)
            case "modify":
                await handle.modify(changes, barrier, delete=wish.delete, by=by, shown=shown)
            case _:
                await handle.reroute(
                    choice.target, barrier, changes=changes, by=by, shown=shown, standing=wish.standing
                )

    try:
        return tell(url, seen.row.run, work)
    except RefusedError as error:
        others = [e.path for e in seen.waiting if addresses.bare(e.path) == addresses.bare(barrier)]
        if choice.open is None and len(others) == 1:
            raise RefusedError(f"{error}; did you mean {others[0]!r}, which waits?") from error
        raise


def _told(wish: Wish, choice: Choice, told: Told) -> int:
    barrier = addresses.bare(choice.barrier) if wish.standing else choice.barrier
    if wish.as_json:
        print_json(
            {
                "run": told.row.run,
                "barrier": barrier,
                "decision": wish.kind,
                "kept": choice.open is None,
                "standing": wish.standing,
                "state": told.row.state,
                "driven": told.is_driven,
            }
        )
        return exits.COMPLETED
    done = _what_was_done(wish, choice, plain(barrier))
    say(f"{named(told.row.run)}: {done}{told.how_to_go_on(told_db(wish.db))}")
    return exits.COMPLETED


def _what_was_done(wish: Wish, choice: Choice, barrier: str) -> str:
    if wish.kind == "modify":
        if choice.open is None:
            return f"the state will be changed as soon as {barrier} is reached"
        return f"the state was changed, and {barrier} waits for a decision on what it is now"
    done = _DONE[wish.kind].format(target=plain(wish.target))
    if wish.standing:
        return f"{barrier} is {done} each time from now on"
    return f"{barrier} was {done}" if choice.open is not None else f"{barrier} is {done} as soon as it is reached"
