"""Conditions of plans: one expression, or a value that there is already."""

from __future__ import annotations

from typing import Any

from clew.graphs.drafts import Draft
from clew.graphs.expressions import ExpressionError, evaluate, parse
from clew.graphs.handles import UNBOUND, Handle, bind, tell
from clew.graphs.name_scopes import NameScope
from clew.graphs.templates import Template
from clew.kernel.values import Binding, DictOf, Expression, FromInput, FromState, ListOf, Pick


class Condition:
    """Reads the condition of a step.

    Args:
        draft: the step; is told what is wrong.
        about: the field that has the condition.
        value: the condition.

    Attributes:
        value: the condition.
        constant: whether it holds, if that is known before a run.
    """

    def __init__(self, draft: Draft, about: str, value: Any) -> None:
        self._draft = draft
        self._about = about
        self.value = value
        self._is_good = True
        self.constant: bool | None = value if isinstance(value, bool) else None
        if isinstance(value, str):
            self._is_good = self._is_expression(value)
        elif not isinstance(value, Handle | bool):
            self._tell(f"a condition is one {{{{ … }}}}, a handle, true or false, not {value!r:.60}")
            self._is_good = False

    @property
    def label(self) -> str:
        """The condition as people read it."""
        if isinstance(self.value, str):
            return self.value.strip().removeprefix("{{").removesuffix("}}").strip()
        return tell(self.value.binding) if isinstance(self.value, Handle) else str(self.value).lower()

    def binding(self, scope: NameScope, graph: object, *, silent: bool = False) -> Binding:
        """The condition among some names.

        Args:
            scope: knows the names.
            graph: the graph whose handles are welcome.
            silent: what is wrong has been told already.
        """
        if not self._is_good:
            return UNBOUND

        def report(_: object, sentence: str) -> None:
            if not silent:
                self._tell(sentence)

        if isinstance(self.value, str):
            where = f"{self._draft.called or self._draft.id}.{self._about}"
            return Template(scope, where, report).binding(self.value)
        return bind(self.value, graph, lambda sentence: report((), sentence))

    def _is_expression(self, text: str) -> bool:
        try:
            parsed = parse(text)
            if parsed.whole:
                self.constant = None if parsed.references else bool(evaluate(text, {}))
                return True
            self._tell(f"{text!r} is text, and a condition is one {{{{ … }}}} with nothing around it")
        except ExpressionError as error:
            self._tell(str(error))
        return False

    def _tell(self, sentence: str) -> None:
        self._draft.report(self._about, sentence)


def in_state(binding: Binding) -> Binding:
    """A binding of a state graph in which its inputs are keys of its state."""
    match binding:
        case FromInput(name=name):
            return FromState(name)
        case Pick(of=of, path=path):
            return Pick(in_state(of), path)
        case ListOf(items=items):
            return ListOf(tuple(map(in_state, items)))
        case DictOf(items=items):
            return DictOf({key: in_state(part) for key, part in items.items()})
        case Expression(source=source, names=names, where=where):
            return Expression(source, {name: in_state(part) for name, part in names.items()}, where)
        case _:
            return binding
