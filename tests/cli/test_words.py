"""Figures and times as people read them; foreign text without tricks."""

import pytest

from clew.cli import words


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, ""),
        (-1.0, "0 ms"),
        (0.0004, "0 ms"),
        (0.034, "34 ms"),
        (0.0999, "0.1 s"),
        (1.24, "1.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (72, "1 min 12 s"),
        (3_599.9, "1 h"),
        (7_500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds, told) -> None:
    assert words.duration(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (3, "a few seconds"),
        (22, "about 20 s"),
        (100, "about 2 min"),
        (5_400, "about 1.5 h"),
        (180_000, "about 2.1 d"),
    ],
)
def test_estimates_have_few_digits(seconds, told) -> None:
    assert words.roughly(seconds) == told


def test_a_share_is_whole_or_nothing_only_when_it_is() -> None:
    shares = [words.percent(part, 1_000) for part in (0, 1, 999, 1_000)]
    assert shares == ["0 %", "1 %", "99 %", "100 %"]
    assert words.percent(0, 0) == "100 %"


def test_counts_and_rates() -> None:
    assert [words.count(1, "node"), words.count(1_514, "node")] == ["1 node", "1,514 nodes"]
    assert [words.rate(r) for r in (1_203.4, 9.84, 0.5)] == ["1,203/s", "9.8/s", "30/min"]
    assert [words.ago(s) for s in (-1, 59, 3_600, 90_000)] == ["0 s ago", "59 s ago", "1 h ago", "1 d ago"]


def test_foreign_text_loses_its_controls() -> None:
    assert words.plain("a\x1b[31mred\x1b[0m\tb\x07\x9b1m\x1b]0;title\x07c") == "ared b1mc"
    assert words.first_line("\n \x1b[1m\n  first \nsecond") == "first"
    assert words.first_line("") == ""
    assert words.shortened("abcdef", 4) == "abc…"


def test_the_gist_of_an_error() -> None:
    assert words.gist("`make` ended with exit code 2; its last words:\ncc x.c\n\x1b[1mno such file\n") == (
        "`make` ended with exit code 2; its last words: no such file"
    )
    assert words.gist("\nno such file\nx.c") == "no such file"
    assert words.gist("said:") == "said:"
    assert words.gist(" \n") == ""


def test_suggested_commands_can_be_copied() -> None:
    assert words.command("logs", "r", "each[a b]", db="x y.db") == "clew logs r 'each[a b]' --db 'x y.db'"
    assert words.command("show", "r") == "clew show r"
