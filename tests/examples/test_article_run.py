"""The pipeline of `examples/article`, in virtual time: its reports, what people may say, what it falls back on."""

from article_kit import TEXTS, pages, plant, summarise
from articles import REVISIONS, article

from clew.kernel import events as e


async def waiting(run, count=1):
    """The barriers, when so many of them wait."""
    while len(found := await run.barriers()) < count:
        await anext(run.events((await run.status()).seq))
    return found


def test_nobody_objects_and_the_reports_are_the_same_each_time(tmp_path):
    folder = plant(tmp_path / "texts")
    result, events = summarise(folder, tmp_path / "out")
    assert set(result) == {"folder", "out", "limit", "unreadable", "overview"}
    assert result["unreadable"] == []
    written = pages(tmp_path / "out")
    assert sorted(written) == ["bread.md", "index.md", "notes-steam.md", "nothing.md", "wordy.md"]
    assert written["index.md"].startswith("# 4 texts of ")
    assert all(f"]({name})" in written["index.md"] for name in written if name != "index.md")
    expired = [event for event in events if isinstance(event, e.WaitResolved)]
    assert {event.outcome for event in expired} == {"expired"}
    summarise(folder, tmp_path / "again")
    assert pages(tmp_path / "again") == written


def test_people_object_and_then_agree(tmp_path):
    folder = plant(tmp_path / "texts", {"bread.md": TEXTS["bread.md"]})
    seen = []

    async def people(run):
        (first,) = await waiting(run)
        seen.append(first.shows["draft"]["words"])
        await run.reject(first.path, "shorter, and more of the oven", by="ann", shown=first.digest)
        (second,) = await waiting(run)
        seen.append(second.shows["draft"]["words"])
        assert "oven" in " ".join(second.shows["draft"]["sentences"])
        await run.approve(second.path, by="ann")

    result, events = summarise(folder, tmp_path / "out", people, limit=60)
    assert result.state == "completed"
    page = pages(tmp_path / "out")["bread.md"]
    assert seen[1] < seen[0]
    assert f'| 1 | {seen[0]} | somebody said "shorter, and more of the oven" |' in page
    assert f"| 2 | {seen[1]} | nobody objected |" in page
    assert "line 8: steam.md is not there" in page
    decided = [event for event in events if isinstance(event, e.WaitResolved)]
    assert [(event.path, event.by) for event in decided] == [
        ("article[bread.md]/review", "ann"),
        ("article[bread.md]/review#2", "ann"),
    ]


def test_when_nothing_is_good_enough_the_first_sentences_have_to_do(tmp_path):
    folder = plant(tmp_path / "texts", {"bread.md": TEXTS["bread.md"]})

    async def people(run):
        await run.reject("article[bread.md]/review", "shorter", standing=True, by="bob")

    _, events = summarise(folder, tmp_path / "out", people, limit=80)
    page = pages(tmp_path / "out")["bread.md"]
    assert page.count('somebody said "shorter"') == REVISIONS + 1
    assert "| review | the first sentences have to do |" in page
    assert "Bread is made of flour, water, salt and yeast. The dough rests, and" in page
    routed = [event for event in events if isinstance(event, e.Routed) and event.why == "fallback"]
    assert [event.target for event in routed] == ["lead"]
    assert routed[0].error is not None
    assert f"revise was visited {REVISIONS} times" in routed[0].error.message


def test_a_check_that_keeps_failing_and_a_text_without_sentences(tmp_path):
    texts = {name: TEXTS[name] for name in ("wordy.md", "nothing.md")}
    result, events = summarise(plant(tmp_path / "texts", texts), tmp_path / "out")
    assert not result.failures
    written = pages(tmp_path / "out")
    assert "| 1 | 22 | sentence 1 begins with" in written["wordy.md"]
    assert "| 2 | 14 | the first sentences have to do |" in written["wordy.md"]
    assert "*There is no prose in this text.*" in written["nothing.md"]
    assert sum(isinstance(event, e.Routed) and event.why == "fallback" for event in events) == 2


def test_what_cannot_be_read_or_checked_is_told(tmp_path):
    text = "# A\n\nThe bread is in [a box](b.md#box), and the box is open.\n"
    folder = plant(tmp_path / "texts", {"a.md": text})
    (tmp_path / "texts" / "b.md").write_bytes(b"# Box\xff\n")
    result, events = summarise(folder, tmp_path / "out")
    assert result["unreadable"] == ["b.md"]
    assert result.failures["article[b.md]/read"].type == "UnicodeDecodeError"
    written = pages(tmp_path / "out")
    assert "- links: could not be checked" in written["a.md"]
    assert "- not read: b.md" in written["index.md"]
    retried = [event.path for event in events if isinstance(event, e.RetryScheduled)]
    assert retried == ["article[a.md]/check/links"]


def test_every_step_is_made_once(tmp_path):
    _, events = summarise(plant(tmp_path / "texts"), tmp_path / "out")
    begun = [event.path for event in events if isinstance(event, e.AttemptStarted)]
    assert len(begun) == len(set(begun)) > 40
    checks = [path for path in begun if path.startswith("article[bread.md]/check/")]
    assert [path.rpartition("/")[2] for path in checks] == ["wording", "readability", "length", "links"]


def test_the_picture_of_one_article():
    drawn = article.mermaid()
    assert all(f'"{name}' in drawn for name in ("read", "score", "check", "links", "review", "revise", "lead"))
    assert drawn.count("fallback") == 2
