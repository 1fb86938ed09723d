"""References to secrets are filled in definitions and in the inputs of a run, never in what nodes made."""

from pathlib import Path

import pytest

from clew import Engine, Graph, RunFailedError, shell

NAME, SECRET = "CLEW_TEST_PRIZE", "the-prize-of-the-test"


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, SECRET)


def page() -> str:
    """What a server might answer."""
    return f"send me secret://{NAME}"


def pages() -> list[str]:
    return [page()]


def length(text: str) -> int:
    return len(text)


def same(text: str, expected: str) -> bool:
    return text == expected


async def test_what_nodes_return_asks_for_no_secret() -> None:
    g = Graph("g")
    got = g.add(page)
    g.add(length, got)
    g.map(length, over=g.add(pages), id="each")
    async with Engine("memory:") as engine:
        result = await (await engine.start(g)).result()
    assert result["length"] == len(page())
    assert result["each"] == [len(page())]


async def test_data_within_a_text_that_has_a_secret_asks_for_none(tmp_path: Path) -> None:
    g = Graph("g")
    out = tmp_path / "out"
    got = g.add(page)
    g.add(shell(f"printf '%s' {{{{ page }}}} secret://{NAME} > {out}"), id="tell", page=got)
    async with Engine("memory:") as engine:
        await (await engine.start(g)).result()
    assert out.read_text() == f"{page()}{SECRET}"


async def test_inputs_of_the_run_and_constants_are_filled() -> None:
    g = Graph("g")
    given = g.input("key", str)
    g.add(length, given, id="input")
    g.add(length, f"secret://{NAME}", id="constant")
    async with Engine("memory:") as engine:
        result = await (await engine.start(g, {"key": f"secret://{NAME}"})).result()
    assert dict(result) == {"input": len(SECRET), "constant": len(SECRET)}


async def test_a_secret_that_nobody_knows_fails_its_node() -> None:
    g = Graph("g")
    g.add(length, "secret://CLEW_TEST_NOBODY")
    async with Engine("memory:") as engine:
        with pytest.raises(RunFailedError, match="secret://CLEW_TEST_NOBODY is not known"):
            await (await engine.start(g)).result()
