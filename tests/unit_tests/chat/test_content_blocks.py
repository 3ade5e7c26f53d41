"""LangChain's standard blocks become the parts that servers take, or an error with a way out."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.content import (
    create_audio_block,
    create_citation,
    create_file_block,
    create_image_block,
    create_non_standard_block,
    create_plaintext_block,
    create_reasoning_block,
    create_text_block,
    create_video_block,
)

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm._langchain.messages import to_chat_messages
from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.prompts import get_prompt

from ...support.cases import each_case
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import answer, body_of

URL = "https://example.com/a"
TEXT = base64.b64encode("Grüße".encode()).decode()


def b64(head: bytes) -> str:
    return base64.b64encode(head + bytes(20)).decode()


WEBP = b64(b"RIFF\x10\0\0\0WEBP")
PDF = b64(b"%PDF-1.7\n")


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def video(url: str) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}}


def audio(url: str) -> dict[str, Any]:
    return {"type": "audio_url", "audio_url": {"url": url}}


def sound(kind: str) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": "AA==", "format": kind}}


def file(data: str, name: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": data, "filename": name}}


PARTS: list[tuple[Any, dict[str, Any]]] = [
    (create_image_block(url=URL), image(URL)),
    (create_image_block(url=URL, detail="low"), image(URL, detail="low")),
    (create_image_block(base64="AA==", mime_type="image/bmp"), image("data:image/bmp;base64,AA==")),
    *(
        ({"type": "image", "base64": b64(head)}, image(f"data:image/{kind};base64,{b64(head)}"))
        for head, kind in [
            (b"\x89PNG\r\n\x1a\n", "png"),
            (b"\xff\xd8\xff\xe0", "jpeg"),
            (b"GIF89a", "gif"),
            (b"GIF87a", "gif"),
        ]
    ),
    ({"type": "image", "base64": WEBP}, image(f"data:image/webp;base64,{WEBP}")),
    (
        {"type": "image", "source_type": "base64", "data": WEBP},
        image(f"data:image/webp;base64,{WEBP}"),
    ),
    (
        {"type": "image", "base64": "data:image/png;base64,AA=="},
        image("data:image/png;base64,AA=="),
    ),
    (create_video_block(url=URL), video(URL)),
    (create_video_block(base64="AA==", mime_type="video/mp4"), video("data:video/mp4;base64,AA==")),
    (create_audio_block(url=URL), audio(URL)),
    (create_audio_block(base64="AA==", mime_type="audio/wav"), sound("wav")),
    (create_audio_block(base64="AA==", mime_type="audio/x-wav"), sound("wav")),
    (create_audio_block(base64="AA==", mime_type="audio/mpeg"), sound("mp3")),
    (create_audio_block(base64="AA==", mime_type="audio/flac"), sound("flac")),
    (
        {"type": "audio", "source_type": "base64", "data": "AA==", "mime_type": "audio/mp3"},
        sound("mp3"),
    ),
    ({"type": "audio_url", "audio_url": URL}, audio(URL)),
    (sound("wav"), sound("wav")),
    (
        create_file_block(base64=PDF, mime_type="application/pdf", filename="a.pdf"),
        file(f"data:application/pdf;base64,{PDF}", "a.pdf"),
    ),
    (
        {"type": "file", "base64": PDF, "extras": {"filename": "b.pdf"}},
        file(f"data:application/pdf;base64,{PDF}", "b.pdf"),
    ),
    (
        {"type": "file", "url": "data:application/pdf;base64,AA==", "mime_type": "application/pdf"},
        file("data:application/pdf;base64,AA==", "file.pdf"),
    ),
    (create_file_block(file_id="file-1"), {"type": "file", "file": {"file_id": "file-1"}}),
    (
        {"type": "file", "source_type": "id", "id": "file-1"},
        {"type": "file", "file": {"file_id": "file-1"}},
    ),
    (create_file_block(url=URL, mime_type="image/png"), image(URL)),
    (create_file_block(url=URL, mime_type="video/mp4"), video(URL)),
    (create_file_block(base64="AA==", mime_type="audio/wav"), sound("wav")),
    (
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
        },
        file(f"data:application/pdf;base64,{PDF}", "file.pdf"),
    ),
]

TEXTS: list[tuple[Any, str]] = [
    (create_text_block("Hi"), "Hi"),
    (create_text_block("Hi", annotations=[create_citation(url=URL, title="A")]), "Hi"),
    (create_plaintext_block(text="Hi"), "Hi"),
    (create_plaintext_block(base64=TEXT), "Grüße"),
    (create_plaintext_block(url="data:text/plain,Gr%C3%BC%C3%9Fe"), "Grüße"),
    (create_plaintext_block(url=f"data:text/plain;base64,{TEXT}"), "Grüße"),
    (
        create_plaintext_block(text="Hi", title="A letter", context="Of 1901"),
        "A letter\nOf 1901\nHi",
    ),
    ({"type": "text", "source_type": "text", "text": "Hi", "mime_type": "text/plain"}, "Hi"),
    ({"type": "file", "source_type": "text", "text": "Hi", "mime_type": "text/plain"}, "Hi"),
    (create_file_block(base64=TEXT, mime_type="text/plain"), "Grüße"),
    ({"type": "file", "url": "data:text/plain,Gr%C3%BC%C3%9Fe"}, "Grüße"),
    ({"type": "file", "url": f"data:;base64,{TEXT}", "mime_type": "text/csv"}, "Grüße"),
    ({"type": "file", "source_type": "base64", "data": TEXT, "mime_type": "text/csv"}, "Grüße"),
    ({"type": "document", "source": {"type": "text", "data": "Hi"}, "title": "A"}, "A\nHi"),
    ({"type": "output_text", "text": "Hi"}, "Hi"),
    ({"text": "Hi"}, "Hi"),
    ({"type": "text", "text": None}, ""),
]

REFUSED: list[tuple[Any, str]] = [
    ({"type": "text", "text": 5}, "not a string"),
    ({"type": "text", "text": ["Hi"]}, "not a string"),
    ({"type": "image", "base64": "AAAA"}, "mime_type"),
    ({"type": "image", "base64": "?"}, "mime_type"),
    ({"type": "image", "source_type": "base64", "mime_type": "image/png"}, "url, or base64"),
    ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "by its id"),
    (create_image_block(file_id="f"), "by its id"),
    ({"type": "image", "source_type": "id", "id": "f"}, "by its id"),
    ({"type": "image"}, "url, or base64"),
    ({"type": "image", "url": 5}, "url, or base64"),
    ({"type": "image_url", "image_url": {}}, "address"),
    ({"type": "image_url", "image_url": None}, "address"),
    ({"type": "video", "base64": "AAAA"}, "mime_type"),
    (create_video_block(file_id="f"), "by its id"),
    ({"type": "audio", "base64": "AAAA"}, "mime_type"),
    (create_audio_block(file_id="f"), "by its id"),
    ({"type": "audio"}, "url, or base64"),
    ({"type": "input_audio", "input_audio": "AA=="}, "dict"),
    (create_file_block(url=URL, mime_type="application/pdf"), "as base64"),
    ({"type": "file", "url": URL}, "as base64"),
    ({"type": "file", "base64": "AAAA"}, "mime_type"),
    ({"type": "file"}, "base64 and mime_type"),
    ({"type": "file", "file": "a.txt"}, "dict"),
    (create_plaintext_block(url=URL), "give its text"),
    (create_plaintext_block(file_id="f"), "give its text"),
    (create_plaintext_block(base64=b64(b"\xff\xfe")), "give its text"),
    ({"type": "text-plain"}, "give it one"),
    ({"type": "imege", "url": URL}, "did you mean 'image'?"),
    ({"type": "Image", "url": URL}, "did you mean 'image'?"),
    ({"type": "image_uri", "url": URL}, "did you mean 'image_url'?"),
    ({"type": "text_plain", "text": "Hi"}, "did you mean 'text-plain'?"),
    ({"type": "input_image", "image_url": URL}, "did you mean 'image'?"),
    ({"type": "hologram"}, "use text, "),
    ({"type": 7}, "use text, "),
    ({"url": URL}, "use text, "),
    (create_non_standard_block({"a": 1}), "only an AIMessage"),
    ({"type": "server_tool_call", "id": "1", "name": "x", "args": {}}, "only an AIMessage"),
    (create_reasoning_block("Hm."), "only an AIMessage"),
]

FOREIGN: list[Any] = [
    create_reasoning_block("Hm."),
    create_citation(url=URL),
    create_non_standard_block({"type": "thing", "text": "x"}),
    {"type": "server_tool_call", "id": "1", "name": "web_search", "args": {"q": "x"}},
    {"type": "server_tool_call_chunk", "id": "1", "name": "web_search", "args": '{"q'},
    {"type": "server_tool_result", "tool_call_id": "1", "status": "success", "output": [1]},
    {"type": "server_tool_use", "id": "1", "name": "web_search", "input": {}},
    {"type": "web_search_tool_result", "tool_use_id": "1", "content": []},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"type": "function_call", "name": "x", "arguments": "{}", "call_id": "1"},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "id": "rs_1"},
    {"type": "image_generation_call", "id": "ig_1", "result": "AA=="},
    {"type": "executable_code", "executable_code": "1+1", "language": "PYTHON"},
    {"type": "code_execution_result", "code_execution_result": "2"},
    {"type": "thinking", "thinking": "Hm.", "signature": "x"},
    {"type": "redacted_thinking", "data": "x"},
    {"type": "thought_signature", "signature": "x"},
    {"type": "tool_use", "id": "1", "name": "x", "input": {}},
    {"type": "input_json_delta", "partial_json": "{"},
    {"type": "container_upload", "file_id": "1"},
    {"type": "file", "url": URL},
    {"type": "image", "file_id": "1"},
]


def content_of(message: BaseMessage) -> Any:
    return to_chat_messages([HumanMessage("Hi"), message])[1]["content"]


@each_case("cls", [HumanMessage, SystemMessage])
@each_case(("block", "part"), PARTS)
def test_a_standard_block_becomes_the_servers_part(cls: type, block: Any, part: Any) -> None:
    assert content_of(cls([block, "b"])) == [part, {"type": "text", "text": "b"}]


@pytest.mark.parametrize(("block", "text"), TEXTS)
def test_every_form_of_text_is_text(block: Any, text: str) -> None:
    assert content_of(HumanMessage([block])) == text
    assert content_of(HumanMessage(["a", block])) == "\n".join(filter(None, ["a", text]))
    apart = block.get("type") in ("text-plain", "file", "document")
    said = AIMessage(["a", "b", block, "c"])
    assert content_of(said) == (f"ab\n{text}\nc" if apart and text else f"ab{text}c")
    written = get_prompt("chatml").render([HumanMessage("Hi"), said, HumanMessage("Hi")])
    assert f"\n{content_of(said)}<|im_end|>" in written
    rendered = get_prompt("chatml").render([HumanMessage(["a", block])])
    assert f"\n{content_of(HumanMessage(['a', block]))}<|im_end|>" in rendered


@each_case(("block", "words"), REFUSED)
def test_what_cannot_be_sent_is_named_with_a_way_out(block: Any, words: str) -> None:
    kind = re.escape(repr(block.get("type") if block.get("type") != 7 else "7"))
    messages = [SystemMessage("s"), HumanMessage(["Look", block])]
    with pytest.raises(ConfigurationError, match=re.escape(words)) as caught:
        to_chat_messages(messages)
    assert re.match(f"Message 1 holds a block of type {kind} that ", str(caught.value))
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=f"Message 1 .* block of type {kind}"):
        get_prompt("chatml").render(messages)


@each_case("block", FOREIGN)
def test_what_another_provider_added_to_an_answer_is_left_out(block: Any) -> None:
    said = AIMessage(["It is ", block, create_text_block("so.")])
    other = ChatMessage(role="assistant", content=said.content)
    assert content_of(said) == content_of(other) == "It is so."
    call = {"name": "x", "args": {}, "id": "1", "type": "tool_call"}
    assert content_of(AIMessage([block])) == ""
    assert content_of(AIMessage([block], tool_calls=[call])) is None


@pytest.mark.parametrize("block", FOREIGN[:-2])
def test_a_prompt_leaves_it_out_too(fake_server: FakeServer, block: Any) -> None:
    messages = [HumanMessage("Hi"), AIMessage(["It is ", block, "so."]), HumanMessage("Why?")]
    chatml = get_prompt("chatml")
    assert chatml.render(messages) == chatml.render(
        [*messages[:1], AIMessage("It is so."), messages[2]]
    )


@pytest.mark.parametrize(("kind", "near"), [("txt", "text"), ("text_plain", "text-plain")])
def test_a_misspelt_type_is_named_on_text_apis_too(kind: str, near: str) -> None:
    messages = [HumanMessage([{"type": kind, "text": "Hi"}])]
    for work in (EasyLLM(base_url="http://localhost:1").invoke, get_prompt("chatml").render):
        with pytest.raises(ConfigurationError, match=f"{kind!r} that .* did you mean {near!r}"):
            work(messages)


def test_a_type_is_quoted_as_far_as_it_says_something() -> None:
    messages = [HumanMessage([{"type": "x" * 100_000}])]
    model = EasyLLM(base_url="http://localhost:1")
    for work in (to_chat_messages, get_prompt("chatml").render, model.invoke):
        with pytest.raises(ConfigurationError) as caught:
            work(messages)
        assert len(str(caught.value)) < 300


def test_a_refusal_is_sent_as_such_and_said_in_a_prompt() -> None:
    block = {"type": "refusal", "refusal": "No."}
    assert content_of(AIMessage([block])) == [block]
    assert "\nNo.<|im_end|>" in get_prompt("chatml").render(
        [HumanMessage("Hi"), AIMessage([block])]
    )


HISTORY = [
    HumanMessage([create_text_block("Where is it?"), create_plaintext_block(text="A map.")]),
    AIMessage(
        [
            {"type": "reasoning", "reasoning": "Hm."},
            {"type": "server_tool_call", "id": "1", "name": "web_search", "args": {}},
            {"type": "text", "text": "In Oslo.", "annotations": [create_citation(url=URL)]},
        ],
        response_metadata={"model_provider": "anthropic", "output_version": "v1"},
    ),
    HumanMessage("Why?"),
]


def test_a_history_of_another_provider_is_sent(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    answer(mode, EasyLLMChat(base_url=fake_server.url), HISTORY)
    sent = body_of(fake_server)["messages"]
    assert [m["content"] for m in sent] == ["Where is it?\nA map.", "In Oslo.", "Why?"]
    answer(mode, EasyLLM(base_url=fake_server.url), HISTORY)
    assert body_of(fake_server)["prompt"] == (
        "Human: Where is it?\nA map.\nAI: In Oslo.\nHuman: Why?"
    )


@pytest.mark.parametrize("cls", [HumanMessage, AIMessage, ToolMessage])
def test_an_image_without_a_type_is_traced_and_sent(
    fake_server: FakeServer, cls: Any, mode: str
) -> None:
    serve(fake_server, "vllm")
    more = {"tool_call_id": "1"} if cls is ToolMessage else {}
    block = {"type": "image", "base64": b64(b"\x89PNG\r\n\x1a\n")}
    answer(mode, EasyLLMChat(base_url=fake_server.url), [cls(content=["Look", block], **more)])
    [sent] = body_of(fake_server)["messages"]
    assert sent["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("block", [{"type": "image", "base64": "AAAA"}, {"type": "image"}])
def test_an_image_that_cannot_be_sent(fake_server: FakeServer, block: Any, mode: str) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url)
    with pytest.raises(ConfigurationError, match="Message 0 holds a block of type 'image' that"):
        answer(mode, model, [HumanMessage([block])])
    answer(mode, model, [AIMessage(["Look", block])])  # another provider's
    assert [m["content"] for m in body_of(fake_server)["messages"]] == ["Look"]


@pytest.mark.parametrize("builder", [None, "chatml"])
def test_a_wrong_block_is_found_before_anything_is_sent(
    fake_server: FakeServer, builder: str | None, mode: str
) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder=builder)
    with pytest.raises(ConfigurationError, match="Message 1 "):
        answer(mode, model, [SystemMessage("s"), HumanMessage([{"type": "video"}])])
    assert not [r for r in fake_server.requests if r.method == "POST"]


def test_media_of_a_tools_result_become_parts_where_they_can() -> None:
    call = {"name": "look", "args": {}, "id": "1", "type": "tool_call"}
    blocks = [
        create_video_block(url=URL),
        create_audio_block(url=URL),
        create_image_block(file_id="f"),
    ]
    result = ToolMessage(blocks, tool_call_id="1")
    sent = to_chat_messages([HumanMessage("Hi"), AIMessage("", tool_calls=[call]), result])[2]
    assert [part["type"] for part in sent["content"]] == ["video_url", "audio_url", "text"]  # type: ignore[attr-defined]
