"""The analysis of `examples/audit`: small trees, the real linter, broken files, and the page itself."""

import ast
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest
from audit_trees import SHOP, audit, imports_only, plant
from code_audit import components, lint
from code_audit.analysis import analyse
from code_audit.import_graph import combine
from code_audit.imports import collect_imports
from code_audit.metrics import measure
from code_audit.model import FileReport, ImportGraph, Ranking
from code_audit.sources import discover, is_test, module_name


def measured(source):
    text = textwrap.dedent(source)
    return measure(ast.parse(text), text)


def imported(source, module="shop.cart", *, is_package=False):
    return collect_imports(ast.parse(textwrap.dedent(source)), module, is_package=is_package)


# Finding files


def test_discovery_is_sorted_and_leaves_out_what_is_not_ours(tmp_path):
    kept = {"b.py": "", "a/z.py": "", "a/.keep": "", "build/c.py": "", "notes.txt": ""}
    left_out = {
        ".git/hook.py": "",
        "__pycache__/x.py": "",
        "lib/site-packages/dep.py": "",
        "env/pyvenv.cfg": "",
        "env/lib/tool.py": "",
    }
    assert discover(plant(tmp_path, kept | left_out)) == ["a/z.py", "b.py", "build/c.py"]


def test_a_root_that_is_itself_within_a_skipped_folder_is_audited(tmp_path):
    root = plant(tmp_path / "site-packages" / ".hidden", {"a.py": ""})
    assert discover(root) == ["a.py"]


def test_a_single_file_is_a_tree(tmp_path):
    path = str(Path(plant(tmp_path, {"one.py": "x = 1\n", "other.py": ""}), "one.py"))
    assert discover(path) == ["one.py"]
    assert analyse(path, "one.py").code_lines == 1


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing to audit at .*nowhere"):
        discover(str(tmp_path / "nowhere"))


def test_module_names_climb_packages_beyond_the_root(tmp_path):
    root = Path(plant(tmp_path, {"src/shop/__init__.py": "", "src/shop/cart.py": "", "src/run.py": ""}))
    assert module_name(root, "src/shop/cart.py") == "shop.cart"
    assert module_name(root / "src" / "shop", "cart.py") == "shop.cart"
    assert module_name(root / "src" / "shop", "__init__.py") == "shop"
    assert module_name(root, "src/run.py") == "run"


@pytest.mark.parametrize("file", ["test_a.py", "a_test.py", "tests/data.py", "x/test/y.py", "conftest.py"])
def test_tests_are_known_by_name(file):
    assert is_test(file)
    assert not is_test("latest/contest.py")


# Metrics


@pytest.mark.parametrize(
    ("body", "complexity", "nesting"),
    [
        ("return 1", 1, 0),
        ("if x: pass\n    elif y: pass\n    else: pass", 3, 1),
        ("if x: pass\n    else:\n        if y: pass", 3, 2),
        ("return a and b and c or d", 4, 0),
        ("for x in y:\n        while x:\n            with x: pass", 3, 3),
        ("try: pass\n    except A: pass\n    except B: pass\n    finally: pass", 3, 1),
        ("return [x for x in y if x if not x] + (1 if a else 2)", 5, 0),
        ("match x:\n        case 1: pass\n        case _: pass", 2, 1),
        ("def inner():\n        if x: pass\n    return inner", 1, 0),
    ],
)
def test_complexity_and_nesting(body, complexity, nesting):
    metrics = measured(f"def f(x):\n    {body}\n")
    outer = next(function for function in metrics.top_functions if function.name == "f")
    assert (outer.complexity, outer.nesting) == (complexity, nesting)


def test_functions_are_named_in_full_and_the_worst_come_first():
    metrics = measured("""
        class A:
            class B:
                def simple(self): pass
                async def worst(self):
                    if self: pass
        """)
    assert [(f.name, f.line, f.lines) for f in metrics.top_functions] == [
        ("A.B.worst", 5, 2),
        ("A.B.simple", 4, 1),
    ]
    assert (metrics.classes, metrics.complexities) == (2, [2, 1])


def test_docstrings_are_asked_of_public_names_only():
    metrics = measured('''
        """Documented."""
        class Public:
            """Documented."""
            def method(self):
                def inner(): pass
            def _private(self): pass
        class _Private:
            def method(self): pass
        ''')
    assert (metrics.documented, metrics.documentable) == (2, 3)
    assert measured("").documentable == 0


def test_hints_are_asked_of_parameters_and_returns():
    metrics = measured("""
        def f(a: int, b, *args, c: str = "", **rest) -> None: ...
        class A:
            def __init__(self, x: int): ...
            def method(self) -> int: ...
            @staticmethod
            def static(x): ...
        """)
    assert (metrics.hinted, metrics.hintable) == (3 + 1 + 1 + 0, 6 + 1 + 1 + 2)


def test_lines_of_code_leave_out_blanks_comments_and_docstrings():
    metrics = measured('"""Two\nlines."""\n\n# comment\nx = 1  # not only\n\x0c\ny = """a\nb"""\n')
    assert (metrics.lines, metrics.code_lines) == (8, 3)


def test_deep_nesting_does_not_exhaust_the_stack():
    depth = 90
    source = "".join(" " * level + "if x:\n" for level in range(depth)) + " " * depth + "y = " + "-" * 2000 + "1"
    try:
        tree = ast.parse(source)
    except (MemoryError, RecursionError, SyntaxError):
        source = source.replace("-" * 2000, "-")
        tree = ast.parse(source)
    assert measure(tree, source).nesting == depth


# Imports


def test_imports_are_made_absolute():
    now, later = imported("""
        import os.path as p, sys
        from a.b import c, d
        from . import prices
        from .deep.er import x
        from .. import outside
        from .... import too_far
        from star import *
        """)
    assert now == sorted(
        [
            *("os.path", "sys", "a.b.c", "a.b.d", "shop.prices", "shop.deep.er.x", "outside", "star"),
        ]
    )
    assert later == []


def test_a_package_is_its_own_parent():
    assert imported("from .cart import Cart", "shop", is_package=True)[0] == ["shop.cart.Cart"]


def test_imports_that_importers_do_not_make_are_deferred():
    now, later = imported("""
        import a
        try:
            import b
        except ImportError:
            import c
        if TYPE_CHECKING:
            import d
        if typing.TYPE_CHECKING:
            import e
        def f():
            import g, a
        class A:
            import h
        if __name__ == "__main__":
            import i
        match x:
            case 1: import j
        """)
    assert now == ["a", "b", "c", "h", "j"]
    assert later == ["d", "e", "g", "i"]


def test_the_import_graph_counts_importers_and_dependents(tmp_path):
    _, graph, _ = audit(plant(tmp_path, SHOP))
    stock = graph.modules["shop/stock.py"]
    assert stock.imported_by == ["shop/cart.py", "shop/prices.py"]
    assert stock.imports == ["shop/cart.py"]
    assert stock.dependents == 4  # prices, cart, the package, the test
    assert graph.modules["tests/test_shop.py"].imports == ["shop/cart.py"]
    assert graph.cycles == []  # the way back from stock to cart is a deferred import


def test_cycles_are_found_largest_first_with_a_shortest_way_round():
    graph = imports_only(a=["b"], b=["c", "a.name"], c=["a"], p=["q"], q=["p"], alone=["a", "alone"])
    assert [cycle.files for cycle in graph.cycles] == [["a.py", "b.py", "c.py"], ["p.py", "q.py"]]
    assert graph.cycles[0].example == ["a.py", "b.py"]
    assert ["b.py", "c.py"] in graph.cycles[0].links
    assert graph.modules["a.py"].dependents == 3
    assert graph.modules["alone.py"].imports == ["a.py"]


def test_a_long_chain_of_imports_does_not_exhaust_the_stack():
    chain = {f"m{i}": [f"m{i + 1}"] for i in range(3000)} | {"m3000": []}
    edges = components.strongly_connected(chain)
    assert len(edges) == 3001
    assert components.count_reaching(chain, edges)["m3000"] == 3000


def test_files_of_one_name_are_told_apart_by_nearness():
    reports = [
        FileReport(file="one/run.py", module="run", imports=["settings"]),
        FileReport(file="one/settings.py", module="settings"),
        FileReport(file="two/settings.py", module="settings"),
        FileReport(file="two/run.py", module="run", imports=["settings", "queue"]),
        FileReport(file="far/queue.py", module="queue"),
    ]
    modules = combine(reports).modules
    assert modules["one/run.py"].imports == ["one/settings.py"]
    assert modules["two/run.py"].imports == ["two/settings.py"]  # and not far/queue.py, but the real queue


def test_a_tree_within_a_package_does_not_shadow_the_standard_library(tmp_path):
    tree = {"shop/__init__.py": "", "shop/typing.py": "", "shop/cart.py": "import typing, shop.typing as own\n"}
    root = plant(tmp_path, tree)
    assert audit(f"{root}/shop")[1].modules["cart.py"].imports == ["typing.py"]
    (tmp_path / "shop" / "cart.py").write_text("import typing\n")
    assert audit(f"{root}/shop")[1].modules["cart.py"].imports == []


def test_folders_without_init_can_be_named_in_imports(tmp_path):
    root = plant(tmp_path, {"lib/tool/hammer.py": "", "run.py": "from lib.tool import hammer\n"})
    assert audit(root)[1].modules["run.py"].imports == ["lib/tool/hammer.py"]


# One file


def test_the_linter_speaks(tmp_path):
    root = plant(tmp_path, {"a.py": "import os\nimport sys\ntry: f()\nexcept: pass\nassert 1\n"})
    findings = {finding.code: finding for finding in analyse(root, "a.py").findings}
    assert (findings["F401"].count, findings["F401"].line, findings["F401"].name) == (2, 1, "unused-import")
    assert "E722" in findings
    assert "S101" not in findings


def test_the_linter_reads_what_python_reads(tmp_path):
    root = plant(tmp_path, {"build/latin.py": b"# coding: latin-1\r\nimport os\r\nname = '\xe4'\r\n"})
    report_ = analyse(root, "build/latin.py")
    assert (report_.problem, report_.lines) == (None, 3)
    assert "F401" in {finding.code for finding in report_.findings}


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import sys; print('no disk', file=sys.stderr); sys.exit(2)", r"ruff failed on a\.py: no disk"),
        ("print('All good!')", r"ruff's answer about a\.py is not in the known format"),
    ],
)
def test_a_linter_that_fails_is_not_the_files_fault(monkeypatch, program, message):
    monkeypatch.setattr(lint, "_command", lambda: (sys.executable, "-c", program))
    with pytest.raises(lint.LinterError, match=message):
        lint.lint("x = 1\n", "a.py")


def test_a_linter_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(lint, "_command", lambda: (str(tmp_path / "ruff"),))
    with pytest.raises(lint.LinterError, match=r"ruff did not run on a\.py"):
        lint.lint("x = 1\n", "a.py")


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"def f(:\n", "syntax error", "invalid syntax"),
        (b"print 'two'\n", "syntax error", "Missing parentheses"),
        (b"x = 1\x00\n", "syntax error", "null bytes"),
        (b"x = '\xff'\n", "undecodable", "invalid"),
        (b"# coding: uft-8\n", "undecodable", "unknown encoding: uft-8"),
        (b"# coding: rot13\n", "undecodable", "rot13"),
        (b"x = " + b"(" * 5000 + b"\n", "syntax error", ""),
    ],
)
def test_broken_files_are_reported(tmp_path, content, kind, message):
    problem = analyse(plant(tmp_path, {"bad.py": content}), "bad.py").problem
    assert problem is not None
    assert problem.kind == kind
    assert message in problem.message


def test_files_that_cannot_be_opened_are_reported(tmp_path):
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    assert discover(str(tmp_path)) == ["gone.py"]
    problem = analyse(str(tmp_path), "gone.py").problem
    assert problem is not None
    assert problem.kind == "unreadable"


def test_a_doubtful_escape_is_a_finding_not_an_error(tmp_path):
    report_ = analyse(plant(tmp_path, {"a.py": "x = '\\d'\n"}), "a.py")
    assert report_.problem is None
    assert "W605" in {finding.code for finding in report_.findings}


def test_reports_survive_storage(tmp_path):
    reports, graph, ranking = audit(plant(tmp_path, SHOP))
    for value, kind in ((reports, list[FileReport]), (graph, ImportGraph), (ranking, Ranking)):
        assert msgspec.json.decode(msgspec.json.encode(value), type=kind) == value


# Ranking
