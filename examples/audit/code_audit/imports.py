"""What a module imports, as absolute names."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_Import = ast.Import | ast.ImportFrom
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def collect_imports(tree: ast.Module, module: str, *, is_package: bool) -> tuple[list[str], list[str]]:
    """List the import targets of a module.

    A target is `package.module`, or `package.module.name` for `from package.module import name`: whether
    that name is a module is for the import graph to find out.

    Args:
        tree: the module.
        module: its dotted name, against which relative imports are resolved.
        is_package: whether it is an `__init__.py`.

    Returns:
        Targets imported at import time, and the others (in functions, for type checkers, when run as
        a program).
    """
    package = module if is_package else module.rpartition(".")[0]
    now: set[str] = set()
    later: set[str] = set()
    for statement, is_deferred in _import_statements(tree):
        (later if is_deferred else now).update(_targets(statement, package))
    return sorted(now), sorted(later - now)


def _import_statements(tree: ast.Module) -> Iterator[tuple[_Import, bool]]:
    """Find the imports without entering expressions, which cannot hold any."""
    stack: list[tuple[ast.AST, bool]] = [(tree, False)]
    while stack:
        node, is_deferred = stack.pop()
        if isinstance(node, _Import):
            yield node, is_deferred
            continue
        is_deferred = is_deferred or isinstance(node, _Function) or _is_skipped_by_importers(node)
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            children: list[ast.AST] = getattr(node, field, [])
            stack.extend((child, is_deferred) for child in children if not isinstance(child, ast.Expr))


def _is_skipped_by_importers(node: ast.AST) -> bool:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
            return True
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"), comparators=[ast.Constant("__main__")])):
            return True
        case _:
            return False


def _targets(statement: _Import, package: str) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
        return
    origin = _origin(statement, package)
    if origin is None:
        return
    for alias in statement.names:
        yield origin if alias.name == "*" else f"{origin}.{alias.name}".lstrip(".")


def _origin(statement: ast.ImportFrom, package: str) -> str | None:
    """Return the module that names are imported from; `None` if its dots lead out of the package."""
    if statement.level == 0:
        return statement.module
    parts = package.split(".") if package else []
    climbed = statement.level - 1
    if climbed > len(parts):
        return None
    return ".".join([*parts[: len(parts) - climbed], *([statement.module] if statement.module else [])])
