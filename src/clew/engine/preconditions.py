"""What has to hold right before a tool is called, looked at where and when it is called."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clew import codec
from clew.bodies.errors import BodyError
from clew.bodies.functions import find
from clew.bodies.taxonomy import ErrorType
from clew.engine.jobs import Input, Job
from clew.engine.performers import FunctionPerformer
from clew.errors import UnresolvedBodyError
from clew.graphs.body_data import CheckBody, FunctionBody, ToolBody, input_name
from clew.graphs.permissions import Permissions
from clew.kernel.values import ErrorInfo

#: What the failure of a required check is.
_TYPES: dict[str, ErrorType] = {
    "file": "dependency failed",
    "program": "tool not found",
    "tool": "tool not found",
    "permission": "permission denied",
    "resource": "resource exhausted",
    "run": "dependency failed",
}
_MEMINFO = Path("/proc/meminfo")


class Preconditions:
    """Looks at the checks of calls.

    Args:
        functions: runs those that are functions.
    """

    def __init__(self, functions: FunctionPerformer) -> None:
        self._functions = functions

    async def hold(self, job: Job, call: ToolBody, inputs: Mapping[str, Input]) -> dict[str, Input]:
        """Look at all checks of a call; those that are only advice are told in its log.

        Args:
            job: the attempt.
            call: what is to be called.
            inputs: of the node.

        Returns:
            The inputs that are arguments.

        Raises:
            BodyError: what does not hold and has to.
        """
        wrong: list[tuple[CheckBody, str]] = []
        for number, each in enumerate(call.checks):
            problem = await self._problem(job, call, each, _given(inputs, number))
            if problem and each.required:
                wrong.append((each, problem))
            elif problem:
                job.context().log(f"{each.told}: {problem}")
        if wrong:
            first, _ = wrong[0]
            message = "; ".join(f"{each.told}: {problem}" for each, problem in wrong)
            raise BodyError(ErrorInfo(type=_TYPES[first.kind], message=message, classes=("PreconditionFailed",)))
        return {name: value for name, value in inputs.items() if not name.startswith(input_name(0)[:1])}

    async def _problem(self, job: Job, call: ToolBody, check: CheckBody, given: dict[str, Input]) -> str:
        """Why a check does not hold; empty if it does."""
        if check.kind == "run":
            assert check.function is not None
            found = await self._told_by(job, check.function, given)
        elif check.kind == "tool":
            assert check.function is not None
            found = _missing(check.function, job.functions)
        else:
            name = _text(given.get("")) or check.name
            found = await asyncio.to_thread(_looked_at, check, name, call)
        return (check.message or found) if found else ""

    async def _told_by(self, job: Job, function: FunctionBody, given: Mapping[str, Input]) -> str:
        told = codec.decode(await self._functions.run(job, function, given))
        if told is True or told is None:
            return ""
        return told if isinstance(told, str) and told else "it does not hold"


def _looked_at(check: CheckBody, name: str, call: ToolBody) -> str:
    """What is wrong with a file, a program, a right or a resource, on this machine at this moment."""
    if check.kind == "file":
        path = Path(call.folder, name)
        return "" if path.exists() else f"{path} is not there"
    if check.kind == "program":
        return "" if shutil.which(name) is not None else f"there is no program {name!r} to be started"
    if check.permissions is not None:
        return "; ".join(_denied(check.permissions, call.folder))
    return "; ".join(_short(check, call.folder))


def _denied(wanted: Permissions, folder: str) -> Iterator[str]:
    """What the machine denies; that the step itself may was looked at before the run."""
    for place in wanted.read or ():
        if not os.access(Path(folder, place), os.R_OK):
            yield f"{place} cannot be read"
    for place in wanted.write or ():
        if not os.access(_existing(Path(folder, place)), os.W_OK):
            yield f"{place} cannot be written"


def _existing(path: Path) -> Path:
    """A path, or what there is of it."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _short(check: CheckBody, folder: str) -> Iterator[str]:
    measures: dict[str, Callable[[], float | None]] = {
        "memory_bytes": _free_memory,
        "disk_bytes": lambda: float(shutil.disk_usage(_existing(Path(folder or "."))).free),
        "cores": lambda: float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0) or None,
    }
    for name, least in check.limits.given():
        free = measures[name]()
        if free is None:
            yield f"{name}: how much is free cannot be told here"
        elif free < least:
            yield f"{name}: {free:,.0f} are free, and {least:,.0f} are needed"


def _free_memory() -> float | None:
    """Bytes that new work can have; None where nobody says."""
    try:
        lines = _MEMINFO.read_text("ascii").splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith("MemAvailable:")), None)
    return float(found[1]) * 1_024 if found else None


def _missing(function: FunctionBody, functions: Mapping[str, Callable[..., Any]]) -> str:
    try:
        find(function, functions)
    except UnresolvedBodyError as error:
        return str(error)
    return ""


def _given(inputs: Mapping[str, Input], number: int) -> dict[str, Input]:
    """What a check is given, by name; a file or a program by none."""
    own = input_name(number)
    return {
        name.removeprefix(own).strip(): value
        for name, value in inputs.items()
        if name == own or name.startswith(f"{own} ")
    }


def _text(value: Input | None) -> str:
    return str(codec.decode(value)) if isinstance(value, bytes) else ""
