"""Tools: typed functions with a name, a schema of what they take, and rights; and the registry that holds them.

A tool is what a step of a plan, or an agent, may call by name. What it takes is told by the annotations and the
docstring of its function, what it may do by its permissions, and both are known before anything runs.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Literal, TypeVar, overload

import msgspec

from clew.errors import InvalidInputError
from clew.graphs.limits import NO_LIMITS, Limits, limits_of
from clew.graphs.names import did_you_mean, listed
from clew.graphs.permissions import Permissions, narrowed_permissions
from clew.graphs.servers import Server
from clew.graphs.tool_schema import described, parameters_of

F = TypeVar("F", bound=Callable[..., Any])
Isolation = Literal["loop", "thread", "process"]
Effects = Literal["none", "idempotent", "unknown"]

#: The attribute of a function that holds its `Tool`.
ATTACHED = "__clew_tool__"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


class ToolNotFoundError(InvalidInputError):
    """There is no tool of a name in a registry."""


_NO_RIGHTS = Permissions()


class Example(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call of a tool for people and models: what it is given, and what comes of it."""

    arguments: dict[str, Any]
    result: Any = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Something that can be called by name.

    Attributes:
        name: unique in a registry.
        description: what it does, for people and models.
        parameters: JSON Schema (2020-12) of its arguments, an object.
        function: what is called; None for a tool of a server.
        server: where it is called, if not here.
        remote: what the server calls it.
        ask_first: its server is asked when a run starts whether it is there, and whether arguments fit.
        permissions: what it may do.
        effects: whether a call that was lost may be made again: ``none`` and ``idempotent`` are, ``unknown`` is
            not (unless it may neither write nor connect).
        dry_run: called like `function`, it tells what would happen, and does nothing.
        examples: calls.
        isolation: where it runs; None is in a process of its own if it may start programs or has limits. In such
            a process, it is held to its permissions and limits.
        limits: what a call may use.
        best_effort: what this machine cannot hold it to is left out, instead of refused.
        folder: where it runs; empty is where the engine does. Relative places are below it.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    function: Callable[..., Any] | None = None
    server: Server | None = None
    remote: str = ""
    ask_first: bool = False
    permissions: Permissions = _NO_RIGHTS
    effects: Effects = "unknown"
    dry_run: Callable[..., Any] | None = None
    examples: tuple[Example, ...] = ()
    isolation: Isolation | None = None
    limits: Limits = NO_LIMITS
    best_effort: bool = False
    folder: str = ""

    def within(
        self,
        *,
        read: Iterable[str] | None = None,
        write: Iterable[str] | None = None,
        network: Iterable[str] | None = None,
        shell: bool | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        best_effort: bool | None = None,
        folder: str | None = None,
    ) -> Tool:
        """The tool with less rights, or with limits; it then runs in a process of its own, which is held to them.

        Args:
            read: folders and files it may read.
            write: folders and files it may change.
            network: where it may connect to; an empty list is nowhere.
            shell: False: it may not start programs.
            limits: what a call may use; those it has are kept where nothing is said.
            best_effort: what this machine cannot hold it to is left out.
            folder: where it runs.

        Raises:
            InvalidInputError: that would be more than the tool may do, or a limit is none.
        """
        given = {"read": _places("read", read), "write": _places("write", write)}
        given["network"] = _places("network", network)
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if shell is not None:
            changes["shell"] = shell
        asked = limits_of(limits)
        kept = {**dict(self.limits.given()), **dict(asked.given())}
        narrowed = replace(
            self,
            permissions=narrowed_permissions(self.name, self.permissions, changes),
            limits=Limits(**kept),
            best_effort=self.best_effort if best_effort is None else best_effort,
            folder=self.folder if folder is None else folder,
        )
        apart = bool(changes) or narrowed.limits.need_isolation or bool(narrowed.folder)
        return replace(narrowed, isolation="process") if apart else narrowed

    def __repr__(self) -> str:
        return f"<tool {self.name}>"


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    read: Iterable[str] | None = None,
    write: Iterable[str] | None = None,
    network: Iterable[str] | None = (),
    shell: bool = False,
    effects: Effects = "unknown",
    dry_run: Callable[..., Any] | None = None,
    examples: Iterable[Example] = (),
    isolation: Isolation | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    best_effort: bool = False,
) -> Callable[[F], F]: ...
def tool(
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    read: Iterable[str] | None = None,
    write: Iterable[str] | None = None,
    network: Iterable[str] | None = (),
    shell: bool = False,
    effects: Effects = "unknown",
    dry_run: Callable[..., Any] | None = None,
    examples: Iterable[Example] = (),
    isolation: Isolation | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    best_effort: bool = False,
) -> F | Callable[[F], F]:
    """Make a function a tool: ``@tool`` or ``@tool(effects="none")``. It can be called as before.

    Args:
        function: sync or async, its parameters annotated; they and the docstring make the schema.
        name: the function's name, if not given.
        description: the first part of the docstring, if not given.
        read: folders and files it may read; None is everywhere.
        write: folders and files it may change; None is everywhere.
        network: where it may connect to; None is everywhere, nothing by default.
        shell: it may start programs.
        effects: see `Tool`.
        dry_run: called like the function, it tells what would happen.
        examples: calls, for people and models.
        isolation: where it runs: ``loop``, ``thread``, ``process``.
        limits: what a call may use, by name (``memory_bytes``, ``cpu_s``, ``wall_s``, ...), see `Limits`.
        best_effort: what a machine cannot hold it to is left out, instead of refused.

    Raises:
        InvalidInputError: the name or a limit is none, or the function has parameters that cannot be given by
            name.
    """
    options: dict[str, Any] = {
        "permissions": Permissions(
            read=_places("read", read),
            write=_places("write", write),
            network=_places("network", network),
            shell=shell,
        ),
        "effects": effects,
        "dry_run": dry_run,
        "examples": tuple(examples),
        "isolation": isolation,
        "limits": limits_of(limits),
        "best_effort": best_effort,
    }

    def attach(body: F) -> F:
        setattr(body, ATTACHED, _made_of(body, name, description, options))
        return body

    return attach(function) if function is not None else attach


def tool_of(body: Tool | Callable[..., Any]) -> Tool:
    """The tool that a function is; any typed function is one, with the rights that `@tool` gives by itself.

    Raises:
        InvalidInputError: it is no function, or has parameters that cannot be given by name.
    """
    if isinstance(body, Tool):
        return body
    attached = getattr(body, ATTACHED, None)
    if isinstance(attached, Tool):
        return attached
    if not callable(body):  # pyright: ignore[reportUnnecessaryComparison]
        raise InvalidInputError(f"a tool is a function, or a Tool, and not {body!r:.80}")
    return _made_of(body, None, None, {})


def _made_of(
    body: Callable[..., Any], name: str | None, description: str | None, options: Mapping[str, Any]
) -> Tool:
    made = Tool(
        name=name or str(getattr(body, "__name__", type(body).__name__)),
        description=described(body) if description is None else description,
        parameters=parameters_of(body),
        function=body,
        **options,
    )
    _refuse_name(made.name)
    return made


def _places(what: str, given: Iterable[str] | None) -> tuple[str, ...] | None:
    if isinstance(given, str):
        raise InvalidInputError(f"{what} is a list of places, not one text; write {what}=[{given!r}]")
    return None if given is None else tuple(given)


class Tools:
    """Tools by name.

    Args:
        *tools: functions and tools to begin with.
    """

    def __init__(self, *tools: Tool | Callable[..., Any]) -> None:
        self._tools: dict[str, Tool] = {}
        for each in tools:
            self.add(each)

    def add(self, body: Tool | Callable[..., Any], *, name: str | None = None) -> Tool:
        """Add a tool, or a function as one.

        Raises:
            InvalidInputError: another tool has that name.
        """
        added = tool_of(body)
        if name is not None:
            _refuse_name(name)
            added = replace(added, name=name)
        known = self._tools.get(added.name)
        if known is not None and known != added:
            raise InvalidInputError(f"two tools are called {added.name!r}; add one of them with name=...")
        self._tools[added.name] = added
        return added

    def add_module(self, module: ModuleType) -> list[Tool]:
        """Add every function of a module that is marked with `@tool`, and every `Tool` in it.

        Raises:
            InvalidInputError: two of them, or one of them and one that is here, have the same name.
        """
        found = [
            each
            for each in vars(module).values()
            if isinstance(each, Tool) or isinstance(getattr(each, ATTACHED, None), Tool)
        ]
        return [self.add(each) for each in found]

    def get(self, name: str) -> Tool:
        """The tool of a name.

        Raises:
            ToolNotFoundError: there is none.
        """
        found = self._tools.get(name)
        if found is None:
            has = (
                did_you_mean(name, self._tools)
                or f"; there are {listed(sorted(self._tools), limit=20, last='and')}"
            )
            raise ToolNotFoundError(f"there is no tool {name!r}{has if self._tools else '; there are none'}")
        return found

    def matching(self, *patterns: str) -> Tools:
        """The tools whose names match a pattern (``files.*``), as a registry."""
        chosen = (each for each in self if any(fnmatch.fnmatchcase(each.name, p) for p in patterns))
        return Tools(*chosen)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __repr__(self) -> str:
        return f"<tools: {', '.join(self._tools) or 'none'}>"


def _refuse_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInputError(f"{name!r} cannot be the name of a tool: letters, digits, _ - . and at most 64")
