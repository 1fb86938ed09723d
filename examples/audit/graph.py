"""Audit a Python source tree: find its hot spots, and draw them.

    clew run examples/audit/graph.py --input path=src --input out=out/audit.html

Each file is analysed by an item of a map, in a process of its own that is stopped after a minute. Kill the
run when you like and start it again: files that were analysed are not analysed again.
"""

from __future__ import annotations

import code_audit.analysis
import code_audit.hot_spots
import code_audit.import_graph
import code_audit.report
import code_audit.sources
from code_audit.model import FileReport, ImportGraph, Ranking

from clew import Graph, node

_NAMED_HOT_SPOTS = 5


@node
def discover(path: str) -> list[str]:
    """List the Python files of the tree."""
    return code_audit.sources.discover(path)


@node(timeout=60)
def analyse(file: str, root: str) -> FileReport:
    """Measure and lint one file."""
    return code_audit.analysis.analyse(root, file)


@node
def combine(reports: list[FileReport]) -> ImportGraph:
    """Join the files' imports into one graph."""
    return code_audit.import_graph.combine(reports)


@node
def rank(reports: list[FileReport], imports: ImportGraph) -> Ranking:
    """Score the files and say why."""
    return code_audit.hot_spots.rank(reports, imports)


@node
def write_report(root: str, reports: list[FileReport], imports: ImportGraph, ranking: Ranking, out: str) -> str:
    """Draw the report."""
    return code_audit.report.write_report(root, reports, imports, ranking, out)


@node
def summarise(reports: list[FileReport], ranking: Ranking, report: str) -> dict[str, int | str | list[str]]:
    """Say in a few words what came out."""
    unparsable = sum(file.problem is not None for file in reports)
    return {
        "analysed": len(reports) - unparsable,
        "unparsable": unparsable,
        "hottest": [spot.file for spot in ranking.spots[:_NAMED_HOT_SPOTS]],
        "report": report,
    }


g = Graph("audit", description="Find the hot spots of a Python source tree, and draw them.")
root = g.input("path", str, default=".", description="the folder or file to audit")
out = g.input("out", str, default="out/audit.html", description="where to write the report")
files = g.add(discover, root)
reports = g.map(analyse, over=files, key=str, root=root)
imports = g.add(combine, reports)
ranking = g.add(rank, reports, imports)
report = g.add(write_report, root, reports, imports, ranking, out)
g.add(summarise, reports, ranking, report)
