"""What Clew raises, in one flat taxonomy.

Every message says what is wrong, where, and what to do. A user's fault is never an `InternalError`; an error
of another library is mapped to one of these where it enters.
"""

from __future__ import annotations

from collections.abc import Sequence


class ClewError(Exception):
    """The base of everything that Clew raises on purpose."""


class InternalError(ClewError):
    """A promise that Clew makes to itself did not hold. Please report it."""


class GraphError(ClewError):
    """A graph, or what a run of it was given, is not valid; nothing was run.

    Args:
        problems: every problem found, each a sentence that names where it is.
        what: what was being checked, e.g. ``graph audit`` or ``audit.yaml``.
    """

    def __init__(self, problems: Sequence[str], what: str = "graph") -> None:
        self.problems = list(problems)
        self.what = what
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{what}: {count}", *(f"  - {problem}" for problem in problems)]))


class StorageError(ClewError):
    """The journal cannot be opened, read or written; nothing was overwritten."""


class LostValueError(StorageError):
    """A stored value is missing, or is not what was stored; trying again will not find it."""


class UnfitError(StorageError):
    """The journal is well and refuses what is written; trying again does not help."""


class MissingDefinitionError(StorageError):
    """A run to be created names a definition that is not in the journal (any more); it has to come along."""


class UnstorableError(ClewError):
    """A value cannot be stored as JSON.

    Args:
        path: where in the value, e.g. ``$.files[3].size``.
        why: what is wrong there.
    """

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class InvalidInputError(ClewError):
    """A value does not fit the type that its consumer declares."""


class UnknownSecretError(ClewError, LookupError):
    """A ``secret://NAME`` that nobody knows."""


class UnknownRunError(ClewError):
    """There is no run with this id."""


class RunConflictError(ClewError):
    """A run with this id exists with another graph or other inputs."""


class RunBusyError(ClewError):
    """Another process owns the run and is alive."""


class RefusedError(ClewError):
    """A run does not take what it was told, in the state in which it is."""


class RunFencedError(ClewError):
    """Another owner has taken the run over; what this process still had to write for it was refused."""


class RunFailedError(ClewError):
    """The run ended as failed or cancelled; `result` holds what was completed."""

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class ToolServerError(ClewError):
    """A server of tools does not come up, or is none."""


class UnresolvedBodyError(ClewError):
    """The function of a node cannot be found in this program."""


class StepError(ClewError):
    """A step failed in an earlier entry of this body; its recorded error is raised again.

    Args:
        kind: the class name of the original error.
        message: its message.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class StepConflictError(ClewError):
    """A step's key was used twice in a visit, or with other arguments than were recorded."""


class StepInterruptedError(StepError):
    """A step had begun when its attempt was lost; whether it took effect is not known, and it is not made again.

    Args:
        message: which step, and what to do.
    """

    def __init__(self, message: str) -> None:
        super().__init__("interrupted", message)


class QuestionExpiredError(ClewError, TimeoutError):
    """Nobody answered a question before its deadline, and it has no default."""


class MessageTimeoutError(ClewError, TimeoutError):
    """No message came before the time limit of `Context.receive`, and it has no default."""


class UnknownEntryError(ClewError, LookupError):
    """There is no such entry in the memory."""


class MemoryConflictError(ClewError):
    """Somebody has changed an entry of the memory since a run did; undoing that would destroy it."""


class Retryable(ClewError):
    """Raised by a body to ask for another attempt, whatever its classes of error.

    Args:
        message: why.
        after_s: the least delay before the next attempt, in seconds.
    """

    def __init__(self, message: str = "", after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class Permanent(ClewError):
    """Raised by a body to say that another attempt is of no use."""
