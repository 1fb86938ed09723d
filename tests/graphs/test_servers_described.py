"""Servers of tools as files and command lines say them."""

from pathlib import Path

import pytest

from clew import Graph, GraphError, Server, Tool, call
from clew.graphs.server_files import load_servers, tool_unasked
from clew.graphs.servers import read_servers

ENV = "gets env"
OR = "or text such as 90s or 2m"
USE = "use headers with secret://NAME"
HEADERS = "what is asked over HTTP gets headers"


def test_all_ways_to_say_a_server() -> None:
    servers, problems = read_servers(
        {
            "line": "python -m 'my files' --root .",
            "url": "https://example.org/mcp",
            "whole": {
                "command": ["uvx", "server"],
                "env": {"TOKEN": "secret://TOKEN"},
                "timeout": "2m",
                "connect": 5,
                "trusted": True,
            },
            "apart": {"command": "my server", "args": ["-v"]},
            "web": {"url": "http://localhost:8000/mcp", "headers": {"Authorization": "Bearer secret://WEB"}},
        }
    )
    assert problems == []
    assert list(servers.values()) == [
        Server(name="line", command=("python", "-m", "my files", "--root", ".")),
        Server(name="url", url="https://example.org/mcp"),
        Server(
            name="whole",
            command=("uvx", "server"),
            env={"TOKEN": "secret://TOKEN"},
            timeout_s=120.0,
            connect_s=5.0,
            trusted=True,
        ),
        Server(name="apart", command=("my server", "-v")),
        Server(name="web", url="http://localhost:8000/mcp", headers={"Authorization": "Bearer secret://WEB"}),
    ]


@pytest.mark.parametrize(
    ("given", "where", "why"),
    [
        (3, (), "a server is a line with a command, a URL, or a mapping, and not 3"),
        ({}, (), "it has either a command, which is started, or a url; give one of them"),
        ("", (), "it has either a command, which is started, or a url; give one of them"),
        ({"comand": "x"}, ("comand",), "a server has no such field; did you mean 'command'?"),
        ({"command": "a 'b"}, ("command",), "is no line for a shell (No closing quotation); write it as a list"),
        ({"command": [1]}, ("command",), "is a line, or a list of texts, and not [1]"),
        ({"command": ["", "x"]}, ("command",), "begins with the program to start, and not with nothing"),
        ({"command": "a", "args": "b"}, ("args",), "are a list of texts, and not 'b'"),
        (
            "run --key secret://KEY",
            ("command",),
            "secret://NAME is not replaced here, where every user can see it; use env",
        ),
        ({"command": "a", "env": {"A": 1}}, ("env", "A"), "is text (in quotes), and not 1"),
        ({"command": "a", "env": ["A"]}, ("env",), "is a mapping from names to texts, and not ['A']"),
        (
            {"command": "a", "headers": {"A": "b"}},
            ("headers",),
            "are for servers at a url; what is started gets env",
        ),
        (
            {"command": "a", "timeout": "soon"},
            ("timeout",),
            "is a number of seconds, or text such as 90s or 2m, and not 'soon'",
        ),
        ({"command": "a", "connect": 0}, ("connect",), "is a number of seconds above 0, and not 0"),
        ({"command": "a", "trusted": "yes"}, ("trusted",), "is true or false, and not 'yes'"),
        ({"url": 3}, ("url",), "is text, and not 3"),
        ({"url": "ftp://a"}, ("url",), "'ftp://a' is not an address that begins with http:// or https://"),
        ({"url": "http://[a"}, ("url",), "'http://[a' is no address: Invalid IPv6 URL"),
        (
            "https://me:word@a",
            ("url",),
            "holds a user or a password, which would be stored; use headers with secret://NAME",
        ),
        ("https://a/?key=secret://KEY", ("url",), "secret://NAME is not replaced here; use headers"),
        (
            {"url": "https://a", "env": {"A": "b"}},
            ("env",),
            "is for servers that are started; what is asked over HTTP gets headers",
        ),
    ],
)
def test_what_is_wrong_with_one(given: object, where: tuple[str, ...], why: str) -> None:
    servers, problems = read_servers({"good": "a", "bad": given})
    assert [*servers] == ["good"]
    assert problems == [(("bad", *where), why)]


def test_names() -> None:
    servers, problems = read_servers({"a.b": "x"})
    assert servers == {}
    assert problems == [(("a.b",), "'a.b' cannot be its name: letters, digits, _ and -, and at most 32")]
    assert read_servers("x")[1] == [((), "servers are a mapping from names to servers, and not 'x'")]


def test_files_of_servers(tmp_path: Path) -> None:
    file = tmp_path / "servers.yaml"
    file.write_text("servers:\n  a: run a\n  b:\n    url: https://b/mcp\n")
    assert [server.name for server in load_servers(file)] == ["a", "b"]
    other = tmp_path / "other.json"
    other.write_text('{"mcpServers": {"c": {"command": "run", "args": ["c"]}}}')
    assert load_servers(other) == [Server(name="c", command=("run", "c"))]
    file.write_text("servers:\n  a:\n    url: https://b/mcp\n    env:\n      X: 3\n")
    with pytest.raises(GraphError) as raised:
        load_servers(file)
    assert raised.value.problems == [f"{file}:5:10: servers.a.env.X: is text (in quotes), and not 3"]
    file.write_text("name: x\n")
    with pytest.raises(GraphError, match="there is no mapping 'servers' in it"):
        load_servers(file)
    with pytest.raises(GraphError, match="it cannot be read"):
        load_servers(tmp_path / "none.yaml")


def test_tools_that_are_not_asked_for() -> None:
    server = Server(name="s", command=("run",))
    tool = tool_unasked({"s": server}, "s.a.b")
    assert tool is not None
    assert (tool.name, tool.remote, tool.server, tool.permissions.shell) == ("s.a.b", "a.b", server, True)
    assert tool_unasked({"s": server}, "t.a") is None
    assert tool_unasked({"s": server}, "s") is None


def test_calls_of_tools_of_servers() -> None:
    server = Server(name="s", command=("run",), timeout_s=7.0)
    g = Graph("g")
    g.add(call(Tool(name="s.t", server=server), a=1), id="n")
    assert g.problems() == []
    (node,) = g.spec().nodes
    assert (node.timeout_s, node.on_interrupt) == (7.0, "fail")
    wrong = Graph("wrong")
    wrong.add(call(Tool(name="s.t", server=Server(name="s"))), id="n")
    wrong.add(call(Tool(name="s.t", server=server).within(network=[]), a=1), id="m")
    wrong.add(call(Tool(name="s.t")), id="o")
    first, second, third = wrong.problems()
    assert first.endswith("its server: it has either a command, which is started, or a url; give one of them")
    assert second.endswith("it runs in its server, which is held to no rights and limits here; leave them out")
    assert third.endswith("it has neither a function nor a server that could be called by a node")
