"""Which files deserve a look first, and why."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from code_audit.model import FileReport, HotSpot, ImportGraph, Ranking

#: What each of the four ranks contributes to the score.
WEIGHTS = {"complexity": 35, "findings": 25, "coupling": 25, "size": 15}
#: A rank from which on it is worth a word.
REMARKABLE = 0.8
#: Lines added to a file's own when findings are related to its size: a short file is no dense one.
SMOOTHING_LINES = 100
#: Complexity up to which a function is considered simple enough to be tested (McCabe, 1976).
SIMPLE = 10


def rank(reports: Sequence[FileReport], graph: ImportGraph) -> Ranking:
    """Score every analysed file.

    The score is a weighted mean (`WEIGHTS`) of four percentile ranks, each the share of files that have
    less: complexity of the worst function; code lines; findings per line; files that depend on this one.
    It compares the files of one tree with each other; scores of two trees say nothing about each other.
    """
    analysed = [report for report in reports if report.problem is None]
    measures: dict[str, Callable[[FileReport], float]] = {
        "complexity": lambda report: report.max_complexity,
        "findings": findings_density,
        "coupling": lambda report: graph.modules[report.file].dependents,
        "size": lambda report: report.code_lines,
    }
    ranks = {name: percentile_ranks(list(map(measure, analysed))) for name, measure in measures.items()}
    spots = [
        _spot(report, graph, {name: values[position] for name, values in ranks.items()})
        for position, report in enumerate(analysed)
    ]
    return Ranking(spots=sorted(spots, key=lambda spot: (-spot.score, spot.file)))


def percentile_ranks(values: Sequence[float]) -> list[float]:
    """Return for each value the share of the others that are smaller, from 0 to 1."""
    ordered = sorted(values)
    others = max(1, len(values) - 1)
    return [bisect_left(ordered, value) / others for value in values]


def findings_density(report: FileReport) -> float:
    """Return findings per 1,000 code lines, toned down for short files."""
    return 1000 * report.finding_count / (report.code_lines + SMOOTHING_LINES)


def _spot(report: FileReport, graph: ImportGraph, ranks: dict[str, float]) -> HotSpot:
    score = sum(weight * ranks[name] for name, weight in WEIGHTS.items())
    return HotSpot(
        file=report.file,
        score=round(score, 1),
        complexity=round(ranks["complexity"], 4),
        size=round(ranks["size"], 4),
        findings=round(ranks["findings"], 4),
        coupling=round(ranks["coupling"], 4),
        reasons=_reasons(report, graph, ranks),
    )


def _reasons(report: FileReport, graph: ImportGraph, ranks: dict[str, float]) -> list[str]:
    """Say what stands out, in the order in which it counts."""
    tellers = {
        "complexity": _tell_complexity(report),
        "findings": _tell_findings(report),
        "coupling": _tell_coupling(report, graph),
        "size": _tell_size(report, ranks["size"]),
    }
    standing_out = [name for name in tellers if ranks[name] >= REMARKABLE]
    standing_out.sort(key=lambda name: -WEIGHTS[name] * ranks[name])
    reasons = [tellers[name] for name in standing_out]
    return [*reasons, *_asides(report, graph)]


def _tell_complexity(report: FileReport) -> str:
    if not report.top_functions:
        return "no functions"
    worst = report.top_functions[0]
    complex_ones = sum(complexity > SIMPLE for complexity in report.complexities)
    others = f", one of {complex_ones} functions above {SIMPLE}" if complex_ones > 1 else ""
    return f"{worst.name} (line {worst.line}) has a complexity of {worst.complexity}{others}"


def _tell_findings(report: FileReport) -> str:
    if not report.findings:
        return "no findings"
    first = report.findings[0]
    often = f", {first.count} of them {first.name} ({first.code})" if first.count > 1 else ""
    return f"{_count(report.finding_count, 'linter finding')}{often}"


def _tell_coupling(report: FileReport, graph: ImportGraph) -> str:
    links = graph.modules[report.file]
    if links.dependents <= links.fan_in:
        return f"imported by {_count(links.fan_in, 'file')}"
    return f"{_count(links.dependents, 'file')} depend on it, {links.fan_in} import it directly"


def _tell_size(report: FileReport, size_rank: float) -> str:
    compared = "the longest file" if size_rank == 1 else f"more than {size_rank:.0%} of the files"
    return f"{_count(report.code_lines, 'line')} of code, {compared}"


def _asides(report: FileReport, graph: ImportGraph) -> list[str]:
    """Facts outside the score that explain it further."""
    asides: list[str] = []
    if cycle := next((cycle for cycle in graph.cycles if report.file in cycle.files), None):
        asides.append(f"part of an import cycle of {len(cycle.files)} files")
    if report.nesting >= 6:
        asides.append(f"blocks nested {report.nesting} deep")
    if report.documentable >= 10 and report.documented * 3 < report.documentable:
        asides.append(f"{report.documented} of {report.documentable} public names have a docstring")
    return asides


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
