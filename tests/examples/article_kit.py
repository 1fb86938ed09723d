"""Small texts for the tests of `examples/article`, and ways to run the pipeline on them."""

import asyncio
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "article"
sys.path.insert(0, str(EXAMPLE))

from articles import all_articles, one_article  # noqa: E402

from clew import Engine, Result, Run  # noqa: E402
from clew.testing import VirtualClock, run_virtual  # noqa: E402

TEXTS = {
    "bread.md": """
        # Bread

        Bread is made of flour, water, salt and yeast. The dough rests, and the yeast makes the dough rise.
        It has to rest for an hour. A slow dough has more taste than a quick dough, because the yeast has time.

        ## Baking

        The oven has to be hot before the dough goes in. [Steam](steam.md) gives the bread a crust that crackles.
        A stone in the oven keeps the heat and bakes the bread from below.

        ```python
        oven.heat(250)  # this is no prose
        ```

        ## Keeping

        Bread keeps in a cloth for three days. Bread that is old makes good toast, and see [baking](#baking).
        """,
    "notes/steam.txt": """
        Steam in the oven lets the bread rise before the crust is hard. Pour water into a hot pan, and close the
        oven.
        """,
    "nothing.md": "# Nothing\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "wordy.md": """
        # Wordy

        so the first of these is broken off and it
        - goes on, and on:
        - that one points at it
        - and this one
        """,
}


def plant(root: Path, files: dict[str, str] = TEXTS) -> str:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content).lstrip("\n"), "utf-8")
    return str(root)


def summarise(
    folder: str, out: Path, act: Callable[[Run], Awaitable[None]] | None = None, *, limit: int = 40
) -> tuple[Result, list[object]]:
    """The result of the pipeline in virtual time, and its events; `act` plays the people."""

    async def main() -> tuple[Result, list[object]]:
        loop = asyncio.get_running_loop()
        async with Engine("memory:", clock=VirtualClock(loop)) as engine:
            graph = all_articles(one_article(3_600.0))
            run = await engine.start(graph, {"folder": folder, "out": str(out), "limit": limit})
            people = asyncio.create_task(act(run)) if act is not None else None
            result = await run.result()
            if people is not None:
                await people
            return result, [recorded.event async for recorded in run.events(live=False)]

    return run_virtual(main())


def pages(out: Path) -> dict[str, str]:
    """The reports by name."""
    return {path.name: path.read_text("utf-8") for path in sorted(out.glob("*.md"))}
