"""Graph files: what they mean, and that everything wrong in one is told at once with its place."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import GraphError
from clew.graphs import Graph, load
from clew.graphs.body_data import FunctionBody, HttpBody, ShellBody
from clew.graphs.reading import read
from clew.graphs.schema import SCHEMA
from clew.graphs.shapes import misfits
from clew.kernel.definition import Backoff, ErrorPolicy, ItemPolicy, OnInterrupt
from clew.kernel.values import DictOf, Expression, FromInput, FromItem, FromNode, ListOf, Pick

HERE = Path(__file__).parent
BAD = sorted(path for path in (HERE / "bad").iterdir() if path.suffix in {".yaml", ".toml", ".json"})
GOOD = sorted(path for path in (HERE / "good").iterdir() if path.suffix in {".yaml", ".toml", ".json"})
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def plain(path: Path):
    return json.loads(json.dumps(read(path).data))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_everything_wrong_is_told_with_its_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    with pytest.raises(GraphError) as caught:
        load(path.relative_to(HERE))
    expected = path.with_name(f"{path.name}.txt").read_text("utf-8")
    assert "\n".join(caught.value.problems) + "\n" == expected
    assert caught.value.what == path.name


@pytest.fixture(scope="module", autouse=True)
def modules() -> None:
    """The modules of the files are those beside them, and not those of a folder that is gone soon."""
    for path in GOOD:
        load(path)


@pytest.fixture(scope="module")
def digest() -> Graph:
    return load(HERE / "good" / "digest.yaml")


def test_the_head_of_a_file(digest: Graph) -> None:
    spec = digest.spec()
    assert (spec.name, spec.on_error, spec.max_concurrency) == ("digest", ErrorPolicy.SKIP_DOWNSTREAM, 8)
    assert (spec.max_interruptions, spec.timeout_s) == (3, 5400.0)
    assert [(i.name, i.type, i.required, bytes(i.default)) for i in spec.inputs] == [
        ("urls", "list[str]", True, b"null"),
        ("depth", "int", False, b"2"),
        ("title", "str", True, b"null"),
        ("anything", "", True, b"null"),
    ]
    assert spec.output == DictOf(
        {
            "report": FromNode("report"),
            "count": Expression(
                "{{ summaries | length }}", {"summaries": FromNode("summaries")}, "digest.yaml: returns.count"
            ),
            "first": Pick(FromNode("pages"), (0, "title")),
        }
    )


def test_the_nodes_of_a_file(digest: Graph) -> None:
    nodes = {node.id: node for node in digest.spec().nodes}
    pages = nodes["pages"]
    assert pages.inputs == {"url": FromItem(), "depth": FromInput("depth")}
    assert (pages.map.over, pages.map.key) == (FromInput("urls"), "title")
    assert (pages.map.on_item_error, pages.map.max_concurrency) == (ItemPolicy.COLLECT, 4)
    assert (pages.retry.max_attempts, pages.retry.backoff, pages.retry.delay_s) == (5, Backoff.LINEAR, 0.5)
    assert (pages.retry.max_delay_s, pages.retry.jitter) == (60, 0)
    assert (pages.retry.on, pages.retry.not_on) == (("TimeoutError",), ("ValueError",))
    assert pages.timeout_s == 30
    assert nodes["summaries"].map.over == FromNode("pages")
    assert nodes["keyed"].map.key == "good_tasks:name_of"
    words = nodes["count-words"]
    assert (words.after, words.on_interrupt, words.uses) == (("keyed",), OnInterrupt.RETRY, {"cpu": 1})
    assert words.inputs["command"].names == {
        "summaries": FromNode("summaries"),
        "input": DictOf({"title": FromInput("title")}),
    }
    paid = nodes["paid"]
    assert msgspec.json.decode(paid.probe, type=FunctionBody).ref == "good_tasks:paid"
    assert (paid.on_interrupt, paid.heartbeat_s) == (OnInterrupt.PROBE, 30)
    assert paid.exclusive.names == {"input": DictOf({"title": FromInput("title")})}
    listing = nodes["listing"]
    assert msgspec.json.decode(listing.body, type=ShellBody) == ShellBody(
        env={"TOKEN": "secret://TOKEN", "LEVEL": "3"}, shell=False, ok_codes=(0, 1), max_output=1000
    )
    assert isinstance(listing.inputs["command"], ListOf)
    assert listing.inputs["cwd"] == listing.inputs["command"].items[2]
    assert listing.priority == -1
    told = nodes["told"]
    assert msgspec.json.decode(told.body, type=HttpBody) == HttpBody(
        method="POST", headers={"Authorization": "secret://TOKEN"}, parse="json", ok_statuses=(200, 201)
    )
    assert told.inputs["json"] == DictOf({"words": Pick(FromNode("count-words"), ("stdout",))})
    assert (told.uses, told.after, told.on_error) == ({"net": 2}, ("listing",), ErrorPolicy.CONTINUE)
    assert nodes["report"].graph.name == "report"
    assert nodes["other"].graph.name == "greet"
    assert nodes["other"].inputs == {"who": FromNode("report")}


def test_the_form_does_not_matter() -> None:
    hashes = {load(HERE / "good" / name).hash for name in ("listed.toml", "greet.yaml", "greet.json")}
    assert len(hashes) == 1


def test_a_file_and_python_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    load(HERE / "good" / "greet.yaml")
    from datetime import date

    import good_tasks

    from clew.graphs import shell

    g = Graph("greet", max_concurrency=2)
    who = g.input("who", str, "world")
    g.input("since", date, date(2026, 1, 31))
    greeting = g.add(shell("echo hello {{ who }}"), who=who, id="greeting", retry=3)
    g.add(good_tasks.summarise, greeting["stdout"], id="loud")
    from_file = load(HERE / "good" / "greet.yaml").spec()
    ours = g.spec()
    assert ours.inputs == from_file.inputs
    assert ours.nodes[0].retry == from_file.nodes[0].retry
    assert ours.nodes[1].body == from_file.nodes[1].body


def test_moving_a_file_does_not_change_its_hash(tmp_path: Path) -> None:
    text = "nodes: {a: {shell: 'echo {{ input.x }}'}}\ninputs: {x: str}\nname: same\n"
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text("\n\n" + text)
    assert load(tmp_path / "a.yaml").hash == load(tmp_path / "b.yaml").hash


def test_yaml_is_read_as_its_version_1_2(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "nodes:\n  a:\n    shell: 'true'\n    with: {}\n"
        "returns: {on: off, no: 1:30, date: 2026-01-31, n: [0o17, 0x1f, 1e3, -2, +.5, ~, 'true', true, 017]}\n"
    )
    output = json.loads(bytes(load(tmp_path / "a.yaml").spec().output.json))
    assert output == {
        "on": "off",
        "no": "1:30",
        "date": "2026-01-31",
        "n": [15, 31, 1000.0, -2, 0.5, None, "true", True, 17],
    }


@pytest.mark.parametrize(
    ("name", "content"), [("a.yaml", b"\xff\xfe\xff"), ("a.json", b'{"a": NaN}'), ("a.toml", b"\xff")]
)
def test_files_that_cannot_be_read(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GraphError):
        load(tmp_path / name)


# The schema --------------------------------------------------------------------------------------------


def test_the_schema_is_one() -> None:
    VALIDATOR.check_schema(SCHEMA)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_the_schema_takes_good_files(path: Path) -> None:
    VALIDATOR.validate(plain(path))


BASES = [plain(path) for path in GOOD]
#: Every key that a file can have, and some that it cannot.
KEYS = sorted({key for part in SCHEMA["$defs"].values() for key in part.get("properties", {})})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 700),
    st.floats(-1, 2),
    st.sampled_from(["", "a", "30s", "fixed", "A b"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from([*KEYS, "x", "1"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@st.composite
def mutated(draw: st.DrawFn):
    """A good file in which one to three parts are replaced, removed or added."""
    data = json.loads(json.dumps(draw(st.sampled_from(BASES)), default=str))
    for _ in range(draw(st.integers(1, 3))):
        at = data
        while True:
            inner = [k for k in (at if isinstance(at, dict) else range(len(at))) if isinstance(at[k], dict | list)]
            if not inner or draw(st.booleans()):
                break
            at = at[draw(st.sampled_from(inner))]
        if isinstance(at, list):
            at.append(draw(VALUES))
        elif at and draw(st.booleans()):
            del at[draw(st.sampled_from(sorted(at)))]
        else:
            at[draw(st.sampled_from([*sorted(at), *KEYS, "x"]))] = draw(VALUES)
    return data


@given(mutated())
def test_the_loader_takes_what_the_schema_takes(data: object) -> None:
    assert bool([*misfits(data)]) == (not VALIDATOR.is_valid(data))


@given(mutated())
def test_no_file_is_too_bad_to_be_told_about(data: object) -> None:
    """Whatever stands in it, a file is a graph or has problems; nothing else is raised."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(data))
        for needed in (HERE / "good").iterdir():
            if needed.is_file():
                (Path(folder) / needed.name).symlink_to(needed)
        try:
            load(path).spec()
        except GraphError as error:
            assert error.problems
        else:
            assert VALIDATOR.is_valid(data)


def test_the_guide_names_every_key_and_filter() -> None:
    from clew.graphs.sandbox import environment

    guide = "".join((HERE.parents[1] / "docs" / name).read_text("utf-8") for name in ("files.md", "plans.md"))
    names = [key for key in KEYS if key != "id"] + sorted(environment().filters)
    assert not [name for name in names if f"`{name}`" not in guide and f"{name}" not in guide.split("`")]
