"""`examples/release` in this process: what is not ready is refused, and what is refused is taken back."""

import asyncio
import subprocess
from collections import Counter
from pathlib import Path

import httpx
import pytest
from release_kit import EXAMPLE, on_stage

from clew import Engine, Happened, Permanent, Result, RunFailedError, load

# isort: split
import announcements
import release
from release_stage import Stage
from release_tools import examine

WHEEL = "sundial-1.3.0-py3-none-any.whl"


async def released(stage: Stage, mood: str) -> Result:
    """What comes of a release, and whether it has failed."""
    stage.let_service_be(mood)
    async with Engine("memory:") as engine:
        run = await engine.start(release.plan, {"service": stage.url})
        try:
            return await run.result()
        except RunFailedError as error:
            return error.result


def test_the_file_is_the_same_plan() -> None:
    assert load(EXAMPLE / "release.yaml").hash == release.plan.hash


def test_what_is_refused_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with on_stage(tmp_path, monkeypatch) as stage:
        before = stage.seen()
        result = asyncio.run(released(stage, "angry"))
        assert (result.state, result.failures["announce"].type) == ("rolled_back", "http 503")
        assert stage.seen() == before
        done = stage.effects()
        assert {line: done[line] for line in done if "refs/" not in line} == {
            f"published {WHEEL}": 1,
            f"unpublished {WHEEL}": 1,
            "announced sundial 1.3.0": 1,
            "took back 1 of /announcements/sundial/1.3.0": 1,
        }
        assert done["moved refs/heads/main"] == 2, "a commit, and back"
        assert done["deleted refs/tags/v1.3.0"] >= done["moved refs/tags/v1.3.0"] == 1


def test_what_is_not_refused_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with on_stage(tmp_path, monkeypatch) as stage:
        before = stage.seen()
        result = asyncio.run(released(stage, "fine"))
        assert result.state == "completed"
        assert result.output == {
            "version": "1.3.0",
            "wheel": f"../index/sundial/{WHEEL}",
            "announced": {"package": "sundial", "version": "1.3.0"},
        }
        after = stage.seen()
        assert after.keys() - before.keys() == {"tag v1.3.0", f"wheel {WHEEL}", f"index {WHEEL}"}
        assert after["git status"] == ""
        assert b'__version__ = "1.3.0"' in after["file sundial/__init__.py"]
        assert WHEEL.encode() in after["index index.html"]


def test_what_is_not_ready_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with on_stage(tmp_path, monkeypatch) as stage:

        def refusal(part: str = "minor") -> str:
            with pytest.raises(Permanent) as caught:
                examine(part, "../index")
            return str(caught.value)

        head = stage.seen()["HEAD"]
        assert examine("major", "../index") == {"old": "1.2.0", "new": "2.0.0", "head": head}
        assert examine("patch", "../index")["new"] == "1.2.1"
        assert "there is no part 'mini' of a version" in refusal("mini")
        wheel = stage.index / "sundial" / WHEEL
        wheel.touch()
        assert refusal() == "sundial 1.3.0 is in the index already; raise another part of the version"
        wheel.unlink()
        changes = Path("CHANGELOG.md")
        changes.write_text(changes.read_text("utf-8").replace("Unreleased", "Soon"), "utf-8")
        assert refusal() == "there are changes that are not committed; commit them first"
        subprocess.run(["git", "commit", "-qam", "Soon"], check=True)
        assert refusal() == "CHANGELOG.md has no change that is not released"
        subprocess.run(["git", "tag", "v1.3.0"], check=True)
        assert "there is a tag v1.3.0 already" in refusal()


def test_the_service_knows_what_it_was_told_in_any_mood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with on_stage(tmp_path, monkeypatch) as stage:
        address = f"{stage.url}/announcements"
        assert announcements.was_announced(stage.url, "1.3.0") is None
        told = {"package": "sundial", "version": "1.3.0"}
        for mood, status in (("fine", 201), ("angry", 503)):
            stage.let_service_be(mood)
            assert httpx.post(address, json=told).status_code == status
        found = announcements.was_announced(stage.url, "1.3.0")
        assert isinstance(found, Happened)
        assert found.output["body"] == told
        for _ in range(2):
            assert httpx.delete(f"{address}/sundial/1.3.0").status_code == 200
        assert announcements.was_announced(stage.url, "1.3.0") is None
        assert announcements.was_announced(stage.url, "1.2.0") is not None
        assert stage.effects() == Counter(
            {
                "announced sundial 1.3.0": 2,
                "took back 2 of /announcements/sundial/1.3.0": 1,
                "took back 0 of /announcements/sundial/1.3.0": 1,
            }
        )


def test_a_folder_of_somebody_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(SystemExit, match="not of an earlier rehearsal"), Stage(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
