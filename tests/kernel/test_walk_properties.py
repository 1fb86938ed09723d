"""Random state graphs in a random outside: whatever happens, the laws hold after every decision.

A failure prints how to get it again; with another seed each time, every run of the slow tests looks further.
"""

from __future__ import annotations

import pytest
import routed_worlds
from hypothesis import given, settings
from laws import assert_settled
from test_kernel_properties import SEARCH
from travellers import Travellers

from clew.kernel.definition import GraphSpec

EXAMPLES = 150
WALKS = settings(SEARCH, max_examples=EXAMPLES)
LONG_WALKS = settings(SEARCH, max_examples=20 * EXAMPLES, derandomize=False)


def travel(spec: GraphSpec, choices: bytes) -> None:
    travellers = Travellers(spec, choices)
    travellers.run()
    assert_settled(travellers.machine.run)


@WALKS
@given(spec=routed_worlds.state_graphs(), choices=routed_worlds.choices)
def test_every_state_graph_keeps_the_laws_and_ends(spec: GraphSpec, choices: bytes) -> None:
    travel(spec, choices)


@WALKS
@given(spec=routed_worlds.graphs_with_walks(), choices=routed_worlds.choices)
def test_state_graphs_in_dependency_graphs_keep_the_laws_and_end(spec: GraphSpec, choices: bytes) -> None:
    travel(spec, choices)


@pytest.mark.slow
@LONG_WALKS
@given(spec=routed_worlds.state_graphs(), choices=routed_worlds.choices)
def test_every_state_graph_keeps_the_laws_and_ends_many_times(spec: GraphSpec, choices: bytes) -> None:
    travel(spec, choices)


@pytest.mark.slow
@LONG_WALKS
@given(spec=routed_worlds.graphs_with_walks(), choices=routed_worlds.choices)
def test_state_graphs_in_dependency_graphs_keep_the_laws_and_end_many_times(
    spec: GraphSpec, choices: bytes
) -> None:
    travel(spec, choices)
