"""A plan whose process dies at every moment goes on where it was: nothing that was done is done again."""

import asyncio
from collections import Counter

import pytest

from clew import Plan, RunFailedError, check, tool
from clew.journal.memory import MemoryJournal
from clew.testing import (
    CrashingEngine,
    CrashPlan,
    Faults,
    FaultyJournal,
    VirtualClock,
    run_until_crash,
    run_virtual,
)

LEASE_S = 20.0

done: list[str] = []  # what tools did, in order
checked: list[str] = []


@tool(effects="idempotent")
async def put(name: str) -> str:
    """Put something somewhere."""
    done.append(f"put {name}")
    return name


@tool(effects="idempotent")
async def take(name: str) -> None:
    """Take it away."""
    done.append(f"take {name}")


@tool(effects="none")
async def refuse() -> None:
    """Fail."""
    raise PermissionError("not today")


async def look(at: str) -> bool:
    checked.append(at)
    return True


def trip() -> Plan:
    """Goes through all kinds of steps, and fails in the end."""
    p = Plan("trip", tools=[put, take, refuse], rollback=True)

    def body(inner: Plan) -> None:
        inner.choose(
            "{{ iteration == 1 }}",
            lambda then: then.step(
                "put",
                name="{{ 'first ' ~ iteration }}",
                compensate=then.call("take", name="{{ output }}"),
                checks=[check(look, arguments={"at": "{{ name }}"})],
            ),
            lambda other: other.step(
                "put", name="{{ 'other ' ~ previous }}", compensate=other.call("take", name="{{ name }}")
            ),
        )

    many = p.loop(body, until="{{ output == 'other first 1' }}", max_iterations=5)
    answer = p.ask("choice", "{{ repeat }}?", choices=["a", "b"], default="b", timeout=60, depends_on=many)
    waited = p.wait("1h", depends_on=answer)
    p.memory("store", namespace="n", key="k", value="{{ ask }}", depends_on=waited)
    p.step("refuse", depends_on="memory")
    return p


def live(journal: MemoryJournal, crash: CrashPlan, start_s: float) -> tuple[str, dict[str, str]] | None:
    """One life: how the run ended, and the states of its steps; None if the process has died before."""
    faulty = FaultyJournal(journal, Faults(crash=crash))

    async def main() -> tuple[str, dict[str, str]]:
        clock = VirtualClock(asyncio.get_running_loop())
        async with CrashingEngine(faulty, clock=clock) as engine:
            run = await engine.start(trip(), id="t")
            try:
                await run.result()
            except RunFailedError:
                await run.wait_ended()
            status = await run.status()
            return status.state, {node.path: node.state for node in status.nodes}

    async def life() -> tuple[str, dict[str, str]] | None:
        return await run_until_crash(main(), faulty.crashed)

    return run_virtual(life(), start_s=start_s)


def whole() -> tuple[tuple[str, dict[str, str]], CrashPlan]:
    """What comes of it undisturbed, and how many moments it has."""
    counting = CrashPlan()
    ended = live(MemoryJournal(), counting, 0)
    assert ended is not None
    return ended, counting


def test_undisturbed() -> None:
    done.clear()
    (state, nodes), _ = whole()
    assert state == "rolled_back"
    assert done == ["put first 1", "put other first 1", "take other first 1", "take first 1"]
    assert nodes["repeat/body/choice/else"] == nodes["repeat/body#2/choice/then"] == "skipped"


@pytest.mark.slow
@pytest.mark.parametrize("performed", [False, True])
def test_whenever_its_process_dies(performed: bool) -> None:
    ended, counting = whole()
    for at in range(1, counting.commands + 1):
        done.clear()
        checked.clear()
        journal = MemoryJournal()
        assert live(journal, CrashPlan(at_command=at, performed=performed), 0) is None
        assert live(journal, CrashPlan(), 86_400 + LEASE_S) == ended
        again = [each for each, times in Counter(done).items() if times > 1]
        assert len(again) <= 1, f"command {at}: {done}"
        assert set(done) == {"put first 1", "put other first 1", "take other first 1", "take first 1"}
        assert set(checked) == {"first 1"}


@pytest.mark.slow
@pytest.mark.parametrize("durable", [False, True])
def test_whenever_its_disk_is_cut_off(durable: bool) -> None:
    ended, counting = whole()
    for at in range(2, counting.commits + 1):
        journal = MemoryJournal()
        first = live(journal, CrashPlan(at_commit=at, durable=durable), 0)
        assert first is None or first == ended
        assert live(journal, CrashPlan(), 86_400 + LEASE_S) == ended
