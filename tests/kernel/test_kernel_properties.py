"""Random graphs in a random outside: whatever happens, the laws of `laws.py` hold after every decision.

A failure prints how to get it again; with another seed each time, every run of these tests looks further.
"""

from __future__ import annotations

import pytest
import worlds
from hypothesis import HealthCheck, given, settings
from laws import assert_settled
from outside import Outside

from clew.kernel.definition import GraphSpec

EXAMPLES = 200
SEARCH = settings(
    max_examples=EXAMPLES,
    derandomize=True,  # a gate: the same worlds each time; the slow search looks for new ones
    print_blob=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
LONG_SEARCH = settings(SEARCH, max_examples=20 * EXAMPLES, derandomize=False)


def drive(spec: GraphSpec, choices: bytes) -> None:
    outside = Outside(spec, choices)
    outside.run()
    assert_settled(outside.machine.run)


@SEARCH
@given(spec=worlds.graphs(), choices=worlds.choices)
def test_every_run_keeps_the_laws_and_ends(spec: GraphSpec, choices: bytes) -> None:
    drive(spec, choices)


@SEARCH
@given(spec=worlds.lines(), choices=worlds.choices)
def test_items_that_flow_keep_the_laws_and_end(spec: GraphSpec, choices: bytes) -> None:
    drive(spec, choices)


@SEARCH
@given(spec=worlds.desks(), choices=worlds.choices)
def test_bodies_that_wait_and_are_lost_keep_the_laws_and_end(spec: GraphSpec, choices: bytes) -> None:
    drive(spec, choices)


@pytest.mark.slow
@LONG_SEARCH
@given(spec=worlds.graphs(), choices=worlds.choices)
def test_every_run_keeps_the_laws_and_ends_many_times(spec: GraphSpec, choices: bytes) -> None:
    drive(spec, choices)


@pytest.mark.slow
@LONG_SEARCH
@given(spec=worlds.lines(), choices=worlds.choices)
def test_items_that_flow_keep_the_laws_and_end_many_times(spec: GraphSpec, choices: bytes) -> None:
    drive(spec, choices)


@pytest.mark.slow
@LONG_SEARCH
@given(spec=worlds.desks(), choices=worlds.choices)
def test_bodies_that_wait_and_are_lost_keep_the_laws_and_end_many_times(spec: GraphSpec, choices: bytes) -> None:
    drive(spec, choices)
