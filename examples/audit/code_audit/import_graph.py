"""Joining the files' imports into one graph of the tree."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from code_audit.components import Edges, count_reaching, shortest_cycle, strongly_connected
from code_audit.model import Cycle, FileReport, ImportGraph, ModuleLinks

_Index = Mapping[str, Sequence[str]]  # files by dotted name; several files may claim one


def combine(reports: Sequence[FileReport]) -> ImportGraph:
    """Build the import graph of a tree.

    An edge goes to the most specific file that an import names: `from a import b` leads to `a/b.py` where
    it exists, else to `a`. That importing `a.b` also runs `a/__init__.py` is left out: every package whose
    `__init__` gathers its modules would be a cycle.

    Fan-in and fan-out count all imports; dependents and cycles only those made at import time, for a
    deferred import is how cycles are broken.
    """
    reports = sorted(reports, key=lambda report: report.file)
    index = _index(reports)
    eager = {report.file: _resolve_all(report.file, report.imports, index) for report in reports}
    deferred = {report.file: _resolve_all(report.file, report.deferred_imports, index) for report in reports}
    imports = {file: sorted({*eager[file], *deferred[file]}) for file in eager}
    imported_by = _reverse(imports)
    components = strongly_connected(eager)
    dependents = count_reaching(eager, components)
    modules = {
        file: ModuleLinks(imports=imports[file], imported_by=imported_by[file], dependents=dependents[file])
        for file in eager
    }
    cycles = [_cycle(component, eager) for component in components if len(component) > 1]
    return ImportGraph(modules=modules, cycles=sorted(cycles, key=lambda cycle: (-len(cycle.files), cycle.files)))


def _index(reports: Iterable[FileReport]) -> _Index:
    """List files by the names they can be imported under.

    That is a file's name from the root of its package, and where folders without `__init__.py` lead to that
    root, the longer name from the root of the tree.
    """
    index: defaultdict[str, list[str]] = defaultdict(list)
    for report in reports:
        index[report.module].append(report.file)
        longer = _dotted(PurePosixPath(report.file))
        if longer.endswith(f".{report.module}"):
            index[longer].append(report.file)
    return index


def _resolve_all(file: str, targets: Iterable[str], index: _Index) -> list[str]:
    resolved = {_resolve(file, target, index) for target in targets}
    return sorted(found for found in resolved if found is not None and found != file)


def _resolve(file: str, target: str, index: _Index) -> str | None:
    """Find the file that an import leads to: the last part of a target may be a name in a module."""
    for name in (target, target.rpartition(".")[0]):
        candidates = [found for found in index.get(name, ()) if _can_be_meant(found, name, file)]
        if candidates:
            return min(candidates, key=lambda candidate: _distance(file, candidate))
    return None


def _can_be_meant(candidate: str, name: str, importer: str) -> bool:
    """Refuse the `queue.py` of some far folder to who imports the standard library's `queue`."""
    if name.partition(".")[0] not in sys.stdlib_module_names:
        return True
    path = PurePosixPath(candidate)
    return _dotted(path) == name or path.parent == PurePosixPath(importer).parent


def _distance(importer: str, candidate: str) -> tuple[bool, int, str]:
    """Order files of one name: a script's own folder is searched first, then what is nearest the root."""
    path = PurePosixPath(candidate)
    return path.parent != PurePosixPath(importer).parent, len(path.parts), candidate


def _dotted(path: PurePosixPath) -> str:
    return ".".join(path.parent.parts if path.stem == "__init__" else (*path.parent.parts, path.stem))


def _reverse(edges: Edges) -> dict[str, list[str]]:
    reverse: dict[str, list[str]] = {node: [] for node in edges}
    for node, neighbours in edges.items():
        for neighbour in neighbours:
            reverse[neighbour].append(node)
    return reverse


def _cycle(component: list[str], edges: Edges) -> Cycle:
    inside = set(component)
    links = [[node, neighbour] for node in component for neighbour in edges[node] if neighbour in inside]
    return Cycle(files=component, links=links, example=shortest_cycle(edges, component))
