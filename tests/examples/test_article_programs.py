"""`examples/article` as it is started: from the command line, where nobody decides, and at the terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from article_kit import EXAMPLE, TEXTS, pages, plant

pytestmark = pytest.mark.slow

CLEW = str(Path(sys.executable).with_name("clew"))


def run(*arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        arguments,
        input=said,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
        env=os.environ | {"USER": "ann"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_command_line_waits_for_nobody(tmp_path: Path) -> None:
    texts = plant(tmp_path / "texts")
    database, out = str(tmp_path / "clew.db"), tmp_path / "out"
    inputs = ("--input", f"folder={texts}", "--input", f"out={out}", "--id", "articles", "--db", database)
    told = run(CLEW, "run", str(EXAMPLE / "articles.py"), *inputs).stdout
    assert "article: " in told or "article completed" in told
    assert "waits for a decision: Is the summary good?" in told
    assert "degraded: article[wordy.md]/draft#2 -> article[wordy.md]/lead" in told
    assert len(pages(out)) == len(TEXTS) + 1
    again = run(CLEW, "run", str(EXAMPLE / "articles.py"), *inputs, "--quiet")
    assert json.loads(again.stdout)["overview"] == str(out / "index.md")
    shown = run(CLEW, "show", "articles", "--node", "article[bread.md]/review", "--db", database).stdout
    assert "not decided in time, which counts as approve" in shown


def test_another_terminal_decides(tmp_path: Path) -> None:
    texts = plant(tmp_path / "texts", {"bread.md": TEXTS["bread.md"]})
    database, out = str(tmp_path / "clew.db"), tmp_path / "out"
    inputs = ("--input", f"folder={texts}", "--input", f"out={out}", "--id", "articles", "--db", database)
    arguments = [CLEW, "run", str(EXAMPLE / "review.py"), *inputs]
    decisions = {
        "article[bread.md]/review waits": ("reject", "articles", "--reason", "shorter"),
        "article[bread.md]/review#2 waits": ("approve", "articles"),
    }
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        for line in program.stdout:
            for words in [words for words in decisions if words in line]:
                run(CLEW, *decisions.pop(words), "--db", database)
    assert (program.returncode, decisions) == (0, {})
    assert 'somebody said "shorter"' in pages(out)["bread.md"]


def test_the_terminal_is_asked(tmp_path: Path) -> None:
    texts = plant(tmp_path / "texts", {"bread.md": TEXTS["bread.md"]})
    out = tmp_path / "out"
    program = (sys.executable, str(EXAMPLE / "review.py"), texts, str(out), str(tmp_path / "clew.db"))
    told = run(*program, said="shorter, and more of the oven\n\n").stdout
    assert told.count("bread.md   (1 to decide") == 2
    assert "remark: line 8: steam.md is not there" in told
    assert f"the overview is {out / 'index.md'}" in told
    assert 'somebody said "shorter, and more of the oven"' in pages(out)["bread.md"]


def test_the_terminal_is_asked_where_it_was_left(tmp_path: Path) -> None:
    texts = plant(tmp_path / "texts", dict.fromkeys(("a.md", "b.md"), TEXTS["bread.md"]))
    out = tmp_path / "out"
    arguments = [sys.executable, str(EXAMPLE / "review.py"), texts, str(out), str(tmp_path / "clew.db")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write("\n")  # the first is good; nothing is said of the second
        program.stdin.flush()
        asked = 0
        for line in program.stdout:
            asked += "to decide" in line
            if asked == 2:
                program.kill()
                break
    told = run(*arguments, said="\n").stdout
    assert "goes on" in told
    assert told.count("to decide") == 1
    assert len(pages(out)) == 3
