"""llama.cpp's llama-server: what its `/props` tells, and who has to ask it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

from langchain_easyllm import EasyLLMChat

from ...support.fake_server import FakeServer, Reply
from ...support.fake_text_servers import chat, chat_stream, error, models, serve
from ...support.invocation_modes import answer, body_of

CHAT = "/v1/chat/completions"
PLAIN = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
WITH_TOOLS = "{%- if tools %}{{ tools | tojson }}{% endif %}" + PLAIN
WITHOUT: dict[str, Any] = {
    "caps": {"chat_template": WITH_TOOLS, "chat_template_caps": {"supports_tools": False}},
    "template": {"chat_template": PLAIN},
    "prose": {"chat_template": "You have no tools. " + PLAIN},
}
WITH: dict[str, Any] = {
    "caps": {"chat_template": PLAIN, "chat_template_caps": {"supports_tools": True}},
    "second": {"chat_template": PLAIN, "chat_template_tool_use": WITH_TOOLS},
    "template": {"chat_template": WITH_TOOLS},
    "nothing": {"total_slots": 4},
    "odd": ["no", "object"],
    "odd caps": {"chat_template": WITH_TOOLS, "chat_template_caps": {"supports_tools": "?"}},
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
CALLED = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'


class Person(BaseModel):
    """A person."""

    name: str


def serve_model(server: FakeServer, props: object, text: str = CALLED, name: str = "tiny") -> None:
    serve(server, "llamacpp", model=name)
    server.on("GET", "/props", props if isinstance(props, Reply) else Reply(props))

    def reply(request: Any) -> Reply:
        if request.json.get("stream"):
            return chat_stream([text[:9], text[9:]], "llamacpp", model=name)
        return chat(text, server_name="llamacpp", model=name)

    server.on("POST", CHAT, reply)


@pytest.mark.parametrize("props", WITHOUT)
def test_tools_that_a_template_lacks_are_described_in_the_prompt(
    fake_server: FakeServer, props: str, mode: str
) -> None:
    serve_model(fake_server, WITHOUT[props])
    model = EasyLLMChat(base_url=fake_server.url).bind_tools([TOOL])
    for _ in range(2):
        message = answer(mode, model)
        assert [(call["name"], call["args"]) for call in message.tool_calls] == [("add", {"a": 1})]
        body = body_of(fake_server, CHAT)
        assert "tools" not in body
        assert '"name": "add"' in body["messages"][0]["content"]
    assert len(fake_server.received("/props")) == 1


@pytest.mark.parametrize("props", WITH)
def test_tools_of_a_template_are_sent(fake_server: FakeServer, props: str, mode: str) -> None:
    serve_model(fake_server, WITH[props])
    model = EasyLLMChat(base_url=fake_server.url).bind_tools([TOOL])
    for _ in range(2):
        answer(mode, model)
        assert body_of(fake_server, CHAT)["tools"] == [TOOL]
    assert len(fake_server.received("/props")) == 1


@pytest.mark.parametrize("status", [401, 404, 405])
def test_a_server_without_the_route_is_sent_its_tools(fake_server: FakeServer, status: int) -> None:
    serve_model(fake_server, Reply({"error": {"message": "no"}}, status=status))
    model = EasyLLMChat(base_url=fake_server.url, max_retries=0).bind_tools([TOOL])
    model.invoke("Hi")
    model.invoke("Hi")
    assert body_of(fake_server, CHAT)["tools"] == [TOOL]
    assert len(fake_server.received("/props")) == 1


@pytest.mark.parametrize("choice", ["any", "add"])
def test_a_required_call_is_one_under_a_grammar(
    fake_server: FakeServer, choice: str, mode: str
) -> None:
    serve_model(fake_server, WITHOUT["caps"], '{"name": "add", "arguments": {"a": 1}}')
    model = EasyLLMChat(base_url=fake_server.url).bind_tools([TOOL], tool_choice=choice)
    assert [call["name"] for call in answer(mode, model).tool_calls] == ["add"]
    body = body_of(fake_server, CHAT)
    assert body["response_format"]["type"] == "json_schema"
    assert "tool_choice" not in body


def test_results_go_into_the_prompt_too(fake_server: FakeServer, mode: str) -> None:
    serve_model(fake_server, WITHOUT["caps"], "It is 2.")
    call = {"name": "add", "args": {"a": 1}, "id": "abcdefghi"}
    talk = [
        HumanMessage("Hi"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("two", tool_call_id="abcdefghi"),
    ]
    model = EasyLLMChat(base_url=fake_server.url).bind_tools([TOOL])
    assert answer(mode, model, talk).text == "It is 2."
    messages = body_of(fake_server, CHAT)["messages"]
    assert "two" in str(messages)
    assert {message["role"] for message in messages} <= {"system", "user", "assistant"}


def test_structured_output_by_a_call(fake_server: FakeServer) -> None:
    serve_model(fake_server, WITHOUT["caps"], '{"name": "Person", "arguments": {"name": "Ann"}}')
    model = EasyLLMChat(base_url=fake_server.url)
    chain = model.with_structured_output(Person, method="function_calling")
    assert chain.invoke("Hi") == Person(name="Ann")
    assert "tools" not in body_of(fake_server, CHAT)


@pytest.mark.parametrize("server_name", ["vllm", "openai", "llamacpp"])
def test_only_tools_on_this_server_cost_the_request(
    fake_server: FakeServer, server_name: str
) -> None:
    serve(fake_server, server_name)
    model = EasyLLMChat(base_url=fake_server.url)
    model.invoke("Hi")
    model.bind_tools([TOOL], tool_choice="none").invoke("Hi")
    model.with_structured_output(Person, method="prompt", include_raw=True).invoke("Hi")
    if server_name != "llamacpp":
        model.bind_tools([TOOL]).invoke("Hi")
    assert fake_server.received("/props") == []


def test_behind_a_version_path_there_is_no_such_route(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/api/v3/models", models("tiny", owned_by="llamacpp"))
    fake_server.on("POST", "/api/v3/chat/completions", chat("Hi", server_name="llamacpp"))
    EasyLLMChat(base_url=f"{fake_server.url}/api/v3").bind_tools([TOOL]).invoke("Hi")
    assert body_of(fake_server)["tools"] == [TOOL]
    assert [request.path for request in fake_server.requests] == [
        *("/api/v3/models", "/api/v3/chat/completions")
    ]


def test_another_model_is_asked_for(fake_server: FakeServer) -> None:
    serve_model(fake_server, WITHOUT["caps"])
    model = EasyLLMChat(base_url=fake_server.url).bind_tools([TOOL])
    model.invoke("Hi")
    serve_model(fake_server, WITH["caps"], name="new")
    model.invoke("Hi")  # answered under the new name, which is why the next call asks
    model.invoke("Hi")
    assert body_of(fake_server, CHAT)["tools"] == [TOOL]
    assert len(fake_server.received("/props")) == 2


def test_each_of_several_models_is_asked_for(fake_server: FakeServer) -> None:
    def props(request: Any) -> Reply:
        return Reply(WITHOUT["caps"] if request.query.get("model") == "a" else WITH["caps"])

    serve_model(fake_server, WITH["caps"])
    fake_server.on("GET", "/v1/models", models("a", "b", owned_by="llamacpp"))
    fake_server.on("GET", "/props", props)
    for name, native in (("a", False), ("b", True), ("a", False)):
        EasyLLMChat(base_url=fake_server.url, model=name).bind_tools([TOOL]).invoke("Hi")
        assert ("tools" in body_of(fake_server, CHAT)) is native
    assert len(fake_server.received("/props")) == 2


def test_a_server_out_of_reach_is_asked_again(fake_server: FakeServer) -> None:
    serve_model(fake_server, WITHOUT["caps"])
    fake_server.on("GET", "/props", error("llamacpp-loading"), Reply(WITHOUT["caps"]))
    model = EasyLLMChat(base_url=fake_server.url).bind_tools([TOOL])
    model.invoke("Hi")
    assert "tools" in body_of(fake_server, CHAT)
    model.invoke("Hi")
    assert "tools" not in body_of(fake_server, CHAT)
