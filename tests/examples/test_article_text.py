"""The work of `examples/article`: reading Markdown, words, choosing sentences, and what the checks find."""

import textwrap

import pytest
from article_kit import TEXTS, plant
from article_text import checks, markdown, summary, words
from article_text.model import Draft, Finding, Link, Plan, Section, Sentence


def parsed(content, title="a title"):
    return markdown.parse(textwrap.dedent(content).lstrip("\n"), title)


def prose(*paragraphs):
    return [Section(number=0, heading="", anchor="", paragraphs=[*paragraphs])]


def draft(*sentences):
    count = len(words.words_of(" ".join(sentences)))
    return Draft(chosen=[*range(len(sentences))], sentences=[*sentences], words=count)


# Reading


def test_code_tables_and_comments_are_no_prose_and_markup_is_taken_off():
    text = parsed(
        """
        # The *whole* `thing`

        <!-- not
        this -->
        It is **bold**, in `code_with_names`, and [a link](x.md#y)
        over two lines.
        - One item.
        - Another one.

        | a | b |
        |---|---|
        ~~~~
        # no heading
        [no link](z)
        ~~~~
        ## The thing
        ## The thing
        """
    )
    assert text.title == "The whole `thing`"
    assert [section.anchor for section in text.sections] == ["the-whole-thing", "the-thing", "the-thing-1"]
    assert text.sections[0].paragraphs == [
        "It is bold, in `code_with_names`, and a link over two lines.",
        "One item.",
        "Another one.",
    ]
    assert text.links == [Link(target="x.md#y", line=5)]
    assert [section.number for section in text.sections] == [0, 1, 2]


def test_what_has_no_heading_is_called_by_its_name():
    text = parsed("Words.\n", "notes")
    assert (text.title, [section.heading for section in text.sections]) == ("notes", ["notes"])
    assert parsed("", "notes").sections == []


def test_texts_are_found_sorted_and_hidden_ones_left_out(tmp_path):
    root = plant(tmp_path, {"b.md": "", "a/z.txt": "", ".git/c.md": "", "a.py": ""})
    assert markdown.find_texts(root) == ["a/z.txt", "b.md"]
    with pytest.raises(FileNotFoundError, match="no such folder"):
        markdown.find_texts(str(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no text"):
        markdown.find_texts(str(tmp_path / "empty"))


# Words


def test_an_abbreviation_ends_no_sentence():
    told = "Some tools, e.g. Make, do it. `make` too! (Is it so?) It took 0.2 s. the end"
    assert words.sentences_of(told) == [
        "Some tools, e.g. Make, do it.",
        "`make` too!",
        "(Is it so?)",
        "It took 0.2 s. the end",
    ]


def test_a_word_weighs_as_much_as_it_is_said():
    assert words.weights_of(["Dough and dough and dough.", "The oven, the oven, a pan."]) == {
        "dough": 1.0,
        "oven": 0.6667,
    }


@pytest.mark.parametrize(
    ("word", "count"), [("cat", 1), ("table", 2), ("made", 1), ("banana", 3), ("tree", 1), ("rhythm", 1)]
)
def test_syllables(word, count):
    assert words.syllables_of(word) == count


def test_short_words_in_short_sentences_are_easy():
    easy = words.reading_ease("The cat sat. The dog ran.")
    hard = words.reading_ease("Incomprehensible terminology systematically complicates understanding.")
    assert easy > 90
    assert hard < 0
    assert words.reading_ease("") == 100
    assert [checks.told_ease(value) for value in (90, 60, 31, -5)] == ["easy", "plain", "hard", "very hard"]


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("journal", "jurnal", True),
        ("journal", "journall", True),
        ("journal", "jounral", True),
        ("journal", "jaurnal", True),
        ("journal", "journal", False),
        ("journal", "urnal", False),
        ("journal", "juornla", False),
    ],
)
def test_slips_of_one_letter(one, other, apart):
    assert words.one_edit_apart(one, other) is words.one_edit_apart(other, one) is apart


# Choosing


def sentences(*texts):
    section = prose(*texts)
    return summary.score_section(section[0], summary.weigh(section))


def test_what_the_text_says_most_often_is_chosen_once_and_in_order():
    scored = sentences(
        "Cheese is old.",
        "The dough of the bread rests while the dough of the bread rises.",
        "The bread of the dough rests while the bread of the dough rises.",
        "An oven bakes the bread when the oven is hot enough.",
    )
    chosen = summary.choose(scored, Plan(sentences=2))
    assert chosen.chosen == [1, 3]
    assert chosen.words == sum(scored[n].words for n in (1, 3))
    assert summary.choose(scored, Plan(sentences=1, avoid=[1, 2])).chosen == [3]
    assert summary.choose(scored, Plan(sentences=1, topics=["cheese"])).chosen == [0]
    assert summary.lead(scored).chosen == [0, 1]
    assert summary.lead([]) == Draft(chosen=[], sentences=[], words=0)
    with pytest.raises(ValueError, match="no sentence left"):
        summary.choose(scored, Plan(avoid=[0, 1, 2, 3]))


def test_the_score_of_a_sentence_does_not_come_from_its_length():
    scored = {s.words: s for s in sentences("dough " * 12 + ".", "dough " * 60 + ".", "dough dough.")}
    assert scored[12].score > scored[60].score
    assert scored[12].score > scored[2].score


@pytest.mark.parametrize(
    ("reason", "plan"),
    [
        ("Shorter, please", Plan(sentences=4)),
        ("not 2 and 9", Plan(avoid=[7])),
        ("more of the oven", Plan(topics=["oven"])),
        ("other sentences", Plan(avoid=[3, 7])),
        ("meh", Plan(avoid=[3, 7])),
        ("shorter, and not 1", Plan(sentences=4, avoid=[3])),
    ],
)
def test_a_person_is_understood(reason, plan):
    refused = Draft(chosen=[3, 7], sentences=["a", "b"], words=2)
    assert summary.replan(Plan(), refused, [], reason, {"oven": 1.0}) == plan


def test_what_checks_wish_is_planned():
    refused = Draft(chosen=[3, 7], sentences=["a", "b"], words=2)
    found = [
        Finding(check="length", says="", wish="shorter"),
        Finding(check="wording", says="", wish="replace", place=2),
        Finding(check="links", says="dead"),
    ]
    assert summary.replan(Plan(avoid=[1]), refused, found, "", {}) == Plan(sentences=4, avoid=[1, 7])
    least = Plan(sentences=1)
    assert summary.replan(least, refused, found[:1], "", {}) == least


# Checks


@pytest.mark.parametrize(
    ("sentence", "fault"),
    [
        ("The dough has to rest.", ""),
        ("`it` runs the whole program.", ""),
        ("Then the dough has to rest.", "points at the sentence before"),
        ("In short: the dough has to rest.", "the label"),
        ("dough has to rest for long.", "begins in the middle"),
        ("The dough has to rest for:", "broken off"),
        ("The dough rests.", "says little"),
        ("The dough has to to rest.", 'has "to to"'),
        ("The dough (which rests has to rest.", "bracket"),
    ],
)
def test_a_sentence_that_cannot_stand_by_itself(sentence, fault):
    found = checks.wording(draft("The oven has to be hot.", sentence), [])
    assert [(f.place, f.wish) for f in found] == ([(2, "replace")] if fault else [])
    assert not fault or fault in found[0].says


def test_a_word_that_looks_misspelt_is_told():
    text = prose("The journal is a journal, whose journal? A journal.", "A jurnal and journals, once.")
    (found,) = checks.wording(draft(), text)
    assert (found.says, found.wish) == ('"jurnal" stands there once, and may be meant as "journal"', "")


def test_sentences_that_are_too_long():
    found, figures = checks.readability(draft("A word. " * 2, "word " * 40 + "."))
    assert [(f.place, f.says) for f in found] == [(2, "sentence 2 has 40 words")]
    assert figures["words per sentence"] == 22.0
    assert checks.readability(draft())[1] == {"reading ease": 100.0, "words per sentence": 0.0}


def test_the_limit_counts_words():
    kept, figures = checks.length(draft("Four words are here."), prose("Six words stand in this text."), 4)
    assert (kept, figures) == ([], {"words": 6.0, "sentences": 1.0})
    (over,) = checks.length(draft("Four words are here."), [], 3)[0]
    assert (over.wish, over.says) == ("shorter", "it has 4 words, more than 3")


def test_links_are_followed_to_files_and_headings(tmp_path):
    folder = plant(tmp_path, TEXTS | {"a b.md": "# One, two\n"})
    inside, outside = ["#baking", "notes/steam.txt#3", "a%20b.md#one-two"], ["https://example.org/x", "mailto:a@b"]
    targets = [*inside, *outside, "#no", "steam.md"]
    found = [Link(target=target, line=line) for line, target in enumerate(targets, 1)]
    told, figures = checks.links(folder, "bread.md", found)
    assert [each.says for each in told] == [
        "line 6: #no names a heading that is not there",
        "line 7: steam.md is not there",
    ]
    assert figures == {"links": 7.0, "links checked": 5.0, "dead links": 2.0}


def test_values_can_be_stored():
    for value in (Plan(topics=["a"]), draft("A."), Sentence(section=0, text="A.", words=1, score=0.1)):
        import msgspec

        assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value
