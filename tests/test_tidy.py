"""Our own rules, as tests over the source: what no linter of the shelf knows about Clew.

Each rule is a function from a parsed file to the problems in it, and each is tried on a bad sample first (a
rule that finds nothing proves nothing). Rules about documents are in tests/docs/test_documents.py.
"""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("src", "tests", "examples", "benchmarks")
TEXT = (*CODE, "docs", ".ci")
TEXT_SUFFIXES = {
    "",
    ".css",
    ".html",
    ".j2",
    ".js",
    ".json",
    ".md",
    ".py",
    ".sql",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

# Ratchets: what is longer today, with its exact length. A figure may only fall; an entry goes when it is
# under the limit.
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}  # "path::function"

# Modules that nobody in `src` imports because users and tests do. The console scripts of pyproject.toml are added.
DOORS = {"clew", "clew.__main__", "clew.testing", "clew.kernel.invariants"}

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "misc", "common"}


@dataclass(frozen=True)
class Source:
    """One Python file of ours, read and parsed."""

    path: str
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """The dotted name under `src`."""
        return self.path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def package(self) -> str:
        """What a relative import of one dot starts from."""
        return self.module if self.path.endswith("__init__.py") else self.module.rpartition(".")[0]


@dataclass(frozen=True)
class Ban:
    """Names not to be used, what to use instead, and where: `in_` and `but_in` are starts of paths."""

    names: frozenset[str]
    instead: str
    in_: tuple[str, ...] = ("",)
    but_in: tuple[str, ...] = ()


def ban(*names: str, instead: str, in_: tuple[str, ...] = ("",), but_in: tuple[str, ...] = ()) -> Ban:
    return Ban(frozenset(names), instead, in_, but_in)


BANS = (
    ban("pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", instead="clew.codec"),
    ban("eval", "exec", instead="an expression of the Jinja2 sandbox (clew.graphs), or a real function"),
    ban(
        *("time.time", "time.time_ns", "datetime.datetime.now", "datetime.datetime.utcnow"),
        *("datetime.datetime.today", "datetime.date.today"),
        instead="the engine's clock, passed in",
        in_=("src",),
        but_in=("src/clew/engine/clock.py",),
    ),
    ban("print", instead="a rich console in the cli, or a logger", in_=("src",), but_in=("src/clew/cli/",)),
    ban(
        *("asyncio.sleep", "time.sleep", "anyio.sleep"),
        instead="an event to wait for, or the test's own clock; Event().wait() for a body that hangs",
        in_=("tests",),
    ),
    ban("unittest.mock", instead="a real one, or a fake of clew.testing", in_=("tests",)),
)


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of ours."""
    paths = sorted(path for top in CODE for path in (ROOT / top).rglob("*.py"))
    return tuple(parse(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in paths)


def parse(path: str, text: str) -> Source:
    return Source(path, text, ast.parse(text, path))


def in_src() -> Iterator[Source]:
    return (source for source in sources() if source.path.startswith("src/"))


# Names and imports ---------------------------------------------------------------------------------


def imported(source: Source) -> Iterator[tuple[str, str, int]]:
    """Yield (local name, dotted name, line) of every import, wherever it stands."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.partition(".")[0]
                yield local, alias.name if alias.asname else local, node.lineno
                yield "", alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = source.package.split(".")[: -(node.level - 1) or None]
                base = ".".join([*above, *([base] if base else [])])
            yield "", base, node.lineno
            for alias in node.names:
                yield alias.asname or alias.name, f"{base}.{alias.name}", node.lineno


def used(source: Source) -> Iterator[tuple[str, int]]:
    """Yield (dotted name, line) of every name that is imported or read, as far as the text tells."""
    names = {local: dotted for local, dotted, _ in imported(source) if local}
    yield from ((dotted, line) for _, dotted, line in imported(source))
    turns = {node.func for node in ast.walk(source.tree) if is_loop_turn(node)}
    for node in ast.walk(source.tree):
        if node not in turns and (chain := dotted_name(node)):
            first, *rest = chain.split(".")
            yield ".".join([names.get(first, first), *rest]), node.lineno


def dotted_name(node: ast.AST) -> str:
    """Return "a.b.c" for such a node that is read, "" for all else."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()):
            return name
        case ast.Attribute(value=value, attr=name, ctx=ast.Load()) if before := dotted_name(value):
            return f"{before}.{name}"
    return ""


def is_loop_turn(node: ast.AST) -> bool:
    """Tell `sleep(0)`, one turn of the event loop, from waiting."""
    match node:
        case ast.Call(func=function, args=[ast.Constant(value=0)], keywords=[]):
            return dotted_name(function).endswith("sleep")
    return False


# Rules: from a file to its problems ----------------------------------------------------------------


def banned_names(source: Source) -> Iterator[str]:
    bans = [ban for ban in BANS if source.path.startswith(ban.in_) and not source.path.startswith(ban.but_in)]
    found = {
        (line, name, ban.instead)
        for dotted, line in used(source)
        for ban in bans
        for name in ban.names
        if dotted == name or dotted.startswith(f"{name}.")
    }
    for line, name, instead in sorted(found):
        yield f"{source.path}:{line}: {name} is not used here; use {instead}"


def swallowed_errors(source: Source) -> Iterator[str]:
    everything = {"Exception", "BaseException"}
    for node in ast.walk(source.tree):
        match node:
            case ast.ExceptHandler(type=None):
                yield f"{source.path}:{node.lineno}: a bare `except:` catches even what ends the program"
            case (
                ast.ExceptHandler(type=ast.Name(id=name), body=[ast.Pass() | ast.Expr(ast.Constant())])
                | ast.Call(func=ast.Name("suppress") | ast.Attribute(attr="suppress"), args=[ast.Name(id=name)])
            ) if name in everything:
                yield f"{source.path}:{node.lineno}: {name} is swallowed; name the error, or record it"


EMPTY_CONTAINER = re.compile(
    r"\[\]|\{\}|(list|dict|set)\(\)|(\w+\.)?((deque|Counter|OrderedDict)\(\)|(defaultdict|Weak\w+)\(.*)"
)


def shared_state(source: Source) -> Iterator[str]:
    """Find what must be a registry or a cache: an empty container at module level, or a `global`."""
    for node in source.tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is not None and EMPTY_CONTAINER.fullmatch(ast.unparse(value)):
            yield f"{source.path}:{node.lineno}: state of the module; pass it through a constructor"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Global):
            yield f"{source.path}:{node.lineno}: state of the module; pass it through a constructor"


def missing_docstrings(source: Source) -> Iterator[str]:
    if source.text.strip() and not ast.get_docstring(source.tree):
        yield f"{source.path}:1: the module does not say what it is for"
    if not source.path.startswith("src/"):
        return
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            # An overload is told by its implementation.
            overload = any(dotted_name(decorator).endswith("overload") for decorator in node.decorator_list)
            if not (overload or node.name.startswith("_") or ast.get_docstring(node)):
                yield f"{source.path}:{node.lineno}: {node.name} is public and has no docstring"


def vague_name(source: Source) -> Iterator[str]:
    words = {word for part in Path(source.path).with_suffix("").parts for word in part.split("_")}
    for word in words & VAGUE_NAMES:
        yield f"{source.path}: `{word}` says nothing; name the module by what it knows"


def functions(source: Source) -> Iterator[tuple[str, int]]:
    """Yield ("path::name", lines) of every function."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            yield f"{source.path}::{node.name}", node.end_lineno - node.lineno + 1


UNFINISHED = re.compile(r"\b(T[O]DO|F[I]XME|X[X]X)\b")
MACHINE_PATH = re.compile(r"(?<![\w.})\]*~-])/(ro[o]t|h[o]me|w[o]rk)/")


def text_problems(path: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if found := UNFINISHED.search(line):
            yield f"{path}:{number}: {found[0]} is not for the repository; do it, or open an issue"
        if found := MACHINE_PATH.search(line):
            yield f"{path}:{number}: {found[0]} is a path of one machine"


RULES: tuple[Callable[[Source], Iterator[str]], ...] = (
    banned_names,
    swallowed_errors,
    missing_docstrings,
    vague_name,
)

BAD_SAMPLES = (
    (banned_names, "src/clew/a.py", "from pickle import loads"),
    (banned_names, "src/clew/a.py", "import time as t\nnow = t.time"),
    (banned_names, "src/clew/a.py", "from datetime import datetime\nnow = datetime.now()"),
    (banned_names, "src/clew/a.py", "value = eval(text)"),
    (banned_names, "src/clew/a.py", "print(1)"),
    (banned_names, "tests/a.py", "from asyncio import sleep\nasync def f(): await sleep(0.1)"),
    (banned_names, "tests/a.py", "from unittest import mock"),
    (swallowed_errors, "src/clew/a.py", "try: f()\nexcept: raise"),
    (swallowed_errors, "src/clew/a.py", "try: f()\nexcept Exception: pass"),
    (swallowed_errors, "src/clew/a.py", "with contextlib.suppress(BaseException): f()"),
    (shared_state, "src/clew/a.py", "nodes: dict[str, int] = {}"),
    (shared_state, "src/clew/a.py", "def f():\n    global x"),
    (missing_docstrings, "tests/a.py", "x = 1"),
    (missing_docstrings, "src/clew/a.py", "'''Said.'''\ndef f(): ..."),
    (vague_name, "src/clew/text_utils.py", "x = 1"),
)

GOOD_SAMPLES = (
    (banned_names, "src/clew/engine/clock.py", "import time\nnow = time.time()"),
    (
        banned_names,
        "src/clew/a.py",
        "import asyncio\nasync def f(): await asyncio.create_subprocess_exec('x')",
    ),
    (banned_names, "tests/a.py", "import asyncio\nasync def f(): await asyncio.sleep(0)"),
    (swallowed_errors, "src/clew/a.py", "try: f()\nexcept OSError: pass"),
    (shared_state, "src/clew/a.py", "LEGAL = {'a': 'b'}"),
)


@pytest.mark.parametrize(("rule", "path", "text"), BAD_SAMPLES)
def test_a_rule_finds_what_it_is_for(rule: Callable[[Source], Iterator[str]], path: str, text: str) -> None:
    assert [*rule(parse(path, text))]


@pytest.mark.parametrize(("rule", "path", "text"), GOOD_SAMPLES)
def test_a_rule_leaves_the_rest_alone(rule: Callable[[Source], Iterator[str]], path: str, text: str) -> None:
    assert not [*rule(parse(path, text))]


def test_text_rules_find_what_they_are_for() -> None:
    bad = ("# TO" + "DO later", "see /ho" + "me/you/x", "'/wo" + "rk/x'")
    assert all([*text_problems("a.py", line)] for line in bad)
    assert not [*text_problems("a.py", "todos, src/work/x, https://example.org/work/x")]


# The rules on our files ----------------------------------------------------------------------------


def report(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(problems)


needs_program = pytest.mark.skipif(
    not (ROOT / "src/clew/cli/main.py").exists(), reason="the program is not written yet"
)


@needs_program
def test_the_files_are_found() -> None:
    assert len([*in_src()]) > 25
    assert len(sources()) > 50


@pytest.mark.parametrize("rule", RULES)
def test_python_files(rule: Callable[[Source], Iterator[str]]) -> None:
    report([problem for source in sources() for problem in rule(source)])


def test_no_state_at_module_level() -> None:
    report([problem for source in in_src() for problem in shared_state(source)])


def test_lengths() -> None:
    long_files = {s.path: len(s.text.splitlines()) for s in sources() if len(s.text.splitlines()) > MAX_FILE_LINES}
    long_functions = {name: n for s in sources() for name, n in functions(s) if n > MAX_FUNCTION_LINES}
    for found, ratchet, limit in (
        (long_files, LONG_FILES, MAX_FILE_LINES),
        (long_functions, LONG_FUNCTIONS, MAX_FUNCTION_LINES),
    ):
        report(
            [
                f"{name}: {found.get(name, 'few')} lines; allowed are {ratchet.get(name, limit)}"
                for name in sorted({*found, *ratchet})
                if found.get(name) != ratchet.get(name)
            ]
        )


def test_text_files() -> None:
    top = [path for path in ROOT.iterdir() if path.is_file() and path.name not in {".git", ".coverage"}]
    paths = [*top, *(path for folder in TEXT for path in (ROOT / folder).rglob("*") if path.is_file())]
    problems = []
    for path in sorted(path for path in paths if path.suffix in TEXT_SUFFIXES):
        problems += text_problems(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    report(problems)


@needs_program
def test_no_dead_modules() -> None:
    by_name = {source.module: source for source in in_src()}
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].values()
    alive: set[str] = set()
    waiting = [*DOORS, *(script.partition(":")[0] for script in scripts)]
    while waiting:
        name = waiting.pop()
        if name not in alive and name in by_name:
            alive.add(name)
            waiting += [name.rpartition(".")[0], *references(by_name[name], set(by_name))]
    dead = sorted({*by_name} - alive)
    report([f"{by_name[name].path}: no program or user comes here; remove it" for name in dead])


def references(source: Source, modules: set[str]) -> Iterator[str]:
    """Yield the modules that a file imports, or names in a string ("clew.cli.ls:command") to import late."""
    for _, dotted, _ in imported(source):
        yield from (name for name in (dotted, dotted.rpartition(".")[0]) if name in modules)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = f"{source.package}{node.value}" if node.value.startswith(".") else node.value
            # An f-string "clew.cli.{command}" reaches every module of that package.
            if text.endswith(".") and text[:-1] in modules:
                yield from (name for name in modules if name.rpartition(".")[0] == text[:-1])
            elif (name := text.partition(":")[0]) in modules or (name := name.rpartition(".")[0]) in modules:
                yield name


def test_names_of_test_files_are_used_once() -> None:
    counted = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [name for name, count in counted.items() if count > 1]
