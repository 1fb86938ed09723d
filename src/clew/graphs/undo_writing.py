"""Filling in the compensation of a node: what it is given of what the node was given, and of what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clew.graphs.bodies import Description
from clew.graphs.drafts import Draft, UndoDraft
from clew.graphs.policies import Compensation
from clew.graphs.signatures import Signature, signature_of
from clew.graphs.templates import Template, template_names
from clew.kernel.values import Binding, FromOutput

#: What the node returned, as a parameter or in the texts of its compensation.
OUTPUT = "output"


def bind_undo(
    draft: Draft,
    inputs: Mapping[str, Binding] | Callable[[Signature], Mapping[str, Binding]],
    template: Callable[[str], Template],
) -> None:
    """Bind what the compensation of a node takes; what cannot be one is left to `undo_checks`.

    Args:
        draft: the node; it has its inputs.
        inputs: what a function can take besides the output, by name; or that, told by what the function takes.
        template: reads the texts of a description; it is told where they stand.
    """
    how = draft.options.undoing
    if how is None:
        return
    body = how.body
    if isinstance(body, Description):
        bound = {
            name: template(f"compensate.{name}").binding(value, shell=body.is_line(name))
            for name, value in body.inputs.items()
        }
        draft.undo = UndoDraft(signature=Signature(parameters={}, takes_any=True, is_async=True), inputs=bound)
    elif callable(body):  # pyright: ignore[reportUnnecessaryComparison]
        signature = signature_of(body)
        given = inputs(signature) if callable(inputs) else inputs
        known = {**given, OUTPUT: FromOutput()}
        taken = known if signature.takes_any else signature.parameters
        draft.undo = UndoDraft(signature=signature, inputs={name: known[name] for name in taken if name in known})


def wanted_by(how: Compensation | None) -> list[str]:
    """The names of inputs that a compensation asks for, whether the node has them or not."""
    if how is None:
        return []
    if isinstance(how.body, Description):
        names = template_names(how.body.inputs)
    else:
        names = [*signature_of(how.body).parameters] if callable(how.body) else []  # pyright: ignore[reportUnnecessaryComparison]
    return [name for name in names if name != OUTPUT]
