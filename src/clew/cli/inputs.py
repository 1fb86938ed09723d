"""What a run is started with, as it was typed: ``--input k=v`` and ``--inputs FILE``."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from clew import codec
from clew.errors import GraphError, InvalidInputError, UnstorableError
from clew.graphs import WrittenGraph


def read_inputs(graph: WrittenGraph, typed: Sequence[str], file: Path | None) -> dict[str, Any]:
    """The inputs by name; those that were typed win over those of the file.

    Raises:
        GraphError: all that cannot be read. Whether the values fit is checked when the run is started.
    """
    problems: list[str] = []
    inputs: dict[str, Any] = {}
    if file is not None:
        try:
            inputs.update(_read_file(file))
        except (OSError, ValueError) as error:
            problems.append(f"{file}: {error}")
    for each in typed:
        name, separator, text = each.partition("=")
        if not separator or not name:
            problems.append(f"--input {each}: write NAME=VALUE")
        else:
            inputs[name] = read_value(text, _hint(graph, name))
    if problems:
        raise GraphError(problems, f"inputs of graph {graph.name}")
    return inputs


def read_value(text: str, hint: Any = Any) -> Any:
    """The value that a text stands for: JSON if it is, and if that fits the type, else the text itself."""
    if hint is str:
        return text
    try:
        value = json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text
    if isinstance(value, str) or _fits(value, hint) or not _fits(text, hint):
        return value
    return text


def _hint(graph: WrittenGraph, name: str) -> Any:
    declared = graph.draft.inputs.get(name)
    return declared.hint if declared is not None else Any


def _fits(value: Any, hint: Any) -> bool:
    try:
        codec.decode(codec.encode(value), hint)
    except (InvalidInputError, UnstorableError):
        return False
    return True


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _read_file(file: Path) -> Mapping[str, Any]:
    text = file.read_text("utf-8")
    if file.suffix == ".json":
        value = json.loads(text, parse_constant=_refuse)
    elif file.suffix == ".toml":
        value = tomllib.loads(text)
    elif file.suffix in (".yaml", ".yml"):
        import yaml  # noqa: PLC0415 - few need it

        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
    else:
        raise ValueError("a file of inputs is a .json, .yaml, .yml or .toml file")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("it does not hold a mapping of inputs by name")  # noqa: TRY004 - told like the others
    return {str(name): each for name, each in cast("dict[Any, Any]", value).items()}
