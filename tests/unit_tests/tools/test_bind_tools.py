"""Tools as a user binds them, in the shape in which they reach a server."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as BaseModelV1

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError

from ...support.fake_server import WireServer
from ...support.fake_text_servers import serve
from ...support.fake_tool_calls import Turn, serve_turns
from ...support.invocation_modes import answer, body_of


@tool
def weather(city: str, days: int = 1) -> str:
    """Tell the weather of a city."""
    return f"{city}: sun for {days}"


@tool
def now() -> str:
    """Tell the time."""
    return "noon"


def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: The one.
        b: The other.
    """
    return a + b


class Search(BaseModel):
    """Search the web."""

    query: str = Field(description="What for.")


class Old(BaseModelV1):
    """An old class."""

    query: str


class Typed(TypedDict):
    """A typed dict."""

    query: Annotated[str, ..., "What for."]


class Partly(TypedDict):
    query: str
    most: NotRequired[Annotated[int, ..., "How many."]]


class Loose(TypedDict, total=False):
    query: str


FUNCTION = {"name": "find", "description": "Find.", "parameters": {"type": "object"}}
BARE = {"name": "noop", "description": "Do nothing."}
ANTHROPIC = {"name": "look", "description": "Look.", "input_schema": {"type": "object"}}
SCHEMA = {"title": "Titled", "type": "object", "properties": {"a": {"type": "string"}}}
NAMED = {"type": "function", "function": {"name": "n", "parameters": {**SCHEMA, "title": "n"}}}
KINDS: dict[str, object] = {
    "weather": weather,
    "now": now,
    "add": add,
    "Search": Search,
    "Old": Old,
    "Typed": Typed,
    "find": FUNCTION,
    "noop": BARE,
    "look": ANTHROPIC,
    "Titled": SCHEMA,
}


def sent(server: WireServer, tools: list[Any], way: str = "invoke", **bound: Any) -> dict[str, Any]:
    """The body of a request with these tools."""
    serve(server, "vllm")
    answer(way, EasyLLMChat(base_url=server.url).bind_tools(tools, **bound))
    return body_of(server)


def test_every_kind_of_tool_reaches_the_server(wire_server: WireServer, way: str) -> None:
    tools = sent(wire_server, list(KINDS.values()), way)["tools"]
    assert [one["type"] for one in tools] == ["function"] * len(KINDS)
    assert [one["function"]["name"] for one in tools] == list(KINDS)
    assert all(one["function"]["parameters"]["type"] == "object" for one in tools)
    described = {one["function"]["name"]: one["function"].get("description") for one in tools}
    assert described["add"] == "Add two numbers."
    assert described["look"] == "Look."


def test_the_same_tool_twice_is_one(wire_server: WireServer) -> None:
    tools = sent(wire_server, [Search, Search.model_json_schema(), weather, weather])["tools"]
    assert [one["function"]["name"] for one in tools] == ["Search", "weather"]


def test_a_dict_in_openais_shape_stays_as_it_is(wire_server: WireServer) -> None:
    given = {"type": "function", "function": FUNCTION}
    assert sent(wire_server, [given])["tools"] == [given]
    assert given == {"type": "function", "function": FUNCTION}


@pytest.mark.parametrize("given", [NAMED, SCHEMA, Search, add])
def test_strict_is_said_of_each_tool(wire_server: WireServer, given: Any) -> None:
    (one,) = sent(wire_server, [given], strict=True)["tools"]
    assert one["function"]["strict"] is True
    assert one["function"]["parameters"]["additionalProperties"] is False


def test_tools_can_be_given_to_a_call(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "vllm")
    answer(way, EasyLLMChat(base_url=wire_server.url), tools=[weather], tool_choice="weather")
    body = body_of(wire_server)
    assert body["tools"][0]["function"]["name"] == "weather"
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


def test_no_tools_are_no_tools(wire_server: WireServer) -> None:
    body = sent(wire_server, [], tool_choice="auto", parallel_tool_calls=False)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & body.keys()


def test_binding_keeps_other_fields(wire_server: WireServer) -> None:
    body = sent(wire_server, [weather], temperature=0.5, stop=["x"])
    assert body["temperature"] == 0.5


class Unwritable(BaseModel):
    """A class without a JSON schema."""

    what: type[int] = int
    how: Any = object()


@pytest.mark.parametrize(
    ("tools", "complaint"),
    [
        ([weather, {**FUNCTION, "name": "weather"}], "Two tools are named 'weather'"),
        ([Search, {**FUNCTION, "name": "Search"}], "Two tools are named 'Search'"),
        ([{"type": "web_search_preview"}], "web_search_preview"),
        ([{"type": "function", "function": {"description": "x"}}], "has no name"),
        ([{"type": "function", "name": " "}], "has no name"),
        ([{"type": "object", "properties": {}}], "title"),
        ([{**FUNCTION, "parameters": "none"}], "no JSON schema"),
        ([{**FUNCTION, "parameters": {"x": object()}}], "'find' cannot be told as a tool"),
        ([Unwritable], "'Unwritable' cannot be told as a tool"),
        ([7], "int"),
        (["weather"], "str"),
        ([None], "NoneType"),
    ],
)
def test_a_tool_that_cannot_be_told_is_an_error(tools: list[Any], complaint: str) -> None:
    model = EasyLLMChat(base_url="http://localhost:1")
    with pytest.raises(ConfigurationError, match=complaint):
        model.bind_tools(tools)
    with pytest.raises(ConfigurationError, match=complaint):
        model.invoke("Hi", tools=tools)


@pytest.mark.parametrize(
    ("choice", "complaint"),
    [
        ("wether", "names 'wether', which is not among the tools \\(weather, now\\)"),
        ({"type": "function", "function": {"name": "x"}}, "names 'x'"),
        ({"type": "allowed_tools"}, "is not known"),
        (7, "is not known"),
        ([], "is not known"),
    ],
)
def test_an_unknown_choice_is_an_error(choice: Any, complaint: str) -> None:
    model = EasyLLMChat(base_url="http://localhost:1")
    with pytest.raises(ConfigurationError, match=complaint):
        model.bind_tools([weather, now], tool_choice=choice)
    with pytest.raises(ConfigurationError, match=complaint):
        model.invoke("Hi", tools=[weather, now], tool_choice=choice)


@pytest.mark.parametrize("choice", ["any", "required", True, "weather"])
def test_a_call_cannot_be_had_without_tools(choice: Any) -> None:
    with pytest.raises(ConfigurationError, match="tool"):
        EasyLLMChat(base_url="http://localhost:1").bind_tools([], tool_choice=choice)


def test_an_llm_takes_no_tools() -> None:
    with pytest.raises(ConfigurationError, match="use EasyLLMChat"):
        EasyLLM(base_url="http://localhost:1").invoke("Hi", tools=[weather])


@pytest.mark.parametrize(
    ("kind", "required"), [(Partly, ["query"]), (Loose, []), (Typed, ["query"])]
)
def test_a_key_that_may_be_missing_is_not_required(kind: Any, required: list[str]) -> None:
    llm = EasyLLMChat(base_url="http://localhost:1")
    ((tool,),) = [llm.bind_tools([kind]).kwargs["tools"]]
    assert tool["function"]["parameters"]["required"] == required
    assert tool["function"].get("description") == kind.__doc__
    ((strict,),) = [llm.bind_tools([kind], strict=True).kwargs["tools"]]
    assert strict["function"]["parameters"]["required"] == [*kind.__annotations__]


def test_a_tool_without_a_description_is_one(wire_server: WireServer) -> None:
    bare = StructuredTool.from_function(
        lambda x: x, name="bare", description="", args_schema=Search
    )
    (one,) = sent(wire_server, [bare])["tools"]
    assert one["function"]["name"] == "bare"


@pytest.mark.parametrize("again", [0, 1])
def test_a_model_with_a_fallback_takes_tools(wire_server: WireServer, again: int) -> None:
    """langchain-core reads the annotations of `bind_tools` for that."""
    serve_turns(wire_server, "vllm", Turn(calls=[("add", '{"a": 1, "b": 2}')]))
    models = [
        EasyLLMChat(base_url=wire_server.url),
        EasyLLMChat(base_url="http://127.0.0.1:1", max_retries=0),
    ]
    first, second = models[again], models[1 - again]
    chain = first.with_fallbacks([second]).bind_tools([add])
    assert [call["name"] for call in chain.invoke("Hi").tool_calls] == ["add"]
