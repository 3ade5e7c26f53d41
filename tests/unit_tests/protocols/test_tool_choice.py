"""Tools and the choice among them in the words of every server."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest

from langchain_easyllm._protocols.registry import to_body
from langchain_easyllm._protocols.request import ProtocolRequest
from langchain_easyllm._protocols.tool_choice import has_native_form
from langchain_easyllm._servers.in_process import IN_PROCESS
from langchain_easyllm._servers.llama_cpp_python import LLAMA_CPP_PYTHON
from langchain_easyllm._servers.profile import GenerationApi, ServerInfo, ServerProfile
from langchain_easyllm._servers.registry import SERVERS as ALL_SERVERS
from langchain_easyllm._servers.tensorrt_llm import TENSORRT_LLM
from langchain_easyllm._servers.tgi import TGI
from langchain_easyllm._servers.transformers_serve import TRANSFORMERS_SERVE
from langchain_easyllm._servers.vllm import VLLM
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.text_servers import NAMED, TEXT_SERVERS

# A model in this process is asked in TGI's protocol alone.
SERVERS = [profile for profile in ALL_SERVERS if profile.chat and profile is not IN_PROCESS]
ROWS = {row.profile: row for row in TEXT_SERVERS.values()}
NESTED = {
    "type": "object",
    "properties": {"at": {"$ref": "#/$defs/Place", "description": "Where."}},
    "$defs": {
        "Place": {"type": "object", "properties": {"city": {"$ref": "#/$defs/City"}}},
        "City": {"type": "string"},
    },
}


def tool(name: str, **more: object) -> dict[str, object]:
    function = {"name": name, "parameters": {"type": "object", "properties": {}}, **more}
    return {"type": "function", "function": function}


ONE, TWO = [tool("a")], [tool("a"), tool("b")]
MESSAGES = [{"role": "user", "content": "Hi"}]


def body(
    profile: ServerProfile, tools: list[dict[str, object]], **fields: Any
) -> dict[str, object]:
    call = ProtocolRequest(
        GenerationApi.CHAT, messages=fields.pop("messages", MESSAGES), tools=tools, **fields
    )
    return to_body(call, ServerInfo(profile))


def names(request: dict[str, object]) -> list[str]:
    return [one["function"]["name"] for one in request.get("tools", [])]  # type: ignore[attr-defined]


@each_case("profile", SERVERS, ids=attrgetter("name"))
@each_case("tools", [ONE, TWO])
def test_the_servers_default_is_left_to_it(profile: ServerProfile, tools: Any) -> None:
    request = body(profile, tools)
    assert request["tools"] == tools
    # Its default was "none" for long, with tools or without.
    assert request.get("tool_choice") == ("auto" if profile is TENSORRT_LLM else None)
    assert "parallel_tool_calls" not in request


@each_case("profile", SERVERS, ids=attrgetter("name"))
@each_case("number", range(4))
def test_a_choice_is_sent_in_the_servers_form(profile: ServerProfile, number: int) -> None:
    choice: Any = ["auto", "none", "required", NAMED][number]
    words = ROWS[profile].choices[number]
    assert has_native_form(choice, TWO, profile) is (words is not None)
    if words is None:
        with pytest.raises(ConfigurationError, match=r"force a call .* on this server"):
            body(profile, TWO, tool_choice=choice)
        return
    request = body(profile, TWO, tool_choice=choice)
    assert ("".join(names(request)), request.get("tool_choice")) == words


def test_a_call_of_the_only_tool_is_a_named_one() -> None:
    request = body(LLAMA_CPP_PYTHON, ONE, tool_choice="required")
    assert request["tool_choice"] == NAMED


@each_case("profile", SERVERS, ids=attrgetter("name"))
@each_case("parallel", [True, False])
def test_parallel_calls_are_named_where_the_server_reads_it(
    profile: ServerProfile, parallel: bool
) -> None:
    said = body(profile, TWO, parallel_tool_calls=parallel).get("parallel_tool_calls")
    assert said is (parallel if ROWS[profile].parallel else None)


def test_strict_is_an_error_where_nothing_constrains_arguments() -> None:
    with pytest.raises(ConfigurationError, match="strict cannot be expressed"):
        body(TRANSFORMERS_SERVE, [tool("a", strict=True)])
    assert body(TRANSFORMERS_SERVE, [tool("a", strict=False)])["tools"]
    assert body(VLLM, [tool("a", strict=True)])["tools"] == [tool("a", strict=True)]


def test_tgi_gets_a_schema_without_references() -> None:
    given = tool("a", parameters=NESTED)
    (described,) = body(TGI, [given])["tools"]  # type: ignore[misc]
    place = {"type": "object", "properties": {"city": {"type": "string"}}}
    assert described["function"]["parameters"] == {
        "type": "object",
        "properties": {"at": {**place, "description": "Where."}},
    }
    assert body(VLLM, [given])["tools"] == [given]


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({"properties": {"a": {"$ref": "#/$defs/A"}}}, "which is not in it"),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/A"}},
                "$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}}},
            },
            "refers to itself",
        ),
    ],
)
def test_a_schema_that_the_grammar_cannot_hold_is_an_error(schema: Any, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        body(TGI, [tool("a", parameters=schema)])


CALL = {"type": "function", "id": "c1", "function": {"name": "a", "arguments": "{}"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
TEXT = {"type": "text", "text": "Here."}


def sent_messages(profile: ServerProfile, *messages: dict[str, object]) -> Any:
    return body(profile, ONE, messages=[*MESSAGES, *messages])["messages"][1:]  # type: ignore[index]


@pytest.mark.parametrize("profile", SERVERS, ids=attrgetter("name"))
def test_text_and_calls_of_one_message(profile: ServerProfile) -> None:
    both = {"role": "assistant", "content": "Hm.", "tool_calls": [CALL]}
    apart = [
        {"role": "assistant", "content": "Hm."},
        {"role": "assistant", "tool_calls": [CALL]},
    ]
    assert sent_messages(profile, both) == (apart if profile is TGI else [both])
    alone = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    own = {TGI: apart[1:], LLAMA_CPP_PYTHON: [{**alone, "content": ""}]}
    assert sent_messages(profile, alone) == own.get(profile, [alone])


@pytest.mark.parametrize("profile", SERVERS, ids=attrgetter("name"))
def test_an_image_in_a_tools_answer(profile: ServerProfile) -> None:
    asked = {"role": "assistant", "content": "", "tool_calls": [CALL, {**CALL, "id": "c2"}]}
    first = {"role": "tool", "tool_call_id": "c1", "content": [TEXT, IMAGE]}
    second = {"role": "tool", "tool_call_id": "c2", "content": "x"}
    then = {"role": "user", "content": "And?"}
    sent = sent_messages(profile, asked, first, second, then)
    if not ROWS[profile].tool_images:
        moved = {"role": "user", "content": [IMAGE]}
        assert sent[1:] == [{**first, "content": "Here."}, second, moved, then]
        assert sent_messages(profile, asked, first)[-1] == moved
    else:
        assert sent[1:] == [first, second, then]
