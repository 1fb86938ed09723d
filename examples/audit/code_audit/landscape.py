"""The two plots that show every file of the tree: its map, and complexity against size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from html import escape
from math import log10
from pathlib import PurePosixPath
from typing import Any

from code_audit.model import FileReport, HotSpot, ImportGraph, Ranking

#: A plot as plotly.js takes it: {"data": [...], "layout": {...}}. Colours are the page's CSS variables.
Figure = dict[str, Any]

HEAT = [[0.0, "var(--heat-0)"], [0.4, "var(--heat-1)"], [0.7, "var(--heat-2)"], [1.0, "var(--heat-3)"]]
_HEAT_MARKER = {"colorscale": HEAT, "cmin": 0, "cmax": 100}
_NAMED_POINTS = 6
_TILE_HOVER = "<b>%{id}</b><br>%{value:,} lines · score %{color:.0f}%{customdata}<extra></extra>"


def draw_map(name: str, reports: Sequence[FileReport], ranking: Ranking) -> Figure:
    """Draw the tree as a treemap: area is lines, colour is the score.

    A folder has the mean score of its files, weighted by their lines.
    """
    tiles = _Tiles(name)
    scores = {spot.file: spot for spot in ranking.spots}
    for report in sorted(reports, key=lambda report: report.file):
        if report.lines and report.file in scores:
            tiles.add_file(report, scores[report.file])
    columns = tiles.columns()
    return {
        "data": [
            {
                "type": "treemap",
                "branchvalues": "total",
                "marker": {
                    **_HEAT_MARKER,
                    "colors": columns.pop("colors"),
                    "pad": {"t": 22, "l": 3, "r": 3, "b": 3},
                    "line": {"width": 0.6, "color": "var(--surface)"},
                    "colorbar": _colour_bar("score"),
                },
                **columns,
                "tiling": {"packing": "squarify", "pad": 1},
                "pathbar": {"thickness": 24},
                "hovertemplate": _TILE_HOVER,
            }
        ],
        "layout": {"height": 660, "margin": {"t": 30, "l": 0, "r": 0, "b": 0}},
    }


class _Tiles:
    """Collects the columns of a treemap; folders are kept as totals until all files are in."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.files: list[tuple[FileReport, HotSpot]] = []
        self.folder_lines: defaultdict[str, int] = defaultdict(int)
        self.folder_heat: defaultdict[str, float] = defaultdict(float)

    def add_file(self, report: FileReport, spot: HotSpot) -> None:
        self.files.append((report, spot))
        for folder in PurePosixPath(report.file).parents:
            self.folder_lines[folder.as_posix()] += report.lines
            self.folder_heat[folder.as_posix()] += report.lines * spot.score

    def columns(self) -> dict[str, list[Any]]:
        rows = [
            (folder, self._folder_label(folder), _parent(folder), lines, self.folder_heat[folder] / lines, "")
            for folder, lines in self.folder_lines.items()
        ]
        rows += [
            (report.file, _base(report.file), _parent(report.file), report.lines, spot.score, _why(spot))
            for report, spot in self.files
        ]
        ids, labels, parents, values, colours, reasons = zip(*rows, strict=True) if rows else [()] * 6
        return {
            "ids": [escape(value) for value in ids],
            "labels": [escape(value) for value in labels],
            "parents": [escape(value) for value in parents],
            "values": list(values),
            "colors": [round(colour, 1) for colour in colours],
            "customdata": list(reasons),
        }

    def _folder_label(self, folder: str) -> str:
        return self.name if folder == "." else _base(folder)


def draw_scatter(reports: Sequence[FileReport], graph: ImportGraph, ranking: Ranking) -> Figure:
    """Draw the complexity of each file's worst function against its code lines."""
    by_file = {report.file: report for report in reports}
    drawn = [spot for spot in reversed(ranking.spots) if by_file[spot.file].complexities]  # hottest on top
    traces = [
        _points("code", "circle", [spot for spot in drawn if not by_file[spot.file].is_test], by_file, graph),
        _points("tests", "circle-open", [spot for spot in drawn if by_file[spot.file].is_test], by_file, graph),
    ]
    return {
        "data": [part for trace in traces if trace["x"] for part in (trace, _legend_entry(trace))],
        "layout": {
            "height": 560,
            "margin": {"t": 10, "l": 62, "r": 0, "b": 52},
            "xaxis": {"type": "log", "title": {"text": "code lines"}, "dtick": 1},
            "yaxis": {"type": "log", "title": {"text": "complexity of the worst function"}, "dtick": 1},
            "legend": {"orientation": "h", "x": 0.01, "y": 0.99, "yanchor": "top"},
            "annotations": [_name_tag(report) for report in _outliers(by_file, drawn)],
        },
    }


def _points(
    name: str, symbol: str, spots: list[HotSpot], by_file: dict[str, FileReport], graph: ImportGraph
) -> dict[str, Any]:
    reports = [by_file[spot.file] for spot in spots]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "legendgroup": name,
        "showlegend": False,
        "x": [max(1, report.code_lines) for report in reports],
        "y": [report.max_complexity for report in reports],
        "text": [f"<b>{escape(spot.file)}</b>" for spot in spots],
        "customdata": [f"score {spot.score:.0f}{_why(spot)}" for spot in spots],
        "hovertemplate": "%{text}<br>%{x:,} code lines · complexity %{y} · %{customdata}<extra></extra>",
        "marker": {
            **_HEAT_MARKER,
            "symbol": symbol,
            "color": [spot.score for spot in spots],
            "size": [round(5 + graph.modules[spot.file].fan_in ** 0.5, 1) for spot in spots],
            "opacity": 0.85,
            "line": {"width": 1.2 if symbol.endswith("open") else 0.5, "color": "var(--surface)"},
            "colorbar": _colour_bar("score"),
        },
    }


def _legend_entry(trace: dict[str, Any]) -> dict[str, Any]:
    """Stand for a trace in the legend in a colour that can be seen: its own begins with the coldest."""
    marker = {"symbol": trace["marker"]["symbol"], "color": "var(--ink)", "size": 9}
    keys = ("type", "mode", "name", "legendgroup")
    return {key: trace[key] for key in keys} | {"x": [None], "y": [None], "marker": marker}


def _outliers(by_file: dict[str, FileReport], drawn: Sequence[HotSpot]) -> list[FileReport]:
    """Choose the most complex files to be named, skipping those whose name would cover another's."""
    reports = sorted((by_file[spot.file] for spot in drawn), key=lambda r: (-r.max_complexity, r.file))
    named: list[FileReport] = []
    for report in reports[: 3 * _NAMED_POINTS]:
        if all(_are_apart(report, other) for other in named):
            named.append(report)
    return named[:_NAMED_POINTS]


def _are_apart(one: FileReport, other: FileReport) -> bool:
    is_other_line = one.max_complexity * 1.12 < other.max_complexity
    return is_other_line or not 1 / 6 < (one.code_lines + 1) / (other.code_lines + 1) < 6


def _name_tag(report: FileReport) -> dict[str, Any]:
    return {
        "x": log10(max(1, report.code_lines)),
        "y": log10(report.max_complexity),
        "text": escape(_base(report.file)),
        "showarrow": False,
        "yshift": 12,
        "font": {"size": 11},
    }


def _why(spot: HotSpot) -> str:
    return "".join(f"<br>{escape(reason)}" for reason in spot.reasons)


def _base(path: str) -> str:
    return PurePosixPath(path).name


def _parent(path: str) -> str:
    return "" if path == "." else PurePosixPath(path).parent.as_posix()


def _colour_bar(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "side": "top"},
        "thickness": 8,
        "len": 0.5,
        "outlinewidth": 0,
        "tickvals": [0, 25, 50, 75, 100],
    }
