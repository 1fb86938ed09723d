"""What a step of a plan with limits has used, checks before it included."""

import check_functions
import pytest

from clew import Engine, Plan, check, tool


@tool(effects="none")
def nothing() -> int:
    """Do nothing."""
    return 1


@pytest.mark.slow
async def test_what_a_check_has_used_counts_for_its_step() -> None:
    plan = Plan("p", tools=[nothing], limits={"cpu_s": 60}, best_effort=True)
    plan.step("nothing", id="n", checks=[check(check_functions.takes_time)])
    async with Engine("memory:") as engine:
        run = await engine.start(plan)
        await run.result()
        used = (await run.status()).used
    assert used["cpu_s"] >= 1.0
    assert used["tool_invocations"] == 1
