"""What a tool returned reaches the model whole, and its parts apart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tools import tool

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.prompts import get_prompt

from ...support.cases import each_case
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import MODES, answer, body_of

every_mode = pytest.mark.parametrize("mode", MODES)
every_server = each_case("server_name", ["vllm", "tgi", "ollama"])

PNG = "iVBORw0KGgo="
IMAGE = {"type": "image", "base64": PNG, "mime_type": "image/png"}
LINK = {"type": "file", "url": "file:///notes.md", "mime_type": "text/markdown"}
FILE = {"type": "file", "path": "a.txt", "size": 3}
ROWS = [
    FILE,
    LINK,
    {"type": "file", "file": "a.txt"},
    {"type": "document", "title": "Über", "page": 1},
    {"type": "json", "json": {"a": [1, None]}},
    {"type": "resource_link", "uri": "x://y", "name": "y"},
    {"type": "search_result", "source": "x", "content": []},
    {"type": "image", "name": "a.png"},
    {"type": "text", "body": "no text"},
    {"type": "reasoning", "reasoning": "a row of the tool"},
    {"city": "Oslo"},
]


@tool
def look(at: str) -> str:
    """Look."""
    return at


def talk(content: Any, **more: Any) -> list[BaseMessage]:
    call = {"name": "look", "args": {"at": "sky"}, "id": "call_1", "type": "tool_call"}
    return [
        HumanMessage("Look"),
        AIMessage("", tool_calls=[call]),
        ToolMessage(content, tool_call_id="call_1", **more),
    ]


def sent(server: FakeServer, server_name: str, mode: str, content: Any, **more: Any) -> Any:
    """What the server is sent as the result of a tool."""
    serve(server, server_name)
    answer(mode, EasyLLMChat(base_url=server.url), talk(content, **more))
    return body_of(server)["messages"][2]["content"]


TEXTS = ["Oslo", "Bergen"]
BLOCKS = [{"type": "text", "text": text} for text in TEXTS]


@every_mode
@every_server
@each_case("texts", [TEXTS, ["Oslo"], ["one\n", "two", "drei ü"], []])
def test_a_list_of_strings_is_the_json_that_the_tool_returned(
    fake_server: FakeServer, server_name: str, mode: str, texts: list[str]
) -> None:
    assert json.loads(sent(fake_server, server_name, mode, texts)) == texts


@every_mode
@every_server
def test_texts_of_a_result_stand_apart(
    fake_server: FakeServer, server_name: str, mode: str
) -> None:
    assert sent(fake_server, server_name, mode, BLOCKS) == "Oslo\nBergen"
    assert sent(fake_server, server_name, mode, [BLOCKS[0], "Bergen"]) == "Oslo\nBergen"


@every_mode
@every_server
@each_case("row", ROWS, ids=lambda row: str(row)[:30])
def test_a_dict_of_the_tools_own_is_json(
    fake_server: FakeServer, server_name: str, mode: str, row: dict[str, object]
) -> None:
    assert json.loads(sent(fake_server, server_name, mode, [row])) == row
    first, second = sent(fake_server, server_name, mode, [row, FILE]).split("\n")
    assert [json.loads(first), json.loads(second)] == [row, FILE]


def test_letters_are_kept_as_they_are(fake_server: FakeServer) -> None:
    assert "Über" in sent(fake_server, "vllm", "invoke", [ROWS[3]])


def test_an_image_of_a_result_stays_an_image(fake_server: FakeServer) -> None:
    content = sent(fake_server, "vllm", "invoke", ["A cat", IMAGE, FILE])
    assert [block["type"] for block in content] == ["text", "image_url", "text"]
    assert content[1]["image_url"]["url"] == f"data:image/png;base64,{PNG}"
    assert json.loads(content[2]["text"]) == FILE
    embedded = {"type": "file", "file": {"file_data": "data:,x", "filename": "x"}}
    assert sent(fake_server, "vllm", "invoke", [embedded]) == [embedded]


def test_media_that_cannot_be_sent_are_json(fake_server: FakeServer) -> None:
    stored = {"type": "audio", "file_id": "7"}
    assert json.loads(sent(fake_server, "vllm", "invoke", [stored])) == stored


def test_a_failure_is_said_with_the_blocks(fake_server: FakeServer) -> None:
    content = sent(fake_server, "vllm", "invoke", [FILE], status="error")
    assert content == f"Error: {json.dumps(FILE)}"


@every_mode
def test_texts_of_other_messages_stand_apart_too(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    messages = [
        SystemMessage(BLOCKS),
        HumanMessage(["Is it ", "Oslo", "\nor", {"type": "text", "text": "Bergen"}]),
        AIMessage([{"type": "text", "text": "Os"}, {"type": "text", "text": "lo."}]),
        HumanMessage("Why?"),
    ]
    expected = ["Oslo\nBergen", "Is it Oslo\nor\nBergen", "Oslo.", "Why?"]
    answer(mode, EasyLLMChat(base_url=fake_server.url), messages)
    assert [message["content"] for message in body_of(fake_server)["messages"]] == expected
    answer(mode, EasyLLM(base_url=fake_server.url), messages)
    labels = ("System: ", "Human: ", "AI: ", "Human: ")
    lines = [label + text for label, text in zip(labels, expected, strict=True)]
    assert body_of(fake_server)["prompt"] == "\n".join(lines)


RESULTS = [(TEXTS, json.dumps(TEXTS)), (BLOCKS, "Oslo\nBergen")]
RESULTS += [([row], json.dumps(row, ensure_ascii=False)) for row in ROWS]


@pytest.mark.parametrize(("content", "text"), RESULTS, ids=lambda value: str(value)[:30])
def test_a_prompt_says_the_same(fake_server: FakeServer, content: Any, text: str) -> None:
    assert f"\n{text}<|im_end|>" in get_prompt("chatml").render(talk(content)[2:])
    function = FunctionMessage(content, name="look")
    assert f"\n{text}<|im_end|>" in get_prompt("chatml").render([function])
    serve(fake_server, "tgi")
    for asked in (
        EasyLLMChat(base_url=fake_server.url, prompt_builder="chatml"),
        EasyLLMChat(base_url=fake_server.url, prompt_builder="chatml").bind_tools([look]),
        EasyLLM(base_url=fake_server.url),
    ):
        asked.invoke(talk(content))
        assert text in body_of(fake_server)["inputs"]


@every_mode
def test_media_in_a_prompt_are_an_error(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    for asked in (
        EasyLLMChat(base_url=fake_server.url, prompt_builder="chatml"),
        EasyLLM(base_url=fake_server.url),
    ):
        with pytest.raises(ConfigurationError, match="'image'"):
            answer(mode, asked, talk([IMAGE]))
