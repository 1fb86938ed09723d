"""Servers of tools, as data: how one is reached, and how files and command lines say so."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from clew.graphs.names import did_you_mean, listed
from clew.graphs.units import seconds_of

#: What is wrong: where it stands (nothing for the whole), and a sentence.
Problem = tuple[tuple[str, ...], str]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}")
_SECRET = "secret://"  # noqa: S105 - how a secret is referred to
_FIELDS = ("command", "args", "env", "url", "headers", "timeout", "connect", "trusted")


class Server(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A server of tools that speaks the Model Context Protocol: a program, or what answers at a URL.

    Attributes:
        name: of the server; its tools are called ``NAME.TOOL``.
        command: a program and its arguments, which speaks on its standard streams.
        env: added to the few variables that the program gets; values may hold ``secret://NAME``.
        url: of a server that speaks HTTP.
        headers: of all requests; values may hold ``secret://NAME``.
        timeout_s: limit of one call, in seconds, if the node does not say.
        connect_s: limit of starting it, greeting it and asking for its tools, in seconds.
        trusted: what it says of the effects of its tools is believed.
    """

    name: str
    command: tuple[str, ...] = ()
    env: dict[str, str] = {}
    url: str = ""
    headers: dict[str, str] = {}
    timeout_s: float = 60.0
    connect_s: float = 30.0
    trusted: bool = False


def server_problems(server: Server) -> Iterator[Problem]:
    """What is wrong with a server, as far as it can be told without asking it."""
    if not _NAME.fullmatch(server.name):
        yield (), f"{server.name!r} cannot be its name: letters, digits, _ and -, and at most 32"
    if bool(server.command) == bool(server.url):
        yield (), "it has either a command, which is started, or a url; give one of them"
    if server.command and not server.command[0]:
        yield ("command",), "begins with the program to start, and not with nothing"
    if server.url:
        yield from _url_problems(server.url)
    if server.env and server.url:
        yield ("env",), "is for servers that are started; what is asked over HTTP gets headers"
    if server.headers and server.command:
        yield ("headers",), "are for servers at a url; what is started gets env"
    if any(_SECRET in part for part in server.command):
        yield ("command",), f"{_SECRET}NAME is not replaced here, where every user can see it; use env"
    for name, seconds in (("timeout", server.timeout_s), ("connect", server.connect_s)):
        if not 0 < seconds < float("inf"):
            yield (name,), f"is a number of seconds above 0, and not {seconds:g}"


def read_servers(given: object) -> tuple[dict[str, Server], list[Problem]]:
    """Servers as a file says them.

    Args:
        given: plain data: a mapping from names to servers. Each is a line with a command, or a URL; or a mapping
            with ``command`` (a line or a list; also with a list of ``args``) or ``url``, and perhaps ``env``,
            ``headers``, ``timeout`` and ``connect`` (seconds, or text such as ``2m``), ``trusted``.

    Returns:
        Those with which nothing is wrong, by name; and what is wrong with the others, each with where it stands
        below `given`: ``("files", "env", "TOKEN")``.
    """
    if not isinstance(given, dict):
        return {}, [((), f"servers are a mapping from names to servers, and not {given!r:.80}")]
    servers: dict[str, Server] = {}
    problems: list[Problem] = []
    for name, fields in cast("dict[Any, Any]", given).items():
        reader = _Reader(str(name))
        server = reader.read(fields)
        found = reader.problems or [*server_problems(server)]
        problems += [((str(name), *where), why) for where, why in found]
        if not found:
            servers[server.name] = server
    return servers, problems


class _Reader:
    """Reads one server."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.problems: list[Problem] = []

    def read(self, given: object) -> Server:
        if isinstance(given, str):
            at_url = given.strip().startswith(("http://", "https://"))
            given = {"url" if at_url else "command": given.strip()}
        if not isinstance(given, dict):
            self._tell(f"a server is a line with a command, a URL, or a mapping, and not {given!r:.80}")
            return Server(name=self._name)
        fields = cast("dict[Any, Any]", given)
        for key in fields:
            if key not in _FIELDS:
                hint = did_you_mean(str(key), _FIELDS) or f"; there are {listed(_FIELDS, limit=9, last='and')}"
                self._tell(f"a server has no such field{hint}", str(key))
        return Server(
            name=self._name,
            command=self._command(fields),
            env=self._texts("env", fields),
            url=self._text("url", fields),
            headers=self._texts("headers", fields),
            timeout_s=self._seconds("timeout", fields, 60.0),
            connect_s=self._seconds("connect", fields, 30.0),
            trusted=self._trusted(fields),
        )

    def _command(self, fields: Mapping[Any, Any]) -> tuple[str, ...]:
        given, more = fields.get("command", ""), fields.get("args", [])
        if not isinstance(more, list) or not all(isinstance(each, str) for each in cast("list[Any]", more)):
            self._tell(f"are a list of texts, and not {more!r:.80}", "args")
            return ("",)
        rest = cast("list[str]", more)
        if isinstance(given, list) and all(isinstance(each, str) for each in cast("list[Any]", given)):
            return (*cast("list[str]", given), *rest)
        if not isinstance(given, str):
            self._tell(f"is a line, or a list of texts, and not {given!r:.80}", "command")
            return ("",)
        if "args" in fields:
            return (given, *rest)
        try:
            return tuple(shlex.split(given))
        except ValueError as error:
            self._tell(f"is no line for a shell ({error}); write it as a list", "command")
            return ("",)

    def _text(self, name: str, fields: Mapping[Any, Any]) -> str:
        given = fields.get(name, "")
        if not isinstance(given, str):
            self._tell(f"is text, and not {given!r:.80}", name)
            return ""
        return given

    def _texts(self, name: str, fields: Mapping[Any, Any]) -> dict[str, str]:
        given = fields.get(name, {})
        if not isinstance(given, dict):
            self._tell(f"is a mapping from names to texts, and not {given!r:.80}", name)
            return {}
        for key, value in cast("dict[Any, Any]", given).items():
            if not isinstance(key, str) or not isinstance(value, str):
                self._tell(f"is text (in quotes), and not {value!r:.80}", name, str(key))
        return {str(key): str(value) for key, value in cast("dict[Any, Any]", given).items()}

    def _seconds(self, name: str, fields: Mapping[Any, Any], default: float) -> float:
        given = fields.get(name, default)
        seconds = seconds_of(given)
        if not isinstance(seconds, int | float) or isinstance(seconds, bool):
            self._tell(f"is a number of seconds, or text such as 90s or 2m, and not {given!r:.80}", name)
            return default
        return float(seconds)

    def _trusted(self, fields: Mapping[Any, Any]) -> bool:
        given = fields.get("trusted", False)
        if not isinstance(given, bool):
            self._tell(f"is true or false, and not {given!r:.80}", "trusted")
        return given is True

    def _tell(self, why: str, *where: str) -> None:
        self.problems.append((where, why))


def _url_problems(url: str) -> Iterator[Problem]:
    if _SECRET in url:
        yield ("url",), f"{_SECRET}NAME is not replaced here; use headers"
        return
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        yield ("url",), f"{url!r} is no address: {error}"
        return
    if parts.scheme not in {"http", "https"} or not host:
        yield ("url",), f"{url!r} is not an address that begins with http:// or https://"
    elif parts.username is not None or parts.password is not None:
        yield ("url",), "holds a user or a password, which would be stored; use headers with secret://NAME"
