"""Run the code of README.md and docs/, page by page, as a reader would: in order, in an empty folder.

- a `python` block is run in a process of its own;
- a block with `title=NAME` is written to that file and not run: a later block of the page must use it;
- in a `console` block, each line `$ clew ...` or `$ python ...` is run; `# exit 3` after it is its exit code;
- `<!-- not run: reason -->` on the line before a block leaves it out.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TIMEOUT_S = 60

FENCE = re.compile(r"^ *(`{3,}|~{3,}) *(\w*) *(.*)$")
NOT_RUN = re.compile(r"<!-- not run: .+ -->")
EXIT = re.compile(r"\s# exit (\d+)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, its language, the file it is to be, and its text."""

    line: int
    language: str
    title: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks that are to be run or written."""
    lines = page.splitlines()
    numbers = iter(range(len(lines)))
    for start in numbers:
        if not (fence := FENCE.match(lines[start])):
            continue
        mark, language, info = fence.groups()
        end = next((n for n in numbers if lines[n].strip() == mark), len(lines))
        title = re.search(r"title=\"?([\w./-]+)", info)
        if not (start and NOT_RUN.search(lines[start - 1])) and (title or language in {"python", "console"}):
            yield Block(start + 1, language, title[1] if title else "", "\n".join(lines[start + 1 : end]) + "\n")


def commands(block: Block, folder: Path) -> Iterator[tuple[list[str], int]]:
    """Yield (arguments, expected exit code) of each process that a block asks for."""
    if block.language == "python":
        # A file, as the reader's would be: bodies are found again by the path of their script.
        script = folder / f"block_{block.line}.py"
        script.write_text(block.text, "utf-8")
        yield ["python", script.name], 0
        return
    for line in block.text.splitlines():
        if line.startswith("$ "):
            code = EXIT.search(line)
            yield shlex.split(EXIT.sub("", line[2:]), comments=True), int(code[1]) if code else 0


def run_page(name: str, page: str, folder: Path) -> int:
    """Run a page in a folder; return how many processes that were."""
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "COLUMNS": "100",
    }
    runs, unused = 0, dict[str, int]()
    for block in blocks(page):
        for title in [title for title in unused if Path(title).stem in block.text]:
            del unused[title]
        if block.title:
            path = folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
            unused[block.title] = block.line
            continue
        for arguments, expected in commands(block, folder):
            what = f"{name}:{block.line}: {shlex.join(arguments)}"
            assert arguments[0] in {"clew", "python"}, (
                f"{what}: neither clew nor python; mark the block <!-- not run: reason -->"
            )
            done = subprocess.run(
                arguments,
                cwd=folder,
                env=environment,
                timeout=TIMEOUT_S,
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            assert done.returncode == expected, f"{what}: exit {done.returncode}, not {expected}\n{done.stdout}"
            runs += 1
    assert not unused, f"{name}: no later block uses {unused}"
    return runs


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page(path: Path, tmp_path: Path) -> None:
    run_page(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"), tmp_path)


@pytest.mark.skipif(not (ROOT / "src/clew/engine").exists(), reason="the engine is not written yet")
def test_the_first_page_has_code_to_run() -> None:
    assert [*blocks((ROOT / "README.md").read_text("utf-8"))]


def page(*parts: str) -> str:
    return "\n".join(parts)


def test_blocks_share_the_folder_of_their_page(tmp_path: Path) -> None:
    text = page(
        *("```python title=greet.py", "word = 'hello'", "```"),
        *("```python", "import greet", "assert greet.word == 'hello'", "```"),
        *(
            "```console",
            "$ python -c 'raise SystemExit(3)'  # exit 3",
            "some output",
            "$ python greet.py",
            "```",
        ),
        *("<!-- not run: it cannot -->", "```python", "raise SystemExit", "```"),
        *("```yaml", "not: run", "```"),
    )
    assert run_page("page.md", text, tmp_path) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            page("Text.", "```python", "raise ValueError('no')", "```"),
            "page.md:2: .* exit 1.*ValueError: no",
        ),
        (page("```console", "$ python -c 'import sys; sys.exit(2)'", "```"), "exit 2, not 0"),
        (page("```console", "$ rm -rf x", "```"), "mark the block"),
        (page("```yaml title=a.yaml", "a: 1", "```"), "no later block uses"),
    ],
)
def test_what_is_wrong_on_a_page_is_said(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=f"(?s){message}"):
        run_page("page.md", text, tmp_path)
