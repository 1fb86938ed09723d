"""The values that an event refers to."""

from __future__ import annotations

from collections.abc import Iterator

from clew.kernel import events as e
from clew.kernel.values import Value


def values_of(event: e.AnyEvent) -> Iterator[Value]:
    """The values that an event refers to."""
    for name in event.__struct_fields__:
        found = getattr(event, name)
        if isinstance(found, Value):
            yield found
        elif isinstance(found, dict):
            yield from (each for each in found.values() if isinstance(each, Value))  # pyright: ignore[reportUnknownVariableType]


def blobs_of(event: e.AnyEvent) -> Iterator[str]:
    """The digests of the blobs that an event refers to: its values, and definitions."""
    yield from (value.blob for value in values_of(event) if value.blob)
    if isinstance(event, e.RunAdmitted | e.DefinitionChanged):
        yield event.definition
