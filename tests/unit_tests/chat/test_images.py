"""Images in messages on the chat protocol, in every form that LangChain has."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError

from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import answer, body_of

URL = "https://example.com/cat.png"
PIXEL = "iVBORw0KGgo="
DATA = f"data:image/png;base64,{PIXEL}"

FORMS = {
    "openai": ({"type": "image_url", "image_url": {"url": URL}}, URL),
    "openai-detail": ({"type": "image_url", "image_url": {"url": URL, "detail": "low"}}, URL),
    "openai-text": ({"type": "image_url", "image_url": URL}, URL),
    "openai-data": ({"type": "image_url", "image_url": {"url": DATA}}, DATA),
    "v1-url": ({"type": "image", "url": URL}, URL),
    "v1-data": ({"type": "image", "base64": PIXEL, "mime_type": "image/png"}, DATA),
    "v0-url": ({"type": "image", "source_type": "url", "url": URL}, URL),
    "v0-data": (
        {"type": "image", "source_type": "base64", "data": PIXEL, "mime_type": "image/png"},
        DATA,
    ),
    "anthropic-url": ({"type": "image", "source": {"type": "url", "url": URL}}, URL),
    "anthropic-data": (
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
        },
        DATA,
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image_is_sent_as_openai_wants_it(
    fake_server: FakeServer, form: str
) -> None:
    block, url = FORMS[form]
    for server_name in ("vllm", "tgi"):
        serve(fake_server, server_name)
        message = HumanMessage([{"type": "text", "text": "What is it?"}, block])
        EasyLLMChat(base_url=fake_server.url).invoke([message])
        [sent] = body_of(fake_server)["messages"]
        text, image = sent["content"]
        assert text == {"type": "text", "text": "What is it?"}
        assert image["type"] == "image_url"
        assert image["image_url"]["url"] == url


def test_content_blocks_are_taken(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    message = HumanMessage(
        content_blocks=[{"type": "image", "url": URL}, {"type": "text", "text": "What?"}]
    )
    answer(mode, EasyLLMChat(base_url=fake_server.url), [message])
    assert body_of(fake_server)["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "text", "text": "What?"},
    ]


def test_an_image_prompt_template_works(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    prompt = ChatPromptTemplate.from_messages(
        [("user", [{"type": "text", "text": "{q}"}, {"type": "image_url", "image_url": "{link}"}])]
    )
    (prompt | EasyLLMChat(base_url=fake_server.url)).invoke({"q": "What?", "link": URL})
    content = body_of(fake_server)["messages"][0]["content"]
    assert [block["type"] for block in content] == ["text", "image_url"]
    assert content[1]["image_url"]["url"] == URL


def test_lists_of_text_become_text(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    EasyLLMChat(base_url=fake_server.url).invoke(
        [
            SystemMessage([{"type": "text", "text": "Be brief."}]),
            HumanMessage(["a", {"type": "text", "text": "b", "cache_control": {"type": "x"}}]),
            AIMessage([{"type": "text", "text": "c"}]),
            HumanMessage("d"),
        ]
    )
    sent = body_of(fake_server)["messages"]
    assert [message["content"] for message in sent] == ["Be brief.", "a\nb", "c", "d"]


def test_callers_messages_are_not_changed(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    message = HumanMessage([{"type": "image", "url": URL}])
    before = message.model_copy(deep=True)
    EasyLLMChat(base_url=fake_server.url).invoke([message])
    assert message == before


@pytest.mark.parametrize(
    "block", [{"type": "hologram", "url": URL}, {"url": URL}, {"type": "image"}, {"type": None}]
)
def test_an_unknown_block_is_an_error(fake_server: FakeServer, block: object, mode: str) -> None:
    serve(fake_server, "vllm")
    with pytest.raises(ConfigurationError) as caught:
        answer(mode, EasyLLMChat(base_url=fake_server.url), [HumanMessage([block])])
    assert "\n" not in str(caught.value)
    assert not [r for r in fake_server.requests if r.method == "POST"]


@pytest.mark.parametrize("server_name", ["tgi", "vllm"])
@pytest.mark.parametrize("form", ["openai", "v1-url", "v0-data"])
def test_an_image_on_a_text_api_is_an_error(
    fake_server: FakeServer, server_name: str, form: str, mode: str
) -> None:
    serve(fake_server, server_name)
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="zephyr")
    with pytest.raises(ConfigurationError) as caught:
        answer(mode, model, [HumanMessage(["What?", FORMS[form][0]])])
    assert "\n" not in str(caught.value)
    assert not [r for r in fake_server.requests if r.method == "POST"]


def test_an_answer_to_a_tool_call_may_be_blocks(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    call = {"name": "look", "args": {"at": "sky"}, "id": "call_1", "type": "tool_call"}
    EasyLLMChat(base_url=fake_server.url).invoke(
        [
            HumanMessage("Look"),
            AIMessage("", tool_calls=[call]),
            ToolMessage([{"type": "text", "text": "blue"}], tool_call_id="call_1"),
        ]
    )
    _, asked, result = body_of(fake_server)["messages"]
    assert asked["tool_calls"][0]["id"] == "call_1"
    assert asked["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at": "sky"}'}
    assert result == {"role": "tool", "content": "blue", "tool_call_id": "call_1"}


def test_an_llm_takes_messages_as_text(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    EasyLLM(base_url=fake_server.url).invoke([HumanMessage("Hi")])
    assert body_of(fake_server)["prompt"] == "Human: Hi"
