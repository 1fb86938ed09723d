"""Steps of one body: made once, recorded, and returned from the record when the body is entered again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_never, get_type_hints

import msgspec

from clew import codec
from clew.bodies.errors import error_info
from clew.engine.doubts import asked, not_made_again, probed
from clew.engine.entries import Entry, stored
from clew.engine.resting import Waits
from clew.engine.undos import paths_of, undo_by_restoring, undo_of
from clew.errors import StepConflictError, StepError
from clew.graphs.bodies import Description
from clew.journal.records import Blob
from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.definition import OnInterrupt
from clew.kernel.values import Undo


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A step as it is declared; see `bodies.context.Context.step`."""

    key: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    effect: bool
    on_interrupt: OnInterrupt
    probe: Callable[..., Any] | None
    compensate: Callable[..., Any] | Description | None = None
    undo: Undo | None = None


class Steps:
    """The steps of one body.

    Args:
        entry: the body.
        waits: what it waits for besides.
        recorded: what earlier entries have recorded, by key.
    """

    def __init__(self, entry: Entry, waits: Waits, recorded: Mapping[str, c.Step]) -> None:
        self._entry = entry
        self._waits = waits
        self._recorded = recorded

    async def make(self, call: Call) -> Any:
        """The value of a step: recorded, found out, or made now."""
        digest = codec.digest(codec.encode([list(call.args), call.kwargs]))
        hint = _return_hint(call.function)
        self._entry.use(call.key)
        recorded = self._recorded.get(call.key)
        if recorded is None:
            json = None
        elif recorded.digest != digest:
            raise StepConflictError(
                f"{self._entry.path}: step {call.key!r} was recorded with other arguments; a key names one call, "
                "so give the changed call another key"
            )
        elif recorded.is_open:
            json = await self._found_out(call, digest, hint)
        else:
            json = await self._value_of(recorded)
        if json is None:
            json = await self._made(call, digest, known=recorded is not None)
        return codec.decode(json, hint)

    async def _value_of(self, step: c.Step) -> bytes:
        if step.error is not None:
            raise StepError(step.error.type, step.error.message)
        assert step.value is not None
        return await self._entry.read_value(step.value)

    async def _found_out(self, call: Call, digest: str, hint: Any) -> bytes | None:
        """The value of a step that had begun; None if it is to be made again."""
        match call.on_interrupt:
            case OnInterrupt.RETRY:
                return None
            case OnInterrupt.FAIL:
                raise not_made_again(self._entry, call.key)
            case OnInterrupt.ASK:
                json = await asked(self._entry, self._waits, call.key, hint)
            case OnInterrupt.PROBE:
                assert call.probe is not None
                with self._waits.busy():
                    json = await probed(call.probe, call.args, call.kwargs)
            case _:
                assert_never(call.on_interrupt)
        if json is not None:
            codec.decode(json, hint)  # what does not fit is not recorded
            json = self._entry.encoded(msgspec.Raw(json))
            with self._waits.busy():
                await self._end(call, digest, json)
        return json

    async def _made(self, call: Call, digest: str, *, known: bool) -> bytes:
        entry = self._entry
        with self._waits.busy():
            await entry.check_lease()
            if call.effect and not known:
                undo, blobs = await self._undo(call)
                begun = s.StepBegun(path=entry.path, attempt=entry.attempt, key=call.key, digest=digest, undo=undo)
                await entry.submit(begun, *blobs)
                entry.check_attached()
            try:
                result = call.function(*call.args, **call.kwargs)
                if inspect.isawaitable(result):
                    result = await result
                json = entry.encoded(result)
            except Exception as error:
                info = error_info(error, mask=entry.secrets.mask)
                await entry.submit(self._ended(call, digest)(error=info))
                raise
            await self._end(call, digest, json)
        return json

    async def _undo(self, call: Call) -> tuple[Undo | None, list[Blob]]:
        """How a step is undone, before it is made."""
        if call.undo is not None:
            return call.undo, []
        what = f"{self._entry.path}: step {call.key!r}"
        if not isinstance(call.compensate, Description):
            return undo_of(call.compensate, call.args, call.kwargs, what)
        return await undo_by_restoring(paths_of(call.compensate, what), self._entry.secrets)

    async def _end(self, call: Call, digest: str, json: bytes) -> None:
        value, blobs = stored(json)
        await self._entry.submit(self._ended(call, digest)(value=value, effect=call.effect), *blobs)

    def _ended(self, call: Call, digest: str) -> Callable[..., s.StepEnded]:
        entry = self._entry
        return partial(s.StepEnded, path=entry.path, attempt=entry.attempt, key=call.key, digest=digest)


def _return_hint(fn: Callable[..., Any]) -> Any:
    try:
        return get_type_hints(fn).get("return", Any)
    except (NameError, TypeError, AttributeError):
        return Any
