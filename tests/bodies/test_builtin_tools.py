"""The tools that come with Clew, on real files, with real programs and a real server on the loopback interface."""

import asyncio
import signal
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clew.bodies.errors import BodyError
from clew.bodies.tools import builtin
from clew.bodies.tools.files import append_file, edit_file, list_files, read_file, search_files, write_file
from clew.bodies.tools.programs import MAX_OUTPUT, run
from clew.bodies.tools.web import http_get, http_request
from clew.errors import InvalidInputError, Permanent
from clew.graphs.calls import isolation_of
from clew.graphs.json_schemas import problem_of
from clew.graphs.tools import tool_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# All of them ---------------------------------------------------------------------------------------------


def test_all_have_what_a_model_needs() -> None:
    tools = builtin()
    assert [each.name for each in tools] == [
        *("read_file", "write_file", "append_file", "edit_file", "list_files", "search_files"),
        *("shell", "http_get", "http_request"),
    ]
    for each in tools:
        assert each.description, each
        assert all("description" in parameter for parameter in each.parameters["properties"].values()), each
        assert each.effects in {"none", "idempotent"} or each.dry_run is not None, each


def test_what_only_looks_may_change_nothing() -> None:
    for each in builtin():
        if each.effects == "none":
            assert each.permissions.write == (), each
            assert not each.permissions.shell, each


# Files ---------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(folder: Path) -> None:
    assert write_file("a/b.txt", "één\r\ntwo\n") == {"path": "a/b.txt", "bytes": 11}
    assert (folder / "a/b.txt").read_bytes() == "één\r\ntwo\n".encode()
    assert read_file("a/b.txt") == "één\r\ntwo\n"
    write_file("a/b.txt", "new")
    assert read_file("a/b.txt") == "new"


def test_text_is_added_at_the_end() -> None:
    assert append_file("log/x.txt", "one\n") == {"path": "log/x.txt", "bytes": 4}
    append_file("log/x.txt", "two\n")
    assert read_file("log/x.txt") == "one\ntwo\n"
    assert tool_of(append_file).effects == "unknown"  # made twice, it is another thing than made once


def test_some_lines_are_read() -> None:
    write_file("x.txt", "1\n2\u2028b\n3\n4")
    assert read_file("x.txt", start_line=2, max_lines=2) == "2\u2028b\n3\n"
    assert read_file("x.txt", start_line=3) == "3\n4"
    assert read_file("x.txt", start_line=9) == ""
    assert read_file("x.txt", max_lines=0) == ""
    with pytest.raises(InvalidInputError, match=r"start_line counts from 1"):
        read_file("x.txt", start_line=0)


def test_what_is_no_text_file_is_refused(folder: Path) -> None:
    (folder / "raw").write_bytes(b"abc\xff")
    with pytest.raises(Permanent, match=r"raw is no text in UTF-8 .* at byte 3"):
        read_file("raw")
    with pytest.raises(Permanent, match=r"there is no file gone"):
        read_file("gone")
    with pytest.raises(Permanent, match=r"\. is no file"):
        read_file(".")
    with pytest.raises(Permanent, match=r"raw has 4 bytes, more than max_bytes"):
        read_file("raw", max_bytes=3)


def test_text_that_cannot_be_written_costs_nothing_that_was_there() -> None:
    write_file("x.txt", "precious")
    for write in (write_file, append_file):
        with pytest.raises(InvalidInputError, match=r"cannot be written in UTF-8"):
            write("x.txt", "bad \ud800")
    with pytest.raises(InvalidInputError, match=r"cannot be written in UTF-8"):
        edit_file("x.txt", "precious", "\ud800")
    assert read_file("x.txt") == "precious"


def test_a_piece_of_text_is_replaced() -> None:
    write_file("x.py", "a = 1\r\nb = 1\r\n")
    assert edit_file("x.py", "a = 1", "a = 2") == {"path": "x.py", "replaced": 1}
    assert edit_file("x.py", " = ", "=", count=0) == {"path": "x.py", "replaced": 2}
    assert read_file("x.py") == "a=2\r\nb=1\r\n"


def test_an_edit_that_does_not_say_which_is_refused() -> None:
    write_file("x.py", "a a")
    with pytest.raises(Permanent, match=r"holds the text 2 times, not 1; give more of what stands around it"):
        edit_file("x.py", "a", "b")
    with pytest.raises(Permanent, match=r"holds the text 0 times, not 1$"):
        edit_file("x.py", "c", "b")
    with pytest.raises(Permanent, match=r"holds the text 0 times, not at least once"):
        edit_file("x.py", "c", "b", count=0)
    with pytest.raises(InvalidInputError, match=r"is empty"):
        edit_file("x.py", "", "b")
    assert read_file("x.py") == "a a"


def test_files_are_listed_in_order(folder: Path) -> None:
    for name in ("b/z.py", "a.py", "b/c.txt"):
        write_file(name, "")
    (folder / "gone").symlink_to("nowhere")
    assert list_files() == ["a.py", "b/c.txt", "b/z.py"]
    assert list_files("b", "*.py") == ["b/z.py"]
    assert list_files(max_entries=1) == ["a.py"]
    with pytest.raises(Permanent, match=r"there is no folder gone"):
        list_files("gone")
    with pytest.raises(Permanent, match=r"a\.py is no folder"):
        list_files("a.py")
    for pattern in ("", "/etc/*"):
        with pytest.raises(InvalidInputError, match=r"names no files below a folder"):
            list_files(pattern=pattern)


def test_text_is_searched_for(folder: Path) -> None:
    write_file("a.txt", "one\ntwo.\r\nthree\n")
    write_file("b.txt", "two and two")
    (folder / "raw").write_bytes(b"two\xff")
    assert search_files("two") == [
        {"path": "a.txt", "line": 2, "text": "two."},
        {"path": "b.txt", "line": 1, "text": "two and two"},
    ]
    assert search_files("two.", pattern="*.txt") == [{"path": "a.txt", "line": 2, "text": "two."}]
    assert [each["line"] for each in search_files("^t", regex=True, path=".")] == [2, 3, 1]
    assert len(search_files("t", max_matches=1)) == 1
    with pytest.raises(InvalidInputError, match=r"is no regular expression"):
        search_files("(", regex=True)


def test_a_dry_run_of_files_tells_and_does_nothing(folder: Path) -> None:
    def would(body: Any, **arguments: Any) -> str:
        dry = tool_of(body).dry_run
        assert dry is not None
        return dry(**arguments)

    assert would(write_file, path="x", content="é") == "would make x (2 bytes)"
    assert would(append_file, path="x", content="é") == "would make x (2 bytes)"
    assert [*folder.iterdir()] == []
    write_file("x", "a a")
    assert would(write_file, path="x", content="") == "would replace x (0 bytes)"
    assert would(append_file, path="x", content="b") == "would append to x (1 bytes)"
    assert would(edit_file, path="x", old="a", new="b", count=0) == "would replace 2 times in x"
    with pytest.raises(Permanent, match=r"2 times, not 1"):
        would(edit_file, path="x", old="a", new="b")
    assert read_file("x") == "a a"


# Programs ------------------------------------------------------------------------------------------------


def test_a_line_for_the_shell_and_a_list_of_arguments(folder: Path) -> None:
    (folder / "sub").mkdir()
    assert run("echo $((1 + 1)); echo bad >&2") == {"exit_code": 0, "stdout": "2\n", "stderr": "bad\n"}
    assert run(["printf", "%s", "$HOME"])["stdout"] == "$HOME"
    assert run("pwd", cwd="sub")["stdout"] == f"{folder / 'sub'}\n"
    assert run("cat")["stdout"] == ""  # there is nothing to read, and nothing to wait for


def test_a_program_that_fails_says_how() -> None:
    with pytest.raises(BodyError) as caught:
        run("echo why >&2; exit 3")
    info = caught.value.info
    assert (info.type, info.message) == ("exit code", "the program ended with exit code 3: why")
    assert "exit code 3" in info.classes
    assert run("exit 3", ok_codes=[0, 3])["exit_code"] == 3
    with pytest.raises(BodyError, match=r"with exit code 0$"):
        run("true", ok_codes=[1])


def test_a_program_that_a_signal_ended() -> None:
    with pytest.raises(BodyError) as caught:
        run(["sh", "-c", "kill -TERM $$"])
    assert caught.value.info.type == "signal"
    assert caught.value.info.message == f"the program ended by signal {signal.SIGTERM.value}"


def test_more_output_than_is_kept_holds_nothing_up() -> None:
    ran = run([sys.executable, "-c", f"print('x' * {MAX_OUTPUT + 10})"])
    assert ran["stdout"] == f"{'x' * MAX_OUTPUT}\n… 11 bytes more"


def test_what_cannot_be_started() -> None:
    with pytest.raises(FileNotFoundError):
        run(["no-such-program"])
    with pytest.raises(FileNotFoundError):
        run("true", cwd="nowhere")
    for command in ("", " ", []):
        with pytest.raises(InvalidInputError, match=r"command is empty"):
            run(command)


def test_a_dry_run_of_a_program() -> None:
    dry = tool_of(run).dry_run
    assert dry is not None
    assert dry(command=["rm", "-r", "x"]) == "would run in .: rm -r x"


def test_a_program_runs_in_a_process_of_its_own() -> None:
    made = tool_of(run)
    assert (made.name, isolation_of(made), made.effects) == ("shell", "process", "unknown")
    assert made.permissions.shell
    assert problem_of({"command": ["a", 1]}, msgspec.json.encode(made.parameters)) is not None


# Requests ------------------------------------------------------------------------------------------------


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked; `/status/N` with that status, `/hang` never."""

    hung = threading.Event()

    def _answer(self) -> None:
        if self.path == "/hang":
            self.hung.wait()
            return
        sent = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        status = int(self.path.rpartition("/")[2]) if self.path.startswith("/status/") else 200
        told = {"method": self.command, "path": self.path, "sent": sent, "x": self.headers.get("x-a")}
        body = b"plain" if self.path == "/plain" else msgspec.json.encode(told)
        self.send_response(status)
        self.send_header("content-type", "text/plain" if self.path == "/plain" else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    Echo.hung.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as serving:
        threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield f"http://127.0.0.1:{serving.server_port}"
        finally:
            Echo.hung.set()
            serving.shutdown()


def test_a_request_and_its_answer(server: str) -> None:
    answer = asyncio.run(http_request("post", f"{server}/p", json={"a": [1]}, headers={"x-a": "b"}))
    assert answer["status"] == 200
    assert answer["body"] == {"method": "POST", "path": "/p", "sent": '{"a":[1]}', "x": "b"}
    answer = asyncio.run(http_request("DELETE", f"{server}/p", params={"q": "1 2"}, text="raw"))
    assert answer["body"] == {"method": "DELETE", "path": "/p?q=1+2", "sent": "raw", "x": None}
    assert asyncio.run(http_get(f"{server}/plain"))["body"] == "plain"


def test_a_status_that_is_no_success_is_an_error(server: str) -> None:
    for status in (404, 503):
        with pytest.raises(BodyError, match=rf"GET {server}/status/{status}: {status}") as caught:
            asyncio.run(http_get(f"{server}/status/{status}"))
        assert caught.value.info.type == f"http {status}"


def test_nobody_is_there() -> None:
    with pytest.raises(BodyError) as caught:
        asyncio.run(http_get("http://127.0.0.1:9/"))
    assert caught.value.info.type == "ConnectError"


def test_an_answer_that_does_not_come_has_its_limit(server: str) -> None:
    with pytest.raises(TimeoutError, match=rf"GET {server}/hang: no answer within 0\.05 s"):
        asyncio.run(http_get(f"{server}/hang", timeout_s=0.05))


def test_requests_that_are_none(server: str) -> None:
    with pytest.raises(InvalidInputError, match=r"give one of them"):
        asyncio.run(http_request("POST", server, json=1, text="1"))
    with pytest.raises(InvalidInputError, match=r"begins with http"):
        asyncio.run(http_get("nowhere"))


def test_a_dry_run_of_a_request() -> None:
    dry = tool_of(http_request).dry_run
    assert dry is not None
    assert dry(method="post", url="http://x.invalid/", json={}) == "would request POST http://x.invalid/"
