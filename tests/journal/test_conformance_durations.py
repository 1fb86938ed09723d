"""How long nodes have taken, as every journal remembers it: means that fade, by place, and not without end."""

from collections.abc import Callable

import pytest

from clew.errors import StorageError
from clew.journal.durations import FADES, GRAPHS, PLACES, Duration
from clew.journal.port import Journal


def took(seconds: float, place: str = "n", graph: str = "g", count: int = 1) -> Duration:
    return Duration(graph=graph, place=place, count=count, mean_s=seconds, last_s=seconds)


async def test_nothing_is_known_of_a_graph_that_never_ran(journal: Journal) -> None:
    await journal.learn([], 1.0)
    assert await journal.learned("g") == {}


async def test_durations_become_a_mean_by_place_and_graph(journal: Journal) -> None:
    await journal.learn([took(1.0), took(5.0, "m[]"), took(7.0, graph="h")], 1.0)
    await journal.learn([took(3.0), took(8.0, count=2)], 2.0)
    assert await journal.learned("g") == {
        "n": Duration(graph="g", place="n", count=4, mean_s=5.0, last_s=8.0),
        "m[]": took(5.0, "m[]"),
    }
    assert await journal.learned("h") == {"n": took(7.0, graph="h")}


async def test_what_was_long_ago_fades(journal: Journal) -> None:
    await journal.learn([took(100.0, count=10_000)], 1.0)
    for at in range(3 * FADES):
        await journal.learn([took(1.0)], float(at))
    found = (await journal.learned("g"))["n"]
    assert found.count == 10_000 + 3 * FADES
    assert 1.0 < found.mean_s < 10.0
    assert found.last_s == 1.0


async def test_so_many_places_of_a_graph_are_remembered(journal: Journal) -> None:
    await journal.learn([took(1.0, f"n{i}") for i in range(PLACES + 5)], 1.0)
    await journal.learn([took(1.0, "late"), took(3.0, "n0")], 2.0)
    found = await journal.learned("g")
    assert len(found) == PLACES
    assert "late" not in found
    assert found["n0"].mean_s == 2.0


async def test_the_graphs_that_ran_last_are_remembered(journal: Journal) -> None:
    await journal.learn([took(1.0, graph=f"g{i}") for i in range(GRAPHS)], 1.0)
    await journal.learn([took(1.0, graph="g0")], 2.0)
    await journal.learn([took(1.0, graph="new")], 3.0)
    assert await journal.learned("g1") == {}
    assert all([await journal.learned(graph) for graph in ("g0", "g2", "new", f"g{GRAPHS - 1}")])


async def test_durations_outlive_the_process(journal: Journal, make: Callable[[], Journal]) -> None:
    await journal.learn([took(2.0)], 1.0)
    await journal.close()
    with pytest.raises(StorageError, match="the journal is closed"):
        await journal.learn([took(2.0)], 1.0)
    with pytest.raises(StorageError, match="the journal is closed"):
        await journal.learn([], 1.0)
    with pytest.raises(StorageError, match="the journal is closed"):
        await journal.learned("g")
    again = make()
    await again.open()
    assert await again.learned("g") == {"n": took(2.0)}
    await again.close()
