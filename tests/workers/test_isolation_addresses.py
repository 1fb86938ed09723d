"""Destinations as users write them, and as sockets name them."""

import socket
import struct
from ipaddress import ip_address
from pathlib import Path

import pytest

from clew.errors import InvalidInputError
from clew.workers.isolation.addresses import (
    Address,
    Endpoint,
    Rules,
    endpoint,
    family_of,
    look_up,
    resolvers,
    target,
)


def v4(host: str, port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)


def v6(host: str, port: int) -> bytes:
    packed = socket.inet_pton(socket.AF_INET6, host)
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0) + packed + bytes(4)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.com", "example.com", None),
        ("example.com:443", "example.com", 443),
        (" a_b-c.example. ", "a_b-c.example", None),
        ("10.0.0.0/8", "10.0.0.0/8", None),
        ("10.1.2.3/8:80", "10.0.0.0/8", 80),
        ("127.0.0.1", "127.0.0.1/32", None),
        ("127.0.0.1:9", "127.0.0.1/32", 9),
        ("::1", "::1/128", None),
        ("[::1]", "::1/128", None),
        ("[::1]:8080", "::1/128", 8080),
        ("fd00::/8", "fd00::/8", None),
        ("[fd00::/8]:53", "fd00::/8", 53),
    ],
)
def test_entries(text: str, host: str, port: int | None) -> None:
    found = target(text)
    assert (found.name or str(found.network), found.port) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "a b",
        "a:0",
        "a:65536",
        "a:x",
        "a:+1",
        "https://a",
        "[::1]8",
        "10.0.0",
        "10.0.0.0/33",
        "1.2.3.4.5",
        "a/b",
    ],
)
def test_entries_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is no destination; write a name"):
        target(text)


def test_what_sockets_name() -> None:
    assert str(endpoint(v4("10.1.2.3", 80))) == "10.1.2.3:80"
    assert str(endpoint(v6("fd00::1", 80))) == "[fd00::1]:80"
    assert str(endpoint(v6("::ffff:10.1.2.3", 80))) == "10.1.2.3:80"
    assert str(endpoint(v4("0.0.0.0", 80))) == "127.0.0.1:80"
    assert str(endpoint(v6("::", 80))) == "[::1]:80"
    assert str(endpoint(v6("::ffff:0.0.0.0", 80))) == "127.0.0.1:80"
    for raw in (b"", b"\x02", v4("1.2.3.4", 5)[:7], v6("::1", 5)[:23], b"\x01\x00/path", bytes(16)):
        assert endpoint(raw) is None
    assert family_of(b"") == family_of(bytes(16)) == socket.AF_UNSPEC


def test_rules_by_address() -> None:
    rules = Rules(["10.0.0.0/8", "192.168.0.1:443", "fd00::/8"], None)
    for host, port, allowed in (
        ("10.255.0.1", 1, True),
        ("11.0.0.1", 1, False),
        ("192.168.0.1", 443, True),
        ("192.168.0.1", 80, False),
        ("fd00::5", 80, True),
        ("fe00::5", 80, False),
    ):
        assert (rules.refusal(Endpoint(ip_address(host), port), stream=True) == "") == allowed, host


def test_rules_by_name() -> None:
    answers: list[set[Address]] = [{ip_address("10.0.0.1")}, {ip_address("10.0.0.2")}]
    asked: list[str] = []

    def find(name: str) -> set[Address]:
        asked.append(name)
        return answers.pop(0)

    rules = Rules(["api.example:443"], None, find)
    one, other = Endpoint(ip_address("10.0.0.1"), 443), Endpoint(ip_address("10.0.0.2"), 443)
    assert rules.refusal(Endpoint(ip_address("10.0.0.1"), 80), stream=True)
    assert asked == []  # the port does not fit anyway
    assert rules.refusal(one, stream=True) == ""
    assert rules.refusal(other, stream=True)  # not asked again at once
    assert asked == ["api.example"]
    rules._names["api.example"].next_look = 0.0
    assert rules.refusal(other, stream=True) == ""
    assert rules.refusal(one, stream=True) == ""  # what was allowed stays so
    assert asked == ["api.example"] * 2


def test_name_servers(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# text\nsearch example\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nnameserver nonsense\n")
    assert resolvers(str(file)) == {ip_address("10.0.0.53"), ip_address("fe80::1")}
    assert resolvers(str(tmp_path / "none")) == {ip_address("127.0.0.1")}
    server = next(iter(resolvers()))
    ask, other = Endpoint(server, 53), Endpoint(server, 54)
    for rules, allowed in (
        (Rules(["api.example"], None, lambda _: set()), True),
        (Rules(None, 3), True),
        (Rules(["192.0.2.1"], None), False),  # there is no name to ask for
    ):
        assert (rules.refusal(ask, stream=False) == "") == allowed
        assert rules.is_resolver(ask) == allowed
        assert rules.refusal(other, stream=False)


def test_a_count_alone() -> None:
    somewhere = Endpoint(ip_address("192.0.2.1"), 80)
    assert Rules(None, 3).refusal(somewhere, stream=True) == ""
    assert Rules(None, 3).refusal(somewhere, stream=False)
    assert Rules(None, None).refusal(somewhere, stream=False) == ""


def test_names_that_are_not_known() -> None:
    assert look_up("no-such-name.invalid") == set()
    assert ip_address("127.0.0.1") in look_up("127.0.0.1")
