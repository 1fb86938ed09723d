"""What bodies print and log is theirs, whatever runs beside them; everybody else's stays where it was."""

import asyncio
import io
import logging
import sys
from threading import Event, Thread

import pytest

from clew.workers import capture
from clew.workers.threads import run_in_thread


class Terminal(io.TextIOWrapper):
    """A stream with a buffer, to look at afterwards."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()

    def isatty(self) -> bool:
        return True


class Sink:
    def __init__(self) -> None:
        self.pieces: list[tuple[str, str]] = []

    def __call__(self, stream: str, text: str) -> None:
        self.pieces.append((stream, text))


class Installed:
    """Installed over a stream of ours instead of pytest's, which pytest changes between fixture and test."""

    def __init__(self) -> None:
        self.terminal = Terminal()

    def __enter__(self) -> Terminal:
        self.before = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = self.terminal
        capture.install()
        return self.terminal

    def __exit__(self, *_: object) -> None:
        capture.uninstall()
        ours = sys.stdout is sys.stderr is self.terminal
        sys.stdout, sys.stderr = self.before
        assert ours


@pytest.fixture
def installed() -> Installed:
    return Installed()


def test_inside_and_outside(installed: Installed) -> None:
    with installed as terminal:
        sink = Sink()
        print("before")
        with capture.captured(sink):
            print("one", "two")
            print("oh", file=sys.stderr)
            print("no end", end="")
            assert not sys.stdout.isatty()
        print("after")
        assert sink.pieces == [("stdout", "one two\n"), ("stderr", "oh\n"), ("stdout", "no end")]
        assert terminal.text() == "before\nafter\n"
        assert sys.stdout.isatty()


def test_tee(installed: Installed) -> None:
    with installed as terminal:
        sink = Sink()
        with capture.captured(sink, tee=True):
            print("both")
            sys.stdout.buffer.write(b"bytes\n")
        assert sink.pieces == [("stdout", "both\n"), ("stdout", "bytes\n")]
        assert terminal.text() == "both\nbytes\n"


def test_bytes_and_flushes(installed: Installed) -> None:
    with installed as terminal:
        sink = Sink()
        with capture.captured(sink):
            assert sys.stdout.buffer.write(memoryview(b"\xe2\x82")) == 2
            sys.stdout.buffer.write(b"\xac\n")
            print("part", end="", flush=True)
            assert sink.pieces[-1] == ("stdout", "part")
            sys.stdout.buffer.flush()
            sys.stdout.close()
            print("still there")
        sys.stdout.buffer.write(b"outside\n")
        assert ("stdout", "€\n") in sink.pieces
        assert sink.pieces[-1] == ("stdout", "still there\n")
        assert terminal.text() == "outside\n"


def test_tasks_are_told_apart(installed: Installed) -> None:
    with installed:
        sinks = [Sink(), Sink()]

        async def body(number: int, turn: asyncio.Event, other: asyncio.Event) -> None:
            with capture.captured(sinks[number]):
                for line in range(3):
                    await turn.wait()
                    turn.clear()
                    print(number, line)
                    await asyncio.create_task(inner(number))
                    other.set()

        async def inner(number: int) -> None:
            print("inner", number)

        async def main() -> None:
            one, two = asyncio.Event(), asyncio.Event()
            one.set()
            await asyncio.gather(body(0, one, two), body(1, two, one))

        asyncio.run(main())
        for number, sink in enumerate(sinks):
            expected = "".join(f"{number} {line}\ninner {number}\n" for line in range(3))
            assert "".join(text for _, text in sink.pieces) == expected


def test_logging(installed: Installed, caplog: pytest.LogCaptureFixture) -> None:
    with installed:
        sink = Sink()
        logger = logging.getLogger("w.capture")
        with capture.captured(sink):
            logger.warning("careful %s", 5)
            logger.info("below the level")
        logger.warning("outside")
        assert sink.pieces == [("log", "WARNING careful 5\n")]


def test_threads_of_bodies(installed: Installed) -> None:
    with installed:
        sink = Sink()

        async def main() -> None:
            with capture.captured(sink):
                await run_in_thread(print, {"end": "from a thread\n"})

        asyncio.run(main())
        assert sink.pieces == [("stdout", "from a thread\n")]


def test_a_thread_that_is_cut_off_writes_for_nobody(installed: Installed) -> None:
    with installed as terminal:
        sink, go, started, ended = Sink(), Event(), Event(), Event()

        def body() -> None:
            print("begun")
            started.set()
            go.wait()
            print("too late")
            sys.stdout.buffer.write(b"too late\n")
            sys.stdout.flush()
            logging.getLogger("w.capture").warning("too late")
            ended.set()

        async def main() -> None:
            with capture.captured(sink, tee=True):
                task = asyncio.create_task(run_in_thread(body, {}))
                await asyncio.to_thread(started.wait)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run(main())
        go.set()
        ended.wait()
        assert sink.pieces == [("stdout", "begun\n")]
        assert terminal.text() == "begun\n"


def test_threads_of_nobody_print_as_ever(installed: Installed) -> None:
    with installed as terminal:
        with capture.captured(Sink()):
            thread = Thread(target=print, args=("stray",))
            thread.start()
            thread.join()
        assert terminal.text() == "stray\n"


def test_several_engines(installed: Installed) -> None:
    with installed:
        router = sys.stdout
        handlers = [*logging.getLogger().handlers]
        capture.install()
        assert sys.stdout is router
        assert logging.getLogger().handlers == handlers
        capture.uninstall()
        assert sys.stdout is router
        sink = Sink()
        with capture.captured(sink):
            print("still")
        assert sink.pieces == [("stdout", "still\n")]


def test_a_stream_that_was_replaced_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(sys, "stderr", None)
    capture.install()
    mine = io.StringIO()
    monkeypatch.setattr(sys, "stdout", mine)
    capture.uninstall()
    assert sys.stdout is mine
    assert sys.stderr is None
    assert not [each for each in logging.getLogger().handlers if type(each).__module__ == capture.__name__]
    capture.uninstall()  # once too often


def test_streams_that_others_put_there_are_routed_too(installed: Installed) -> None:
    with installed as terminal:
        router, live, sink = sys.stdout, io.StringIO(), Sink()
        sys.stdout = live  # as a live display does
        with capture.captured(sink):
            print("inside")
        print("outside")
        sys.stdout = router
        with capture.captured(sink):
            print("again")
    assert sink.pieces == [("stdout", "inside\n"), ("stdout", "again\n")]
    assert (live.getvalue(), terminal.text()) == ("outside\n", "")


def test_without_an_engine_nothing_is_routed() -> None:
    stream = sys.stdout
    with capture.captured(Sink()):
        assert sys.stdout is stream


def test_a_program_without_a_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    capture.install()
    try:
        print("nowhere")
        assert sys.stdout.write("x") == 1
        sys.stdout.buffer.write(b"x")
        assert not sys.stdout.isatty()
        assert sys.stdout.encoding == "utf-8"
        assert sys.stdout.writable()
        assert sys.stdout.buffer.writable()
        with pytest.raises(io.UnsupportedOperation):
            sys.stdout.fileno()
        sink = Sink()
        with capture.captured(sink, tee=True):
            print("kept")
        assert sink.pieces == [("stdout", "kept\n")]
    finally:
        capture.uninstall()


def test_a_router_is_like_its_stream(installed: Installed) -> None:
    with installed:
        assert sys.stdout.encoding == "utf-8"
        assert sys.stdout.errors == "strict"
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        assert "routed by clew" in repr(sys.stdout)
        with pytest.raises(io.UnsupportedOperation):
            sys.stdout.fileno()
