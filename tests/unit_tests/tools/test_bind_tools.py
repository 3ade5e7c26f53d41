"""Tools as a user binds them, in the format in which they reach a server."""

from __future__ import annotations

import copy
import json
import pickle
import timeit
from collections.abc import Callable
from typing import Annotated, Any, NotRequired, TypedDict

import orjson
import pytest
from langchain_core.load import dumpd
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as BaseModelV1

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError

from ...support.fake_server import FakeServer
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


def sent(
    server: FakeServer, tools: list[Any], mode: str = "invoke", **bound: Any
) -> dict[str, Any]:
    """The body of a request with these tools."""
    serve(server, "vllm")
    answer(mode, EasyLLMChat(base_url=server.url).bind_tools(tools, **bound))
    return body_of(server)


def test_every_kind_of_tool_reaches_the_server(fake_server: FakeServer, mode: str) -> None:
    tools = sent(fake_server, list(KINDS.values()), mode)["tools"]
    assert [one["type"] for one in tools] == ["function"] * len(KINDS)
    assert [one["function"]["name"] for one in tools] == list(KINDS)
    assert all(one["function"]["parameters"]["type"] == "object" for one in tools)
    described = {one["function"]["name"]: one["function"].get("description") for one in tools}
    assert described["add"] == "Add two numbers."
    assert described["look"] == "Look."


def test_the_same_tool_twice_is_one(fake_server: FakeServer) -> None:
    tools = sent(fake_server, [Search, Search.model_json_schema(), weather, weather])["tools"]
    assert [one["function"]["name"] for one in tools] == ["Search", "weather"]


def test_a_dict_in_openais_format_stays_as_it_is(fake_server: FakeServer) -> None:
    given = {"type": "function", "function": FUNCTION}
    assert sent(fake_server, [given])["tools"] == [given]
    assert given == {"type": "function", "function": FUNCTION}


@pytest.mark.parametrize("given", [NAMED, SCHEMA, Search, add])
def test_strict_is_said_of_each_tool(fake_server: FakeServer, given: Any) -> None:
    (one,) = sent(fake_server, [given], strict=True)["tools"]
    assert one["function"]["strict"] is True
    assert one["function"]["parameters"]["additionalProperties"] is False


def test_tools_can_be_given_to_a_call(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    answer(mode, EasyLLMChat(base_url=fake_server.url), tools=[weather], tool_choice="weather")
    body = body_of(fake_server)
    assert body["tools"][0]["function"]["name"] == "weather"
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


def test_no_tools_are_no_tools(fake_server: FakeServer) -> None:
    body = sent(fake_server, [], tool_choice="auto", parallel_tool_calls=False)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & body.keys()


def test_binding_keeps_other_fields(fake_server: FakeServer) -> None:
    body = sent(fake_server, [weather], temperature=0.5, stop=["x"])
    assert body["temperature"] == 0.5


def typed(kind: object) -> dict[str, object]:
    return {"type": "object", "properties": {"a": {"type": kind}}}


@pytest.mark.parametrize(
    "part",
    [
        {"$ref": "https://example.com/other.json#/$defs/x"},
        {"type": ["string", "null"], "format": "uri", "nullable": True, "x-order": 1},
        {"$schema": "http://json-schema.org/draft-07/schema#", "exclusiveMinimum": True},
        {"type": "array", "items": [{"type": "string"}], "contentEncoding": "base64"},
    ],
)
def test_unusual_schemas_of_tools_are_taken(part: object) -> None:
    parameters = {"type": "object", "properties": {"a": part}}
    EasyLLMChat(base_url="http://localhost:1").bind_tools([{**FUNCTION, "parameters": parameters}])


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
        ([{**FUNCTION, "parameters": "none"}], "not a JSON schema"),
        ([{**FUNCTION, "parameters": {"x": object()}}], "'find' cannot be described as a tool"),
        ([Unwritable], "'Unwritable' cannot be described as a tool: [^.\n]*$"),
        ([{**FUNCTION, "parameters": typed("strng")}], "'find'.* 'strng' .*did you mean 'string'"),
        ([{**FUNCTION, "parameters": {"required": "a"}}], "'find'.* required must be a list"),
        ([7], "int"),
        (["weather"], "str"),
        ([None], "NoneType"),
    ],
)
def test_a_tool_that_cannot_be_described_is_an_error(tools: list[Any], complaint: str) -> None:
    model = EasyLLMChat(base_url="http://localhost:1")
    with pytest.raises(ConfigurationError, match=complaint):
        model.bind_tools(tools)
    with pytest.raises(ConfigurationError, match=complaint):
        model.invoke("Hi", tools=tools)


@pytest.mark.parametrize(
    ("choice", "complaint"),
    [
        ("wether", "among the tools \\(weather, now\\): did you mean 'weather'"),
        ("requird", "names 'requird'.* did you mean 'required'"),
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


def test_a_tool_without_a_description_is_one(fake_server: FakeServer) -> None:
    bare = StructuredTool.from_function(
        lambda x: x, name="bare", description="", args_schema=Search
    )
    (one,) = sent(fake_server, [bare])["tools"]
    assert one["function"]["name"] == "bare"


@pytest.mark.parametrize("again", [0, 1])
def test_a_model_with_a_fallback_takes_tools(fake_server: FakeServer, again: int) -> None:
    """langchain-core reads the annotations of `bind_tools` for that."""
    serve_turns(fake_server, "vllm", Turn(calls=[("add", '{"a": 1, "b": 2}')]))
    models = [
        EasyLLMChat(base_url=fake_server.url),
        EasyLLMChat(base_url="http://127.0.0.1:1", max_retries=0),
    ]
    first, second = models[again], models[1 - again]
    chain = first.with_fallbacks([second]).bind_tools([add])
    assert [call["name"] for call in chain.invoke("Hi").tool_calls] == ["add"]


class Counted(StructuredTool):
    """A tool that counts how often its schema is asked for."""

    asked: list[str] = []  # noqa: RUF012 - pydantic's

    @property
    def tool_call_schema(self) -> Any:
        self.asked.append(self.name)
        return super().tool_call_schema


def test_tools_are_converted_once(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    counted = Counted.from_function(add)
    model = EasyLLMChat(base_url=fake_server.url).bind_tools([counted, weather])
    asked = len(counted.asked)
    assert asked
    for _ in range(3):
        answer(mode, model)
        assert [one["function"]["name"] for one in body_of(fake_server)["tools"]] == [
            "add",
            "weather",
        ]
    assert len(counted.asked) == asked
    answer(mode, model.bound, tools=[counted])  # by hand, as ever
    assert len(counted.asked) > asked


def bound_tools() -> Any:
    return EasyLLMChat(base_url="http://localhost:1").bind_tools([weather, Search]).kwargs["tools"]


def test_bound_tools_are_a_plain_list_to_others() -> None:
    tools = bound_tools()
    plain = [dict(one) for one in tools]
    assert (tools, repr(tools), str(tools)) == (plain, repr(plain), str(plain))
    assert isinstance(tools, list)
    assert json.loads(json.dumps(tools)) == orjson.loads(orjson.dumps(tools)) == plain
    assert dumpd({"tools": tools}) == dumpd({"tools": plain})


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "bind": lambda model: model.bind(temperature=0.5),
    "with_config": lambda model: model.with_config(tags=["a"]),
    "a plain list": lambda model: model.bind(tools=list(model.kwargs["tools"])),
    "bound again": lambda model: model.bound.bind_tools(model.kwargs["tools"]),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_send_the_same_tools(fake_server: FakeServer, kind: str, whole_mode: str) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url).bind_tools([weather, Search])
    answer(whole_mode, model)
    sent = body_of(fake_server)["tools"]
    answer(whole_mode, COPIES[kind](model))
    assert body_of(fake_server)["tools"] == sent


CHANGES: dict[str, tuple[Callable[[Any], object], list[str]]] = {
    "append": (lambda tools: tools.append(now), ["weather", "Search", "now"]),
    "pop": (lambda tools: tools.pop(0), ["Search"]),
    "clear": (lambda tools: tools.clear(), []),
    "a name": (lambda tools: tools[0]["function"].update(name="rain"), ["rain", "Search"]),
    "another": (lambda tools: tools.__setitem__(0, add), ["add", "Search"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_list_that_somebody_changed_is_sent_as_it_is_now(
    fake_server: FakeServer, change: str, mode: str
) -> None:
    serve(fake_server, "vllm")
    model: Any = EasyLLMChat(base_url=fake_server.url).bind_tools([weather, Search])
    do, names = CHANGES[change]
    do(model.kwargs["tools"])
    answer(mode, model)
    sent = body_of(fake_server).get("tools", [])
    assert [one["function"]["name"] for one in sent] == names
    answer(mode, copy.deepcopy(model))
    assert body_of(fake_server).get("tools", []) == sent
    model.kwargs["tools"].append({"name": "bad", "parameters": {"x": object()}})
    with pytest.raises(ConfigurationError, match="'bad' cannot be described as a tool"):
        answer(mode, model)


def test_binding_does_not_hold_on_to_the_callers_dict(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    given = {"type": "function", "function": {**FUNCTION, "parameters": {"type": "object"}}}
    model = EasyLLMChat(base_url=fake_server.url).bind_tools([given])
    model.invoke("Hi")
    assert body_of(fake_server)["tools"] == [given]


def test_a_request_with_many_bound_tools_is_built_fast() -> None:
    """Converting 40 tools takes 0.2 ms and more, where they are at hand a sixth of that."""
    model = EasyLLMChat(base_url="http://localhost:1")
    tools = [StructuredTool.from_function(add, name=f"add_{number}") for number in range(40)]
    bound: Any = model.bind_tools(tools, tool_choice="auto")
    source = model._convert_input("Hi").to_messages()
    by_hand = {**bound.kwargs, "tools": list(bound.kwargs["tools"])}

    def seconds(kwargs: dict[str, Any]) -> float:
        return min(timeit.repeat(lambda: model._build_request(source, None, kwargs), number=50))

    assert seconds(bound.kwargs) < seconds(by_hand) / 2
