"""The plots of how things are distributed, and of what is most imported and most found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from math import log10
from typing import Any

from code_audit.hot_spots import SIMPLE
from code_audit.landscape import Figure
from code_audit.lint import family
from code_audit.model import FileReport, Finding, ImportGraph

_SHOWN_MODULES = 20
_SHOWN_RULES = 25
_LENGTHS = [1, 10, 30, 100, 300, 1000, 3000, 10_000_000]
_FAMILY_COLOURS = {
    "correctness": "var(--red)",
    "security": "var(--violet)",
    "clarity": "var(--teal)",
    "dated idioms": "var(--amber)",
}


def draw_complexities(reports: Sequence[FileReport]) -> Figure:
    """Draw how many functions have which complexity, on a logarithmic scale."""
    counts = Counter(complexity for report in reports for complexity in report.complexities)
    values = sorted(counts)
    top = log10(max(counts.values(), default=1)) + 0.2
    bars = {
        "type": "bar",
        "x": values,
        "y": [counts[value] for value in values],
        "marker": {"color": [_alarm(value) for value in values], "line": {"width": 0}},
        "hovertemplate": "complexity %{x}: %{y:,} functions<extra></extra>",
    }
    axes = {
        "xaxis": {"title": {"text": "complexity of a function"}},
        "yaxis": {"type": "log", "dtick": 1, "title": {"text": "functions"}, "range": [-0.3, top]},
    }
    return {"data": [bars], "layout": {**_SMALL, **axes, "bargap": 0.05}}


def draw_lengths(reports: Sequence[FileReport]) -> Figure:
    """Draw how many files are how long."""
    bins = list(pairwise(_LENGTHS))
    counts = [sum(low <= report.code_lines < high for report in reports) for low, high in bins]
    bars = {
        "type": "bar",
        "x": [f"{low // 1000}k+" if low >= 1000 else f"{low}+" for low, _ in bins],
        "y": counts,
        "marker": {"color": "var(--teal)", "line": {"width": 0}},
        "hovertemplate": "%{x} code lines: %{y:,} files<extra></extra>",
    }
    axes = {
        "xaxis": {"type": "category", "title": {"text": "code lines"}, "showgrid": False, "tickangle": 0},
        "yaxis": {"title": {"text": "files"}},
    }
    return {"data": [bars], "layout": {**_SMALL, **axes, "bargap": 0.08}}


def draw_coverage(reports: Sequence[FileReport]) -> Figure:
    """Draw how many files have which share of docstrings and of type hints."""
    docstrings = [report.documented / report.documentable for report in reports if report.documentable]
    hints = [report.hinted / report.hintable for report in reports if report.hintable]
    axes = {
        "xaxis": {"type": "category", "title": {"text": "share in a file"}, "showgrid": False, "tickangle": 0},
        "yaxis": {"title": {"text": "files"}},
    }
    return {
        "data": [
            _shares("docstrings", docstrings, "var(--teal)"),
            _shares("type hints", hints, "var(--amber)"),
        ],
        "layout": {**_SMALL, **axes, "bargap": 0.15, "barmode": "group"},
    }


def draw_most_imported(graph: ImportGraph) -> Figure:
    """Draw the files that most others import: directly, and through others."""
    modules = sorted(graph.modules.items(), key=lambda item: (-item[1].fan_in, item[0]))[:_SHOWN_MODULES]
    shown = [(file, links) for file, links in reversed(modules) if links.fan_in]
    names = [escape(file) for file, _ in shown]
    direct = [links.fan_in for _, links in shown]
    indirect = [max(0, links.dependents - links.fan_in) for _, links in shown]
    return {
        "data": [
            _bar("import it directly", names, direct, "var(--teal)", "%{y}: %{x:,} files import it"),
            _bar(
                "depend on it through others",
                names,
                indirect,
                "var(--teal-soft)",
                "%{y}: %{x:,} more files through others",
            ),
        ],
        "layout": {
            "height": 110 + 22 * len(shown),
            "margin": {"t": 34, "l": 10, "r": 10, "b": 44},
            "barmode": "stack",
            "bargap": 0.3,
            "xaxis": {"title": {"text": "files that depend on it"}},
            "yaxis": {"automargin": True, "showgrid": False, "dtick": 1},
            "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "normal"},
        },
    }


def draw_rules(reports: Sequence[FileReport]) -> Figure:
    """Draw the linter's most frequent rules, coloured by what they are about."""
    places: defaultdict[str, list[tuple[str, Finding]]] = defaultdict(list)
    for report in reports:
        for finding in report.findings:
            places[finding.code].append((report.file, finding))
    totals = {code: sum(finding.count for _, finding in found) for code, found in places.items()}
    codes = sorted(totals, key=lambda code: (-totals[code], code))[:_SHOWN_RULES]
    names = [f"{escape(places[code][0][1].name)}  {code}" for code in reversed(codes)]
    traces = [
        _rule_bars(name, [code for code in codes if family(code) == name], totals, places)
        for name in _FAMILY_COLOURS
    ]
    return {
        "data": [trace for trace in traces if trace["x"]],
        "layout": {
            "height": 110 + 24 * len(codes),
            "margin": {"t": 34, "l": 10, "r": 50, "b": 44},
            "barmode": "stack",
            "bargap": 0.3,
            "xaxis": {"title": {"text": "findings"}},
            "yaxis": {
                "automargin": True,
                "showgrid": False,
                "dtick": 1,
                "categoryorder": "array",
                "categoryarray": names,
            },
            "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "normal"},
        },
    }


_SMALL: dict[str, Any] = {"height": 300, "showlegend": False, "margin": {"t": 10, "l": 56, "r": 8, "b": 64}}


def _alarm(complexity: int) -> str:
    if complexity <= SIMPLE:
        return "var(--teal)"
    return "var(--amber)" if complexity <= 2 * SIMPLE else "var(--red)"


def _shares(name: str, shares: Sequence[float], colour: str) -> dict[str, Any]:
    labels = ["none", "under ¼", "¼ to ½", "½ to ¾", "over ¾", "all"]
    counts = Counter(labels[_bin(share)] for share in shares)
    return {
        "type": "bar",
        "name": name,
        "x": labels,
        "y": [counts[label] for label in labels],
        "marker": {"color": colour, "line": {"width": 0}},
        "hovertemplate": f"{name}, %{{x}}: %{{y:,}} files<extra></extra>",
    }


def _bin(share: float) -> int:
    if share in {0, 1}:
        return 5 if share else 0
    return 1 + int(4 * share)


def _bar(name: str, names: list[str], values: list[int], colour: str, hover: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "y": names,
        "x": values,
        "marker": {"color": colour, "line": {"width": 0}},
        "hovertemplate": f"{hover}<extra></extra>",
    }


def _rule_bars(
    name: str, codes: list[str], totals: dict[str, int], places: dict[str, list[tuple[str, Finding]]]
) -> dict[str, Any]:
    bars = _bar(
        name,
        [f"{escape(places[code][0][1].name)}  {code}" for code in codes],
        [totals[code] for code in codes],
        _FAMILY_COLOURS[name],
        "%{y}: %{x:,} in %{customdata}",
    )
    return {
        **bars,
        "text": [f"{totals[code]:,}" for code in codes],
        "textposition": "outside",
        "cliponaxis": False,
        "customdata": [_where(places[code]) for code in codes],
    }


def _where(places: list[tuple[str, Finding]]) -> str:
    file, finding = min(places, key=lambda place: (-place[1].count, place[0]))
    return f"{len(places):,} files<br>most in {escape(file)}: {escape(finding.message)} (line {finding.line})"
