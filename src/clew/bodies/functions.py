"""Find a node's function again, in this process or another, and give it its inputs.

A function is journaled by name only (`module:qualname`, with the script for those of ``__main__``), never as
code. What the program itself hands over goes first: it knows closures and lambdas, which have no name that
another process could use.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from difflib import get_close_matches
from functools import lru_cache
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

import msgspec

from clew import codec
from clew.errors import InvalidInputError, UnresolvedBodyError
from clew.graphs.signatures import Signature as Declared
from clew.graphs.signatures import signature_of
from clew.graphs.state_view import state_for
from clew.kernel.values import Absent, View

Function = Callable[..., Any]
T = TypeVar("T")

_importing: ContextVar[str] = ContextVar("clew_importing_script", default="")


class FunctionRef(Protocol):
    """How a function is named; `FunctionBody` is one, and what is sent to another process is, too."""

    @property
    def ref(self) -> str: ...  # noqa: D102 - see FunctionBody
    @property
    def script(self) -> str: ...  # noqa: D102
    @property
    def folder(self) -> str: ...  # noqa: D102


# Finding -----------------------------------------------------------------------------------------------


def find(body: FunctionRef, known: Mapping[str, Function]) -> Function:
    """Find the function of a node.

    Args:
        body: its name, and where its code lies.
        known: functions that the program has handed over, by `ref`.

    Raises:
        UnresolvedBodyError: it is not there; the message says what is missing and what to do.
    """
    if (function := known.get(body.ref)) is not None:
        return function
    module_name, _, qualname = body.ref.partition(":")
    if "@" in qualname or "<" in qualname:
        raise UnresolvedBodyError(
            f"{body.ref} is a lambda, or a function made by another: no other process can find it by name. "
            "Run its program again (starting the run with the same id), hand its graph over with "
            "Engine(graphs=[...]), or move the function to the top level of a module"
        )
    module = _script(body) if module_name == "__main__" else _module(module_name, body)
    return _member(module, qualname, body)


def importing_script() -> str:
    """The script that is being run to find a function, or "": whoever starts an engine then is at fault.

    A script without ``if __name__ == "__main__":`` would start its run again in each process that only looks
    for a function in it.
    """
    return _importing.get()


def _module(name: str, body: FunctionRef) -> ModuleType:
    if (loaded := sys.modules.get(name)) is not None:
        return loaded
    if body.folder and body.folder not in sys.path:
        sys.path.insert(0, body.folder)
    try:
        return importlib.import_module(name)
    except Exception as error:
        looked = f" (looked in {body.folder} and on sys.path)" if body.folder else ""
        raise UnresolvedBodyError(
            f"{body.ref}: module {name} does not import{looked}: {type(error).__name__}: {error}"
        ) from error


def _script(body: FunctionRef) -> ModuleType:
    if not body.script:
        raise UnresolvedBodyError(
            f"{body.ref} was defined at a prompt or in the text of python -c; write it to a file"
        )
    main = sys.modules.get("__main__")
    if main is not None and _same_file(getattr(main, "__file__", None), body.script):
        return main
    # As multiprocessing does: run under another name, so that what stands under `if __name__ == "__main__":`
    # is left out.
    name = f"__clew_main_{hashlib.sha256(body.script.encode()).hexdigest()[:12]}__"
    return sys.modules.get(name) or _run_script(name, body)


def _run_script(name: str, body: FunctionRef) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, body.script)
    folder = os.path.dirname(body.script)  # noqa: PTH120 - pathlib costs the start of a process 5 ms
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if spec is None or spec.loader is None or not os.path.isfile(body.script):  # noqa: PTH113
        raise UnresolvedBodyError(f"{body.ref}: its script {body.script} is not there, or is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    token = _importing.set(body.script)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UnresolvedBodyError(
            f"{body.ref}: its script {body.script} does not run up to its end, as is needed to find the function: "
            f"{type(error).__name__}: {error}"
        ) from error
    finally:
        _importing.reset(token)
    return module


def _same_file(one: str | None, other: str) -> bool:
    return one is not None and os.path.realpath(one) == os.path.realpath(other)


def _member(module: ModuleType, qualname: str, body: FunctionRef) -> Function:
    found: Any = module
    for part in qualname.split("."):
        inside, found = found, getattr(found, part, None)
        if found is None:
            near = get_close_matches(part, [name for name in dir(inside) if not name.startswith("__")], 1)
            hint = f"; did it become {near[0]}?" if near else ""
            where = getattr(module, "__file__", None) or module.__name__
            raise UnresolvedBodyError(f"{body.ref}: there is no {part} in {where}{hint}")
    if not callable(found):
        raise UnresolvedBodyError(f"{body.ref} is a {type(found).__name__} now, not a function")
    return cast("Function", found)


def source_digest(function: Function) -> str:
    """Tell versions of a function apart: hex SHA-256 of its source, or of its bytecode where there is none."""
    try:
        return _cached_digest(function)
    except TypeError:  # a callable object without a hash
        return _digest(function)


def _digest(function: Function) -> str:
    inner: Any = inspect.unwrap(getattr(function, "func", function))
    if not hasattr(inner, "__qualname__"):  # an object: what counts is its call
        inner = getattr(cast("Any", type(inner)), "__call__", inner)  # noqa: B004 - the function, if any
    with contextlib.suppress(OSError, TypeError):
        return hashlib.sha256(inspect.getsource(inner).encode()).hexdigest()
    code = getattr(inner, "__code__", None)
    name = f"{getattr(inner, '__module__', '')}:{getattr(inner, '__qualname__', '')}"
    return hashlib.sha256(name.encode() if code is None else code.co_code).hexdigest()


_cached_digest = lru_cache(maxsize=1024)(_digest)


# Giving inputs -----------------------------------------------------------------------------------------


class Signature:
    """What a function takes, and how stored inputs become its arguments. Made by `of`, which keeps it.

    Attributes:
        declared: parameters and hints, without the context.
        context: name of the parameter that takes the `Context`, or "".
        returns: annotation of what it returns.
        is_async: it is a coroutine function.
    """

    def __init__(self, function: Function) -> None:
        self.name = str(getattr(function, "__qualname__", None) or repr(function))
        self.declared: Declared = signature_of(function)
        self.returns: Any = self.declared.returns
        self.is_async: bool = self.declared.is_async
        given = dict(_given(function))
        self.context = next((name for name in given if name not in self.declared.parameters), "")
        self._defaults = {
            name: parameter.default
            for name, parameter in given.items()
            if parameter.default is not inspect.Parameter.empty
        }

    @classmethod
    def of(cls, function: Function) -> Signature:
        """The signature of `function`; read once."""
        try:
            return _cached_signature(function)
        except TypeError:  # a callable object without a hash
            return cls(function)

    def wanted(self, inputs: Mapping[str, T]) -> dict[str, T]:
        """Those of the inputs that the function has parameters for."""
        takes_any, parameters = self.declared.takes_any, self.declared.parameters
        return {name: stored for name, stored in inputs.items() if takes_any or name in parameters}

    def bind(self, inputs: Mapping[str, bytes | msgspec.Raw | Absent | View]) -> dict[str, Any]:
        """Decode each input by its annotation; a state is decoded key by key, when it is looked at.

        An absent one (its node failed, and the graph goes on) becomes the parameter's default, or None.

        Raises:
            InvalidInputError: an input does not fit, is missing, or has no parameter; all problems are told.
        """
        arguments: dict[str, Any] = {}
        problems: list[str] = []
        for name, stored in inputs.items():
            declared = self.declared.parameters.get(name)
            if declared is None and not self.declared.takes_any:
                problems.append(f"{name}: {self.name} has no such parameter")
            elif isinstance(stored, Absent):
                arguments[name] = self._defaults.get(name)
            else:
                hint = declared.hint if declared else Any
                try:
                    arguments[name] = (
                        state_for(stored.cells, hint) if isinstance(stored, View) else codec.decode(stored, hint)
                    )
                except InvalidInputError as error:
                    problems.append(f"{name}: {error}")
        for name, declared in self.declared.parameters.items():
            if declared.required and name not in inputs:
                problems.append(f"{name}: it is missing")
        if problems:
            raise InvalidInputError(f"inputs of {self.name}: {'; '.join(problems)}")
        return arguments


_cached_signature = lru_cache(maxsize=1024)(Signature)


def _given(function: Function) -> Iterator[tuple[str, inspect.Parameter]]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins without one
        return
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    yield from ((name, each) for name, each in parameters.items() if each.kind in by_name)
