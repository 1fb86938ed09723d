"""What the tests of plans share: tools, and running a plan to its end."""

from typing import Any

from clew import Engine, Plan, Result, RunFailedError, tool
from clew.engine.status import NodeStatus
from clew.kernel.values import ErrorInfo


@tool(effects="none")
def size(text: str) -> int:
    """Count the letters of a text."""
    return len(text)


@tool(effects="none")
def shout(text: str, times: int = 1) -> str:
    """Say a text loudly."""
    return text.upper() * times


@tool(effects="none")
def add(left: float, right: float = 1) -> float:
    """Add two numbers."""
    return left + right


@tool(effects="idempotent", write=["out"])
def draw(name: str) -> str:
    """Draw a picture into a folder."""
    return name


@tool(network=["api.example.com"])
def call_home(path: str) -> str:
    """Ask a server."""
    return path


@tool(effects="none")
def break_down(text: str) -> str:
    """Fail."""
    raise ConnectionResetError(text)


TOOLS = (size, shout, add, draw, call_home, break_down)


def plan(name: str = "p", **options: Any) -> Plan:
    """A plan with these tools, and those that come with Clew."""
    return Plan(name, tools=TOOLS, **options)


def told(written: Plan) -> list[str]:
    """What is wrong with a plan, without places."""
    return [each.partition(": ")[2] for each in written.problems()]


async def result_of(written: Any, inputs: dict[str, Any] | None = None, journal: str = "memory:") -> Result:
    """What comes of a plan."""
    async with Engine(journal) as engine:
        return await (await engine.start(written, inputs or {})).result()


async def output_of(written: Any, inputs: dict[str, Any] | None = None, journal: str = "memory:") -> Any:
    """What a plan returns."""
    return (await result_of(written, inputs, journal)).output


async def failure_of(written: Any, inputs: dict[str, Any] | None = None) -> tuple[ErrorInfo, dict[str, ErrorInfo]]:
    """Why a plan fails, and the errors of its steps by address."""
    async with Engine("memory:") as engine:
        run = await engine.start(written, inputs or {})
        try:
            await run.result()
        except RunFailedError as error:
            status = await run.status()
            assert status.state == "failed"
            assert status.error is not None
            return status.error, error.result.failures
    raise AssertionError("it did not fail")


async def statuses(written: Any, inputs: dict[str, Any] | None = None) -> dict[str, NodeStatus]:
    """Where the steps of a plan stand at its end, by address."""
    async with Engine("memory:") as engine:
        run = await engine.start(written, inputs or {})
        await run.result()
        return {node.path: node for node in (await run.status()).nodes}
