"""``clew step`` and ``clew run --paused``."""

from collections.abc import Callable
from typing import Any

STEPS = """
async def one() -> int:
    return 1

async def no() -> int:
    raise ValueError("no")

g = Graph("steps")
first = g.add(one, id="first")
inner = Graph("inner")
inner.add(one, id="deep")
g.add(inner, id="sub", depends_on=[first])
g.add(no, id="fails")
g.add(no, id="again", retry=Retry(max_attempts=3, backoff=fixed(100.0)))
g.add(one, id="asks", irreversible=True)
"""


def test_steps_by_hand(graph_file: Callable[[str], str], clew: Callable[..., Any]) -> None:
    file = graph_file(STEPS)
    assert "clew step r STEP executes one step" in clew("run", file, "--id", "r", "--paused").err
    assert "step first of run r is completed" in clew("step", "r", "first").err
    assert "step sub of run r is open; its steps: sub/deep" in clew("step", "r", "sub").err
    assert "step sub/deep of run r is completed" in clew("step", "r", "sub/deep").err
    assert "will be tried again when the run is resumed: no" in clew("step", "r", "again", code=1).err
    assert "step asks of run r waits for an answer: clew answer r" in clew("step", "r", "asks").err
    refused = clew("step", "r", "nothing", code=2).err
    assert "there is no step 'nothing' to be executed now; those that could be are fails" in refused
    assert "step fails of run r has failed: no" in clew("step", "r", "fails", code=1).err
    clew("step", "missing", "first", code=4)
