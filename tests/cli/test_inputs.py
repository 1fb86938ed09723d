"""Values as they are typed: JSON where it is meant, text where not."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clew.cli.inputs import read_inputs, read_value
from clew.errors import GraphError
from clew.graphs import Graph


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("5", Any, 5),
        ("[1, 2]", Any, [1, 2]),
        ('"5"', Any, "5"),
        ("hello", Any, "hello"),
        ("", Any, ""),
        ("NaN", Any, "NaN"),
        ("5", str, "5"),
        ('"5"', str, '"5"'),
        ("5", str | None, "5"),
        ("null", str | None, None),
        ("5", int | str, 5),
        ("2026-01-31", date, "2026-01-31"),
        ("1.5", int, 1.5),  # does not fit either way: refused later, as the number that it is
        ("true", bool, True),
        ("src", Path, "src"),
    ],
)
def test_a_value_is_read_as_it_is_declared(text: str, hint: Any, value: Any) -> None:
    assert read_value(text, hint) == value


def test_what_was_typed_wins_over_the_file(tmp_path: Path) -> None:
    graph = Graph("g")
    graph.input("a", int)
    file = tmp_path / "inputs.json"
    file.write_text('{"a": 1, "b": 2}')
    assert read_inputs(graph, ["a=3", "c=x=y"], file) == {"a": 3, "b": 2, "c": "x=y"}


def test_all_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "inputs.yaml").write_text("a: [1")
    with pytest.raises(GraphError) as caught:
        read_inputs(Graph("g"), ["a", "=b"], tmp_path / "inputs.yaml")
    assert len(caught.value.problems) == 3
