"""What the audit's steps hand to each other: frozen structs that JSON can hold and give back."""

from __future__ import annotations

from typing import Literal

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a file could not be analysed."""

    kind: Literal["unreadable", "undecodable", "syntax error"]
    message: str
    line: int = 0  #: 0 when no line is to blame


class FunctionReport(msgspec.Struct, frozen=True, kw_only=True):
    """One function or method; `name` is qualified within its file."""

    name: str
    line: int
    lines: int
    complexity: int
    nesting: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What the linter says under one rule about one file: how often, and the first place."""

    code: str
    name: str
    count: int
    line: int
    message: str


class FileReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known about one file, by itself. With a `problem`, only its name and lines are known."""

    file: str  #: relative to the audited folder, with forward slashes
    module: str
    is_test: bool = False
    problem: Problem | None = None
    lines: int = 0
    code_lines: int = 0  #: neither blank, nor comment, nor docstring
    classes: int = 0
    complexities: list[int] = []  #: one per function, in no order that means anything
    nesting: int = 0
    top_functions: list[FunctionReport] = []  #: the most complex ones, worst first
    documentable: int = 0  #: the module, its public classes and their public functions
    documented: int = 0
    hintable: int = 0  #: parameters (without self and cls) and returns
    hinted: int = 0
    imports: list[str] = []  #: absolute targets imported when the module is
    deferred_imports: list[str] = []  #: imported in functions, for type checkers, when run as a program
    findings: list[Finding] = []

    @property
    def max_complexity(self) -> int:
        """Complexity of the worst function; 0 without functions."""
        return max(self.complexities, default=0)

    @property
    def mean_complexity(self) -> float:
        """Mean complexity of the functions; 0 without functions."""
        return sum(self.complexities) / len(self.complexities) if self.complexities else 0.0

    @property
    def finding_count(self) -> int:
        """Findings of all rules together."""
        return sum(finding.count for finding in self.findings)


class ModuleLinks(msgspec.Struct, frozen=True, kw_only=True):
    """The place of one file in the import graph."""

    imports: list[str]  #: files of the tree, deferred imports included
    imported_by: list[str]
    dependents: int  #: files that cannot be imported without this one, directly or through others

    @property
    def fan_in(self) -> int:
        """How many files import this one."""
        return len(self.imported_by)

    @property
    def fan_out(self) -> int:
        """How many files this one imports."""
        return len(self.imports)


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """Files that all import each other, directly or through others, when they are imported."""

    files: list[str]
    links: list[list[str]]  #: [importer, imported] pairs among the files
    example: list[str]  #: a shortest way round; the first file follows the last


class ImportGraph(msgspec.Struct, frozen=True, kw_only=True):
    """Who imports whom inside the tree, by file."""

    modules: dict[str, ModuleLinks]
    cycles: list[Cycle]  #: largest first


class HotSpot(msgspec.Struct, frozen=True, kw_only=True):
    """A file's score from 0 to 100, the four ranks (0 to 1) it is made of, and the reasons in words."""

    file: str
    score: float
    complexity: float
    size: float
    findings: float
    coupling: float
    reasons: list[str]


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Every analysed file, hottest first."""

    spots: list[HotSpot]
