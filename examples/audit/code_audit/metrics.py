"""Syntax-tree metrics of one module: complexity, nesting, docstrings, type hints, lines.

The tree is walked once, with a stack of its own: deep nesting in a file must not end the audit.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from code_audit.model import FunctionReport

TOP_FUNCTIONS = 8

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler)
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one module; the fields mean what those of `FileReport` do."""

    lines: int
    code_lines: int
    classes: int
    complexities: list[int]
    nesting: int
    top_functions: list[FunctionReport]
    documentable: int
    documented: int
    hintable: int
    hinted: int


@dataclass(slots=True, eq=False)
class _Scope:
    """A module, class or function while it is walked. Branches count for the innermost scope."""

    node: ast.Module | ast.ClassDef | _Function
    name: str
    parent: _Scope | None
    is_public: bool
    branches: int = 0
    nesting: int = 0

    @property
    def is_function(self) -> bool:
        return isinstance(self.node, _Function)


def measure(tree: ast.Module, text: str) -> Metrics:
    """Measure a module.

    Complexity is McCabe's (1976) with short-circuit operators counted, as Myers (1977) proposed: one per
    function, and one for each branch, loop, handler, comprehension clause, case, and further `and`/`or`
    operand. Nesting is the number of blocks around a statement within its function.
    """
    scopes = _walk(tree)
    functions = [_function_report(scope) for scope in scopes if scope.is_function]
    functions.sort(key=lambda function: (-function.complexity, -function.lines, function.line, function.name))
    documentable = [scope for scope in scopes if scope.is_public]
    hints = [hint for scope in scopes if scope.is_function for hint in _hints(scope)]
    lines = text.split("\n")
    return Metrics(
        lines=len(lines) - (not lines[-1]),
        code_lines=_count_code(lines, scopes),
        classes=sum(isinstance(scope.node, ast.ClassDef) for scope in scopes),
        complexities=[function.complexity for function in functions],
        nesting=max(scope.nesting for scope in scopes),
        top_functions=functions[:TOP_FUNCTIONS],
        documentable=len(documentable),
        documented=sum(_docstring(scope.node) is not None for scope in documentable),
        hintable=len(hints),
        hinted=sum(hints),
    )


def _walk(tree: ast.Module) -> list[_Scope]:
    module = _Scope(node=tree, name="", parent=None, is_public=bool(tree.body))
    scopes = [module]
    stack: list[tuple[ast.AST, _Scope, int]] = [(node, module, 0) for node in tree.body]
    while stack:
        node, scope, depth = stack.pop()
        if isinstance(node, ast.ClassDef | _Function):
            scope, depth = _open_scope(node, scope), 0
            scopes.append(scope)
        scope.branches += _count_branches(node)
        inner = depth + isinstance(node, _BLOCKS)
        scope.nesting = max(scope.nesting, inner)
        stack.extend(
            (child, scope, depth if _is_elif(child, node) else inner) for child in ast.iter_child_nodes(node)
        )
    return scopes


def _open_scope(node: ast.ClassDef | _Function, parent: _Scope) -> _Scope:
    name = f"{parent.name}.{node.name}" if parent.name else node.name
    is_public = parent.is_public and not parent.is_function and not node.name.startswith("_")
    return _Scope(node=node, name=name, parent=parent, is_public=is_public)


def _count_branches(node: ast.AST) -> int:
    if isinstance(node, _BRANCHES):
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    if isinstance(node, ast.match_case):
        is_wildcard = isinstance(node.pattern, ast.MatchAs) and node.pattern.pattern is None
        return 0 if is_wildcard and node.guard is None else 1
    return 0


def _is_elif(child: ast.AST, parent: ast.AST) -> bool:
    """Tell `elif` from an `if` within `else`: both are the same tree, but not in the same column."""
    return (
        isinstance(child, ast.If)
        and isinstance(parent, ast.If)
        and parent.orelse == [child]
        and child.col_offset == parent.col_offset
    )


def _function_report(scope: _Scope) -> FunctionReport:
    line, end = _span(scope.node)
    return FunctionReport(
        name=scope.name,
        line=line,
        lines=end - line + 1,
        complexity=1 + scope.branches,
        nesting=scope.nesting,
    )


def _span(node: ast.AST) -> tuple[int, int]:
    line: int = getattr(node, "lineno", 1)
    return line, getattr(node, "end_lineno", None) or line


def _docstring(node: ast.Module | ast.ClassDef | _Function) -> ast.Expr | None:
    match node.body:
        case [ast.Expr(value=ast.Constant(value=str())) as first, *_]:
            return first
        case _:
            return None


def _hints(scope: _Scope) -> Iterator[bool]:
    """Tell of each parameter and of the return whether it is annotated (`__init__` returns nothing)."""
    function = scope.node
    assert isinstance(function, _Function)
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args]
    if scope.parent and isinstance(scope.parent.node, ast.ClassDef) and not _is_static(function):
        parameters = parameters[1:]
    for parameter in (*parameters, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if parameter is not None:
            yield parameter.annotation is not None
    if function.name != "__init__":
        yield function.returns is not None


def _is_static(function: _Function) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "staticmethod" for node in function.decorator_list)


def _count_code(lines: list[str], scopes: Iterable[_Scope]) -> int:
    """Count lines of code; a `#` that starts a line within a long string passes for a comment."""
    documentation: set[int] = set()
    for scope in scopes:
        if (docstring := _docstring(scope.node)) is not None:
            first, last = _span(docstring)
            documentation.update(range(first, last + 1))
    stripped = enumerate((line.strip() for line in lines), start=1)
    return sum(bool(line) and line[0] != "#" and number not in documentation for number, line in stripped)
