"""Output comes in whole lines, in order, storable, and never more than can be kept."""

from hypothesis import given
from hypothesis import strategies as st

from clew.bodies.output import MAX_LINE, Bounded, ByteLines, Lines


class Kept:
    def __init__(self) -> None:
        self.pieces: list[tuple[str, str]] = []

    def __call__(self, stream: str, text: str) -> None:
        self.pieces.append((stream, text))

    def text(self, stream: str = "out") -> str:
        return "".join(text for name, text in self.pieces if name == stream)


def test_lines_are_whole() -> None:
    kept = Kept()
    lines = Lines("out", kept)
    for text in ("a", "b", "\nc", "d\ne\nf", "", "\n", "end"):
        lines.write(text)
    assert [text for _, text in kept.pieces] == ["ab\n", "cd\ne\n", "f\n"]
    lines.flush()
    lines.flush()
    assert kept.text() == "ab\ncd\ne\nf\nend"


def test_endless_lines_come_in_pieces() -> None:
    kept = Kept()
    lines = Lines("out", kept)
    for _ in range(5):
        lines.write("x" * (MAX_LINE // 2))
    assert [len(text) for _, text in kept.pieces] == [MAX_LINE, MAX_LINE]


@given(st.text(), st.lists(st.integers(1, 5)))
def test_characters_may_be_cut_anywhere(text: str, cuts: list[int]) -> None:
    kept = Kept()
    lines = ByteLines("out", kept)
    data = text.encode()
    for size in cuts:
        lines.feed(data[:size])
        data = data[size:]
    lines.feed(data)
    lines.flush()
    assert kept.text() == text


def test_what_is_no_unicode_stays_storable() -> None:
    kept = Kept()
    Lines("out", kept).write("\ud800\n")
    lines = ByteLines("out", kept)
    lines.feed(b"\xff\n\xe2\x82")
    lines.flush()
    assert kept.text() == "\\ud800\n\N{REPLACEMENT CHARACTER}\n\N{REPLACEMENT CHARACTER}"


@given(st.lists(st.text(max_size=30)), st.integers(1, 40))
def test_both_ends_are_kept(pieces: list[str], size: int) -> None:
    kept = Kept()
    bounded = Bounded(kept, size)
    for piece in pieces:
        bounded("out", piece)
    whole = "".join(pieces)
    assert kept.text() == whole[:size]  # at once
    bounded.close()
    if len(whole) <= 2 * size:
        assert kept.text() == whole
    else:
        left_out = len(whole) - 2 * size
        assert (
            kept.text() == f"{whole[:size]}\n[... {left_out:,} characters are left out here ...]\n{whole[-size:]}"
        )


def test_streams_are_bounded_apart() -> None:
    kept = Kept()
    bounded = Bounded(kept, 2)
    for text in ("ab", "cd", "ef", "gh"):
        bounded("out", text)
    bounded("err", "x")
    bounded.close()
    assert kept.text("err") == "x"
    assert kept.text("out") == "ab\n[... 4 characters are left out here ...]\ngh"
    bounded("out", "again")
    assert kept.text("out").endswith("ghag")


def test_a_sink_may_flush_what_it_is_fed_by() -> None:
    """The garbage collector closes streams whenever it likes, and closing flushes."""
    got: list[str] = []

    def sink(_: str, text: str) -> None:
        got.append(text)
        lines.flush()

    lines = Lines("stdout", sink)
    lines.write("one\ntwo")
    lines.flush()
    assert got == ["one\n", "two"]
