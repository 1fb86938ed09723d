"""What a run is told by whoever holds it: cancel, pause, answers, decisions, messages, rollback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from clew.engine.deciding import decision, judgement
from clew.engine.home import Home
from clew.engine.questions import refuse_unfit
from clew.engine.status import OpenBarrier, OpenQuestion, chosen
from clew.engine.undoables import Undoable
from clew.graphs.updates import END
from clew.kernel import signals as s
from clew.kernel.values import Value


class Telling:
    """The half of `run.Run` that tells a run something, and asks what it waits for.

    Attributes:
        id: of the run.
    """

    def __init__(self, engine: Home, run: str) -> None:
        self.id = run
        self._engine = engine

    async def cancel(self, reason: str = "cancelled", *, by: str = "") -> None:
        """End the run: nothing new starts, what is under way is stopped. No effect on a run that has ended."""
        await self._engine.tell(self.id, s.Cancel(reason=reason, by=by))

    async def pause(self, *, now: bool = False, by: str = "") -> None:
        """Start nothing new. Attempts under way finish; with `now`, those that may be made again are stopped."""
        await self._engine.tell(self.id, s.Pause(by=by, stop_attempts=now))

    async def execute_step(self, path: str, *, by: str = "") -> None:
        """Execute one step of a paused run, which stays paused; a group is opened, so that its parts can be.

        When this returns, the step has begun, or what has to be asked before it is asked; `events` tell its end.
        `resume` goes on with all the others.

        Raises:
            RefusedError: the run is not paused, or the step cannot be executed now; says which can.
        """
        await self._engine.tell(self.id, s.Execute(path=path, by=by))

    async def resume(self, *, by: str = "") -> None:
        """Go on after `pause`."""
        await self._engine.tell(self.id, s.Resume(by=by))

    async def retry(self, *, by: str = "") -> None:
        """Take a failed or cancelled run up again: what was completed stays, the rest is done anew."""
        await self._engine.tell(self.id, s.RetryRun(by=by), ended=True)

    async def rollback(self, *, by: str = "", reason: str = "rolled back") -> None:
        """Undo what the run did, by the compensations that were declared; one that goes on is cancelled first.

        When this returns, the rollback is on disk as begun; `wait_ended` waits for its end.

        Raises:
            RefusedError: it is rolled back already, or is just ending.
        """
        await self._engine.tell(self.id, s.Rollback(by=by, reason=reason), ended=True)

    async def rollback_plan(self) -> list[Undoable]:
        """What a rollback would undo now, in an order in which it could, and what it could not."""
        return await self._engine.looking.rollback_plan(self.id)

    async def questions(self) -> list[OpenQuestion]:
        """What the run asks people now, in the order in which it was asked."""
        return await self._engine.looking.questions(self.id)

    async def answer(self, value: object, node: str = "", key: str = "", *, by: str = "", shown: str = "") -> None:
        """Answer a question of the run; when this returns, the answer is on disk.

        Args:
            value: the answer.
            node: address of the visit that asks; not needed if only one question fits.
            key: names the question within the visit; likewise.
            by: who answers.
            shown: digest of the question that was shown; if another one is asked by now, the answer is refused.

        Raises:
            RefusedError: there is no such question, it has an answer or its deadline has passed.
            InvalidInputError: the answer is not what is asked for, or several questions fit.
        """
        question = chosen(await self.questions(), self.id, node, key)
        json = self._engine.encode(value)
        refuse_unfit(question.question, json)
        sent = Value(json=msgspec.Raw(json))
        answer = s.Answer(path=question.node, key=question.key, value=sent, by=by, shown=shown or question.digest)
        await self._engine.tell(self.id, answer)

    async def barriers(self) -> list[OpenBarrier]:
        """The barriers at which the run waits for a decision now, with what is decided on."""
        return await self._engine.looking.barriers(self.id)

    async def approve(
        self,
        barrier: str = "",
        *,
        changes: Mapping[str, object] | None = None,
        by: str = "",
        shown: str = "",
        standing: bool = False,
    ) -> None:
        """Let the run pass a barrier; when this returns, the decision is on disk.

        A decision can be given before its barrier is reached: it is kept, and used once.

        Args:
            barrier: address of its visit (``review``, ``review#2``); not needed if the run waits at one only.
            changes: of the state, that are made with it, past the reducers.
            by: who decides.
            shown: `OpenBarrier.digest` of what was shown; if the state is another by now, it is refused.
            standing: it holds for all visits of the barrier, also those to come.

        Raises:
            RefusedError: there is no such barrier, it was decided already, or something else was shown.
            InvalidInputError: the run waits at several barriers.
        """
        await self._decide(barrier, "approve", changes=changes, by=by, shown=shown, standing=standing)

    async def reject(
        self,
        barrier: str = "",
        reason: str = "",
        *,
        changes: Mapping[str, object] | None = None,
        by: str = "",
        shown: str = "",
        standing: bool = False,
    ) -> None:
        """Do not let the run pass a barrier, and say why; see `approve`."""
        await self._decide(
            barrier, "reject", reason=reason, changes=changes, by=by, shown=shown, standing=standing
        )

    async def modify(
        self,
        changes: Mapping[str, object],
        barrier: str = "",
        *,
        delete: Sequence[str] = (),
        by: str = "",
        shown: str = "",
    ) -> None:
        """Change the state that a barrier decides on, past the reducers; it is asked about again as it is then."""
        await self._decide(barrier, "modify", changes=changes, delete=delete, by=by, shown=shown)

    async def reroute(
        self,
        target: str,
        barrier: str = "",
        *,
        changes: Mapping[str, object] | None = None,
        by: str = "",
        shown: str = "",
        standing: bool = False,
    ) -> None:
        """Let the run go on from a barrier with another node, or `END`; see `approve`."""
        to = "" if target == END else target
        await self._decide(barrier, "reroute", target=to, changes=changes, by=by, shown=shown, standing=standing)

    async def _decide(
        self,
        barrier: str,
        kind: str,
        *,
        reason: str = "",
        changes: Mapping[str, object] | None = None,
        delete: Sequence[str] = (),
        target: str = "",
        by: str,
        shown: str,
        standing: bool = False,
    ) -> None:
        judged = judgement(kind, self._engine.encode, reason=reason, changes=changes, delete=delete, target=target)
        waiting = await self.barriers()
        signal = decision(self.id, waiting, barrier, judged, by=by, shown=shown, standing=standing)
        await self._engine.tell(self.id, signal)

    async def checkpoint(self, name: str, *, by: str = "") -> None:
        """Name the position that the run has now.

        Raises:
            RefusedError: the run has ended.
        """
        await self._engine.tell(self.id, s.Checkpoint(name=name, by=by))

    async def send(self, name: str, value: object = None, *, by: str = "") -> None:
        """Send the run a message; who waits for that name receives it, or who comes to do so first.

        Raises:
            RefusedError: the run has ended, or too many messages lie unreceived.
        """
        sent = Value(json=msgspec.Raw(self._engine.encode(value)))
        await self._engine.tell(self.id, s.Send(name=name, value=sent, by=by))
