"""The Python form: what `Graph` makes of bodies, handles and policies."""

import inspect
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from clew import codec
from clew.graphs import Graph, Retry, execution_batches, exponential, fixed, http, item, linear, node, shell
from clew.graphs.body_data import FunctionBody, HttpBody, ShellBody
from clew.kernel.definition import Backoff, ErrorPolicy, ItemPolicy, OnInterrupt
from clew.kernel.values import DictOf, Expression, FromInput, FromItem, FromNode, ListOf, Literal, Pick


@dataclass
class Page:
    title: str
    links: list[str]


async def fetch(url: str, depth: int = 1) -> Page:
    return Page(url, [url] * depth)


def summarise(text: str, ctx, words: int = 10) -> str:
    return text[:words]


def combine(parts: list[str], names: dict[str, str] | None = None) -> str:
    return "".join(parts)


def anything(**options: object) -> None: ...


def nodes_of(graph: Graph):
    return {node.id: node for node in graph.spec().nodes}


def literal(value: object) -> Literal:
    return Literal(msgspec.Raw(codec.encode(value)))


def test_a_handle_that_is_passed_on_is_a_dependency() -> None:
    g = Graph("digest", description="d")
    page = g.add(fetch, url=g.input("url", str))
    g.add(summarise, page["title"])
    spec = g.spec()
    assert [n.id for n in spec.nodes] == ["fetch", "summarise"]
    assert spec.nodes[0].inputs == {"url": FromInput("url")}
    assert spec.nodes[1].inputs == {"text": Pick(FromNode("fetch"), ("title",))}
    assert spec.inputs[0].name == "url" and spec.inputs[0].type == "str" and spec.inputs[0].required
    assert g.spec() is spec


def test_arguments_bind_by_position_and_the_context_is_no_input() -> None:
    g = Graph("g")
    g.add(summarise, "some text", 3)
    assert nodes_of(g)["summarise"].inputs == {"text": literal("some text"), "words": literal(3)}


def test_handles_stand_inside_lists_and_mappings() -> None:
    g = Graph("g")
    page = g.add(fetch, "x")
    g.add(combine, [page["title"], "and", page["links"][0]], names={"a": page["title"], "b": "x"})
    inputs = nodes_of(g)["combine"].inputs
    assert inputs["parts"] == ListOf(
        (Pick(FromNode("fetch"), ("title",)), literal("and"), Pick(FromNode("fetch"), ("links", 0)))
    )
    assert inputs["names"] == DictOf({"a": Pick(FromNode("fetch"), ("title",)), "b": literal("x")})


def test_ids_are_made_of_the_body_and_numbered() -> None:
    g = Graph("g")
    sub = Graph("two words!")
    sub.add(shell("true"))
    for _ in range(3):
        g.add(fetch, "x")
    g.add(fetch, "x", id="mine")
    g.add(lambda: 1)
    g.add(shell("true"))
    g.add(http("GET", "https://example.org"))
    g.add(sub)
    assert [*nodes_of(g)] == ["fetch", "fetch_2", "fetch_3", "mine", "lambda", "shell", "http", "two_words"]


def test_order_without_data_is_depends_on() -> None:
    g = Graph("g")
    first = g.add(fetch, "x", id="first")
    g.add(fetch, "x", id="second", depends_on=first)
    g.add(fetch, "x", id="third", depends_on=["first", "second"])
    g.add(fetch, "x", id="fourth", depends_on="later")
    g.add(fetch, "x", id="later")
    assert {n.id: n.after for n in g.spec().nodes} == {
        "first": (),
        "second": ("first",),
        "third": ("first", "second"),
        "fourth": ("later",),
        "later": (),
    }


def test_inputs_named_like_options_go_in_a_mapping() -> None:
    def limited(timeout: int, id: str) -> None: ...

    g = Graph("g")
    g.add(limited, id="node", inputs={"timeout": 3, "id": "x"})
    assert nodes_of(g)["node"].inputs == {"timeout": literal(3), "id": literal("x")}
    assert nodes_of(g)["node"].timeout_s is None


def test_policies_of_the_use_win_over_those_of_the_function() -> None:
    @node(
        retry=Retry(max_attempts=5, backoff=fixed(2), on=(ValueError, "MyError")),
        timeout=30,
        uses="llm",
        priority=2,
    )
    async def ask(question: str) -> str: ...

    g = Graph("g")
    g.add(ask, "x", id="as_attached")
    g.add(ask, "x", id="other", retry=2, timeout=1, on_error="continue", on_interrupt="fail", uses={"gpu": 2})
    g.add(ask, "x", id="several", uses=["llm", "gpu", "llm"], retry=Retry(backoff=exponential(0.1, max_delay=9)))
    g.add(ask, "x", id="linear", retry=Retry(backoff=linear(3), not_on=KeyError, jitter=0))
    made = nodes_of(g)
    attached = made["as_attached"]
    assert (attached.retry.max_attempts, attached.retry.backoff, attached.retry.delay_s) == (5, Backoff.FIXED, 2)
    assert attached.retry.on == ("ValueError", "MyError")
    assert (attached.timeout_s, attached.uses, attached.priority) == (30, {"llm": 1}, 2)
    other = made["other"]
    assert (other.retry.max_attempts, other.timeout_s, other.uses) == (2, 1, {"gpu": 2})
    assert (other.on_error, other.on_interrupt) == (ErrorPolicy.CONTINUE, OnInterrupt.FAIL)
    assert other.priority == 2
    assert made["several"].uses == {"llm": 2, "gpu": 1}
    assert (made["several"].retry.delay_s, made["several"].retry.max_delay_s) == (0.1, 9)
    assert made["linear"].retry.not_on == ("KeyError",)


def test_an_attached_function_is_itself() -> None:
    @node
    def plain(x: int) -> int:
        return x + 1

    assert plain(1) == 2
    assert inspect.signature(plain).return_annotation is int


def test_a_map_sends_its_item_to_the_first_free_parameter() -> None:
    g = Graph("g")
    urls = g.input("urls", list[str])
    pages = g.map(fetch, over=urls, key="title", on_item_error="collect", max_concurrency=3, retry=2)
    g.map(summarise, over=pages, text=item["title"], id="titles")
    g.map(fetch, depth=2, over={"url": urls}, id="named")
    g.map(combine, ["x"], over=[{"a": "b"}], id="second")
    g.add(combine, g["titles"], id="all")
    made = nodes_of(g)
    assert made["fetch"].inputs == {"url": FromItem()}
    assert made["fetch"].map is not None
    assert (made["fetch"].map.over, made["fetch"].map.key) == (FromInput("urls"), "title")
    assert (made["fetch"].map.on_item_error, made["fetch"].map.max_concurrency) == (ItemPolicy.COLLECT, 3)
    assert made["titles"].inputs == {"text": Pick(FromItem(), ("title",))}
    assert made["named"].inputs == {"depth": literal(2), "url": FromItem()}
    assert made["second"].inputs == {"parts": literal(["x"]), "names": FromItem()}


def test_a_key_function_is_found_by_reference() -> None:
    g = Graph("g")
    g.map(fetch, over=["a"], key=name_of, id="top")
    g.map(fetch, over=["a"], key=lambda url: url[:3], id="local")
    made = nodes_of(g)
    assert made["top"].map.key == f"{__name__}:name_of"
    assert made["local"].map.key.endswith("@g/local.key")
    assert g.bodies[made["top"].map.key] is name_of
    assert g.bodies[made["local"].map.key]("abcdef") == "abc"


def name_of(url: str) -> str:
    return url


def test_shell_and_http_take_the_names_of_their_texts() -> None:
    g = Graph("g")
    page = g.add(fetch, "x")
    g.add(shell("grep {{ word }} {{ page.title }}", env={"A": "b"}, cwd="/tmp"), word="w", page=page, id="grep")
    g.add(shell(["wc", "{{ page.title }}"], cwd="{{ page.title }}", env={"A": "{{ n }}"}), page=page, n=3, id="wc")
    g.map(shell("echo {{ url }}"), over=g.input("urls", list[str]), id="each")
    g.add(http("post", "https://x/{{ page.title }}", json={"links": "{{ page.links }}"}), page=page, id="told")
    g.add(http("GET", "https://x", headers={"A": "secret://TOKEN"}), id="read", timeout=5)
    made = nodes_of(g)
    assert made["grep"].kind == "shell"
    command = made["grep"].inputs["command"]
    assert isinstance(command, Expression)
    assert command.names == {"word": literal("w"), "page": FromNode("fetch")}
    assert msgspec.json.decode(made["grep"].body, type=ShellBody) == ShellBody(cwd="/tmp", env={"A": "b"})
    assert made["grep"].on_interrupt is OnInterrupt.FAIL
    assert made["wc"].inputs["command"] == ListOf((literal("wc"), Pick(FromNode("fetch"), ("title",))))
    assert made["wc"].inputs["cwd"] == Pick(FromNode("fetch"), ("title",))
    assert made["wc"].inputs["env"] == DictOf({"A": literal(3)})
    assert made["each"].inputs["command"].names == {"url": FromItem()}
    assert made["told"].inputs["json"] == DictOf({"links": Pick(FromNode("fetch"), ("links",))})
    assert (made["told"].timeout_s, made["told"].on_interrupt) == (60.0, OnInterrupt.FAIL)
    assert (made["read"].timeout_s, made["read"].on_interrupt) == (5.0, OnInterrupt.RETRY)
    assert msgspec.json.decode(made["read"].body, type=HttpBody).headers == {"A": "secret://TOKEN"}


def test_a_sub_graph_is_a_body_with_its_inputs_as_parameters() -> None:
    inner = Graph("inner")
    text = inner.input("text", str)
    inner.input("words", int, 10)
    inner.returns({"short": inner.add(summarise, text)})
    g = Graph("outer")
    made = g.add(inner, "hello", total_timeout=9)
    g.add(combine, [made["short"]])
    spec = nodes_of(g)["inner"]
    assert spec.kind == "graph"
    assert spec.graph == inner.spec()
    assert spec.inputs == {"text": literal("hello")}
    assert spec.total_timeout_s == 9
    assert spec.graph.output == DictOf({"short": FromNode("summarise")})
    assert g.bodies.keys() == {f"{__name__}:summarise", f"{__name__}:combine"}


def test_a_graph_that_is_changed_is_built_anew_with_those_it_is_part_of() -> None:
    inner, outer = Graph("inner"), Graph("outer")
    inner.add(fetch, "x")
    outer.add(inner)
    before = outer.hash
    inner.add(fetch, "y")
    assert outer.hash != before
    assert len(outer.spec().nodes[0].graph.nodes) == 2


def test_functions_are_found_again() -> None:
    g = Graph("g")

    def local() -> None: ...

    g.add(fetch, "x")
    g.add(local)
    bodies = [msgspec.json.decode(n.body, type=FunctionBody) for n in g.spec().nodes]
    assert bodies[0] == FunctionBody(f"{__name__}:fetch", folder=str(Path(__file__).parent))
    assert bodies[1].ref == f"{__name__}:test_functions_are_found_again.<locals>.local@g/local"
    assert not bodies[1].is_async
    assert g.bodies == {bodies[0].ref: fetch, bodies[1].ref: local}


def test_closures_of_one_function_are_told_apart() -> None:
    def make(n: int):
        async def body() -> int:
            return n

        return body

    g = Graph("g")
    for n in range(3):
        g.add(make(n))
    assert len(g.bodies) == 3


def test_the_hash_leaves_out_where_the_code_lies() -> None:
    g = Graph("g")
    g.add(fetch, "x")
    spec = g.spec()
    elsewhere = msgspec.json.encode(FunctionBody(f"{__name__}:fetch", folder="/elsewhere"))
    moved = msgspec.structs.replace(spec.nodes[0], body=msgspec.Raw(elsewhere))
    from clew.graphs.hashing import definition_hash

    assert definition_hash(msgspec.structs.replace(spec, nodes=(moved,))) == g.hash
    renamed = msgspec.structs.replace(moved, id="other")
    assert definition_hash(msgspec.structs.replace(spec, nodes=(renamed,))) != g.hash


def test_layers_are_those_of_the_longest_path() -> None:
    g = Graph("g")
    a = g.add(fetch, "x", id="a")
    b = g.add(summarise, a["title"], id="b")
    g.add(combine, [a["title"], b], id="c")
    g.add(fetch, "x", id="d")
    assert execution_batches(g) == g.layers() == [["a", "d"], ["b"], ["c"]]


def test_a_handle_is_no_value() -> None:
    handle = Graph("g").input("urls", list[str])
    with pytest.raises(TypeError, match=r"Graph\.map"):
        [*handle]
    with pytest.raises(TypeError, match="before the run"):
        bool(handle)
    with pytest.raises(TypeError, match="named by text"):
        handle[1.5]
    assert repr(handle["a"][0]["b c"]) == "<handle input.urls.a[0]['b c']>"


def test_secrets_stay_references() -> None:
    g = Graph("g")
    g.add(fetch, "secret://URL")
    assert nodes_of(g)["fetch"].inputs["url"] == literal("secret://URL")


def test_a_thousand_nodes_have_one_pass_each() -> None:
    g = Graph("g")
    text = g.add(summarise, "x")
    for _ in range(1_000):
        text = g.add(summarise, text)
    assert len(g.spec().nodes) == 1_001
    assert g.spec().nodes[-1].id == "summarise_1001"
    assert len(g.layers()) == 1_001
