"""The values of a state: immutable to whoever looks, and as cheap to add to when they are long as when short.

What an append copies is told by the list that holds the elements: as long as it is the same one, nothing is.
"""

from __future__ import annotations

import pytest
from trip import END, START, Trip, barrier, decided, edge, key, parallel, part, routed, step
from trip_rules import raw

from clew.kernel import commands as c
from clew.kernel.cells import changed, copied, plain, text_of, whole
from clew.kernel.errors import KernelError
from clew.kernel.reducing import difference
from clew.kernel.values import Cell
from clew.kernel.writes import Change


def appended(cell: Cell | None, *items) -> Cell:
    return changed(cell, Change(items=tuple(map(raw, items)), at=-1))


def value(cell: Cell):
    return plain({"k": cell})["k"]


# Growing ------------------------------------------------------------------------------------------------


def test_an_older_cell_does_not_see_what_was_appended_later():
    first = appended(None, 1)
    second = appended(first, 2)
    third = appended(second, 3, 4)
    assert [value(cell) for cell in (first, second, third)] == [[1], [1, 2], [1, 2, 3, 4]]


def test_appending_copies_nothing():
    cell = whole(raw([0] * 1_000))
    longer = appended(cell, 1)
    for number in range(100):
        longer = appended(longer, number)
    assert longer.items is cell.items
    assert len(cell.items) == longer.count == 1_101


def test_two_that_grow_from_the_same_cell_do_not_see_each_other():
    cell = appended(None, 1, 2)
    left = appended(cell, 3)
    right = appended(cell, 4)
    assert (value(left), value(right), value(cell)) == ([1, 2, 3], [1, 2, 4], [1, 2])
    assert left.items is cell.items
    assert right.items is not cell.items


def test_what_another_has_appended_already_is_shared_and_not_copied():
    cell = whole(raw(list(range(1_000))))
    inner = appended(cell, "x", "y", "z")
    outer = appended(cell, "x")
    assert outer.items is inner.items
    outer = appended(outer, "y", "z", "and more")
    assert outer.items is inner.items
    assert value(outer)[1_000:] == ["x", "y", "z", "and more"]
    assert value(inner)[1_000:] == ["x", "y", "z"]
    assert (
        outer.size == appended(appended(appended(whole(raw(list(range(1_000)))), "x"), "y", "z"), "and more").size
    )


def test_what_a_list_counts_for_does_not_depend_on_whether_it_is_shared():
    cell = whole(raw([1, 2]))
    assert appended(cell, 3).size == appended(cell, 4).size


def test_a_view_that_a_body_was_given_stays_as_it_is_in_a_long_loop():
    trip = Trip(
        step("a"), keys=(key("log", "append"),),
        edges=(edge(START, "a"), edge("a", "a", ["shorter", "log", 30]), edge("a", END)),
    )  # fmt: skip
    views, lists = [], []
    for number in range(30):
        (command,) = trip.commands(c.StartAttempt)
        views.append(command.inputs["state"].cells)
        trip.write(command.path, log=[number])
        lists.append(trip.walk().cells["log"].items)
    assert [plain(view).get("log", []) for view in views] == [list(range(n)) for n in range(30)]
    assert all(items is lists[0] for items in lists), "appending copied what was there"


def test_a_sub_graph_that_appends_in_a_loop_copies_nothing_at_its_join():
    inner = routed(step("x"), step("y"), keys=(key("log", "append"),))
    trip = Trip(part("sub", inner), keys=(key("log", "append"),), inputs={"log": [0] * 100})
    before = trip.walk("sub").cells["log"]
    trip.write("sub/x", log=[1])
    trip.write("sub/y", log=[2, 3])
    assert trip.walk().cells["log"].items is before.items
    assert trip.state_of()["log"][100:] == [1, 2, 3]


# Changes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([1, 2, 3], [1, 2, 3, 4]),
        ([1, 2, 3], [0, 1, 2, 3]),
        ([1, 2, 3, 4], [1, 9, 4]),
        ([1, 2, 3], []),
        ([], [1]),
        ([1, 1], [1, 1, 1]),
        ([1, 2], [1, 2]),
        ([1, 2, 3], [4, 5, 6]),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}),
        ({"a": 1}, {}),
        ({}, {"a": [1]}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 1}),
        ([1], {"a": 1}),
        ({"a": 1}, [1]),
        (1, 2),
        ("a", None),
        (None, [1, 2]),
    ],
)
def test_a_difference_leads_from_one_value_to_the_other(before, after):
    for cell in (whole(raw(before)), appended(None, *before) if isinstance(before, list) else whole(raw(before))):
        change = difference(cell, raw(after))
        later = changed(cell, change)
        assert value(later) == after
        assert value(cell) == before


def test_a_difference_of_something_large_is_small():
    cell = whole(raw([{"text": "x" * 100, "n": n} for n in range(20)]))
    new = value(cell)
    new[7] = 7
    assert difference(cell, raw(new)) == Change(items=(raw(7),), at=7, cut=1)
    fields = whole(raw({str(n): "x" * 100 for n in range(20)}))
    changes = {**value(fields), "7": 7}
    del changes["8"]
    assert difference(fields, raw(changes)) == Change(fields={"7": raw(7)}, removed=("8",))


def test_a_difference_to_nothing_is_the_value():
    assert difference(None, raw([1])) == Change(json=raw([1]))


def test_a_list_that_is_cut_in_the_middle_leaves_the_older_cell_as_it_is():
    cell = appended(None, 1, 2, 3)
    cut = changed(cell, Change(items=(), at=1, cut=1))
    assert (value(cut), value(cell)) == ([1, 3], [1, 2, 3])
    assert cut.size == len(text_of({"k": cut})) - len('{"k":}') + 1


def test_an_object_that_grows_leaves_the_older_cell_as_it_is():
    cell = changed(None, Change(fields={"a": raw(1)}))
    more = changed(cell, Change(fields={"b": raw(2)}, removed=("a", "z")))
    assert (value(more), value(cell)) == ({"b": 2}, {"a": 1})


def test_a_change_that_changes_nothing_is_refused():
    with pytest.raises(KernelError, match="changes nothing"):
        changed(None, Change())


def test_a_copy_for_a_snapshot_shares_nothing_that_grows():
    cell = appended(None, 1)
    copy = copied(cell)
    appended(cell, 2)
    assert (copy.items, copy.count) == ([raw(1)], 1)
    number = whole(raw(1))
    assert copied(number) is number


def test_a_snapshot_is_not_changed_by_what_happens_after_it():
    trip = Trip(step("a"), step("b"), keys=(key("log", "append"),))
    trip.write("a", log=[1])
    before = trip.witness.copy()
    trip.write("b", log=[2])
    assert plain(before.root.cells) == {"log": [1]}


def test_sizes_are_nearly_those_of_the_text():
    keys = (key("log", "append"), key("obj", "merge"), key("doc", "replace"), key("own", "custom:before"))
    trip = Trip(
        parallel("p", step("a"), step("b")), barrier("ok"), step("c"), keys=(*keys, *decided("ok")),
    )  # fmt: skip
    for path in ("p/a", "p/b"):
        trip.write(path, log=[1, "two"], obj={path: [1]}, doc="x", own=[3])
    trip.decide("ok", "reject", reason="no", changes={"log": [1, 2, 3]})
    trip.write("c", log=[4], delete=("own",))
    text = bytes(text_of(trip.walk().cells))
    keys_and_commas = sum(len(name) + 4 for name in trip.walk().cells)
    assert abs(trip.walk().size + keys_and_commas - len(text)) < 10
