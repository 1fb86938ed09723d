"""What a plan grants steps that call no tool."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clew import Engine, Plan, RunFailedError, shell, undo
from clew import http as request
from clew.graphs.body_data import HttpBody, ShellBody
from clew.graphs.permissions import may_connect


async def work() -> None: ...


def problems(body: Any, permissions: dict[str, Any], **options: Any) -> list[str]:
    plan = Plan("p", permissions=permissions)
    plan.add(body, id="n", **options)
    return [each.partition(" ")[2] for each in plan.problems()]


def stored(body: Any, permissions: dict[str, Any], kind: type[Any]) -> Any:
    plan = Plan("p", permissions=permissions)
    plan.add(body, id="n")
    return msgspec.json.decode(plan.spec().nodes[0].body, type=kind)


def test_functions_cannot_be_held_to_anything() -> None:
    assert "a function can do what this program can" in problems(work, {"write": []})[0]
    assert "compensate.run: a function can do" in problems(shell("true"), {"write": []}, compensate=work)[0]


def test_programs_are_held_to_what_the_plan_grants() -> None:
    assert "it starts a program, which the plan does not grant" in problems(shell("true"), {"shell": False})[0]
    held = stored(shell("true"), {"write": ["a"], "network": []}, ShellBody).permissions
    assert (held.read, held.write, held.network) == (None, ("a",), ())
    own = stored(shell("true", write=["a/b"]), {"write": ["a"]}, ShellBody).permissions
    assert (own.write, own.network) == (("a/b",), None)
    assert stored(shell("true"), {"shell": True}, ShellBody).permissions is None
    (told,) = problems(shell("true", write=["b"]), {"write": ["a"]})
    assert told.endswith("write: the program may write b, and the plan grants a; narrow it, or grant it")
    (told,) = problems(shell("true"), {"write": ["a"]}, compensate=undo(shell("true", write=["/"])))
    assert "compensate.write: the program may write /, and the plan grants a" in told


def test_requests_are_held_to_what_the_plan_grants() -> None:
    (told,) = problems(request("GET", "https://x.example/a"), {"network": ["y.example"]})
    assert "url: it goes to x.example, and the plan grants y.example; add it" in told
    assert problems(request("GET", "https://x.example/a"), {"network": ["x.example:443"]}) == []
    assert problems(request("GET", "{{ input.url }}"), {"network": []}) == problems(
        request("GET", "{{ input.url }}"), {}
    )
    assert stored(request("GET", "https://x.example"), {"network": ["x.example"]}, HttpBody).network == (
        "x.example",
    )


@pytest.mark.parametrize(
    ("network", "host", "port", "may"),
    [
        (None, "a", 1, True),
        ((), "a", 1, False),
        (("a",), "A", 80, True),
        (("a:81",), "a", 80, False),
        (("10.0.0.0/8",), "10.1.2.3", 80, True),
        (("10.0.0.0/8",), "11.1.2.3", 80, False),
        (("[::1]:80",), "::1", 80, True),
        (("a/8",), "b", 80, False),
    ],
)
def test_where_requests_may_go(network: tuple[str, ...] | None, host: str, port: int, may: bool) -> None:
    assert may_connect(network, host, port) is may


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Sends everybody somewhere else."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", f"http://localhost:{self.server.server_port}/")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that sends everybody somewhere else."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_redirection_leads_no_further_than_the_plan_grants(port: int, tmp_path: Path) -> None:
    plan = Plan("p", permissions={"network": ["127.0.0.1"]})
    url = plan.input("url", str)
    plan.add(request("GET", "{{ url }}"), id="n", url=url)
    async with Engine(str(tmp_path / "clew.db")) as engine:
        for given in (f"http://127.0.0.1:{port}/", f"http://localhost:{port}/"):
            run = await engine.start(plan, {"url": given})
            with pytest.raises(RunFailedError, match=r"localhost:.* it may connect to 127\.0\.0\.1 only"):
                await run.result()
