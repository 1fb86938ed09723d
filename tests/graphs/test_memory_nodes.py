"""Operations on the memory, and files to put back, as they stand in a definition."""

# pyright: basic

from typing import Any

import msgspec
import pytest
from undo_graphs import made

from clew import Graph, GraphError, InvalidInputError, item, memory, restore, shell
from clew.graphs.body_data import MemoryBody, RestoreBody
from clew.kernel.definition import CompensationSpec, OnInterrupt
from clew.kernel.values import Expression, FromInput, FromItem, FromNode, ListOf, Literal, Pick


async def read(path: str) -> str: ...


def body_of(kind: type, raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw, type=kind)


def test_what_is_given_is_bound() -> None:
    g = Graph("g")
    page = g.add(read, "p")
    g.add(
        memory("store", namespace="pages {{ who }}", key=g.input("key", str), value={"page": page, "n": [1]}),
        who=g.input("who", str),
        id="keep",
    )
    node = made(g).nodes[1]
    assert (node.kind, body_of(MemoryBody, node.body)) == ("memory", MemoryBody(operation="store"))
    assert isinstance(node.inputs["namespace"], Expression)
    assert node.inputs["key"] == FromInput("key")
    assert node.inputs["value"].items["page"] == FromNode("read")
    assert node.on_interrupt is OnInterrupt.RETRY
    assert node.timeout_s is None


@pytest.mark.parametrize("operation", ["store", "update", "delete"])
def test_changes_bring_their_compensation_along(operation: Any) -> None:
    g = Graph("g")
    given: dict[str, Any] = {} if operation == "delete" else {"value": 1}
    g.add(memory(operation, namespace="n", key="k", **given))
    g.add(memory(operation, namespace="n", key="k", **given), irreversible=True)
    own, none = made(g).nodes
    undo = msgspec.Raw(msgspec.json.encode(MemoryBody(operation="undo")))
    assert own.compensation == CompensationSpec(kind="memory", body=undo)
    assert none.compensation is None


@pytest.mark.parametrize(
    "reading", [memory("get", namespace="n", key="k", default=None), memory("search", namespace="n", text="x")]
)
def test_what_only_reads_is_not_undone(reading: Any) -> None:
    g = Graph("g")
    g.add(reading, id="m")
    assert made(g).nodes[0].compensation is None


def test_the_items_of_a_map_may_stand_in_it() -> None:
    g = Graph("g")
    g.map(memory("get", namespace="n", key=item["id"]), over=g.input("all", list))
    assert made(g).nodes[0].inputs["key"] == Pick(FromItem(), ("id",))


def test_what_it_returns_has_types() -> None:
    g = Graph("g")
    stored = g.add(memory("store", namespace="n", key="k", value=1))
    g.add(read, stored["exists"])
    with pytest.raises(GraphError, match=r"exists.*existed"):
        g.spec()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"operation": "stroe", "key": "k"},
            "one of store, update, delete, get, search, not 'stroe'; did you mean",
        ),
        ({"operation": "store", "key": "k"}, "store needs value="),
        ({"operation": "delete"}, "delete needs key="),
        ({"operation": "get", "key": "k", "value": 1}, "get takes no value=; leave it out"),
        ({"operation": "search", "key": "k"}, "search takes no key=; leave it out"),
        ({"operation": "store", "key": "k", "value": 1, "limit": 2}, "store takes no limit=; leave it out"),
    ],
)
def test_what_does_not_go_together_is_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^memory: .*{told}"):
        memory(namespace="n", **given)


def test_names_that_are_not_given_are_told() -> None:
    g = Graph("g")
    g.add(memory("get", namespace="{{ who }}", key="k"), id="m", heartbeat=5)
    g.add(memory("get", namespace="n", key=item), id="i")
    with pytest.raises(GraphError) as caught:
        g.spec()
    told = "\n".join(caught.value.problems)
    assert "node 'm', parameter 'who': is missing" in told
    assert "node 'm', heartbeat: an operation on the memory does not say that it is alive" in told
    assert "node 'i', key" in told


def test_files_to_put_back_are_a_compensation() -> None:
    g = Graph("g")
    place = g.input("place", str)
    g.add(read, place, compensate=restore("{{ path }}.bak", place, "b"))
    how = made(g).nodes[0].compensation
    assert how is not None
    assert (how.kind, how.before, body_of(RestoreBody, how.body)) == ("restore", True, RestoreBody())
    paths = how.inputs["paths"]
    assert isinstance(paths, ListOf)
    assert isinstance(paths.items[0], Expression)
    assert paths.items[1:] == (FromInput("place"), Literal(msgspec.Raw(b'"b"')))


def test_only_what_is_put_back_is_recorded_before() -> None:
    """Definitions of before are what they were."""
    g = Graph("g")
    g.add(read, "p", compensate=shell("true"))
    (node,) = made(g).nodes
    assert b"before" not in msgspec.json.encode(node)
