"""Secrets by reference: ``secret://NAME`` in an input becomes its value where the body runs, and nowhere else.

The reference is what is journaled, hashed and shown. A value that was handed out is masked in everything that
is kept: output, logs, errors; a body that returns it fails instead of having it stored.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from clew import codec
from clew.errors import UnknownSecretError, UnstorableError

_REFERENCE = re.compile(r"secret://([A-Za-z_][A-Za-z0-9_.-]*)")
#: What a reference begins with.
MARK = "secret://"
#: The same in data, while a text that it stands in is filled: a character for private use parts it.
_GUARDED = "secret:\ue000//"
#: Shorter values are not masked: they would blot out half of every text.
_MASKED_FROM = 4
_LINE_FROM = 8


class Secrets:
    """Looks secrets up: in what the engine was given, the environment, then files in a folder.

    Args:
        given: secrets by name, from the program itself.
        folder: holds a file per secret; `CLEW_SECRETS_DIR` or ``/run/secrets`` if None.
    """

    def __init__(self, given: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
        self._given = dict(given or {})
        self._folder = folder or Path(os.environ.get("CLEW_SECRETS_DIR", "/run/secrets"))
        #: Values that were handed out, longest first, with what stands for them.
        self._shown: dict[str, str] = {}
        #: Bodies in threads look secrets up, too.
        self._lock = threading.Lock()

    def lookup(self, name: str) -> str:
        """The value of a secret.

        Raises:
            UnknownSecretError: nobody knows it; says where it was looked for.
        """
        value = self._find(name)
        if value is None:
            raise UnknownSecretError(
                f"secret://{name} is not known: it is neither in Engine(secrets=…), nor in the environment "
                f"variable {name}, nor in the file {self._folder / name}"
            )
        if len(value) >= _MASKED_FROM and value not in self._shown:
            self._remember(value, f"<secret {name}>")
        return value

    def _remember(self, value: str, shown: str) -> None:
        """Mask a value from now on, in every form in which it may be told."""
        forms = {value, codec.encode(value)[1:-1].decode(), repr(value)[1:-1]}
        # Text is kept line by line; short lines of a long secret tell little and are found everywhere.
        forms.update(line.strip() for line in value.splitlines() if len(line.strip()) >= _LINE_FROM)
        with self._lock:
            known = {**dict.fromkeys(forms, shown), **self._shown}
            self._shown = dict(sorted(known.items(), key=lambda pair: -len(pair[0])))

    def fill(self, json: bytes) -> bytes:
        """JSON text with its references replaced by their values."""
        if MARK.encode() not in json:
            return json
        return codec.encode(self._fill(codec.decode(json)))

    def filled(self, text: str) -> str:
        """A text with its references replaced by their values."""
        return str(self._fill(text))

    def mask(self, text: str) -> str:
        """A text with every value that was handed out replaced by its name."""
        for value, name in self._shown.items():
            if value in text:
                text = text.replace(value, name)
        return text

    def mask_plain(self, value: Any) -> Any:
        """Plain data with every text in it masked."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, list):
            return [self.mask_plain(item) for item in cast("list[Any]", value)]
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value).items()
            return {self.mask(key): self.mask_plain(item) for key, item in items}
        return value

    def refuse(self, json: bytes) -> None:
        """Refuse a value that holds a secret.

        Raises:
            UnstorableError: names the secret.
        """
        for value, name in self._shown.items():
            if codec.encode(value)[1:-1] in json:
                raise UnstorableError(
                    "$", f"the value holds {name}, which must not be stored; return something else"
                )

    def refuse_content(self, data: bytes, path: str) -> None:
        """Refuse the content of a file that holds a secret.

        Raises:
            UnstorableError: names the secret and the file.
        """
        for value, name in self._shown.items():
            if value.encode() in data:
                why = f"the file {path} holds {name}, which must not be stored"
                raise UnstorableError("$", f"{why}; undo the node by a function instead")

    def _find(self, name: str) -> str | None:
        if name in self._given:
            return self._given[name]
        if name in os.environ:
            return os.environ[name]
        try:
            return (self._folder / name).read_text(encoding="utf-8").rstrip("\n")
        except OSError:
            return None

    def _fill(self, value: Any) -> Any:
        if isinstance(value, str):
            return _REFERENCE.sub(lambda match: self.lookup(match[1]), value)
        if isinstance(value, list):
            return [self._fill(item) for item in cast("list[Any]", value)]
        if isinstance(value, dict):
            return {key: self._fill(item) for key, item in cast("dict[str, Any]", value).items()}
        return value


def guard(value: Any) -> Any:
    """Plain data in which nothing is taken for a reference; `unguard` makes it what it was."""
    if isinstance(value, str):
        return value.replace(MARK, _GUARDED)
    if isinstance(value, list):
        return [guard(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: guard(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


def unguard(json: bytes) -> bytes:
    """JSON text of guarded data, without the guard."""
    return json.replace(_GUARDED.encode(), MARK.encode())
