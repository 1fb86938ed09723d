"""Finding the Python files of a tree, naming them as modules, and reading them as Python would."""

from __future__ import annotations

import io
import os
import tokenize
from pathlib import Path, PurePosixPath

#: Folders that hold what was built or installed, not what was written here.
SKIPPED_FOLDERS = frozenset({"__pycache__", "site-packages", "dist-packages", "node_modules"})
TEST_FOLDERS = frozenset({"test", "tests", "testing", "idle_test"})


class SourceError(Exception):
    """A file that cannot be turned into text."""


def discover(path: str) -> list[str]:
    """List the Python files of a tree.

    Hidden folders, caches, installed packages and virtual environments below the path are left out.

    Args:
        path: a folder, or a single file.

    Returns:
        Paths relative to the folder, sorted, with forward slashes.

    Raises:
        FileNotFoundError: there is nothing at this path.
    """
    root = Path(path).expanduser()
    if root.is_file():
        return [root.name]
    if not root.is_dir():
        raise FileNotFoundError(f"nothing to audit at {path!r}: no such file or folder")
    files: list[str] = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if _is_ours(Path(folder, name))]
        relative = Path(folder).relative_to(root)
        files.extend(_storable((relative / name).as_posix()) for name in names if name.endswith(".py"))
    return sorted(files)


def base_folder(root: str) -> Path:
    """Return the folder that the files of `discover(root)` are relative to."""
    path = Path(root).expanduser()
    return path.parent if path.is_file() else path


def read_source(path: Path) -> str:
    """Read a source file with the encoding it declares (PEP 263), lines ending in `\\n`.

    Raises:
        OSError: the file cannot be opened.
        SourceError: it is not text in its encoding, or the encoding is unknown.
    """
    content = path.read_bytes()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(encoding)
    except (SyntaxError, UnicodeError, LookupError) as error:
        raise SourceError(str(error)) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def module_name(base: Path, file: str) -> str:
    """Return the dotted name under which a file is imported.

    Packages are climbed as long as they have an `__init__.py`, beyond the audited folder as well, so that
    `src/shop/cart.py` is `shop.cart` whether the audit runs on the project, on `src` or on `src/shop`.
    """
    path = Path(os.path.abspath(base / file))  # noqa: PTH100  (links are names here, not to be resolved)
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.name:
        parts.append(folder.name)
        folder = folder.parent
    return ".".join(reversed(parts)) or path.stem


def is_test(file: str) -> bool:
    """Tell by its name or its folder whether a file is test code."""
    path = PurePosixPath(file)
    named = path.name.startswith("test_") or path.name.endswith("_test.py") or path.name == "conftest.py"
    return named or not TEST_FOLDERS.isdisjoint(path.parts[:-1])


def _is_ours(folder: Path) -> bool:
    hidden_or_installed = folder.name.startswith(".") or folder.name in SKIPPED_FOLDERS
    return not hidden_or_installed and not (folder / "pyvenv.cfg").exists()


def _storable(name: str) -> str:
    """Write bytes that are not UTF-8 as escapes: the file is then reported as unreadable, by this name."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
