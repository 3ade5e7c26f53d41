"""Answers as standard content blocks, streamed or not, in each version of the output, and back."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_easyllm import EasyLLMChat

from ...support.fake_server import FakeServer, Reply, sse
from ...support.fake_text_servers import serve
from ...support.invocation_modes import STREAM_MODES, answer, body_of

CHAT = "/v1/chat/completions"
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
REASON = "The arguments are not a JSON object."
SOUND = [base64.b64encode(part).decode() for part in (b"RI", b"FF!", b"?")]
PICTURES = [
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    {"type": "image_url", "image_url": {"url": "https://example.com/b.png"}},
]
VERSIONS = pytest.mark.parametrize("version", ["v0", "v1"])


def call(index: int, arguments: str, name: str | None = None) -> dict[str, object]:
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"tool_calls": [{"index": index, "function": function, **(_id(index) if name else {})}]}


def _id(index: int) -> dict[str, object]:
    return {"id": f"call-{index}", "type": "function"}


class Said(NamedTuple):
    """An answer: its pieces in a stream, the whole message, its blocks, and what goes back."""

    pieces: list[Mapping[str, object]]
    whole: dict[str, object]
    blocks: list[dict[str, object]]
    back: dict[str, object]


def _calls(*arguments: str) -> dict[str, object]:
    each = [
        {**_id(number), "function": {"name": "add", "arguments": text}}
        for number, text in enumerate(arguments)
    ]
    return {"tool_calls": each}


ANSWERS = {
    "text": Said(
        [{"content": "Hel"}, {"content": "lo"}],
        {"content": "Hello"},
        [{"type": "text", "text": "Hello"}],
        {"content": "Hello"},
    ),
    "reasoning": Said(
        [{"reasoning": "Let "}, {"reasoning": "me"}, {"content": "Hello"}],
        {"content": "Hello", "reasoning": "Let me"},
        [{"type": "reasoning", "reasoning": "Let me"}, {"type": "text", "text": "Hello"}],
        {"content": "Hello", "reasoning": "Let me"},
    ),
    "calls": Said(
        [
            {"content": "Ok. "},
            call(0, '{"a":', "add"),
            call(0, " 1}"),
            call(1, '{"a": 2}', "add"),
        ],
        {"content": "Ok. ", **_calls('{"a": 1}', '{"a": 2}')},
        [
            {"type": "text", "text": "Ok. "},
            {"type": "tool_call", "id": "call-0", "name": "add", "args": {"a": 1}},
            {"type": "tool_call", "id": "call-1", "name": "add", "args": {"a": 2}},
        ],
        {"content": "Ok. ", **_calls('{"a": 1}', '{"a": 2}')},
    ),
    "refusal": Said(
        [{"content": "Sorry. "}, {"refusal": "I can"}, {"refusal": "not."}],
        {"content": "Sorry. ", "refusal": "I cannot."},
        [{"type": "text", "text": "Sorry. "}, {"type": "refusal", "refusal": "I cannot."}],
        {
            "content": [
                {"type": "text", "text": "Sorry. "},
                {"type": "refusal", "refusal": "I cannot."},
            ]
        },
    ),
    "images": Said(
        [{"content": "See:"}, {"images": PICTURES[:1]}, {"images": PICTURES[1:]}],
        {"content": "See:", "images": PICTURES},
        [
            {"type": "text", "text": "See:"},
            {"type": "image", "base64": "AA==", "mime_type": "image/png"},
            {"type": "image", "url": "https://example.com/b.png"},
        ],
        {"content": [{"type": "text", "text": "See:"}, *PICTURES]},
    ),
    "image parts": Said(
        [{"content": PICTURES}],
        {"content": PICTURES},
        [
            {"type": "image", "base64": "AA==", "mime_type": "image/png"},
            {"type": "image", "url": "https://example.com/b.png"},
        ],
        {"content": PICTURES},
    ),
    "audio": Said(
        [
            {"audio": {"id": "sound-1"}},
            {"audio": {"data": SOUND[0], "transcript": "Hel"}},
            {"audio": {"data": SOUND[1], "transcript": "lo"}},
            {"audio": {"data": SOUND[2]}},
        ],
        {
            "content": None,
            "audio": {"id": "sound-1", "data": "UklGRiE/", "transcript": "Hello"},
        },
        [
            {
                "type": "audio",
                "id": "sound-1",
                "base64": "UklGRiE/",
                "extras": {"transcript": "Hello"},
            }
        ],
        {"content": "Hello"},
    ),
}


def give(server: FakeServer, mode: str, said: Said) -> None:
    if mode in (*STREAM_MODES, "events"):
        pieces = [{"choices": [{"index": 0, "delta": piece}]} for piece in said.pieces]
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        server.on("POST", CHAT, sse(*pieces, end))
        return
    message = {"role": "assistant", **said.whole}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    server.on("POST", CHAT, Reply({"choices": [choice]}))


def plain(blocks: object) -> list[dict[str, Any]]:
    """Return blocks without the numbers by which a stream's were put together."""
    assert isinstance(blocks, list)
    return [{key: value for key, value in block.items() if key != "index"} for block in blocks]


def standard(blocks: object) -> list[dict[str, Any]]:
    """Return blocks without numbers, and a refusal as such: older cores have no block for it."""
    assert isinstance(blocks, list)
    return plain([b["value"] if b["type"] == "non_standard" else b for b in blocks])


@VERSIONS
@pytest.mark.parametrize("name", ANSWERS)
def test_blocks_are_the_same_however_an_answer_comes(
    fake_server: FakeServer, name: str, version: str, mode: str
) -> None:
    serve(fake_server, "vllm")
    said = ANSWERS[name]
    give(fake_server, mode, said)
    model = EasyLLMChat(base_url=fake_server.url, output_version=version)
    message = answer(mode, model.bind_tools([TOOL]))
    assert standard(message.content_blocks) == said.blocks
    if version == "v1":
        assert standard(message.content) == said.blocks
    else:
        text = [block["text"] for block in said.blocks if block["type"] == "text"]
        assert message.text == "".join(map(str, text))


@VERSIONS
def test_a_message_goes_back_as_it_came(fake_server: FakeServer, version: str, mode: str) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url, output_version=version)
    for said in ANSWERS.values():
        give(fake_server, mode, said)
        message = answer(mode, model.bind_tools([TOOL]))
        give(fake_server, "invoke", ANSWERS["text"])
        made_anew = AIMessage(
            content_blocks=message.content_blocks, response_metadata=message.response_metadata
        )
        for one in (message, type(message)(**message.model_dump()), made_anew):
            model.invoke([HumanMessage("Hi"), one, HumanMessage("And?")])
            [_, sent, _] = body_of(fake_server)["messages"]
            assert sent == {"role": "assistant", **said.back}


BROKEN = Said(
    [{"content": "Ok. "}, call(0, '{"a":', "add"), call(0, "nope}"), call(1, '{"a": 2}', "add")],
    {"content": "Ok. ", **_calls('{"a":nope}', '{"a": 2}')},
    [],
    {},
)
INVALID = {
    "type": "invalid_tool_call",
    "id": "call-0",
    "name": "add",
    "args": '{"a":nope}',
    "error": REASON,
}


def test_an_invalid_call_is_a_block_of_a_whole_answer(
    fake_server: FakeServer, whole_mode: str
) -> None:
    serve(fake_server, "vllm")
    give(fake_server, whole_mode, BROKEN)
    model = EasyLLMChat(base_url=fake_server.url, output_version="v1")
    message = answer(whole_mode, model.bind_tools([TOOL]))
    assert message.content[-1] == INVALID
    assert message.invalid_tool_calls == [INVALID]


def test_a_stream_of_v1_tells_why_a_call_is_invalid(
    fake_server: FakeServer, stream_mode: str
) -> None:
    """langchain-core keeps no reason in a chunk's `invalid_tool_calls`."""
    serve(fake_server, "vllm")
    give(fake_server, stream_mode, BROKEN)
    model = EasyLLMChat(base_url=fake_server.url, output_version="v1")
    message = answer(stream_mode, model.bind_tools([TOOL]))
    text, broken, good = plain(message.content)
    assert text == {"type": "text", "text": "Ok. "}
    assert (broken["type"], broken["id"], broken["error"]) == ("tool_call_chunk", "call-0", REASON)
    assert good == {"type": "tool_call", "id": "call-1", "name": "add", "args": {"a": 2}}
    [invalid] = message.invalid_tool_calls
    assert (invalid["id"], invalid["error"]) == ("call-0", None)


def test_broken_media_lose_no_text(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    odd: list[Mapping[str, object]] = [
        {"images": [{"type": "image_url", "image_url": None}, "?", {"image_url": {"url": "x"}}]},
        {"images": "none", "audio": {"data": "%%%", "transcript": None}},
        {"audio": "none"},
    ]
    pieces = [{"content": "Hello"}, *odd]
    for piece in odd:
        give(fake_server, mode, Said(pieces, {"content": "Hello", **piece}, [], {}))
        message = answer(mode, EasyLLMChat(base_url=fake_server.url))
        assert message.content == "Hello"
