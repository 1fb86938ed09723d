"""What the kernel raises. But for the last two, these are programming faults, never the state of a user's run."""

from __future__ import annotations

from clew.kernel.values import ErrorInfo


class KernelError(Exception):
    """The machine was asked for something that its own rules exclude; its state is unchanged."""


class IllegalTransition(KernelError):
    """A run or node was to make a step that its table of transitions does not hold.

    Args:
        subject: which run or node, e.g. ``node review#2``.
        source: the state it is in.
        target: the state it was to enter.
    """

    def __init__(self, subject: str, source: str, target: str) -> None:
        super().__init__(f"{subject} cannot go from {source} to {target}")
        self.subject = subject
        self.source = source
        self.target = target


class DefinitionError(KernelError):
    """A graph's data contradicts itself (a cycle, an unknown dependency, a duplicate id)."""


class UnfitDefinitionError(Exception):
    """A run cannot go on with a changed definition, for a reason that people are told."""


class RuleError(Exception):
    """What a function of a state graph raised, or what its edges, limits and reducers do not allow, as a fact."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.info = info
