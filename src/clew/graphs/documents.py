"""Files as plain data that remembers where each part stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clew.errors import GraphError
from clew.graphs.names import Place

Keys = tuple[str | int, ...]

_SUFFIXES = (".yaml", ".yml", ".toml", ".json")


@dataclass(slots=True)
class Document:
    """One file, read.

    Attributes:
        path: of the file.
        data: what stands in it; None where a value is not valid.
        keys: where the keys of mappings stand.
        values: where values stand.
        problems: what is wrong with it that leaves the rest readable, as it is shown.
    """

    path: Path
    data: Any = None
    keys: dict[Keys, Place] = field(default_factory=dict[Keys, Place])
    values: dict[Keys, Place] = field(default_factory=dict[Keys, Place])
    problems: list[str] = field(default_factory=list[str])

    def place(self, keys: Keys, *, of_key: bool = False) -> Place:
        """Where something stands, or what it is part of."""
        while True:
            for marks in (self.keys, self.values) if of_key else (self.values, self.keys):
                if keys in marks:
                    return marks[keys]
            if not keys:
                return Place(str(self.path))
            keys = keys[:-1]


def is_graph_file(name: str) -> bool:
    """Whether a name is that of a graph file."""
    return name.lower().endswith(_SUFFIXES)


def refused(path: Path, why: str, line: int = 0, column: int = 0) -> GraphError:
    """The error of a file that cannot be read at all."""
    return GraphError([Place(str(path), line, column).before(why)], path.name)
