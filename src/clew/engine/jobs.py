"""An attempt as those see it who perform bodies, and what they have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from clew import codec
from clew.engine.allowance import Share
from clew.engine.context import BodyContext
from clew.engine.heartbeats import Heartbeat
from clew.kernel import commands as c
from clew.kernel.cells import text_of
from clew.kernel.values import Absent, Binding, View

Functions = Mapping[str, Callable[..., Any]]
#: An input of a body: JSON text, or what is not there, or a state.
Input = bytes | Absent | View


@dataclass(slots=True)
class Job:
    """An attempt as a performer sees it.

    Attributes:
        command: what was started.
        functions: those of the graph object, by reference.
        context: makes the body's way to the engine, once.
        write: takes pieces of output, with the name of their stream.
        keep_slot: called when the attempt ends although something of it goes on; its result gives the slot back.
        read: the JSON text of an input.
        share: what it may use of what the run may.
        heartbeat: watches the body, once it is entered.
        used: what has been measured of it, as for `events.UsageRecorded`.
    """

    command: c.StartAttempt
    functions: Functions
    context: Callable[[], BodyContext]
    write: Callable[[str, str], None]
    keep_slot: Callable[[], Callable[[], None]]
    read: Callable[[Binding], Awaitable[bytes]]
    share: Share
    heartbeat: Heartbeat | None = None
    used: dict[str, float] = field(default_factory=dict[str, float])

    async def inputs(self) -> dict[str, Input]:
        """The inputs by name, as the body gets them."""
        inputs: dict[str, Input] = {}
        for name, binding in self.command.inputs.items():
            if isinstance(binding, Absent | View):
                inputs[name] = binding
            else:
                inputs[name] = await self.read(binding)
        return inputs

    async def plain_inputs(self) -> dict[str, Any]:
        """The inputs that are there, decoded."""
        return {name: codec.decode(json) for name, json in plain_texts(await self.inputs()).items()}

    @property
    def returns_changes(self) -> bool:
        """Whether the body says itself what changes in the state of its state graph."""
        return self.command.updates and not self.command.sets and self.command.kind == "function"


class Performer(Protocol):
    """Performs bodies of one kind."""

    async def __call__(self, job: Job) -> bytes:
        """The output of an attempt, as JSON text; raises what went wrong."""
        ...


def plain_texts(inputs: Mapping[str, Input]) -> dict[str, bytes]:
    """The JSON text of inputs that are there; of a state, all of it."""
    whole = {name: bytes(text_of(v.cells)) for name, v in inputs.items() if isinstance(v, View)}
    return whole | {name: json for name, json in inputs.items() if isinstance(json, bytes)}
