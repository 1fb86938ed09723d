"""Tools of the release: look at what is released, build it, and publish it to a package index of files.

The working folder is the repository.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

from clew import Permanent, tool

PACKAGE = "sundial"
MODULE = Path(PACKAGE, "__init__.py")
CHANGELOG = Path("CHANGELOG.md")


class Version(TypedDict):
    """What is released: from which version and commit to which version."""

    old: str
    new: str
    head: str


@tool(effects="none", write=(), shell=True, limits={"wall_s": 30})  # noqa: S604 -- runs git
def examine(part: str, index: str) -> Version:
    """Say which version is next, and refuse to release what is not ready.

    Args:
        part: of the version that is raised: major, minor or patch.
        index: folder of the package index.
    """
    old = _found(r'^__version__ = "(\d+\.\d+\.\d+)"$', MODULE, "version")
    new = _raised(old, part)
    if _git("status", "--porcelain"):
        raise Permanent("there are changes that are not committed; commit them first")
    if _git("tag", "--list", f"v{new}"):
        raise Permanent(f"there is a tag v{new} already; raise another part of the version")
    if [*Path(index).glob(f"**/{PACKAGE}-{new}-*.whl")]:
        raise Permanent(f"{PACKAGE} {new} is in the index already; raise another part of the version")
    _found(r"^## Unreleased\n\n- ", CHANGELOG, "change that is not released")
    return {"old": old, "new": new, "head": _git("rev-parse", "HEAD")}


@tool(effects="idempotent", write=["dist"], shell=True)  # noqa: S604 -- runs the build backend
def build_wheel(version: str) -> str:
    """Build a wheel of the repository; where it lies.

    Args:
        version: that it has to have.
    """
    subprocess.run([sys.executable, "-m", "flit_core.wheel", "--outdir", "dist"], check=True)
    wheel = Path("dist", f"{PACKAGE}-{version}-py3-none-any.whl")
    if not wheel.is_file():
        raise Permanent(f"{wheel} was not built, but {[*map(str, Path('dist').iterdir())]}")
    return str(wheel)


@tool(effects="idempotent", write=["../index"])
def publish(wheel: str, index: str) -> str:
    """Put a wheel into a package index, from which `pip install --index-url` can take it; where it lies.

    Args:
        wheel: the file.
        index: folder of the index.
    """
    target = Path(index, PACKAGE, Path(wheel).name)
    shutil.copy(wheel, target)
    list_wheels(index)
    _log(index, f"published {target.name}")
    return str(target)


@tool(effects="idempotent", write=["../index"])
def unpublish(wheel: str, index: str) -> None:
    """Take a wheel out of a package index; it does no harm if it is not there.

    Args:
        wheel: its file, or a file of that name.
        index: folder of the index.
    """
    target = Path(index, PACKAGE, Path(wheel).name)
    _log(index, f"unpublished {target.name}{'' if target.exists() else ', which was not there'}")
    target.unlink(missing_ok=True)
    list_wheels(index)


def list_wheels(index: str) -> None:
    """Write the page that tells installers which wheels there are."""
    folder = Path(index, PACKAGE)
    links = [
        f'<a href="{file.name}#sha256={hashlib.sha256(file.read_bytes()).hexdigest()}">{file.name}</a><br>\n'
        for file in sorted(folder.glob("*.whl"))
    ]
    (folder / "index.html").write_text("<!DOCTYPE html>\n" + "".join(links), "utf-8")


def _found(pattern: str, file: Path, what: str) -> str:
    found = re.search(pattern, file.read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise Permanent(f"{file} has no {what}")
    return found[found.re.groups]


def _raised(version: str, part: str) -> str:
    major, minor, patch = map(int, version.split("."))
    match part:
        case "major":
            return f"{major + 1}.0.0"
        case "minor":
            return f"{major}.{minor + 1}.0"
        case "patch":
            return f"{major}.{minor}.{patch + 1}"
        case _:
            raise Permanent(f"there is no part {part!r} of a version; there are major, minor and patch")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def _log(index: str, line: str) -> None:
    """The index tells what was done to it, as real ones do."""
    with Path(index, "log.txt").open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")
