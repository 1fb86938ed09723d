"""Reading YAML, TOML and JSON files.

YAML is read as YAML 1.2 reads it: ``on``, ``no`` and dates are text. What PyYAML lets pass is refused: keys
that stand twice, aliases that multiply without bound, several documents.
"""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, cast

from clew.graphs.documents import Document, Keys, refused
from clew.graphs.names import Place

MAX_BYTES = 10_000_000
#: Values of a file, each alias counted as what it stands for.
MAX_VALUES = 200_000
MAX_DEPTH = 100


def read(path: Path) -> Document:
    """Read a file by its suffix.

    Raises:
        GraphError: it cannot be read, or its syntax is wrong.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise refused(path, f"the file is larger than {MAX_BYTES:,} bytes")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise refused(path, f"it cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise refused(path, f"it is not UTF-8 text (byte {error.start})") from None
    document = Document(path)
    match path.suffix.lower():
        case ".toml":
            _read_toml(text, document)
        case ".json":
            _read_json(text, document)
        case _:
            _read_yaml(text, document)
    return document


# YAML --------------------------------------------------------------------------------------------------


def _read_yaml(text: str, document: Document) -> None:
    import yaml  # noqa: PLC0415 -- other forms do without

    from clew.graphs.yaml_reading import YamlReader, loader_class  # noqa: PLC0415

    path = document.path
    loader: Any = None
    try:
        loader = loader_class()(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = ", ".join(part for part in (error.context, error.problem, error.note) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise refused(path, f"this is not YAML: {why}", line, column) from None
    except yaml.YAMLError as error:
        raise refused(path, f"this is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise refused(path, "it is nested too deeply") from None
    finally:
        if loader is not None:
            loader.dispose()
    if root is not None:
        document.data = YamlReader(document, MAX_VALUES, MAX_DEPTH).value(root, ())


# JSON --------------------------------------------------------------------------------------------------


def _read_json(text: str, document: Document) -> None:
    try:
        data = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise refused(document.path, f"this is not JSON: {error.msg}", error.lineno, error.colno) from None
    except (ValueError, RecursionError) as error:
        raise refused(document.path, f"this is not JSON that can be read: {error}") from None
    _json_places(text, document)
    document.data = _without_pairs(data, document, ())


class _Pairs(list[tuple[str, Any]]):
    """The keys and values of an object, those that stand twice included."""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} has no JSON form")


def _without_pairs(value: Any, document: Document, keys: Keys) -> Any:
    if isinstance(value, _Pairs):
        found: dict[str, Any] = {}
        for key, part in value:
            if key in found:
                document.problems.append(
                    document.place((*keys, key), of_key=True).before(f"the key {key!r} stands twice")
                )
            found[key] = _without_pairs(part, document, (*keys, key))
        return found
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [_without_pairs(part, document, (*keys, i)) for i, part in enumerate(items)]
    return value


_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|\n')


def _json_places(text: str, document: Document) -> None:
    """Walk the tokens of valid JSON, and note where keys and values stand."""
    stack: list[str | int] = []
    kinds: list[str] = []
    line, start, expects_key = 1, 0, False
    for token in _JSON_TOKEN.finditer(text):
        word = token[0]
        place = Place(str(document.path), line, token.start() - start + 1)
        if word == "\n":
            line, start = line + 1, token.end()
        elif word in "]}":
            kinds.pop()
            stack.pop()
        elif word == ",":
            expects_key = kinds[-1] == "{"
            if kinds[-1] == "[":
                stack[-1] = cast("int", stack[-1]) + 1
        elif word == ":":
            expects_key = False
        elif expects_key:
            stack[-1] = json.loads(word)
            document.keys[tuple(stack)] = place
        else:
            document.values[tuple(stack)] = place
            if word in "[{":
                kinds.append(word)
                stack.append(0 if word == "[" else "")
                expects_key = word == "{"


# TOML --------------------------------------------------------------------------------------------------

_TOML_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")
_TOML_HEADER = re.compile(r"^\s*(\[\[?)(.+?)(\]\]?)\s*(?:#.*)?$")
_TOML_KEY = re.compile(r"""^(\s*)((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def _read_toml(text: str, document: Document) -> None:
    try:
        document.data = _plain(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        found = _TOML_AT.search(str(error))
        line, column = (int(found[1] or 0), int(found[2] or 0)) if found else (0, 0)
        line = line or text.count("\n") + 1
        why = _TOML_AT.sub("", str(error))
        raise refused(document.path, f"this is not TOML: {why}", line, column) from None
    except RecursionError:
        raise refused(document.path, "it is nested too deeply") from None
    _toml_places(text, document)


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(part) for key, part in cast("dict[str, Any]", value).items()}
        case list():
            return [_plain(part) for part in cast("list[Any]", value)]
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return value


def _toml_places(text: str, document: Document) -> None:
    """Find headers and keys line by line: tomllib does not tell where they stand."""
    table: Keys = ()
    open_string = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not open_string:
            if header := _TOML_HEADER.match(line):
                table = _toml_table(header[2], document, is_array=header[1] == "[[")
                document.keys[table] = Place(str(document.path), number, line.index("[") + 1)
            elif key := _TOML_KEY.match(line):
                keys = (*table, *_toml_key(key[2]))
                document.keys[keys] = Place(str(document.path), number, len(key[1]) + 1)
                document.values[keys] = Place(str(document.path), number, _value_column(line, key.end()))
        for mark in re.findall(r'"""|\'\'\'', line):
            open_string = "" if open_string == mark else (open_string or mark)


def _value_column(line: str, after: int) -> int:
    return after + len(line[after:]) - len(line[after:].lstrip()) + 1


def _toml_key(text: str) -> Keys:
    """The parts of a dotted key, as tomllib reads them."""
    found: Any = tomllib.loads(f"{text} = 0")
    keys: list[str] = []
    while isinstance(found, dict):
        ((key, found),) = cast("dict[str, Any]", found).items()
        keys.append(key)
    return tuple(keys)


def _toml_table(text: str, document: Document, *, is_array: bool) -> Keys:
    """The full address of a header: for arrays of tables, the last (or a new) item on the way."""
    keys: Keys = ()
    parts = _toml_key(text)
    for i, part in enumerate(parts):
        keys = (*keys, part)
        items = sum(1 for known in document.keys if len(known) == len(keys) + 1 and _is_item(known, keys))
        if is_array and i == len(parts) - 1:
            return (*keys, items)
        if items:
            keys = (*keys, items - 1)
    return keys


def _is_item(known: Keys, of: Keys) -> bool:
    return known[:-1] == of and isinstance(known[-1], int)
