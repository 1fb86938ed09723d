"""What attempts have used is told with results and errors of runs."""

import pytest

from clew import Engine, Graph, RunFailedError, call, tool


@tool
def shout(text: str) -> str:
    if text == "":
        raise ValueError("nothing to shout")
    return text.upper()


async def test_a_result_tells_what_its_run_has_used() -> None:
    graph = Graph("loud")
    for text in ("a", "b"):
        graph.add(call(shout, text=text), id=text)
    async with Engine("memory:") as engine:
        run = await engine.start(graph)
        result = await run.result()
        assert result.used["tool_invocations"] == 2.0
        status = await run.status()
        assert status.used == result.used
        assert [node.used["tool_invocations"] for node in status.nodes] == [1.0, 1.0]


async def test_a_run_that_failed_tells_it_too_and_what_was_not_measured_is_not_there() -> None:
    graph = Graph("silent")
    graph.add(call(shout, text=""), id="a")
    async with Engine("memory:") as engine:
        run = await engine.start(graph)
        with pytest.raises(RunFailedError) as caught:
            await run.result()
        assert caught.value.result.used["tool_invocations"] == 1.0
        assert "network_requests" not in caught.value.result.used
