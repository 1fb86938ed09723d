"""Loops of plans: how often their body is done, and what it sees of the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from clew.graphs.captures import Captures
from clew.graphs.drafts import Draft, GraphDraft, InputDraft
from clew.graphs.handles import UNBOUND, Handle, tell
from clew.graphs.name_scopes import Names
from clew.graphs.names import Place
from clew.graphs.plans.deciding import Condition, in_state
from clew.graphs.plans.parts import BODY, bound_loop, close_loop, loop_graph, step_of
from clew.graphs.policies import choice_problems, count_problems
from clew.graphs.state_schema import KeyDraft
from clew.graphs.templates import Template, template_names
from clew.kernel.definition import Reducer
from clew.kernel.values import (
    Binding,
    DictOf,
    Expression,
    FromInput,
    FromNode,
    FromOutput,
    FromState,
    ListOf,
    Literal,
    Pick,
)

#: What the body sees of the loop.
ITERATION, PREVIOUS, ITEM = "iteration", "previous", "item"
#: Keys of the state besides: whether it goes on, the list, and what the body returned for each of its items.
AGAIN, ITEMS, OUTPUTS = "again", "items", "outputs"
#: Names that nothing taken from around can have.
RESERVED = (ITERATION, PREVIOUS, ITEM, AGAIN, ITEMS, OUTPUTS, "output")
#: How a loop can say how often.
KINDS = ("times", "while", "until", "over")
#: Iterations of a loop that does not say how many at most.
MAX_ITERATIONS = 100
#: Iterations that any loop may have.
MOST = 100_000


class OnEnough(StrEnum):
    """What happens when the body of a loop was done as often as it may be."""

    FAIL = "fail"
    STOP = "stop"


_TRUE = Literal(msgspec.Raw(b"true"))
_NULL = Literal(msgspec.Raw(b"null"))
_ONE = Literal(msgspec.Raw(b"1"))
_I = FromState(ITERATION)
_NEXT = Expression("{{ i + 1 }}", {"i": _I})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOptions:
    """How often the body of a loop is done; just one of the first four is given.

    Attributes:
        times: so often: a number, or what gives one.
        while_: as long as this holds, asked before each iteration.
        until: until this holds, asked after each iteration.
        over: once per item of this list, one after the other.
        max_iterations: never more often.
        on_limit: what happens then: ``fail`` or ``stop``.
    """

    times: Any = None
    while_: Any = None
    until: Any = None
    over: Any = None
    max_iterations: int | None = None
    on_limit: str = "fail"

    def given(self) -> list[tuple[str, Any]]:
        """Those of the first four that are given, by the words of files."""
        values = (self.times, self.while_, self.until, self.over)
        return [(name, value) for name, value in zip(KINDS, values, strict=True) if value is not None]


class Loop(NamedTuple):
    """What the body of a loop sees of it, as handles.

    Attributes:
        iteration: its number, from 1.
        previous: what the body returned the last time; nothing at first.
        item: of a loop over a list; nothing in others.
    """

    iteration: Handle
    previous: Handle
    item: Handle


def seen_by_body(body: GraphDraft, options: LoopOptions) -> Loop:
    """Give a body what it sees of its loop."""
    assert body.plan is not None
    body.plan.own = (ITERATION, PREVIOUS, *([ITEM] if options.over is not None else []))
    for name in body.plan.own:
        body.inputs[name] = InputDraft(name=name, place=body.place, required=False)
    known = {name: FromInput(name) for name in body.plan.own}
    return Loop(*(Handle(body, known.get(name, UNBOUND)) for name in (ITERATION, PREVIOUS, ITEM)))


class LoopWriter:
    """Makes the node of a loop.

    Args:
        around: what can be named in the plan that has the loop.
        step: id of the step.
        place: where it was written.
        captures: what the loop takes from the plan around.
        given: what its body is given by name, bound in the plan around.
        called: what errors at run time call the step; its id, if that is empty.
    """

    def __init__(
        self,
        around: Names,
        step: str,
        place: Place,
        captures: Captures,
        given: Mapping[str, Binding],
        called: str = "",
    ) -> None:
        self._around = around
        self._step = step
        self._place = place
        self._captures = captures
        self._given = given
        self._called = called or f"{around.graph.name}: {step}"
        #: What an iteration returned, and what steps of it did that a condition names.
        self._output: Binding = FromOutput()
        self._steps: dict[str, Binding] = {}

    def write(self, body: GraphDraft, options: LoopOptions) -> Draft:
        """The node; what is wrong is noted on it."""
        keys = [
            KeyDraft(name=AGAIN, required=True, own=True),
            KeyDraft(name=ITERATION, default=b"1", own=True),
            KeyDraft(name=PREVIOUS, default=b"null", own=True),
        ]
        if options.over is not None:
            keys += [
                KeyDraft(name=ITEMS, required=True, own=True),
                KeyDraft(name=ITEM, default=b"null", own=True),
                KeyDraft(name=OUTPUTS, reducer=Reducer.APPEND, default=b"[]", own=True),
            ]
        graph = loop_graph(self._around.graph, self._step, self._place, body, keys, self._captures)
        words = {AGAIN: next((name for name, _ in options.given()), ""), ITEMS: "over", ITEM: "over"}
        draft = step_of(graph, self._step, self._place, self._around.graph, "loop", words)
        draft.called = self._called
        self._see_steps(body, options)
        sets = graph.index[BODY].sets
        sets |= {ITERATION: _NEXT, PREVIOUS: self._output}
        graph.output = FromState(PREVIOUS)
        first, again, label = self._rule(draft, graph, options)
        sets[AGAIN] = again
        draft.label = label
        close_loop(graph, self._captures, AGAIN, label)
        draft.inputs = {**self._given, **self._captures.taken, AGAIN: first, **draft.inputs}
        self._bound(draft, graph, options)
        return draft

    def _see_steps(self, body: GraphDraft, options: LoopOptions) -> None:
        """Let the body return what its steps did as well, if a condition names any."""
        condition = options.until if options.until is not None else options.while_
        is_own = body.plan is not None and body.plan.captures is self._captures
        named = [each for each in template_names(condition) if is_own and each in body.index]
        if not named:
            return
        steps = {each: FromNode(each) for each in named}
        body.output = DictOf({"output": body.output or DictOf({}), "steps": DictOf(dict(steps))})
        self._output = Pick(FromOutput(), ("output",))
        self._steps = {each: Pick(FromOutput(), ("steps", each)) for each in named}

    def _rule(self, draft: Draft, graph: GraphDraft, options: LoopOptions) -> tuple[Binding, Binding, str]:
        """Whether the body is done at all, whether it is done again, and that in words."""
        match options.given():
            case [("times", times)]:
                return self._times(draft, graph, times)
            case [("while", condition)]:
                return self._while(draft, graph, Condition(draft, "while", condition))
            case [("until", condition)]:
                return self._until(graph, Condition(draft, "until", condition))
            case [("over", over)]:
                return self._over(draft, graph, over)
            case several:
                has = f"it has {' and '.join(name for name, _ in several)}" if several else "it has none of them"
                draft.report("", f"a loop has just one of {', '.join(KINDS)}; {has}")
                draft.inputs |= {ITEMS: UNBOUND} if options.over is not None else {}
                return _TRUE, _TRUE, ""

    def _times(self, draft: Draft, graph: GraphDraft, times: Any) -> tuple[Binding, Binding, str]:
        if isinstance(times, int) and not isinstance(times, bool):
            if times < 1:
                draft.report(
                    "times",
                    f"is a number of iterations of at least 1, not {times}; so its steps are never reached",
                )
            count = Literal(msgspec.Raw(b"%d" % times))
            return _TRUE, Expression("{{ i < n }}", {"i": _I, "n": count}), f"{times} times"
        count, inside = self._value(draft, graph, "times", times)
        first = Expression("{{ n >= 1 }}", {"n": count})
        return first, Expression("{{ i < n }}", {"i": _I, "n": inside}), f"{_told(times)} times"

    def _while(self, draft: Draft, graph: GraphDraft, condition: Condition) -> tuple[Binding, Binding, str]:
        if condition.constant is False:
            draft.report("while", "it never holds, so that the steps of the loop are never reached")
        outer = self._around
        before = {**dict.fromkeys(self._steps, _NULL), ITERATION: _ONE, PREVIOUS: _NULL, "output": _NULL}
        first = condition.binding(outer.scope({**self._given, **before}), outer.graph)
        after = {ITERATION: _NEXT, PREVIOUS: self._output, "output": self._output}
        again = self._inside(graph, condition, after, silent=True)
        return first, again, f"while {condition.label}"

    def _until(self, graph: GraphDraft, condition: Condition) -> tuple[Binding, Binding, str]:
        own = {ITERATION: _I, PREVIOUS: FromState(PREVIOUS), "output": self._output}
        done = self._inside(graph, condition, own, silent=False)
        return _TRUE, Expression("{{ not done }}", {"done": done}), f"until {condition.label}"

    def _over(self, draft: Draft, graph: GraphDraft, over: Any) -> tuple[Binding, Binding, str]:
        if isinstance(over, list | tuple) and not over:
            draft.report("over", "the list is empty, so that the steps of the loop are never reached")
        items, _ = self._value(draft, graph, "over", over, inside=False)
        draft.inputs[ITEMS] = items
        draft.inputs[ITEM] = Expression("{{ items[0] if items else none }}", {"items": items})
        sets = graph.index[BODY].sets
        known: dict[str, Binding] = {"items": FromState(ITEMS), "i": _I}
        sets[ITEM] = Expression("{{ items[i] if items | length > i else none }}", known)
        sets[OUTPUTS] = ListOf((self._output,))
        graph.output = FromState(OUTPUTS)
        first = Expression("{{ items | length > 0 }}", {"items": items})
        return first, Expression("{{ items | length > i }}", known), f"over {_told(over)}"

    def _value(
        self, draft: Draft, graph: GraphDraft, about: str, value: Any, *, inside: bool = True
    ) -> tuple[Binding, Binding]:
        """A value in the plan around, and in the state of the loop."""
        outer = self._around

        def report(_: object, sentence: str) -> None:
            draft.report(about, sentence)

        template = Template(outer.scope(self._given), f"{draft.called}.{about}", report, outer.graph)
        binding = template.binding(value)
        if not inside:
            return binding, UNBOUND
        names = Names(graph, (), outer=outer)
        known = {name: FromState(name) for name in self._given}
        again = Template(names.scope(known), f"{draft.called}.{about}", lambda _, __: None, graph).binding(value)
        return binding, in_state(again)

    def _inside(
        self, graph: GraphDraft, condition: Condition, own: Mapping[str, Binding], *, silent: bool
    ) -> Binding:
        """A condition that is asked after an iteration."""
        known = {name: FromState(name) for name in self._given}
        scope = Names(graph, (), outer=self._around).scope({**known, **self._steps, **own})
        return in_state(condition.binding(scope, graph, silent=silent))

    def _bound(self, draft: Draft, graph: GraphDraft, options: LoopOptions) -> None:
        most, fixed = options.max_iterations, options.times
        for _, sentence in choice_problems("", OnEnough, options.on_limit):
            draft.report("on_limit", sentence)
        if most is None:
            is_fixed = isinstance(fixed, int) and not isinstance(fixed, bool)
            unbounded = MOST if options.over is not None else MAX_ITERATIONS
            most = max(fixed, 1) if is_fixed else unbounded
        elif [*count_problems("", most, 1)]:
            draft.report("max_iterations", f"is a whole number of at least 1, not {most!r}")
            return
        if isinstance(fixed, int) and fixed > most and options.on_limit != "stop":
            draft.report("times", f"{fixed} is more than max_iterations, which is {most}: the loop would fail")
        if most > MOST:
            draft.report("max_iterations", f"is {most}, and {MOST} is the most")
        bound_loop(graph, most, stops=options.on_limit == "stop")


def _told(value: Any) -> str:
    if isinstance(value, Handle):
        return tell(value.binding)
    if isinstance(value, str):
        return value.strip().removeprefix("{{").removesuffix("}}").strip()
    return f"{value!r:.40}"
