"""What makes a graph a state graph, while it is being written: its keys, its edges, its limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from clew.graphs.checkpoints import Checkpoints
from clew.graphs.names import Place
from clew.graphs.state_schema import Schema
from clew.graphs.updates import END, START
from clew.kernel.definition import Default, OnLimit


@dataclass(slots=True, frozen=True, kw_only=True)
class Barrier:
    """A wait for a person's decision, as the body of a node of a state graph; made by `barrier`.

    Attributes:
        text: what people read.
        shows: the keys of the state that are decided on; empty means all.
        timeout: how long is waited, in seconds; None is for ever.
        default: what counts as the decision then.
    """

    text: str = ""
    shows: Sequence[str] = ()
    timeout: float | None = None
    default: Default | str = Default.REJECT


def barrier(
    text: str = "",
    *,
    shows: str | Sequence[str] = (),
    timeout: float | None = None,
    default: Default | str = Default.REJECT,
) -> Barrier:
    """Describe a wait for a person's decision: the body of a node, or of a branch, of a state graph.

    The node writes two keys that need not be declared: ``NAME.approved`` (true or false) and
    ``NAME.reject_reason`` (text).

    Args:
        text: what people read.
        shows: keys of the state that are decided on; all of them, if not given. A decision holds for what they
            were.
        timeout: how long is waited, in seconds; for ever if not given.
        default: what counts as the decision then: ``approve``, ``reject``, or ``skip``, which goes on without
            writing either key.
    """
    keys = (shows,) if isinstance(shows, str) else shows
    return Barrier(text=text, shows=keys, timeout=timeout, default=default)


@dataclass(slots=True, kw_only=True)
class EdgeDraft:
    """One edge as it was written.

    Attributes:
        source: a node, or `START`.
        target: a node, or `END`.
        place: where it was added.
        when: its condition; None without one.
        owner: names the condition in the graph, so that two lambdas are told apart.
        equals: JSON text of what the condition has to give; empty for anything that counts as true.
        router: it is one of several that share a condition.
        fallback: it is taken only after a failure, when the node asks for it, or by a limit.
        max_visits: how often it may be taken.
        on_limit: what happens then.
        label: the condition as people read it.
        problems: what was wrong when it was written, as (field, sentence).
        places: where single fields were written, if not at `place`.
    """

    source: str
    target: str
    place: Place
    when: Callable[..., Any] | str | None = None
    owner: str = ""
    equals: bytes = b""
    router: bool = False
    fallback: bool = False
    max_visits: int | None = None
    on_limit: OnLimit | str = OnLimit.STRICT
    label: str = ""
    problems: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    places: dict[str, Place] = field(default_factory=dict[str, Place])

    @property
    def arrow(self) -> str:
        """The edge in words: ``'draft' -> END``."""
        return f"{end_told(self.source)} -> {end_told(self.target)}"

    @property
    def subject(self) -> str:
        """What it is in a message."""
        if self.router:
            return f"router of {end_told(self.source)}"
        return f"{'fallback' if self.fallback else 'edge'} {self.arrow}"

    def tell(self, about: str, sentence: str) -> str:
        """A problem as it is shown: where, which edge, which field, what."""
        place = self.places.get(about, self.place)
        subject = f"{self.subject}, {about}" if about else self.subject
        return place.before(f"{subject}: {sentence}")


@dataclass(slots=True, kw_only=True)
class RouteDraft:
    """What makes a graph a state graph.

    Attributes:
        schema: the keys that are declared.
        edges: in the order in which they were added.
        max_steps: nodes that may be entered in a run.
        max_state_bytes: JSON text that the state may have.
        checkpoints: a preset's name, or what it stands for.
        owners: how many conditions there are by the ends of their edges.
        partial: some of its edges could not be read, so that nothing is said about ways.
    """

    schema: Schema
    edges: list[EdgeDraft] = field(default_factory=list[EdgeDraft])
    max_steps: int = 50
    max_state_bytes: int = 16_000_000
    checkpoints: Checkpoints | str = "conservative"
    owners: dict[str, int] = field(default_factory=dict[str, int])
    partial: bool = False


def end_told(node: str) -> str:
    """One end of an edge in a message."""
    return {START: "START", END: "END"}.get(node, repr(node))
