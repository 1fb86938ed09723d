"""Random graphs in a random outside: whatever happens, the laws of `laws.py` hold after every decision."""

from __future__ import annotations

import pytest
import worlds
from hypothesis import given, settings
from laws import assert_settled
from outside import Outside

from clew.kernel.definition import GraphSpec

SEARCH = settings(derandomize=False, print_blob=True, deadline=None)
EXAMPLES = 150


def drive(spec: GraphSpec, choices: bytes) -> None:
    outside = Outside(spec, choices)
    outside.run()
    assert_settled(outside.machine.run)


@settings(SEARCH, max_examples=EXAMPLES)
@given(spec=worlds.graphs(), choices=worlds.choices)
def test_every_run_keeps_the_laws_and_ends(spec: GraphSpec, choices: bytes) -> None:
    drive(spec, choices)


@pytest.mark.slow
@settings(SEARCH, max_examples=20 * EXAMPLES)
@given(spec=worlds.graphs(), choices=worlds.choices)
def test_every_run_keeps_the_laws_and_ends_many_times(spec: GraphSpec, choices: bytes) -> None:
    drive(spec, choices)
