"""A graph as it was written, of whatever kind: what an engine, a command and a picture ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from clew.errors import GraphError
from clew.graphs.building import build
from clew.graphs.checks import problems_of
from clew.graphs.drafts import Built, GraphDraft
from clew.graphs.layers import execution_batches
from clew.kernel.definition import GraphSpec


class WrittenGraph:
    """What `Graph` and `StateGraph` have in common.

    Nothing is refused while a graph is being written: what is wrong is noted with its line, and `spec` raises all
    of it at once, before anything runs.

    Attributes:
        draft: what was written.
    """

    draft: GraphDraft

    @classmethod
    def of(cls, draft: GraphDraft) -> Self:
        """The graph of a draft, as files are read into."""
        graph = cls.__new__(cls)
        graph.draft = draft
        return graph

    @property
    def name(self) -> str:
        """What people call it."""
        return self.draft.name

    def spec(self) -> GraphSpec:
        """The definition as data.

        Raises:
            GraphError: everything that is wrong with the graph and its sub-graphs, each with its place.
        """
        return self._built().spec

    @property
    def bodies(self) -> dict[str, Callable[..., Any]]:
        """The functions of this graph and its sub-graphs by the reference that the definition has."""
        return self._built().bodies

    @property
    def hash(self) -> str:
        """Names the definition by its content; see `hashing`."""
        return self._built().hash

    def problems(self) -> list[str]:
        """What is wrong with it; empty if nothing is."""
        return [] if self.draft.built else problems_of(self.draft)

    def layers(self) -> list[list[str]]:
        """Ids of the nodes by layer, for preview only.

        Those of one layer need nothing of each other; of a state graph, they are the same number of edges away
        from the start.
        """
        return execution_batches(self)

    def mermaid(self, states: Mapping[str, str] | None = None) -> str:
        """The graph as Mermaid text, coloured by the states of its nodes if they are given."""
        from clew.graphs.drawing import mermaid  # noqa: PLC0415 -- preview only

        return mermaid(self, states)

    def svg(self, states: Mapping[str, str] | None = None) -> str:
        """The graph as an SVG picture, coloured by the states of its nodes if they are given."""
        from clew.graphs.drawing import svg  # noqa: PLC0415 -- preview only

        return svg(self, states)

    def _built(self) -> Built:
        if self.draft.built is None:
            problems = problems_of(self.draft)
            if problems:
                raise GraphError(problems, f"graph {self.name}")
            build(self.draft)
        assert self.draft.built is not None
        return self.draft.built
