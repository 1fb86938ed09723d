"""One file, by itself: read, parse, measure, lint. Whatever is wrong with the file is part of its report."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

import msgspec

from code_audit.imports import collect_imports
from code_audit.lint import lint
from code_audit.metrics import measure
from code_audit.model import FileReport, Problem
from code_audit.sources import SourceError, base_folder, is_test, module_name, read_source


def analyse(root: str, file: str) -> FileReport:
    """Analyse one of the files that `discover(root)` found.

    Args:
        root: the folder (or single file) under audit.
        file: its path relative to `root`.

    Raises:
        LinterError: ruff could not be run; this is not the file's fault.
    """
    base = base_folder(root)
    report = FileReport(file=file, module=module_name(base, file), is_test=is_test(file))
    source = _read(base / file)
    if isinstance(source, Problem):
        return msgspec.structs.replace(report, problem=source)
    tree = _parse(source)
    if isinstance(tree, Problem):
        return msgspec.structs.replace(report, problem=tree, lines=source.count("\n"))
    is_package = Path(file).name == "__init__.py"
    imports, deferred = collect_imports(tree, report.module, is_package=is_package)
    return msgspec.structs.replace(
        report,
        imports=imports,
        deferred_imports=deferred,
        findings=lint(source, file),
        **msgspec.structs.asdict(measure(tree, source)),
    )


def _read(path: Path) -> str | Problem:
    try:
        return read_source(path)
    except OSError as error:
        return Problem(kind="unreadable", message=error.strerror or type(error).__name__)
    except SourceError as error:
        return Problem(kind="undecodable", message=str(error))


def _parse(source: str) -> ast.Module | Problem:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the linter reports doubtful escapes; here they must not raise
            return ast.parse(source)
    except SyntaxError as error:
        return Problem(kind="syntax error", message=error.msg, line=error.lineno or 0)
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes, nested too deeply
        return Problem(kind="syntax error", message=str(error) or "nested too deeply for the parser")
