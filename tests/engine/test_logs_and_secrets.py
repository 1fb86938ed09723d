"""US1, US2: what bodies print is kept with their attempt; secrets are nowhere."""

import asyncio
import logging
import os
import sys
from pathlib import Path

import pytest
from engine_bodies import fail_with_secret, in_process, tell_secret
from engine_kit import Gate

from clew import (
    Context,
    Engine,
    Graph,
    Retry,
    Run,
    RunFailedError,
    fixed,
    http,
    shell,
)

SECRET = "hunter22-and-more"
LINES = "first-line-of-the-key\nsecond-line-of-the-key\n"


async def failed(run: Run) -> RunFailedError:
    with pytest.raises(RunFailedError) as caught:
        await run.result()
    return caught.value


# Logs ------------------------------------------------------------------------------------------------------


async def test_output_is_kept_with_its_attempt() -> None:
    async def talks(ctx: Context) -> int:
        print("out", ctx.attempt)
        print("err", ctx.attempt, file=sys.stderr)
        logging.getLogger("mine").warning("logged %s", ctx.attempt)
        ctx.log("told")
        sys.stdout.write("no end")
        if ctx.attempt == 1:
            raise ValueError
        return 1

    def in_thread() -> None:
        print("from a thread")
        print("two\nlines")

    g = Graph("g")
    g.add(talks, retry=Retry(max_attempts=2, backoff=fixed(0)))
    g.add(in_thread)
    g.add(in_process, 5)
    g.add(shell("echo to stdout; echo to stderr >&2"), id="program")
    async with Engine("memory:") as engine:
        run = await engine.start(g)
        await run.result()
        lines = [line async for line in run.logs()]
        assert [line.id for line in lines] == sorted(line.id for line in lines)
        for attempt in (1, 2):
            told = sorted((x.stream, x.text) for x in lines if x.path == "talks" and x.attempt == attempt)
            assert told == [
                ("log", f"WARNING logged {attempt}"),
                ("log", "told"),
                ("stderr", f"err {attempt}"),
                ("stdout", "no end"),
                ("stdout", f"out {attempt}"),
            ]
        assert [x.text async for x in run.logs("in_thread")] == ["from a thread", "two", "lines"]
        assert [x.text async for x in run.logs("in_process")] == ["hello from 5"]
        assert {(x.stream, x.text) async for x in run.logs("program")} == {
            ("stdout", "to stdout"), ("stderr", "to stderr"),
        }  # fmt: skip
        assert [x async for x in run.logs("program", after=lines[-1].id)] == []


async def test_output_of_a_run_is_followed_to_its_end(url: str) -> None:
    gate = Gate()

    async def talks() -> None:
        print("before")
        await gate.wait()
        print("after")

    g = Graph("g")
    g.add(talks)
    async with Engine(url) as a, Engine(url) as b:
        run = await a.start(g, id="r")
        other = await b.open_run("r")
        here = asyncio.ensure_future(texts(run))
        there = asyncio.ensure_future(texts(other))
        await gate.arrivals()
        gate.open()
        await run.result()
        assert await here == await there == ["before", "after"]


async def texts(run: Run) -> list[str]:
    return [line.text async for line in run.logs(follow=True)]


async def test_lines_that_are_being_written_are_waited_for(url: str) -> None:
    gate = Gate()

    async def talks() -> None:
        print("one")
        await gate.wait()

    g = Graph("g")
    g.add(talks)
    async with Engine(url) as engine:
        run = await engine.start(g)
        await gate.arrivals()
        flushing = asyncio.ensure_future(engine.logbook.flush())
        await asyncio.sleep(0)
        assert [line.text async for line in run.logs()] == ["one"]
        await flushing
        gate.open()
        await run.result()


# Secrets ---------------------------------------------------------------------------------------------------


async def prints(token: str, ctx: Context) -> int:
    print("token", token)
    sys.stderr.write(token[:5])
    sys.stderr.write(token[5:])
    logging.getLogger().error("token %s", token)
    print("x" * 7_990 + token + "y" * 9_000, end="")
    ctx.progress(0.1, f"with {token}")
    ctx.emit({"token": [token], token: 1})
    print(ctx.secret("KEY"))
    print(repr(ctx.secret("KEY")))
    return len(token)


async def raises(token: dict[str, str], ctx: Context) -> None:
    try:
        os.environ[token["a"]]
    except KeyError as error:
        error.add_note(f"note {token['a']}")
        raise ValueError(f"bad {token['a']}") from error


async def returns(token: str) -> list[str]:
    return ["prefix " + token]


async def steps(token: str, ctx: Context) -> int:
    with pytest.raises(Exception, match="must not be stored"):
        await ctx.step("a", lambda t: {"got": t}, token)
    with pytest.raises(ValueError):
        await ctx.step("b", fails, token)
    return 1


async def fails(token: str) -> None:
    raise ValueError(token)


def leaky() -> Graph:
    """Bodies that give secrets away in every way there is."""
    g = Graph("g", on_error="continue")
    g.add(prints, "secret://TOKEN")
    g.add(raises, {"a": "Bearer secret://ENVIRONED"})
    g.add(returns, "secret://FILED")
    g.add(steps, "secret://TOKEN", id="steps")
    g.add(tell_secret, "secret://TOKEN")
    g.add(fail_with_secret, "secret://FILED")
    g.add(shell("echo $T; echo {{ t }}; exit 3", env={"T": "secret://TOKEN"}), t="secret://TOKEN", id="program")
    g.add(http("GET", "http://127.0.0.1:9/?q=secret://TOKEN"), id="web")
    g.add(returns, "secret://NOBODY_KNOWS", id="unknown")
    return g


async def test_secrets_are_nowhere(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "FILED").write_text(f"{SECRET}-in-a-file\n")
    monkeypatch.setenv("CLEW_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.setenv("ENVIRONED", f"{SECRET}-environed")

    shown: list[str] = []

    class Looks:
        async def emit(self, observed: object) -> None:
            shown.append(repr(observed))

    given = {"TOKEN": SECRET, "KEY": LINES}
    async with Engine(url, secrets=given, observers=[Looks()]) as engine:
        run = await engine.start(leaky())
        shown += [repr(item) async for item in run.feed()]
        result = await run.result()
        assert result["prints"] == result["tell_secret"] == len(SECRET)
        assert sorted(result.failures) == ["fail_with_secret", "program", "raises", "returns", "unknown", "web"]
        assert "<secret FILED>" in result.failures["returns"].message
        shown += [repr(result.failures), repr(await run.status())]
        shown += [line.text async for line in run.logs()]
        assert any("<secret TOKEN>" in text for text in shown)
        everything = "\n".join(shown).encode() + disk(tmp_path)
    everything += disk(tmp_path)
    assert b"secret://TOKEN" in everything
    for part in (SECRET, "first-line-of-the-key", "second-line-of-the-key", "environed", "in-a-file"):
        assert part.encode() not in everything, part


def disk(folder: Path) -> bytes:
    """All bytes of the journal, those of its log of changes as well."""
    return b"".join(path.read_bytes() for path in folder.glob("clew.db*"))
