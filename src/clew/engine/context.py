"""What a body sees of the engine: steps, sleeps, questions, progress. See `bodies.context` for the face.

A body may be entered again after its process was lost. Then what it asks here is answered from what was
recorded: a step returns its recorded value, a sleep that was over is over.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol, get_type_hints

from clew import codec
from clew.bodies.context import Context
from clew.bodies.errors import error_info
from clew.engine.feed import Emitted, Ephemeral, Progress
from clew.engine.inputs import refuse_large, store
from clew.engine.secrets import Secrets
from clew.errors import ClewError, StepConflictError, StepError
from clew.journal.records import Blob
from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.values import ErrorInfo, Value

#: A body that waits, and beside it has ended something, is taken to only wait after so many seconds.
_REST_S = 0.05


class Host(Protocol):
    """What a context needs of the run that it belongs to."""

    def submit(self, signal: s.AnySignal, *blobs: Blob) -> asyncio.Future[str]:
        """Hand in a signal; done when what follows is durable."""
        ...

    def show(self, item: Ephemeral) -> None:
        """Show something that is no fact."""
        ...

    def now(self) -> float:
        """The time, in seconds since the epoch."""
        ...

    async def read_value(self, value: Value) -> bytes:
        """The JSON text of a stored value."""
        ...

    async def check_lease(self) -> None:
        """Stop whoever asks, if the run may belong to another process by now, and does."""
        ...


class BodyContext(Context):
    """The context of one attempt in this process.

    Args:
        host: the run.
        command: what was started; carries what earlier entries recorded.
        secrets: of the engine.
        write: takes pieces of output, with the name of their stream.
    """

    def __init__(
        self, host: Host, command: c.StartAttempt, secrets: Secrets, write: Callable[[str, str], None]
    ) -> None:
        self.run_id = command.run
        self.path = command.path
        self.attempt = command.attempt
        self.failed_upstream: Mapping[str, ErrorInfo] = command.failed_upstream
        self._host = host
        self._steps = command.steps
        self._waits = command.waits
        self._secrets = secrets
        self._mask = secrets.mask
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._emitted = 0
        self._used: set[str] = set()
        #: Sleeps and questions that the body is blocked on, by key.
        self._open: dict[str, asyncio.Future[c.Wait]] = {}
        #: Steps under way; while there are any, the body does not only wait.
        self._busy = 0
        #: The attempt is over for the run (a thread may still hold this): nothing is let through.
        self.detached = False

    @property
    def idempotency_key(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - read only
        """The same for every attempt of this visit, in this run and in no other."""
        return codec.digest(f"{self.run_id}\0{self.path}".encode())[:32]

    # ------------------------------------------------------------------ steps

    def step(
        self, key: str, function: Callable[..., Any], *args: Any, effect: bool = False, **kwargs: Any
    ) -> Awaitable[Any]:
        """Call `function` once in the life of this visit; see `bodies.context.Context.step`."""
        self._check_in_loop(f"the step {key!r}")
        return self._step(key, function, args, kwargs, effect)

    async def _step(
        self, key: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], effect: bool
    ) -> Any:
        digest = codec.digest(codec.encode([list(args), kwargs]))
        self._use(key)
        recorded = self._steps.get(key)
        hint = _return_hint(function)
        if recorded is not None:
            return codec.decode(await self._recorded(key, recorded, digest), hint)
        await self._host.check_lease()
        self._check_attached()
        self._busy += 1
        try:
            json = await self._make(key, digest, function, args, kwargs, effect)
        finally:
            self._busy -= 1
            self._rest_soon()
        return codec.decode(json, hint)

    async def _recorded(self, key: str, step: c.Step, digest: str) -> bytes:
        if step.digest != digest:
            raise StepConflictError(
                f"{self.path}: step {key!r} was recorded with other arguments; a key names one call, so give the "
                "changed call another key"
            )
        if step.error is not None:
            raise StepError(step.error.type, step.error.message)
        assert step.value is not None
        return await self._host.read_value(step.value)

    async def _make(
        self,
        key: str,
        digest: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        effect: bool,
    ) -> bytes:
        ended = partial(s.StepEnded, path=self.path, attempt=self.attempt, key=key, digest=digest)
        try:
            result = fn(*args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
            json = codec.encode(result)
            refuse_large(json)
            self._secrets.refuse(json)
        except Exception as error:
            await self._submit(ended(error=error_info(error, mask=self._mask)))
            raise
        value, data = store(json)
        blobs = [Blob(value.blob, data)] if data is not None else []
        await self._submit(ended(value=value, effect=effect), *blobs)
        return json

    # ------------------------------------------------------------------ waiting

    def sleep(self, seconds: float, key: str | None = None) -> Awaitable[None]:
        """Sleep, durably; see `bodies.context.Context.sleep`."""
        self._check_in_loop("a sleep")
        return self._sleep(seconds, key if key is not None else f"sleep {seconds:g}")

    async def _sleep(self, seconds: float, key: str) -> None:
        self._use(key)
        await self._wait(key, "timer", self._host.now() + max(0.0, seconds))

    async def _wait(self, key: str, kind: str, due: float | None) -> c.Wait:
        known = self._waits.get(key)
        if known is not None and known.outcome:
            return known
        future: asyncio.Future[c.Wait] = asyncio.get_running_loop().create_future()
        self._open[key] = future
        try:
            if known is None:
                await self._submit(s.OpenWait(path=self.path, attempt=self.attempt, key=key, kind=kind, due=due))
            if not future.done():
                self._rest()
            return await future
        finally:
            del self._open[key]
            self._rest_soon()

    def _rest(self) -> None:
        """Say so if all that the body still does is wait."""
        if self._open and not self._busy and not self.detached:
            self._host.submit(s.AttemptIdle(path=self.path, attempt=self.attempt, keys=tuple(self._open)))

    def _rest_soon(self) -> None:
        """Something has ended beside a wait: unless the body goes on with it at once, it only waits again."""
        if self._open:
            self._loop.call_later(_REST_S, self._rest)

    def wake(self, waits: Mapping[str, c.Wait]) -> None:
        """Some of what the body waits for may have come about, or of what it will wait for."""
        self._waits = dict(waits)
        for key, future in self._open.items():
            wait = waits.get(key)
            if wait is not None and wait.outcome and not future.done():
                future.set_result(wait)

    # ------------------------------------------------------------------ telling

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell how far the body is; see `bodies.context.Context.progress`."""
        fraction = min(1.0, max(0.0, fraction))
        self._show(Progress(self.path, self.attempt, fraction, self._mask(message)))

    def emit(self, item: Any) -> None:
        """Show an item to whoever looks; see `bodies.context.Context.emit`."""
        plain = self._secrets.mask_plain(codec.decode(codec.encode(item)))
        self._emitted += 1
        self._show(Emitted(self.path, self.attempt, self._emitted - 1, plain))

    def log(self, message: str) -> None:
        """Keep a line with the attempt's output."""
        if not self.detached:
            self._write("log", message + "\n")

    def secret(self, name: str) -> str:
        """Look a secret up; it is masked in everything that is kept from now on."""
        return self._secrets.lookup(name)

    # ------------------------------------------------------------------ small things

    def _show(self, item: Ephemeral) -> None:
        if self.detached:
            return
        if threading.get_ident() == self._thread:
            self._host.show(item)
        else:
            self._loop.call_soon_threadsafe(self._host.show, item)

    def _use(self, key: str) -> None:
        if key in self._used:
            raise StepConflictError(
                f"{self.path}: the key {key!r} is used twice; each step and sleep needs its own"
            )
        self._used.add(key)

    def _check_in_loop(self, what: str) -> None:
        if threading.get_ident() != self._thread:
            raise ClewError(
                f"{self.path}: a synchronous body runs in a thread, where {what} cannot be waited for; "
                "make the body async"
            )

    def _check_attached(self) -> None:
        if self.detached:
            raise asyncio.CancelledError

    async def _submit(self, signal: s.AnySignal, *blobs: Blob) -> None:
        self._check_attached()
        await self._host.submit(signal, *blobs)


def _return_hint(fn: Callable[..., Any]) -> Any:
    try:
        return get_type_hints(fn).get("return", Any)
    except (NameError, TypeError, AttributeError):
        return Any
