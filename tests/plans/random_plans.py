"""Random plans whose steps change the world outside: what there can be in them, and how it is written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from outside_worlds import MODES, UNDOINGS, in_steps, mark, take_all_back, take_back, unmark, write

from clew import Graph, Plan, Retry, call, fixed, item, restore, undo

#: Where the memory keeps what the steps change, and the keys that are there before.
SPACE, KEYS = "world", 4
AGAIN = Retry(max_attempts=2, backoff=fixed(0))


@dataclass(frozen=True)
class Act:
    """A step: ``tool``, ``function``, ``file``, ``memory``, ``steps``, ``map``."""

    kind: str
    mode: str = "well"
    undoing: str = "well"
    after: int = 0


@dataclass(frozen=True)
class Part:
    """Something that holds steps: ``choice`` (of the first ones or the others), ``loop``, ``graph``, ``whole``."""

    kind: str
    steps: tuple["Act | Part", ...]
    others: tuple["Act | Part", ...] = ()
    times: int = 2
    undoing: str = "well"
    after: int = 0


Steps = tuple[Act | Part, ...]

_KINDS = ("tool", "function", "file", "memory", "steps", "map")
_acts = st.builds(
    Act, st.sampled_from(_KINDS), st.sampled_from(MODES), st.sampled_from(UNDOINGS), st.integers(0, 7)
)
_marks = st.builds(Act, st.just("bare"), st.sampled_from(MODES), st.just("well"), st.integers(0, 7))


def _parts(inner: st.SearchStrategy[Steps]) -> st.SearchStrategy[Steps]:
    undoing, after = st.sampled_from(UNDOINGS), st.integers(0, 7)
    plain = st.builds(Part, st.sampled_from(("loop", "graph")), inner, times=st.integers(1, 3), after=after)
    choice = st.builds(Part, st.just("choice"), inner, inner, st.integers(0, 1), after=after)
    marks = st.lists(_marks, min_size=1, max_size=3).map(tuple)
    whole = st.builds(Part, st.just("whole"), marks, undoing=undoing, after=after)
    return st.lists(st.one_of(_acts, _acts, plain, choice, whole), min_size=1, max_size=4).map(tuple)


def steps() -> st.SearchStrategy[Steps]:
    """The steps of a plan; parts are in parts."""
    return st.recursive(st.lists(_acts, min_size=1, max_size=5).map(tuple), _parts, max_leaves=12)


class Writer:
    """Writes a plan.

    Args:
        folder: of the files.
        on_error: what a failure means.
        automatic: a run that fails is rolled back.
    """

    def __init__(self, folder: Path, on_error: str, *, automatic: bool) -> None:
        self.plan = Plan("random", tools=[mark, unmark, write], on_error=on_error, rollback=automatic)
        self._folder = folder
        self._on_error = on_error
        self._count = self._loops = 0
        self._go = self.plan.input("go", bool, True)

    def write(self, plan: Graph, steps: Steps, go: Any) -> None:
        """Add steps to a plan or to a part of it."""
        before: list[Any] = []
        for step in steps:
            needs = [handle for place, handle in enumerate(before) if step.after >> place & 1]
            before.append(
                self._act(plan, step, needs) if isinstance(step, Act) else self._part(plan, step, needs, go)
            )

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def _act(self, plan: Graph, act: Act, needs: list[Any]) -> Any:
        assert isinstance(plan, Plan)
        name = self._name(act.kind)
        how = {"id": name, "depends_on": needs, "retry": AGAIN}
        given = {"mode": act.mode, "undoing": act.undoing}
        called = call(unmark, undoing=act.undoing if act.kind == "map" else "{{ undoing }}")
        match act.kind:
            case "bare" if not self._loops:
                return plan.step("mark", given, **how)
            case "tool" | "bare":
                return plan.step("mark", given, compensate=undo(called, retry=AGAIN), **how)
            case "function":
                return plan.add(mark, **given, compensate=undo(take_back, retry=AGAIN), **how)
            case "file":
                file = str(self._folder / name)
                return plan.step("write", file=file, mode=act.mode, compensate=restore("{{ file }}"), **how)
            case "memory":
                operation = ("store", "delete")[self._count % 2]
                more = {"value": {"by": name}} if operation == "store" else {}
                key = f"k{self._count % (2 * KEYS)}" if self._count < 2 * KEYS else f"k{self._count}"
                return plan.memory(operation, namespace=SPACE, key=key, id=name, depends_on=needs, **more)
            case "steps":
                return plan.add(in_steps, **given, **how)
            case _:
                body = plan.call("mark", mode=item, undoing=act.undoing)
                modes = ["well", act.mode, "first"]
                return plan.map(body, over=modes, compensate=undo(called, retry=AGAIN), **how)

    def _part(self, plan: Graph, part: Part, needs: list[Any], go: Any) -> Any:
        assert isinstance(plan, Plan)
        name = self._name(part.kind)
        match part.kind:
            case "loop":
                self._loops += 1
                loop = plan.loop(self._inner(part.steps, go), times=part.times, id=name, depends_on=needs)
                self._loops -= 1
                return loop
            case "choice":
                taken, other = (part.steps, part.others) if part.times else (part.others, part.steps)
                branches = [self._inner(each, go) for each in (taken, other)]
                return plan.choose(go, *branches, id=name, depends_on=needs)
            case kind:
                if kind == "whole" and self._loops:  # compensations inside of loops are those of single steps
                    kind = "graph"
                inner = Plan(name, tools=[mark, unmark, write], on_error=self._on_error)
                self.write(inner, part.steps, inner.input("go", bool))
                more: dict[str, Any] = {}
                if kind == "whole":
                    inner.input("undoing", str)
                    more = {"undoing": part.undoing, "compensate": undo(take_all_back, retry=AGAIN)}
                return plan.add(inner, go=go, id=name, depends_on=needs, **more)

    def _inner(self, steps: Steps, go: Any) -> Any:
        def fill(plan: Plan) -> None:
            self.write(plan, steps, go)

        return fill

    def whole(self, steps: Steps) -> Plan:
        """The whole plan."""
        self.write(self.plan, steps, self._go)
        return self.plan
