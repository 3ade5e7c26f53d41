"""The same tool calls from every server, in every invocation mode."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.errors import BadRequestError

from ...support.cases import each_case
from ...support.fake_responses import chat
from ...support.fake_server import FakeServer, Received, Reply, sse
from ...support.fake_tool_calls import TOOL_CALL_SERVERS, Turn, serve_turns
from ...support.invocation_modes import STREAM_MODES, answer, body_of
from ...support.text_servers import TEXT_SERVERS

EVERY_SERVER = each_case(
    "server_name",
    [name for name, row in TOOL_CALL_SERVERS.items() if not TEXT_SERVERS[row.server_name].plain],
)


@tool
def add(a: int, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


@tool
def now() -> str:
    """Tell the time."""
    return "noon"


ADD = ("add", '{"a": 1, "b": 2}')
NOW = ("now", "{}")


def model(server: FakeServer, **bound: Any) -> Any:
    return EasyLLMChat(base_url=server.url).bind_tools([add, now], **bound)


def names_and_args(message: AIMessage) -> list[tuple[str, object]]:
    return [(call["name"], call["args"]) for call in message.tool_calls]


@EVERY_SERVER
def test_a_call_is_the_same_from_every_server(
    fake_server: FakeServer, server_name: str, mode: str
) -> None:
    serve_turns(fake_server, server_name, Turn(calls=[ADD]))
    message = answer(mode, model(fake_server))
    assert names_and_args(message) == [("add", {"a": 1, "b": 2})]
    assert message.invalid_tool_calls == []
    assert message.content == ""
    assert message.response_metadata["finish_reason"] == "tool_calls"
    assert message.tool_calls[0]["id"]


@EVERY_SERVER
def test_parallel_calls_keep_apart(fake_server: FakeServer, server_name: str, mode: str) -> None:
    if server_name == "tgi-2":  # one call was all that it could say
        return
    serve_turns(fake_server, server_name, Turn(calls=[ADD, ("add", '{"a": 3}'), NOW]))
    message = answer(mode, model(fake_server))
    assert names_and_args(message) == [("add", {"a": 1, "b": 2}), ("add", {"a": 3}), ("now", {})]
    ids = [call["id"] for call in message.tool_calls]
    assert len(set(ids)) == 3
    assert all(ids)


@EVERY_SERVER
def test_a_good_id_is_kept_and_a_bad_one_is_not(
    fake_server: FakeServer, server_name: str, mode: str
) -> None:
    serve_turns(fake_server, server_name, Turn(calls=[ADD]))
    (call,) = answer(mode, model(fake_server)).tool_calls
    if TOOL_CALL_SERVERS[server_name].calls.ids(0) in ("0", 0, None):
        assert re.fullmatch(r"[a-z0-9]{9}", call["id"])
    else:
        assert call["id"] == TOOL_CALL_SERVERS[server_name].calls.ids(0)


@EVERY_SERVER
def test_ids_are_unique_over_a_conversation(
    fake_server: FakeServer, server_name: str, mode: str
) -> None:
    serve_turns(fake_server, server_name, Turn(calls=[ADD]))
    asked = model(fake_server)
    messages: list[Any] = [HumanMessage("Hi")]
    for _ in range(3):
        message = answer(mode, asked, messages)
        messages += [message, ToolMessage("3", tool_call_id=message.tool_calls[0]["id"])]
    ids = [one.tool_calls[0]["id"] for one in messages if isinstance(one, AIMessage)]
    assert len(set(ids)) == 3
    sent = body_of(fake_server)["messages"]
    assert [m["tool_calls"][0]["id"] for m in sent if m.get("tool_calls")] == ids[:2]
    assert [m["tool_call_id"] for m in sent if m["role"] == "tool"] == ids[:2]


@EVERY_SERVER
def test_text_before_a_call_is_kept(fake_server: FakeServer, server_name: str, mode: str) -> None:
    serve_turns(fake_server, server_name, Turn(["Let me", " see."], [ADD]))
    message = answer(mode, model(fake_server))
    assert message.text == "Let me see."
    assert names_and_args(message) == [("add", {"a": 1, "b": 2})]


@EVERY_SERVER
def test_text_alone_is_an_answer(fake_server: FakeServer, server_name: str, mode: str) -> None:
    serve_turns(fake_server, server_name, Turn(["All", " done."]))
    message = answer(mode, model(fake_server))
    assert message.text == "All done."
    assert message.tool_calls == []
    assert message.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("text", ["", "{}", "null", " "])
def test_no_arguments_are_none(fake_server: FakeServer, text: str, mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(calls=[("now", text)]))
    assert names_and_args(answer(mode, model(fake_server))) == [("now", {})]


@each_case("server_name", ["vllm", "tgi", "llama-cpp-python", "idless"])
@each_case(
    ("text", "said"),
    [
        ('{"a": 1, "b": ', "length"),
        ('{"a": "one', ""),
        ('{"a": [1, 2', "stop"),
        ('{"a": "x\\', "length"),
        ("{", ""),
    ],
)
def test_a_cut_call_is_invalid(
    fake_server: FakeServer, server_name: str, text: str, said: str, mode: str
) -> None:
    serve_turns(fake_server, server_name, Turn(calls=[ADD, ("add", text)], finish_reason=said))
    message = answer(mode, model(fake_server))
    assert names_and_args(message) == [("add", {"a": 1, "b": 2})]
    (bad,) = message.invalid_tool_calls
    assert bad["name"] == "add"
    assert bad["args"].startswith(text)
    assert bad["id"]
    assert message.response_metadata["finish_reason"] == "length"
    if mode not in STREAM_MODES:
        assert bad["args"] == text
        assert "max_tokens" in str(bad["error"])


WRITTEN = '{"function": {"_name": "add", "a": "one two'
BECAUSE = (
    "Tool error: Failed to parse generated text: EOF while parsing a string at line 1 column 44"
)


@pytest.mark.parametrize(
    ("report", "is_call"),
    [
        (f"{BECAUSE} {json.dumps(WRITTEN)}", True),
        (f"{BECAUSE} {json.dumps(WRITTEN[:20])}", False),
        (f"{BECAUSE} nothing", False),
        ("Tool error: Tool with name x not found", False),
    ],
)
def test_a_cut_call_that_is_reported_as_an_error_is_a_call(
    fake_server: FakeServer, report: str, is_call: bool, whole_mode: str
) -> None:
    """TGI 3 does so where the answer is not streamed."""
    serve_turns(fake_server, "tgi", Turn())
    body = {"error": report, "error_type": "tool_error"}
    fake_server.on("POST", "/v1/chat/completions", Reply(body, status=422))
    if not is_call:
        with pytest.raises(BadRequestError, match="Tool error"):
            answer(whole_mode, model(fake_server))
        return
    message = answer(whole_mode, model(fake_server))
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["args"] == '{"a": "one two'
    assert message.response_metadata["finish_reason"] == "length"


def test_a_call_cut_before_its_arguments_is_invalid(fake_server: FakeServer, mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(calls=[("add", "")], finish_reason="length"))
    message = answer(mode, model(fake_server))
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["name"] == "add"


@each_case("text", ['{"a": 1,, "b": 2}', "[1]", '"a"', "5", "a=1", '{"a": 1}}'])
def test_arguments_that_are_no_object_are_invalid(
    fake_server: FakeServer, text: str, mode: str
) -> None:
    serve_turns(fake_server, "vllm", Turn(calls=[("add", text)]))
    message = answer(mode, model(fake_server))
    assert message.tool_calls == []
    (bad,) = message.invalid_tool_calls
    assert (bad["name"], bad["args"][: len(text)]) == ("add", text)


def test_line_breaks_in_arguments_are_forgiven(fake_server: FakeServer, mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(calls=[("add", '{"a": "x\ny"}')]))
    assert names_and_args(answer(mode, model(fake_server))) == [("add", {"a": "x\ny"})]


@each_case("server_name", ["vllm", "tgi", "tgi-2", "transformers"])
@each_case("text", ["{}", '{"q": {"r": ["}"]}}'])
def test_a_tool_that_was_not_offered_is_invalid(
    fake_server: FakeServer, server_name: str, text: str, mode: str
) -> None:
    serve_turns(fake_server, server_name, Turn(["Hm."], [("search", text)]))
    message = answer(mode, model(fake_server))
    assert message.text == "Hm."
    assert message.tool_calls == []
    (bad,) = message.invalid_tool_calls
    assert bad["name"] == "search"
    if mode not in STREAM_MODES:
        assert bad["args"] == text
        assert bad["error"] == "There is no tool 'search': the tools are add, now."


def test_a_call_that_names_nothing_is_invalid(fake_server: FakeServer, mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(calls=[("", '{"a": 1}')]))
    message = answer(mode, model(fake_server))
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["args"].startswith('{"a": 1}')


def test_calls_are_refused_where_none_were_allowed(fake_server: FakeServer, mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(calls=[ADD]))
    message = answer(mode, model(fake_server, tool_choice="none"))
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["name"] == "add"


@pytest.mark.parametrize("server_name", ["vllm", "tgi", "transformers", "idless"])
def test_one_call_only_where_no_more_were_allowed(
    fake_server: FakeServer, server_name: str, mode: str
) -> None:
    serve_turns(fake_server, server_name, Turn(calls=[ADD, NOW]))
    message = answer(mode, model(fake_server, parallel_tool_calls=False))
    assert names_and_args(message) == [("add", {"a": 1, "b": 2})]
    assert [call["name"] for call in message.invalid_tool_calls] == ["now"]


@each_case("server_name", ["tgi", "tgi-2"])
@each_case(
    ("name", "args", "text"),
    [
        ("no_tool", '{"content": "It is noon."}', "It is noon."),
        ("notify_error", '{"error": "No tool fits."}', "No tool fits."),
        ("no_tool", '{"why": 1}', '{"why": 1}'),
        ("no_tool", "{}", ""),
    ],
)
def test_a_pseudo_tool_is_a_plain_answer(
    fake_server: FakeServer, server_name: str, name: str, args: str, text: str, mode: str
) -> None:
    serve_turns(fake_server, server_name, Turn(calls=[(name, args)]))
    message = answer(mode, model(fake_server))
    assert message.text.replace('":1', '": 1') == text
    assert message.tool_calls == message.invalid_tool_calls == []
    assert message.response_metadata.get("finish_reason", "stop") == "stop"


def test_a_pseudo_tools_name_may_be_a_users(fake_server: FakeServer, mode: str) -> None:
    own = {"name": "no_tool", "parameters": {"type": "object", "properties": {}}}
    serve_turns(fake_server, "tgi", Turn(calls=[("no_tool", '{"content": "x"}')]))
    asked = EasyLLMChat(base_url=fake_server.url).bind_tools([own])
    assert names_and_args(answer(mode, asked)) == [("no_tool", {"content": "x"})]


def test_stops_cut_the_text_and_not_the_calls(fake_server: FakeServer, mode: str) -> None:
    call = ("add", '{"a": "one\\nObservation: two"}')
    serve_turns(fake_server, "vllm", Turn(["Let me see."], [call]))
    message = answer(mode, model(fake_server), stop=["Observation", "zzz"])
    assert names_and_args(message) == [("add", {"a": "one\nObservation: two"})]
    assert "stop" not in body_of(fake_server)  # there it would act on the arguments too
    serve_turns(fake_server, "vllm", Turn(["Let me see. ", "Observ", "ation: 3"]))
    message = answer(mode, model(fake_server), stop=["Observation"])
    assert message.text == "Let me see. "
    assert message.response_metadata["finish_reason"] == "stop"


def test_tools_of_ones_own_body_are_not_judged(fake_server: FakeServer, mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(calls=[("anything", '{"a": 1}')]))
    asked = EasyLLMChat(base_url=fake_server.url, model_kwargs={"tools": [{"type": "x"}]})
    assert names_and_args(answer(mode, asked)) == [("anything", {"a": 1})]


def test_openais_old_form_is_a_call(fake_server: FakeServer, mode: str) -> None:
    old = {"function_call": {"name": "add", "arguments": '{"a": 1}'}}
    serve_turns(fake_server, "vllm", Turn(message=old, finish_reason="function_call"))
    message = answer(mode, model(fake_server))
    assert names_and_args(message) == [("add", {"a": 1})]
    assert message.response_metadata["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("server_name", ["vllm", "llama-cpp-python", "tgi"])
def test_a_call_is_streamed_as_it_comes(fake_server: FakeServer, server_name: str) -> None:
    serve_turns(fake_server, server_name, Turn(calls=[ADD]))
    chunks = [chunk for chunk in model(fake_server).stream("Hi") if chunk.tool_call_chunks]
    assert len(chunks) > 3
    deltas = [chunk.tool_call_chunks[0] for chunk in chunks]
    assert [delta["name"] for delta in deltas] == ["add"] + [None] * (len(chunks) - 1)
    assert "".join(delta["args"] for delta in deltas) == ADD[1]
    assert {delta["index"] for delta in deltas} == {0}
    partial: Any = chunks[0]
    for chunk in chunks[1:3]:
        partial += chunk
    assert isinstance(partial, AIMessageChunk)
    assert partial.tool_calls[0]["args"] == {"a": 1}


def test_blocks_show_the_calls(fake_server: FakeServer, mode: str) -> None:
    turn = Turn(["Let me see."], [ADD], message={"reasoning": "Hm."})
    serve_turns(fake_server, "vllm", turn)
    message = answer(mode, model(fake_server))
    kinds = [block["type"] for block in message.content_blocks]
    assert kinds == ["reasoning", "text", "tool_call"]
    assert message.content_blocks[-1]["args"] == {"a": 1, "b": 2}


def test_output_of_version_1_holds_blocks(fake_server: FakeServer, mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(["Let me see."], [ADD], message={"reasoning": "Hm."}))
    asked: Any = EasyLLMChat(base_url=fake_server.url, output_version="v1").bind_tools([add])
    message = answer(mode, asked)
    assert isinstance(message.content, list)
    assert {"reasoning", "text"} <= {block["type"] for block in message.content}
    assert names_and_args(message) == [("add", {"a": 1, "b": 2})]
    tool_message = ToolMessage("3", tool_call_id=message.tool_calls[0]["id"])
    answer(mode, asked, [HumanMessage("Hi"), message, tool_message])
    sent = body_of(fake_server)["messages"][1]
    assert sent["content"] == "Let me see."
    assert sent["reasoning"] == "Hm."
    assert [call["id"] for call in sent["tool_calls"]] == [tool_message.tool_call_id]


def fragments(server: FakeServer, *each: tuple[str | None, object, str | None]) -> None:
    """Serve one call in fragments: a name, arguments and an id, all at index 0."""
    serve_turns(server, "vllm", Turn())
    calls = [
        {"index": 0, "id": identity, "function": {"name": name, "arguments": text}}
        for name, text, identity in each
    ]
    events = [{"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]} for call in calls]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    whole = chat(None, finish_reason="tool_calls", message={"tool_calls": calls})

    def route(request: Received) -> Reply:
        body = request.json
        stream = isinstance(body, dict) and body.get("stream")
        return sse(*events, end) if stream else whole

    server.on("POST", "/v1/chat/completions", route)


@pytest.mark.parametrize(
    "each",
    [
        [("add", "", "x1"), (None, '{"a": 1', "x2"), (None, ', "b": 2}', "x3")],
        [("add", ADD[1], "x"), ("add", "", None)],
        [("a", "", "x"), ("dd", "", None), (None, ADD[1], None)],
        [("add", ADD[1], "x"), (None, ADD[1], None)],
        [("add", "{}", "x"), (None, ADD[1], None)],
    ],
)
@pytest.mark.parametrize("mode", STREAM_MODES)
def test_a_call_is_one_however_it_is_cut(
    fake_server: FakeServer, each: list[tuple[str | None, object, str | None]], mode: str
) -> None:
    fragments(fake_server, *each)
    message = answer(mode, model(fake_server))
    assert names_and_args(message) == [("add", {"a": 1, "b": 2})]
    assert message.invalid_tool_calls == []
    assert message.response_metadata["finish_reason"] == "tool_calls"


def test_a_call_in_its_usual_disguises(fake_server: FakeServer, mode: str) -> None:
    text = "{}" + ADD[1] + ADD[1] + "<|call|>"
    for name, arguments in (
        ("add<|channel|>commentary", text),
        ("functions.add:0", json.dumps(json.dumps(ADD[1]))),
    ):
        fragments(fake_server, (name, arguments, "x"))
        message = answer(mode, model(fake_server))
        assert names_and_args(message) == [("add", {"a": 1, "b": 2})]
        assert message.invalid_tool_calls == []
