"""How a state differs from the one before: what is told is enough to follow it, and no more than that."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from clew.engine.state_changes import Delta, applied, changes_between
from clew.kernel.cells import changed, plain, whole
from clew.kernel.values import Cells
from clew.kernel.writes import Change

KEYS = "abc"
small = st.integers(0, 3)
items = st.lists(small, max_size=4)
fields = st.dictionaries(st.sampled_from("xyz"), small, max_size=3)
values = st.one_of(small, items, fields, st.none(), st.just("text"))


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def raws(values: list[Any]) -> tuple[msgspec.Raw, ...]:
    return tuple(map(raw, values))


@st.composite
def steps(draw: st.DrawFn, cells: Cells) -> Cells:
    """The same state after some keys were written, grown, cut, merged or taken out."""
    after = dict(cells)
    for key in draw(st.lists(st.sampled_from(KEYS), max_size=4)):
        cell = after.get(key)
        value = plain({key: cell})[key] if cell is not None else None
        if isinstance(value, list) and draw(st.booleans()):
            at = draw(st.sampled_from([-1, -1, draw(st.integers(0, len(value)))]))
            cut = draw(st.integers(0, len(value) - at)) if at >= 0 else 0
            after[key] = changed(cell, Change(items=raws(draw(items)), at=at, cut=cut))
        elif isinstance(value, dict) and draw(st.booleans()):
            removed = draw(st.lists(st.sampled_from("xyz"), max_size=2))
            new = {name: raw(each) for name, each in draw(fields).items() if name not in removed}
            after[key] = changed(cell, Change(fields=new, removed=tuple(removed)))
        elif cell is not None and draw(st.booleans()):
            del after[key]
        else:
            after[key] = changed(cell, Change(json=raw(draw(values))))
    return after


@settings(max_examples=40)
@given(st.data())
def test_changes_are_enough_to_follow_a_state(data: st.DataObject) -> None:
    cells: Cells = {}
    followed: dict[str, Any] = {}
    for _ in range(data.draw(st.integers(1, 6))):
        before = plain(cells)
        after = data.draw(steps(cells))
        changes = changes_between(cells, after)
        assert plain(cells) == before, "the state before is as it was"
        followed = applied(followed, changes)
        assert followed == plain(after)
        assert set(changes) == {
            key for key in KEYS if before.get(key, msgspec.UNSET) != plain(after).get(key, msgspec.UNSET)
        }
        told = msgspec.json.decode(msgspec.json.encode(changes), type=dict[str, Delta])
        assert applied(before, told) == followed
        cells = after


def test_what_is_told_is_as_small_as_the_change() -> None:
    words = whole(raw(["a", "b", "c"]))
    grown = changed(words, Change(items=raws(["d"]), at=-1))
    cut = changed(grown, Change(items=raws(["B"]), at=1, cut=2))
    assert changes_between({"k": words}, {"k": grown}) == {"k": Delta(items=["d"], at=3)}
    assert changes_between({"k": grown}, {"k": cut}) == {"k": Delta(items=["B"], at=1, cut=2)}
    assert changes_between({"k": words}, {"k": words}) == {}
    assert changes_between({"k": grown}, {"k": changed(grown, Change(items=(), at=-1))}) == {}
    table = whole(raw({"x": 1, "y": 2}))
    merged = changed(table, Change(fields={"y": raw(3)}, removed=("x",)))
    assert changes_between({"k": table}, {"k": merged}) == {"k": Delta(fields={"y": 3}, removed=("x",))}
    assert changes_between({"k": table}, {"k": changed(table, Change(fields={"y": raw(2)}))}) == {}
    assert changes_between({"k": words}, {"k": whole(raw(["a", "b", "c"]))}) == {}
    assert changes_between({"k": words}, {"k": whole(raw(7))}) == {"k": Delta(value=7)}
    assert changes_between({"k": words}, {}) == {"k": Delta(deleted=True)}
    assert changes_between({}, {"k": whole(raw(None))}) == {"k": Delta(value=None)}


def test_two_that_grew_from_the_same_list_do_not_meet() -> None:
    """Branches grow the same list side by side; each is told by what is its own."""
    words = whole(raw(["a"]))
    one = changed(words, Change(items=raws(["b"]), at=-1))
    other = changed(words, Change(items=raws(["c"]), at=-1))
    assert changes_between({"k": words}, {"k": one}) == {"k": Delta(items=["b"], at=1)}
    assert changes_between({"k": words}, {"k": other}) == {"k": Delta(items=["c"], at=1)}
    assert changes_between({"k": one}, {"k": other}) == {"k": Delta(items=["c"], at=1, cut=1)}
