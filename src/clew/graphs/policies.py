"""Policies as people write them, and what is wrong with them.

A policy stands on a function (`@node(...)`) or on one use of it (`Graph.add(..., timeout=30)`); the use wins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, TypeVar, overload

from clew.graphs.bodies import Description
from clew.graphs.handles import Handle
from clew.graphs.names import did_you_mean
from clew.kernel import definition as d
from clew.kernel.definition import Backoff, ErrorPolicy, ItemPolicy, OnInterrupt

F = TypeVar("F", bound=Callable[..., Any])
E = TypeVar("E", bound=StrEnum)
ErrorClasses = type[BaseException] | str | Sequence[type[BaseException] | str]
Uses = str | Sequence[str] | Mapping[str, int]
Probe = Callable[..., Any]
Exclusive = str | Handle
Undoing = Callable[..., Any] | Description


#: The very defaults of the definition: they are left out of it by identity.
_NO_RETRY = d.NodeSpec(id="", kind="").retry
_UNDO_RETRY = d.CompensationSpec(kind="").retry
#: What can become of a compensation whose process died: nobody is asked, and nothing probed.
_AFTER_UNDO = (OnInterrupt.RETRY, OnInterrupt.FAIL)

#: The attribute of a function that holds what `@node` attached.
ATTACHED = "__clew_options__"


@dataclass(frozen=True, slots=True)
class Delays:
    """How long to wait between attempts; made by `fixed`, `linear` and `exponential`."""

    backoff: Backoff
    delay_s: float
    factor: float = 2.0
    max_delay_s: float = 300.0


def fixed(delay: float = 1.0) -> Delays:
    """Wait `delay` seconds each time."""
    return Delays(Backoff.FIXED, delay, max_delay_s=max(delay, 300.0))


def linear(delay: float = 1.0, *, max_delay: float = 300.0) -> Delays:
    """Wait `delay` seconds, then twice that, then three times, up to `max_delay`."""
    return Delays(Backoff.LINEAR, delay, max_delay_s=max_delay)


def exponential(delay: float = 1.0, *, factor: float = 2.0, max_delay: float = 300.0) -> Delays:
    """Wait `delay` seconds, then `factor` times as long each time, up to `max_delay`."""
    return Delays(Backoff.EXPONENTIAL, delay, factor, max_delay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a failed attempt is tried again.

    Attributes:
        max_attempts: attempts in all, the first included.
        backoff: how long to wait in between.
        jitter: share of the wait that is spread, 0 to 1.
        on: error classes (or their names) that are retried; empty means every error.
        not_on: error classes (or their names) that are never retried.
    """

    max_attempts: int = 3
    backoff: Delays = Delays(Backoff.EXPONENTIAL, 1.0)
    jitter: float = 0.1
    on: ErrorClasses = ()
    not_on: ErrorClasses = ()

    def spec(self) -> d.Retry:
        """The same as the kernel reads it."""
        return d.Retry(
            max_attempts=self.max_attempts,
            backoff=self.backoff.backoff,
            delay_s=self.backoff.delay_s,
            factor=self.backoff.factor,
            max_delay_s=self.backoff.max_delay_s,
            jitter=self.jitter,
            on=_class_names(self.on),
            not_on=_class_names(self.not_on),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """How what a node did is undone; made by `undo`.

    Attributes:
        body: the function, or the description of a program or request, that undoes it.
        retry: when a failed attempt is tried again; three attempts if not given.
        timeout: limit of one attempt, in seconds.
        on_interrupt: what becomes of an attempt whose process died: ``retry`` or ``fail``.
    """

    body: Undoing
    retry: Retry | d.Retry | int | None = None
    timeout: float | None = None
    on_interrupt: OnInterrupt | str = OnInterrupt.RETRY

    def retry_spec(self) -> d.Retry:
        """The retry policy as the kernel reads it."""
        return _UNDO_RETRY if self.retry is None else Options(retry=self.retry).retry_spec()


def undo(
    body: Undoing,
    /,
    *,
    retry: Retry | int | None = None,
    timeout: float | None = None,
    on_interrupt: OnInterrupt | str = OnInterrupt.RETRY,
) -> Compensation:
    """Give the compensation of a node policies: ``compensate=undo(refund, retry=5)``.

    Args:
        body: a function, ``shell(…)`` or ``http(…)``, as in `Graph.add`'s `compensate`.
        retry: when a failed attempt is tried again; a number means so many attempts; three if not given.
        timeout: limit of one attempt, in seconds.
        on_interrupt: what becomes of an attempt whose process died: it is made again (``retry``), or the
            compensation has failed (``fail``).
    """
    return Compensation(body=body, retry=retry, timeout=timeout, on_interrupt=on_interrupt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The policies of one node as given; None means not given."""

    retry: Retry | d.Retry | int | None = None
    timeout: float | None = None
    total_timeout: float | None = None
    heartbeat: float | None = None
    on_error: ErrorPolicy | str | None = None
    on_interrupt: OnInterrupt | str | None = None
    probe: Probe | None = None
    exclusive: Exclusive | None = None
    uses: Uses | None = None
    priority: int | None = None
    compensate: Undoing | Compensation | None = None
    irreversible: bool | None = None
    expected: float | None = None

    def over(self, other: Options) -> Options:
        """These, and where one is not given, the other's."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.given()}
        if self.compensate is not None or self.irreversible:
            # So are these: what can be undone by us is not irreversible, whatever the other says.
            given = {"compensate": None, "irreversible": None, **given}
        if self.probe is not None or self.on_interrupt not in (None, OnInterrupt.PROBE):
            # The two are one policy: a probe of our own replaces their word, a word of our own their probe.
            given = {"probe": None, "on_interrupt": None, **given}
        return replace(other, **given)

    def given(self) -> list[str]:
        """The names of those that are given."""
        return [f.name for f in fields(self) if getattr(self, f.name) is not None]

    def retry_spec(self) -> d.Retry:
        """The retry policy as the kernel reads it."""
        match self.retry:
            case None:
                return _NO_RETRY
            case d.Retry():
                return self.retry
            case Retry():
                return self.retry.spec()
            case attempts:
                return Retry(max_attempts=attempts).spec()

    def interrupt_spec(self) -> OnInterrupt:
        """What an interruption means, as the kernel reads it."""
        if self.probe is not None:
            return OnInterrupt.PROBE
        return one_of(OnInterrupt, self.on_interrupt, OnInterrupt.RETRY)

    @property
    def undoing(self) -> Compensation | None:
        """The compensation with its policies; None without one."""
        how = self.compensate
        return how if isinstance(how, Compensation) or how is None else Compensation(body=how)

    def uses_spec(self) -> dict[str, int]:
        """Units per resource."""
        match self.uses:
            case None:
                return {}
            case str():
                return {self.uses: 1}
            case Mapping():
                return dict(self.uses)
            case names:
                return {name: names.count(name) for name in names}


#: No policy is given.
NOT_GIVEN = Options()


@overload
def node(body: F, /) -> F: ...
@overload
def node(
    *,
    retry: Retry | int | None = None,
    timeout: float | None = None,
    total_timeout: float | None = None,
    heartbeat: float | None = None,
    on_error: ErrorPolicy | str | None = None,
    on_interrupt: OnInterrupt | str | None = None,
    probe: Probe | None = None,
    exclusive: Exclusive | None = None,
    uses: Uses | None = None,
    priority: int | None = None,
    compensate: Undoing | Compensation | None = None,
    irreversible: bool | None = None,
    expected: float | None = None,
) -> Callable[[F], F]: ...
def node(body: F | None = None, /, **options: Any) -> F | Callable[[F], F]:
    """Attach policies to a function: every node that runs it has them, unless the node says otherwise.

    The function itself is returned unchanged and can be called as ever.

    Args:
        body: the function, when used without arguments.
        **options: see `Graph.add`.
    """
    attached = Options(**options)

    def attach(function: F) -> F:
        setattr(function, ATTACHED, attached)
        return function

    return attach if body is None else attach(body)


def attached_to(body: Any) -> Options:
    """What `@node` attached to a function."""
    return getattr(body, ATTACHED, None) or NOT_GIVEN


def one_of(kind: type[E], value: str | None, default: E) -> E:
    """A member of an enumeration by its value; the default if there is none (`policy_problems` has said so)."""
    return kind(value) if value in {*kind} else default


def policy_problems(options: Options) -> Iterator[tuple[str, str]]:
    """What is wrong with the policies of a node, as (field, sentence)."""
    for name in ("timeout", "total_timeout", "heartbeat", "expected"):
        yield from seconds_problems(name, getattr(options, name))
    yield from choice_problems("on_error", ErrorPolicy, options.on_error)
    yield from choice_problems("on_interrupt", OnInterrupt, options.on_interrupt)
    yield from _interrupt_problems(options)
    yield from _exclusive_problems(options.exclusive)
    if options.retry is not None:
        yield from _retry_problems(options)
    if options.priority is not None and not _is_int(options.priority):
        yield "priority", f"is a whole number, not {options.priority!r}"
    if options.uses is not None:
        yield from _uses_problems(options)
    yield from _undo_problems(options)


def seconds_problems(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Say what is wrong with a time limit."""
    if value is not None and not (_is_number(value) and value > 0):
        yield name, f"is a number of seconds above 0, not {value!r}"


def count_problems(name: str, value: Any, least: int) -> Iterator[tuple[str, str]]:
    """Say what is wrong with a count."""
    if not (_is_int(value) and value >= least):
        yield name, f"is a whole number of at least {least}, not {value!r}"


def number_problems(name: str, value: Any, least: int) -> Iterator[tuple[str, str]]:
    """Say what is wrong with a number."""
    if not (_is_number(value) and value >= least):
        yield name, f"is a number of at least {least}, not {value!r}"


def flag_problems(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Say what is wrong with what is true or false."""
    if not isinstance(value, bool):
        yield name, f"is True or False, not {value!r}"


def choice_problems(name: str, kind: type[StrEnum], value: Any) -> Iterator[tuple[str, str]]:
    """Say what is wrong with one of a few words."""
    words = [str(member) for member in kind]
    if value is not None and value not in words:
        yield name, f"is one of {', '.join(words)}, not {value!r}{did_you_mean(str(value), words)}"


def map_policy_problems(on_item_error: Any, max_concurrency: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with the policies of a map."""
    yield from choice_problems("on_item_error", ItemPolicy, on_item_error)
    if max_concurrency is not None:
        yield from count_problems("max_concurrency", max_concurrency, 1)


def _retry_problems(options: Options) -> Iterator[tuple[str, str]]:
    if not isinstance(options.retry, Retry | d.Retry) and not _is_int(options.retry):
        yield "retry", f"is a Retry or a number of attempts, not {options.retry!r}"
        return
    retry = options.retry_spec()
    yield from count_problems("retry.max_attempts", retry.max_attempts, 1)
    yield from number_problems("retry.delay", retry.delay_s, 0)
    yield from number_problems("retry.factor", retry.factor, 1)
    yield from number_problems("retry.max_delay", retry.max_delay_s, 0)
    if not (_is_number(retry.jitter) and 0 <= retry.jitter <= 1):
        yield "retry.jitter", f"is a share from 0 to 1, not {retry.jitter!r}"


def _interrupt_problems(options: Options) -> Iterator[tuple[str, str]]:
    said = options.on_interrupt
    if options.probe is None:
        if said == OnInterrupt.PROBE:
            yield "on_interrupt", "a probe is a function that tells whether an attempt took effect; none is given"
        return
    if not callable(options.probe):
        yield "probe", f"is a function, not {options.probe!r}"
    if said != OnInterrupt.PROBE and said in [*OnInterrupt]:
        yield "probe", f"is asked only if on_interrupt is 'probe', not {str(said)!r}; leave one of them out"


def _undo_problems(options: Options) -> Iterator[tuple[str, str]]:
    if options.irreversible is not None:
        yield from flag_problems("irreversible", options.irreversible)
    how = options.undoing
    if how is None:
        return
    if options.irreversible:
        yield "compensate", "what can be undone is not irreversible; leave one of the two out"
    yield from seconds_problems("compensate.timeout", how.timeout)
    if how.on_interrupt not in _AFTER_UNDO:
        words = ", ".join(_AFTER_UNDO)
        near = did_you_mean(str(how.on_interrupt), _AFTER_UNDO)
        yield "compensate.on_interrupt", f"is one of {words}, not {how.on_interrupt!r}{near}"
    if how.retry is not None:
        yield from ((f"compensate.{about}", why) for about, why in _retry_problems(Options(retry=how.retry)))


def _exclusive_problems(exclusive: Any) -> Iterator[tuple[str, str]]:
    if exclusive is not None and not isinstance(exclusive, str | Handle):
        yield "exclusive", f"is text, which may hold {{{{ … }}}}, or a handle, not {exclusive!r}"
    elif isinstance(exclusive, str) and not exclusive.strip():
        yield "exclusive", "is empty"


def _uses_problems(options: Options) -> Iterator[tuple[str, str]]:
    if not isinstance(options.uses, str | Sequence | Mapping):
        yield "uses", f"is a resource's name, several, or units by name, not {options.uses!r}"
        return
    for name, units in options.uses_spec().items():
        yield from count_problems(f"uses.{name}", units, 1)


def _class_names(classes: ErrorClasses) -> tuple[str, ...]:
    several = [classes] if isinstance(classes, str | type) else classes
    return tuple(c if isinstance(c, str) else c.__name__ for c in several)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
