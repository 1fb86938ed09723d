"""A function is found again by name, or what is missing is said; inputs become what it declares."""

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clew.bodies.context import Context
from clew.bodies.functions import Signature, find, importing_script, source_digest
from clew.errors import InvalidInputError, UnresolvedBodyError
from clew.graphs.body_data import FunctionBody
from clew.kernel.values import Absent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for modules; what is imported from it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def problem(body: FunctionBody) -> str:
    with pytest.raises(UnresolvedBodyError) as caught:
        find(body, {})
    return str(caught.value)


def test_known_functions_come_first() -> None:
    function = lambda: 1
    ref = f"{__name__}:<lambda>@graph/node"
    assert find(FunctionBody(ref), {ref: function}) is function
    assert "Engine(graphs=[...])" in problem(FunctionBody(ref))


def test_by_import(folder: Path) -> None:
    write(folder / "w_module.py", "class Tool:\n    @staticmethod\n    def use(): return 5\nlimit = 3\n")
    body = FunctionBody("w_module:Tool.use", folder=str(folder))
    assert find(body, {})() == 5
    assert find(body, {})() == 5
    assert "no Tools in" in problem(FunctionBody("w_module:Tools.use"))
    assert "did it become Tool?" in problem(FunctionBody("w_module:Tools.use"))
    assert "is a int now" in problem(FunctionBody("w_module:limit"))


def test_modules_that_do_not_import(folder: Path) -> None:
    write(folder / "w_broken.py", "import w_nowhere")
    text = problem(FunctionBody("w_broken:f", folder=str(folder)))
    assert "w_broken does not import" in text
    assert "No module named 'w_nowhere'" in text
    assert str(folder) in text
    assert "w_nothing does not import: ModuleNotFoundError" in problem(FunctionBody("w_nothing:f"))


SCRIPT = """
from __future__ import annotations
import dataclasses
from clew.bodies.functions import importing_script

@dataclasses.dataclass
class Page:
    title: str

seen = importing_script()

def read(page: Page) -> str:
    return page.title

if __name__ == "__main__":
    raise SystemExit("run as the main program")
"""


def test_a_script_is_run_under_another_name(folder: Path) -> None:
    script = write(folder / "w_job.py", SCRIPT)
    body = FunctionBody("__main__:read", script=script)
    function = find(body, {})
    arguments = Signature.of(function).bind({"page": b'{"title":"a"}'})
    assert function(**arguments) == "a"
    assert find(body, {}) is function  # run once
    assert sys.modules[function.__module__].seen == script
    assert importing_script() == ""


def test_the_main_program_itself_is_not_run_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__file__", write(folder / "w_me.py", ""), raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "w_mine", len, raising=False)
    assert find(FunctionBody("__main__:w_mine", script=str(folder / "w_me.py")), {}) is len


def test_scripts_that_do_not_run(folder: Path) -> None:
    assert "is not there" in problem(FunctionBody("__main__:f", script=str(folder / "w_none.py")))
    assert "is not there" in problem(FunctionBody("__main__:f", script=str(folder)))
    assert "write it to a file" in problem(FunctionBody("__main__:f"))
    script = write(folder / "w_exit.py", "import sys; sys.exit(2)")
    assert "SystemExit: 2" in problem(FunctionBody("__main__:f", script=script))


def test_digests_tell_versions_apart(folder: Path) -> None:
    write(folder / "w_one.py", "def f(): return 1\n")
    write(folder / "w_two.py", "def f(): return 2\n")
    one, two = (find(FunctionBody(f"{name}:f", folder=str(folder)), {}) for name in ("w_one", "w_two"))
    assert len({source_digest(one), source_digest(two)}) == 2
    assert source_digest(one) == source_digest(functools.partial(one))
    assert source_digest(len) != source_digest(max)
    made: dict[str, Any] = {}
    code = compile("def f(): return 3\n", "<none>", "exec")
    made["f"] = type(one)(code.co_consts[0], {})
    assert len(source_digest(made["f"])) == 64

    class Callable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self) -> None: ...

    assert source_digest(Callable()) == source_digest(Callable.__call__)


@dataclasses.dataclass
class Page:
    title: str


def test_inputs_become_what_is_declared() -> None:
    def body(page: Page, ctx, count: int = 3, *, note: str | None = "none", plain=None) -> list[Page]: ...  # type: ignore[no-untyped-def]

    signature = Signature.of(body)
    assert signature.context == "ctx"
    assert signature.returns == list[Page]
    assert not signature.is_async
    assert signature.bind({"page": b'{"title":"a"}', "plain": msgspec.Raw(b"[1]")}) == {
        "page": Page("a"),
        "plain": [1],
    }
    assert Signature.of(body) is signature


def test_absent_inputs_take_the_default() -> None:
    def body(a: int, b: int = 3, **rest: int) -> None: ...

    absent = Absent("upstream")
    assert Signature.of(body).bind({"a": absent, "b": absent, "c": b"1"}) == {"a": None, "b": 3, "c": 1}


def test_all_problems_of_the_inputs_are_told() -> None:
    async def body(a: int, b: str, c: Page) -> None: ...

    assert Signature.of(body).is_async
    with pytest.raises(InvalidInputError) as caught:
        Signature.of(body).bind({"a": b'"x"', "c": b'{"title":1}', "d": b"1"})
    text = str(caught.value)
    assert "a: Expected `int`" in text
    assert "b: it is missing" in text
    assert "$.title" in text
    assert "d: " in text
    assert "has no such parameter" in text


def test_the_context_is_known_by_its_annotation() -> None:
    def by_class(a: int, context: Context) -> None: ...
    def by_text(context: "Context", a: int) -> None: ...
    def by_missing_name(context: "clew.Context") -> None: ...  # type: ignore[name-defined]  # noqa: F821
    def none(ctx: int) -> None: ...

    assert [Signature.of(f).context for f in (by_class, by_text, by_missing_name, none)] == [
        *("context", "context", "context", ""),
    ]


def test_what_has_no_signature_takes_anything() -> None:
    assert Signature.of(dict).bind({"a": b"1"}) == {"a": 1}

    class Callable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, a: int) -> int:
            return a

    assert Signature.of(Callable()).bind({"a": b"1"}) == {"a": 1}
