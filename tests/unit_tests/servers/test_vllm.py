"""vLLM, as its request models check requests: what it refuses, and what it only does if told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import BadRequestError

from ...support.fake_server import Answer, FakeServer, Received, Reply
from ...support.fake_text_servers import chat, chat_stream, completions, completions_stream, serve
from ...support.fake_text_servers import end_at_stop as ends
from ...support.invocation_modes import answer, body_of, text_of

TOKENS = ["One", " two", "<|im_end|>", " three", "<4>", " four"]
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


def refusal(limit: int, given: int) -> Reply:
    """What vLLM answers to too many stop strings."""
    message = (
        "1 validation error:\n  {'type': 'too_long', 'loc': ('body', 'stop', "
        "'list[str]'), 'msg': 'List should have at most "
        f"{limit} items after validation, not {given}', 'input': ['x']}}"
    )
    error = {"message": message, "type": "Bad Request", "param": None, "code": 400}
    return Reply({"error": error}, status=400)


def counting(limit: int) -> Mapping[str, Answer]:
    """The routes of a vLLM that takes so many stop strings, and obeys them."""

    def reply(request: Received) -> Reply:
        body: Any = request.json
        stops = body.get("stop") or []
        if len(stops) > limit:
            return refusal(limit, len(stops))
        said, stopped = ends(TOKENS, stops, "cut")
        reason = "stop" if stopped else "length"
        if request.path == CHAT:
            if body.get("stream"):
                return chat_stream(said, "vllm", finish_reason=reason)
            return chat("".join(said), server_name="vllm", finish_reason=reason)
        if body.get("stream"):
            return completions_stream(said, "vllm", finish_reason=reason)
        return completions("".join(said), server_name="vllm", finish_reason=reason)

    return {CHAT: reply, TEXT: reply}


def serve_counting(server: FakeServer, limit: int) -> None:
    serve(server, "vllm")
    for path, reply in counting(limit).items():
        server.on("POST", path, reply)


def posts(server: FakeServer) -> list[Any]:
    return [request.json for request in server.requests if request.method == "POST"]


@pytest.mark.parametrize("cls", [EasyLLM, EasyLLMChat])
def test_five_stop_sequences_all_act(fake_server: FakeServer, cls: type, mode: str) -> None:
    serve_counting(fake_server, 4)
    model = cls(base_url=fake_server.url, timeout=20)
    stops = [f"<{number}>" for number in range(5)]
    assert text_of(answer(mode, model, stop=stops)) == "One two<|im_end|> three"
    assert [body["stop"] for body in posts(fake_server)] == [stops[:4]]


def test_the_stop_sequences_of_a_template_make_no_room_for_themselves(
    fake_server: FakeServer, mode: str
) -> None:
    serve_counting(fake_server, 4)
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="smollm2", timeout=20)
    assert answer(mode, model, stop=["a1", "b2", "c3"]).text == "One two"
    assert [body["stop"][:3] for body in posts(fake_server)] == [["a1", "b2", "c3"]]


@pytest.mark.parametrize("limit", [1, 2])
def test_a_lower_limit_is_learned_from_the_refusal(
    fake_server: FakeServer, limit: int, mode: str
) -> None:
    serve_counting(fake_server, limit)
    model = EasyLLMChat(base_url=fake_server.url, timeout=20)
    for _ in range(2):
        assert answer(mode, model, stop=["a1", "b2", "<4>"]).text == "One two<|im_end|> three"
    assert [len(body["stop"]) for body in posts(fake_server)] == [3, limit, limit]


@pytest.mark.parametrize(
    "message",
    [
        "`stop` supports up to 2 stop sequences. Given: 3",
        "'$.stop' is too long. Maximum 2 items, but got 3 items.",
        "Invalid 'stop': array too long. Expected an array with maximum length 2, but got 3.",
        "You may give no more than 2 stop sequences",
        "Only 2 stop words are supported",
    ],
)
def test_any_server_may_say_how_many_stops_it_takes(fake_server: FakeServer, message: str) -> None:
    def reply(request: Received) -> Reply:
        body: Any = request.json
        if len(body["stop"]) > 2:
            return Reply({"error": {"message": message}}, status=422)
        return chat("One<3> two", server_name="openai")

    serve(fake_server, "openai")
    fake_server.on("POST", CHAT, reply)
    model = EasyLLMChat(base_url=fake_server.url)
    assert model.invoke("Hi", stop=["<1>", "<2>", "<3>"]).text == "One"


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens may be at most 2, whatever its stop",
        "`stop` supports up to 3 stop sequences. Given: 3",
        "stop must not be empty",
        "at most 0 stop sequences",
        "{'loc': ('body', 'n'), 'msg': 'wrong', 'input': 'Stop after at most 2 attempts'}",
    ],
)
def test_another_refusal_stays_one(fake_server: FakeServer, message: str) -> None:
    serve(fake_server, "openai")
    fake_server.on("POST", CHAT, Reply({"error": {"message": message}}, status=400))
    with pytest.raises(BadRequestError):
        EasyLLMChat(base_url=fake_server.url).invoke("Hi", stop=["<1>", "<2>", "<3>"])
    assert len(posts(fake_server)) == 1


class Person(BaseModel):
    """A person."""

    name: str
    age: int | None = None


def _tool(name: str, **more: object) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


def _stricts(server: FakeServer) -> list[object]:
    return [tool["function"].get("strict") for tool in body_of(server, CHAT)["tools"]]


@pytest.mark.parametrize("server_name", ["vllm", "sglang"])
@pytest.mark.parametrize(
    ("choice", "expected"),
    [("any", [True, True]), ("a", [True, None]), ("auto", [None, None]), (None, [None, None])],
)
def test_a_forced_call_is_held_to_its_schema(
    fake_server: FakeServer, choice: str | None, expected: list[object], server_name: str
) -> None:
    serve(fake_server, server_name)
    given = [_tool("a"), _tool("b")]
    model = EasyLLMChat(base_url=fake_server.url).bind_tools(given, tool_choice=choice)
    model.invoke("Hi")
    assert _stricts(fake_server) == expected
    assert given == [_tool("a"), _tool("b")]


def test_a_callers_own_word_on_strict_is_kept(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    tools = [_tool("a", strict=False), _tool("b", strict=True), _tool("c")]
    model = EasyLLMChat(base_url=fake_server.url).bind_tools(tools, tool_choice="any")
    answer(mode, model)
    assert _stricts(fake_server) == [False, True, True]


def test_structured_output_by_a_call_is_held_to_its_schema(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    call = {"id": "1", "type": "function", "function": {"name": "Person", "arguments": "{}"}}
    call["function"]["arguments"] = '{"name": "Ann"}'  # type: ignore[index]
    reply = chat(None, server_name="vllm", message={"tool_calls": [call]}, finish_reason="stop")
    fake_server.on("POST", CHAT, reply)
    model = EasyLLMChat(base_url=fake_server.url)
    found = model.with_structured_output(Person, method="function_calling").invoke("Hi")
    assert found == Person(name="Ann")
    assert _stricts(fake_server) == [True]


def test_nobody_else_is_sent_strict(fake_server: FakeServer) -> None:
    for server_name in ("openai", "llamacpp", "llama-cpp-python", "tgi"):
        serve(fake_server, server_name)
        model = EasyLLMChat(base_url=fake_server.url, default_headers={"x-name": server_name})
        model.bind_tools([_tool("a")], tool_choice="a").invoke("Hi")
        assert _stricts(fake_server) == [None]


def test_a_schema_that_no_grammar_can_hold_is_sent_without_strict(
    fake_server: FakeServer, mode: str
) -> None:
    def reply(request: Received) -> Reply:
        body: Any = request.json
        if body["tools"][0]["function"].get("strict"):
            message = "The provided JSON schema contains features not supported by xgrammar."
            return Reply({"error": {"message": message, "code": 400}}, status=400)
        if body.get("stream"):
            return chat_stream(["Hi"], "vllm")
        return chat("Hi", server_name="vllm")

    serve(fake_server, "vllm")
    fake_server.on("POST", CHAT, reply)
    chat_model = EasyLLMChat(base_url=fake_server.url)
    model = chat_model.bind_tools([_tool("a")], tool_choice="any")
    for _ in range(2):
        assert answer(mode, model).text == "Hi"
    assert len(posts(fake_server)) == 3
    given = chat_model.bind_tools([_tool("a", strict=True)], tool_choice="any")
    with pytest.raises(BadRequestError):
        answer(mode, given)
