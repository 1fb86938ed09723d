"""The report: one HTML file that needs nothing else, the same for the same input, byte by byte."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from code_audit import charts, landscape, rings
from code_audit.hot_spots import SIMPLE, WEIGHTS
from code_audit.model import FileReport, ImportGraph, Ranking
from code_audit.sources import base_folder

_PAGE = Path(__file__).with_name("page")
_SHOWN_SPOTS = 20
_SHOWN_CYCLES = 30


class ReportError(Exception):
    """The report cannot be drawn: something it needs is not installed."""


def write_report(root: str, reports: Sequence[FileReport], graph: ImportGraph, ranking: Ranking, out: str) -> str:
    """Write the report, replacing an earlier one only when the new one is complete.

    Returns:
        The absolute path of the report.

    Raises:
        ReportError: plotly is not installed.
    """
    page = render(root, reports, graph, ranking)
    target = Path(out).expanduser().resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.write_text(page, encoding="utf-8")
    unfinished.replace(target)
    return str(target)


def render(root: str, reports: Sequence[FileReport], graph: ImportGraph, ranking: Ranking) -> str:
    """Return the report as HTML."""
    environment = Environment(
        loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    path = Path(root).expanduser().resolve()
    name = path.name or str(path)
    analysed = sorted((report for report in reports if report.problem is None), key=lambda report: report.file)
    return environment.get_template(
        "report.html"
    ).render(
        name=name,
        path=str(path),
        style=Markup((_PAGE / "report.css").read_text(encoding="utf-8")),  # noqa: S704  (our own file)
        script=Markup((_PAGE / "report.js").read_text(encoding="utf-8")),  # noqa: S704  (our own file)
        plotly=Markup(_plotly()),  # noqa: S704  (the package's own file)
        figures=draw_figures(base_folder(root).resolve().name or name, analysed, graph, ranking),
        headlines=_headlines(analysed, graph, reports),
        spots=ranking.spots[:_SHOWN_SPOTS],
        tests={report.file for report in analysed if report.is_test},
        weights=WEIGHTS,
        cycles=graph.cycles[:_SHOWN_CYCLES],
        hidden_cycles=max(0, len(graph.cycles) - _SHOWN_CYCLES),
        rings=rings.draw_rings(graph),
        ring_size=rings.SIZE,
        problems=sorted((report for report in reports if report.problem), key=lambda report: report.file),
    )


def draw_figures(
    name: str, analysed: Sequence[FileReport], graph: ImportGraph, ranking: Ranking
) -> dict[str, landscape.Figure]:
    """Draw the plots by the ids that the page has for them; a plot without data is left out."""
    figures = {
        "map": landscape.draw_map(name, analysed, ranking),
        "scatter": landscape.draw_scatter(analysed, graph, ranking),
        "complexities": charts.draw_complexities(analysed),
        "lengths": charts.draw_lengths(analysed),
        "coverage": charts.draw_coverage(analysed),
        "imported": charts.draw_most_imported(graph),
        "rules": charts.draw_rules(analysed),
    }
    return {key: figure for key, figure in figures.items() if _has_data(figure)}


def _has_data(figure: landscape.Figure) -> bool:
    columns = ("ids", "y", "x")
    return any(any(trace.get(column) for column in columns) for trace in figure["data"])


def _plotly() -> str:
    try:
        return (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    except (ImportError, OSError) as error:
        raise ReportError("the report needs plotly: pip install 'clew[examples]'") from error


def _headlines(
    analysed: Sequence[FileReport], graph: ImportGraph, reports: Sequence[FileReport]
) -> list[dict[str, Any]]:
    code_lines = sum(report.code_lines for report in analysed)
    findings = sum(report.finding_count for report in analysed)
    complexities = [complexity for report in analysed for complexity in report.complexities]
    complex_ones = sum(complexity > SIMPLE for complexity in complexities)
    documented = sum(report.documented for report in analysed), sum(r.documentable for r in analysed)
    hinted = sum(report.hinted for report in analysed), sum(report.hintable for report in analysed)
    in_cycles = sum(len(cycle.files) for cycle in graph.cycles)
    unparsable = sum(report.problem is not None for report in reports)
    return [
        _headline(f"{len(analysed):,}", "files analysed", f"{unparsable:,} could not be parsed"),
        _headline(
            f"{code_lines:,}", "lines of code", f"{sum(r.lines for r in analysed):,} with blanks and comments"
        ),
        _headline(f"{len(complexities):,}", "functions", f"classes: {sum(r.classes for r in analysed):,}"),
        _headline(
            _share(complex_ones, len(complexities)), "complex functions", f"{complex_ones:,} above {SIMPLE}"
        ),
        _headline(f"{findings:,}", "linter findings", f"{_ratio(findings, code_lines)} per 1,000 lines"),
        _headline(_share(*documented), "documented", "of modules and public names"),
        _headline(_share(*hinted), "type-hinted", "of parameters and returns"),
        _headline(f"{len(graph.cycles):,}", "import cycles", f"{in_cycles:,} files are part of one"),
    ]


def _headline(figure: str, label: str, note: str) -> dict[str, str]:
    return {"figure": figure, "label": label, "note": note}


def _share(part: int, whole: int) -> str:
    if not whole:
        return "none"
    share = part / whole
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


def _ratio(findings: int, code_lines: int) -> str:
    return f"{1000 * findings / code_lines:.0f}" if code_lines else "0"
