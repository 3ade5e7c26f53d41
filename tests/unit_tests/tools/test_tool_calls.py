"""The same tool calls from every server, in every way of asking."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.errors import BadRequestError

from ...support.fake_server import Reply, WireServer
from ...support.fake_tool_calls import CALLERS, Turn, serve_turns
from ...support.invocation_modes import STREAMS, answer, body_of

CALLER = pytest.mark.parametrize("caller", CALLERS)


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


def model(server: WireServer, **bound: Any) -> Any:
    return EasyLLMChat(base_url=server.url).bind_tools([add, now], **bound)


def names_and_args(message: AIMessage) -> list[tuple[str, object]]:
    return [(call["name"], call["args"]) for call in message.tool_calls]


@CALLER
def test_a_call_is_the_same_from_every_server(
    wire_server: WireServer, caller: str, way: str
) -> None:
    serve_turns(wire_server, caller, Turn(calls=[ADD]))
    message = answer(way, model(wire_server))
    assert names_and_args(message) == [("add", {"a": 1, "b": 2})]
    assert message.invalid_tool_calls == []
    assert message.content == ""
    assert message.response_metadata["finish_reason"] == "tool_calls"
    assert message.tool_calls[0]["id"]


@CALLER
def test_parallel_calls_keep_apart(wire_server: WireServer, caller: str, way: str) -> None:
    if caller == "tgi-2":  # one call was all that it could say
        return
    serve_turns(wire_server, caller, Turn(calls=[ADD, ("add", '{"a": 3}'), NOW]))
    message = answer(way, model(wire_server))
    assert names_and_args(message) == [("add", {"a": 1, "b": 2}), ("add", {"a": 3}), ("now", {})]
    ids = [call["id"] for call in message.tool_calls]
    assert len(set(ids)) == 3
    assert all(ids)


@CALLER
def test_a_good_id_is_kept_and_a_bad_one_is_not(
    wire_server: WireServer, caller: str, way: str
) -> None:
    serve_turns(wire_server, caller, Turn(calls=[ADD]))
    (call,) = answer(way, model(wire_server)).tool_calls
    if CALLERS[caller].calls.ids(0) in ("0", 0, None):
        assert re.fullmatch(r"[a-z0-9]{9}", call["id"])
    else:
        assert call["id"] == CALLERS[caller].calls.ids(0)


@CALLER
def test_ids_are_unique_over_a_conversation(wire_server: WireServer, caller: str, way: str) -> None:
    serve_turns(wire_server, caller, Turn(calls=[ADD]))
    asked = model(wire_server)
    talk: list[Any] = [HumanMessage("Hi")]
    for _ in range(3):
        message = answer(way, asked, talk)
        talk += [message, ToolMessage("3", tool_call_id=message.tool_calls[0]["id"])]
    ids = [one.tool_calls[0]["id"] for one in talk if isinstance(one, AIMessage)]
    assert len(set(ids)) == 3
    sent = body_of(wire_server)["messages"]
    assert [m["tool_calls"][0]["id"] for m in sent if m.get("tool_calls")] == ids[:2]
    assert [m["tool_call_id"] for m in sent if m["role"] == "tool"] == ids[:2]


@CALLER
def test_text_before_a_call_is_kept(wire_server: WireServer, caller: str, way: str) -> None:
    serve_turns(wire_server, caller, Turn(["Let me", " see."], [ADD]))
    message = answer(way, model(wire_server))
    assert message.text == "Let me see."
    assert names_and_args(message) == [("add", {"a": 1, "b": 2})]


@CALLER
def test_text_alone_is_an_answer(wire_server: WireServer, caller: str, way: str) -> None:
    serve_turns(wire_server, caller, Turn(["All", " done."]))
    message = answer(way, model(wire_server))
    assert message.text == "All done."
    assert message.tool_calls == []
    assert message.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("text", ["", "{}", "null", " "])
def test_no_arguments_are_none(wire_server: WireServer, text: str, way: str) -> None:
    serve_turns(wire_server, "vllm", Turn(calls=[("now", text)]))
    assert names_and_args(answer(way, model(wire_server))) == [("now", {})]


@pytest.mark.parametrize("caller", ["vllm", "tgi", "llama-cpp-python", "idless"])
@pytest.mark.parametrize(
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
    wire_server: WireServer, caller: str, text: str, said: str, way: str
) -> None:
    serve_turns(wire_server, caller, Turn(calls=[ADD, ("add", text)], finish_reason=said))
    message = answer(way, model(wire_server))
    assert names_and_args(message) == [("add", {"a": 1, "b": 2})]
    (bad,) = message.invalid_tool_calls
    assert bad["name"] == "add"
    assert bad["args"].startswith(text)
    assert bad["id"]
    assert message.response_metadata["finish_reason"] == "length"
    if way not in STREAMS:
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
    wire_server: WireServer, report: str, is_call: bool, whole: str
) -> None:
    """TGI 3 does so where the answer is not streamed."""
    serve_turns(wire_server, "tgi", Turn())
    body = {"error": report, "error_type": "tool_error"}
    wire_server.on("POST", "/v1/chat/completions", Reply(body, status=422))
    if not is_call:
        with pytest.raises(BadRequestError, match="Tool error"):
            answer(whole, model(wire_server))
        return
    message = answer(whole, model(wire_server))
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["args"] == '{"a": "one two'
    assert message.response_metadata["finish_reason"] == "length"


def test_a_call_cut_before_its_arguments_is_invalid(wire_server: WireServer, way: str) -> None:
    serve_turns(wire_server, "vllm", Turn(calls=[("add", "")], finish_reason="length"))
    message = answer(way, model(wire_server))
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["name"] == "add"


@pytest.mark.parametrize("text", ['{"a": 1,, "b": 2}', "[1]", '"a"', "5", "a=1", '{"a": 1}}'])
def test_arguments_that_are_no_object_are_invalid(
    wire_server: WireServer, text: str, way: str
) -> None:
    serve_turns(wire_server, "vllm", Turn(calls=[("add", text)]))
    message = answer(way, model(wire_server))
    assert message.tool_calls == []
    (bad,) = message.invalid_tool_calls
    assert (bad["name"], bad["args"][: len(text)]) == ("add", text)


def test_line_breaks_in_arguments_are_forgiven(wire_server: WireServer, way: str) -> None:
    serve_turns(wire_server, "vllm", Turn(calls=[("add", '{"a": "x\ny"}')]))
    assert names_and_args(answer(way, model(wire_server))) == [("add", {"a": "x\ny"})]


@pytest.mark.parametrize("caller", ["vllm", "tgi", "tgi-2", "transformers"])
@pytest.mark.parametrize("text", ["{}", '{"q": {"r": ["}"]}}'])
def test_a_tool_that_was_not_offered_is_invalid(
    wire_server: WireServer, caller: str, text: str, way: str
) -> None:
    serve_turns(wire_server, caller, Turn(["Hm."], [("search", text)]))
    message = answer(way, model(wire_server))
    assert message.text == "Hm."
    assert message.tool_calls == []
    (bad,) = message.invalid_tool_calls
    assert bad["name"] == "search"
    if way not in STREAMS:
        assert bad["args"] == text
        assert bad["error"] == "There is no tool 'search': there are add, now."


def test_a_call_that_names_nothing_is_invalid(wire_server: WireServer, way: str) -> None:
    serve_turns(wire_server, "vllm", Turn(calls=[("", '{"a": 1}')]))
    message = answer(way, model(wire_server))
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["args"].startswith('{"a": 1}')


def test_calls_are_refused_where_none_were_allowed(wire_server: WireServer, way: str) -> None:
    serve_turns(wire_server, "vllm", Turn(calls=[ADD]))
    message = answer(way, model(wire_server, tool_choice="none"))
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["name"] == "add"


@pytest.mark.parametrize("caller", ["vllm", "tgi", "transformers", "idless"])
def test_one_call_only_where_no_more_were_allowed(
    wire_server: WireServer, caller: str, way: str
) -> None:
    serve_turns(wire_server, caller, Turn(calls=[ADD, NOW]))
    message = answer(way, model(wire_server, parallel_tool_calls=False))
    assert names_and_args(message) == [("add", {"a": 1, "b": 2})]
    assert [call["name"] for call in message.invalid_tool_calls] == ["now"]


@pytest.mark.parametrize("caller", ["tgi", "tgi-2"])
@pytest.mark.parametrize(
    ("name", "args", "text"),
    [
        ("no_tool", '{"content": "It is noon."}', "It is noon."),
        ("notify_error", '{"error": "No tool fits."}', "No tool fits."),
        ("no_tool", '{"why": 1}', '{"why": 1}'),
        ("no_tool", "{}", ""),
    ],
)
def test_a_pseudo_tool_is_a_plain_answer(
    wire_server: WireServer, caller: str, name: str, args: str, text: str, way: str
) -> None:
    serve_turns(wire_server, caller, Turn(calls=[(name, args)]))
    message = answer(way, model(wire_server))
    assert message.text.replace('":1', '": 1') == text
    assert message.tool_calls == message.invalid_tool_calls == []
    assert message.response_metadata.get("finish_reason", "stop") == "stop"


def test_a_pseudo_tools_name_may_be_a_users(wire_server: WireServer, way: str) -> None:
    own = {"name": "no_tool", "parameters": {"type": "object", "properties": {}}}
    serve_turns(wire_server, "tgi", Turn(calls=[("no_tool", '{"content": "x"}')]))
    asked = EasyLLMChat(base_url=wire_server.url).bind_tools([own])
    assert names_and_args(answer(way, asked)) == [("no_tool", {"content": "x"})]


def test_stops_cut_the_text_and_not_the_calls(wire_server: WireServer, way: str) -> None:
    call = ("add", '{"a": "one\\nObservation: two"}')
    serve_turns(wire_server, "vllm", Turn(["Let me see."], [call]))
    message = answer(way, model(wire_server), stop=["Observation", "zzz"])
    assert names_and_args(message) == [("add", {"a": "one\nObservation: two"})]
    assert "stop" not in body_of(wire_server)  # there it would act on the arguments too
    serve_turns(wire_server, "vllm", Turn(["Let me see. ", "Observ", "ation: 3"]))
    message = answer(way, model(wire_server), stop=["Observation"])
    assert message.text == "Let me see. "
    assert message.response_metadata["finish_reason"] == "stop"


def test_tools_of_ones_own_body_are_not_judged(wire_server: WireServer, way: str) -> None:
    serve_turns(wire_server, "vllm", Turn(calls=[("anything", '{"a": 1}')]))
    asked = EasyLLMChat(base_url=wire_server.url, model_kwargs={"tools": [{"type": "x"}]})
    assert names_and_args(answer(way, asked)) == [("anything", {"a": 1})]


def test_openais_old_form_is_a_call(wire_server: WireServer, way: str) -> None:
    old = {"function_call": {"name": "add", "arguments": '{"a": 1}'}}
    serve_turns(wire_server, "vllm", Turn(message=old, finish_reason="function_call"))
    message = answer(way, model(wire_server))
    assert names_and_args(message) == [("add", {"a": 1})]
    assert message.response_metadata["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("caller", ["vllm", "llama-cpp-python", "tgi"])
def test_a_call_is_streamed_as_it_comes(wire_server: WireServer, caller: str) -> None:
    serve_turns(wire_server, caller, Turn(calls=[ADD]))
    chunks = [chunk for chunk in model(wire_server).stream("Hi") if chunk.tool_call_chunks]
    assert len(chunks) > 3
    pieces = [chunk.tool_call_chunks[0] for chunk in chunks]
    assert [piece["name"] for piece in pieces] == ["add"] + [None] * (len(chunks) - 1)
    assert "".join(piece["args"] for piece in pieces) == ADD[1]
    assert {piece["index"] for piece in pieces} == {0}
    partial: Any = chunks[0]
    for chunk in chunks[1:3]:
        partial += chunk
    assert isinstance(partial, AIMessageChunk)
    assert partial.tool_calls[0]["args"] == {"a": 1}


def test_blocks_show_the_calls(wire_server: WireServer, way: str) -> None:
    turn = Turn(["Let me see."], [ADD], message={"reasoning": "Hm."})
    serve_turns(wire_server, "vllm", turn)
    message = answer(way, model(wire_server))
    kinds = [block["type"] for block in message.content_blocks]
    assert kinds == ["reasoning", "text", "tool_call"]
    assert message.content_blocks[-1]["args"] == {"a": 1, "b": 2}


def test_output_of_version_1_holds_blocks(wire_server: WireServer, way: str) -> None:
    serve_turns(wire_server, "vllm", Turn(["Let me see."], [ADD], message={"reasoning": "Hm."}))
    asked: Any = EasyLLMChat(base_url=wire_server.url, output_version="v1").bind_tools([add])
    message = answer(way, asked)
    assert isinstance(message.content, list)
    assert {"reasoning", "text"} <= {block["type"] for block in message.content}
    assert names_and_args(message) == [("add", {"a": 1, "b": 2})]
    told = ToolMessage("3", tool_call_id=message.tool_calls[0]["id"])
    answer(way, asked, [HumanMessage("Hi"), message, told])
    sent = body_of(wire_server)["messages"][1]
    assert sent["content"] == "Let me see."
    assert sent["reasoning"] == "Hm."
    assert [call["id"] for call in sent["tool_calls"]] == [told.tool_call_id]
