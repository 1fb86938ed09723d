"""Importing what people name: modules beside a file, functions in modules, with errors that say what to do."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from clew.errors import ClewError
from clew.graphs.names import Place, did_you_mean, listed, nearest


class ImportProblem(ClewError):
    """Something that was named cannot be imported; the message is one sentence."""


@contextmanager
def importable(folder: Path) -> Generator[None]:
    """Have a folder first on `sys.path` for a while, and last from then on.

    It stays, because a body may import something of its own folder when it runs; last, because then nothing
    of the rest of the program is hidden by it.
    """
    entry = os.path.abspath(folder)  # noqa: PTH100 -- resolve() would follow links out of the folder
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(entry)
        if entry not in sys.path:
            sys.path.append(entry)


def import_from(reference: str, folder: Path) -> Any:
    """What ``module:qualname`` names.

    Args:
        reference: as it was written.
        folder: where modules are looked for first; it is on `sys.path`.

    Raises:
        ImportProblem: with the nearest right name.
    """
    module_name, colon, qualname = reference.partition(":")
    if not colon or not module_name or not qualname:
        raise ImportProblem(f"{reference!r} is not of the form module:function{_colon_hint(reference)}")
    found: Any = import_module(module_name, folder)
    for part in qualname.split("."):
        inside: Any = found
        found = getattr(inside, part, None)
        if found is None:
            public: list[str] = [name for name in dir(inside) if not name.startswith("_")]
            own = _own(public, inside)
            near = did_you_mean(part, public) or (f"; it has {listed(own, last='and')}" if own else "")
            raise ImportProblem(f"there is no {part!r} in {module_name!r}{near}")
    return found


def refuse_missing(path: Path) -> None:
    """Raise `ImportProblem` with the nearest name if there is no such file."""
    if path.is_file():
        return
    try:
        beside = {each.stem: each.name for each in path.parent.iterdir() if each.suffix == path.suffix}
    except OSError:
        raise ImportProblem(f"there is no folder {Place(str(path.parent))}") from None
    found = nearest(path.stem, beside)
    near = f"; did you mean {beside[found]!r}?" if found is not None else ""
    raise ImportProblem(f"there is no file {path.name!r}{near}")


def import_module(name: str, folder: Path) -> ModuleType:
    """A module by name.

    Raises:
        ImportProblem: it is not there, its code fails, or another module has its name.
    """
    before = sys.modules.get(name)
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # code of the user's runs here
        if isinstance(error, ModuleNotFoundError) and error.name and (name + ".").startswith(error.name + "."):
            raise ImportProblem(f"there is no module {error.name!r}{_near_module(error.name, folder)}") from None
        raise ImportProblem(f"module {name!r} does not import: {last_line(error)}") from error
    if before is not None:
        _refuse_namesake(name, folder)
    return module


def last_line(error: BaseException) -> str:
    """The last line of an error's report, and the place in the user's code that it comes from."""
    said = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, SyntaxError):
        return f"{said} ({Place(error.filename or '', error.lineno or 0)})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_machinery(f.filename)]
    return f"{said} ({Place(frames[-1].filename, frames[-1].lineno or 0)})" if frames else said


def _is_machinery(filename: str) -> bool:
    return filename.startswith(("<frozen", str(Path(__file__).parent)))


def _refuse_namesake(name: str, folder: Path) -> None:
    """Two modules of one name cannot be loaded; take care that the one beside the file is meant."""
    first = name.partition(".")[0]
    beside = [path for path in (folder / f"{first}.py", folder / first / "__init__.py") if path.is_file()]
    loaded = getattr(sys.modules.get(first), "__file__", None)
    if beside and loaded and not any(path.samefile(loaded) for path in beside if Path(loaded).exists()):
        raise ImportProblem(
            f"module {first!r} is loaded already, from {loaded}, and hides {beside[0]}; rename one of them"
        )


def _near_module(name: str, folder: Path) -> str:
    try:
        beside = [
            path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
        ]
    except OSError:
        beside = []
    return did_you_mean(name, beside) or f" (looked in {Place(str(folder))} first)"


def _colon_hint(reference: str) -> str:
    module, _, function = reference.rpartition(".")
    return f"; did you mean '{module}:{function}'?" if module and ":" not in reference else ""


def _own(names: list[str], module: Any) -> list[str]:
    """The functions that a module itself defines."""
    return [
        name
        for name in names
        if getattr(getattr(module, name), "__module__", "") == getattr(module, "__name__", "")
    ]
