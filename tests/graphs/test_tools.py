"""Tools made of functions: names, schemas, rights; and registries of them."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

import msgspec
import pytest
import tools_to_find

from clew import Context
from clew.errors import InvalidInputError
from clew.graphs.json_schemas import problem_of
from clew.graphs.limits import Limits
from clew.graphs.tools import Example, Permissions, Tool, ToolNotFoundError, Tools, tool, tool_of


class Size(TypedDict):
    width: int
    height: int


@dataclass
class Page:
    title: str
    tags: list[str]


@tool(read=["in"], write=[], network=["example.com:443"], effects="idempotent", limits={"cpu_s": 2})
async def fetch(
    url: str, kind: Literal["html", "text"] = "html", size: Size | None = None, *, ctx: Context
) -> str:
    """Fetch a page.

    It is kept as it came.

    Args:
        url: where it lies.
        kind: what is
            asked for.
        size: of the picture.
    """
    return f"{url} {kind} {size} {ctx.path}"


def misfit(made: Tool, **arguments: object) -> str | None:
    return problem_of(arguments, msgspec.json.encode(made.parameters))


def test_the_schema_is_read_off_the_function() -> None:
    made = tool_of(fetch)
    assert made.name == "fetch"
    assert made.description == "Fetch a page.\n\nIt is kept as it came."
    properties = made.parameters["properties"]
    assert [*properties] == ["url", "kind", "size"]  # and not the context
    assert properties["url"] == {"type": "string", "description": "where it lies."}
    assert properties["kind"]["enum"] == ["html", "text"]
    assert properties["kind"]["default"] == "html"
    assert properties["kind"]["description"] == "what is\nasked for."
    assert made.parameters["required"] == ["url"]


def test_the_schema_holds_for_what_the_function_takes() -> None:
    made = tool_of(fetch)
    assert misfit(made, url="u", size={"width": 1, "height": 2}) is None
    assert misfit(made, url="u", size=None) is None
    assert "$.size.height" in (misfit(made, url="u", size={"width": 1, "height": "two"}) or "")
    assert "$.url: text is expected, not 3" in (misfit(made, url=3) or "")
    assert "'url' is a required property" in (misfit(made) or "")
    assert "'uri' was unexpected" in (misfit(made, url="u", uri="v") or "")


def test_types_of_all_kinds_have_a_schema() -> None:
    def keep(
        page: Page, pages: dict[str, Page], count: Annotated[int, msgspec.Meta(ge=1)] = 1, **more: object
    ) -> None:
        """Keep."""
        raise NotImplementedError(page, pages, count, more)

    made = tool_of(keep)
    page = {"title": "t", "tags": []}
    assert misfit(made, page=page, pages={"a": page}, other=[1]) is None
    assert "$.pages.a.tags" in (misfit(made, page=page, pages={"a": {"title": "t", "tags": 3}}) or "")
    assert "$.count" in (misfit(made, page=page, pages={}, count=0) or "")


def test_a_default_that_is_no_plain_data_is_left_to_the_function() -> None:
    def wait(until: object = object()) -> None:
        raise NotImplementedError(until)

    made = tool_of(wait)
    assert "default" not in made.parameters["properties"]["until"]
    assert made.parameters["required"] == []


def test_what_a_decorator_says() -> None:
    made = tool_of(fetch)
    assert made.permissions == Permissions(read=("in",), write=(), network=("example.com:443",))
    assert (made.effects, made.limits) == ("idempotent", Limits(cpu_s=2))

    @tool(name="add.numbers", description="Adds.", examples=[Example({"a": 1, "b": 2}, 3)])
    def add(a: int, b: int) -> int:
        return a + b

    assert add(1, 2) == 3  # it is a function as before
    assert repr(tool_of(add)) == "<tool add.numbers>"
    assert tool_of(add).description == "Adds."
    assert tool_of(add).examples[0].result == 3


def test_a_function_that_is_not_marked_stays_as_it_was() -> None:
    def plain(a: int) -> int:
        return a

    assert tool_of(plain).name == "plain"
    assert tool_of(plain).permissions == Permissions()
    assert vars(plain) == {}
    assert tool_of("text".upper).name == "upper"  # nothing can be attached to it


@pytest.mark.parametrize("name", ["", "two words", "1st", "a" * 65, "a/b"])
def test_names_that_are_none(name: str) -> None:
    def named() -> None: ...

    with pytest.raises(InvalidInputError, match=r"cannot be the name of a tool"):
        Tools().add(named, name=name)


def test_functions_that_cannot_be_tools() -> None:
    def by_position(a: int, /) -> int:
        return a

    with pytest.raises(InvalidInputError, match=r"'a' is positional-only"):
        tool(by_position)
    with pytest.raises(InvalidInputError, match=r"cannot be the name of a tool"):
        tool(lambda: 1)
    with pytest.raises(InvalidInputError, match=r"a tool is a function, or a Tool, and not 3"):
        tool_of(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"write is a list of places.*write=\['out'\]"):
        tool(write="out")


def test_a_registry_finds_by_name() -> None:
    tools = Tools(fetch)
    tools.add(fetch)  # the same one, again
    tools.add(fetch, name="web.fetch")
    assert tools.get("web.fetch").function is fetch
    assert [each.name for each in tools] == ["fetch", "web.fetch"]
    assert len(tools) == 2
    assert "fetch" in tools
    assert [each.name for each in tools.matching("web.*", "x*")] == ["web.fetch"]
    assert repr(tools) == "<tools: fetch, web.fetch>"


def test_a_tool_that_is_not_there_is_told_with_the_nearest_name() -> None:
    with pytest.raises(ToolNotFoundError, match=r"there is no tool 'fetsch'; did you mean 'fetch'?"):
        Tools(fetch).get("fetsch")
    with pytest.raises(ToolNotFoundError, match=r"there is no tool 'zip'; there are 'fetch'"):
        Tools(fetch).get("zip")
    with pytest.raises(ToolNotFoundError, match=r"there are none"):
        Tools().get("zip")


def test_two_tools_of_one_name_are_refused() -> None:
    def other(url: str) -> str:
        return url

    with pytest.raises(InvalidInputError, match=r"two tools are called 'fetch'"):
        Tools(fetch).add(other, name="fetch")


def test_the_tools_of_a_module() -> None:
    tools = Tools()
    assert [each.name for each in tools.add_module(tools_to_find)] == ["marked", "made"]
    assert "plain" not in tools
