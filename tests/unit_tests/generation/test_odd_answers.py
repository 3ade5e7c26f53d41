"""Answers of status 200 that say something else than they seem to, in every invocation mode."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from langchain_core import exceptions as core
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage

from langchain_easyllm import EasyLLM, EasyLLMChat, errors

from ...support.cases import each_case
from ...support.fake_server import FakeServer, Pause, Reply, sse
from ...support.fake_text_servers import serve, tgi_generate
from ...support.invocation_modes import STREAM_MODES, answer, body_of, text_of

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
ROLE = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
JSON = {"content-type": "application/json"}


def says(text: object, **more: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text}, **more}]}


END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def whole(message: Mapping[str, object], **more: object) -> dict[str, object]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return {"choices": [{**choice, **more}], "model": "tiny"}


@pytest.fixture
def model(fake_server: FakeServer) -> EasyLLMChat:
    serve(fake_server, "vllm")
    return EasyLLMChat(base_url=fake_server.url, max_retries=0)


# Failures inside a 200

FAILURES: dict[str, list[object]] = {
    "beside a choice": [says("", finish_reason=None) | {"error": {"message": "worker died"}}],
    "beside a last choice": [END | {"error": "worker died"}],
    "beside usage": [{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0},
                      "error": {"message": "worker died"}}],
    "inside the choice": [{"choices": [{"index": 0, "delta": {}, "error": "worker died"}]}],
    "detail": [{"detail": "worker died"}],
    "message and code": [{"message": "worker died", "code": 500}],
    "msg and code": [{"code": 50505, "msg": "worker died", "data": None}],
    "errors": [{"success": False, "errors": [{"message": "worker died"}]}],
    "base_resp": [{"base_resp": {"status_code": 1004, "status_msg": "worker died"},
                   "choices": None}],
}  # fmt: skip


@pytest.mark.parametrize("before", [[], [ROLE, says("Hel"), says("lo")]], ids=["first", "later"])
@pytest.mark.parametrize("last", FAILURES.values(), ids=FAILURES)
def test_a_failure_in_a_stream_is_no_short_answer(
    fake_server: FakeServer,
    model: EasyLLMChat,
    before: list[object],
    last: list[object],
    stream_mode: str,
) -> None:
    fake_server.on("POST", CHAT, sse(*before, *last))
    with pytest.raises(errors.EasyLLMError, match="worker died") as caught:
        answer(stream_mode, model)
    assert caught.value.partial == ("Hello" if before else "")
    assert "worker died" in str(caught.value.body)


@pytest.mark.parametrize("word", ["abort", "error", "cancelled"])
def test_an_answer_that_the_server_broke_off(
    fake_server: FakeServer, model: EasyLLMChat, word: str, mode: str
) -> None:
    stream = sse(ROLE, says("Hel"), says("lo", finish_reason=word))
    body = whole({"content": "Hello"}, finish_reason=word)
    fake_server.on("POST", CHAT, stream if mode in STREAM_MODES else Reply(body))
    with pytest.raises(errors.GenerationError, match=f"finish reason '{word}'") as caught:
        answer(mode, model)
    assert caught.value.partial == "Hello"


def test_a_broken_off_completion(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    last = {"choices": [{"index": 0, "text": "lo", "finish_reason": "abort"}]}
    stream = sse({"choices": [{"index": 0, "text": "Hel"}]}, last)
    body = {"choices": [{"index": 0, "text": "Hello", "finish_reason": "abort"}]}
    fake_server.on("POST", COMPLETIONS, stream if mode in STREAM_MODES else Reply(body))
    with pytest.raises(errors.GenerationError, match="abort") as caught:
        answer(mode, EasyLLM(base_url=fake_server.url, max_retries=0))
    assert caught.value.partial == "Hello"


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "worker died"},
        whole({"content": ""}, error="worker died"),
        whole({}) | {"error": {"message": "worker died"}},
    ],
)
def test_a_failure_in_a_whole_answer(
    fake_server: FakeServer, model: EasyLLMChat, body: object, whole_mode: str
) -> None:
    fake_server.on("POST", CHAT, Reply(body))
    with pytest.raises(errors.EasyLLMError, match="worker died"):
        answer(whole_mode, model)


@pytest.mark.parametrize("before", [[], [ROLE]], ids=["nothing", "a role"])
def test_an_end_without_an_answer(
    fake_server: FakeServer, model: EasyLLMChat, before: list[object], stream_mode: str
) -> None:
    fake_server.on("POST", CHAT, sse(*before))
    with pytest.raises(errors.IncompleteStreamError, match="without an answer"):
        answer(stream_mode, model)


def test_a_complete_stream_need_not_say_why_it_ends(
    fake_server: FakeServer, model: EasyLLMChat, stream_mode: str
) -> None:
    fake_server.on("POST", CHAT, sse(ROLE, says("Hello", finish_reason=None)))
    assert text_of(answer(stream_mode, model)) == "Hello"


def test_an_answer_may_be_empty(
    fake_server: FakeServer, model: EasyLLMChat, stream_mode: str
) -> None:
    fake_server.on("POST", CHAT, sse(ROLE, END))
    assert text_of(answer(stream_mode, model)) == ""


# Framing other than requested

EVENTS = sse(ROLE, says("Hel"), says("lo"), END)


def test_an_event_stream_where_json_was_requested(
    fake_server: FakeServer, model: EasyLLMChat, whole_mode: str
) -> None:
    fake_server.on("POST", CHAT, EVENTS)
    assert text_of(answer(whole_mode, model)) == "Hello"
    assert "stream" not in body_of(fake_server)


def test_a_cut_event_stream_where_json_was_requested(
    fake_server: FakeServer, model: EasyLLMChat, whole_mode: str
) -> None:
    fake_server.on("POST", CHAT, sse(ROLE, says("Hel"), done=False))
    with pytest.raises(errors.IncompleteStreamError) as caught:
        answer(whole_mode, model)
    assert caught.value.partial == "Hel"


def test_json_with_the_end_of_a_stream_behind_it(
    fake_server: FakeServer, model: EasyLLMChat, whole_mode: str
) -> None:
    body = json.dumps(whole({"content": "Hello"})).encode() + b"\n\ndata: [DONE]\n\n"
    fake_server.on("POST", CHAT, Reply(body, headers=JSON))
    assert text_of(answer(whole_mode, model)) == "Hello"


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json", "application/x-ndjson"])
def test_json_and_the_end_of_a_stream_where_one_was_requested(
    fake_server: FakeServer, model: EasyLLMChat, kind: str, stream_mode: str
) -> None:
    body = json.dumps(whole({"content": "Hello"})).encode() + b"\n\ndata: [DONE]\n\n"
    fake_server.on("POST", CHAT, Reply(body, headers={"content-type": kind}))
    assert text_of(answer(stream_mode, model)) == "Hello"


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", ""])
def test_a_stream_of_another_type(
    fake_server: FakeServer, model: EasyLLMChat, kind: str, stream_mode: str
) -> None:
    events = replace(EVENTS, headers={"content-type": kind})
    fake_server.on("POST", CHAT, events)
    assert text_of(answer(stream_mode, model)) == "Hello"


@pytest.mark.parametrize("comment", [b"data: : PROCESSING\n\n", b"data: :\n\n", b": hi\n\n"])
def test_a_comment_is_no_part_of_the_answer(
    fake_server: FakeServer, model: EasyLLMChat, comment: bytes, stream_mode: str
) -> None:
    fake_server.on("POST", CHAT, sse(comment, ROLE, comment, says("Hel"), comment, says("lo"), END))
    assert text_of(answer(stream_mode, model)) == "Hello"


def test_comments_are_a_sign_of_life(fake_server: FakeServer, stream_mode: str) -> None:
    serve(fake_server, "vllm")
    comments: list[Any] = [b": still here\n\n", Pause(0.3)] * 6
    fake_server.on("POST", CHAT, sse(*comments, says("Hello"), *comments, END))
    model = EasyLLMChat(base_url=fake_server.url, timeout=1.5, max_retries=0)
    assert text_of(answer(stream_mode, model)) == "Hello"


@pytest.mark.parametrize("delta", [{}, None, {"content": ""}])
def test_a_last_chunk_may_repeat_the_whole_message(
    fake_server: FakeServer, model: EasyLLMChat, delta: object, stream_mode: str
) -> None:
    message = {"role": "assistant", "content": "Hello"}
    last = {"choices": [{"index": 0, "delta": delta, "message": message, "finish_reason": "stop"}]}
    fake_server.on("POST", CHAT, sse(ROLE, says("Hel"), says("lo"), last))
    assert text_of(answer(stream_mode, model)) == "Hello"
    assert text_of(answer(stream_mode, model, stop=["lol"])) == "Hello"
    fake_server.on("POST", CHAT, sse(ROLE, last))
    assert text_of(answer(stream_mode, model)) == ("Hello" if not delta else "")


# Values of other types


@each_case(
    ("value", "text"),
    [
        (0.005, "0.005"),
        (7, "7"),
        (0, "0"),
        (True, "true"),
        (False, "false"),
        ({"city": "Köln"}, '{"city":"Köln"}'),
        ({"type": "text", "text": "x"}, "x"),
        ([1, "a", {"type": "text", "text": "b"}], "1ab"),
    ],
    ids=str,
)
def test_text_is_text_whatever_its_type(
    fake_server: FakeServer, value: object, text: str, mode: str
) -> None:
    serve(fake_server, "vllm")
    stream = sse(ROLE, says("a "), says(value), says(" b"), END)
    body = whole({"content": value})
    fake_server.on("POST", CHAT, stream if mode in STREAM_MODES else Reply(body))
    chat = EasyLLMChat(base_url=fake_server.url)
    assert text_of(answer(mode, chat)) == (f"a {text} b" if mode in STREAM_MODES else text)
    parts: list[Any] = [{"choices": [{"text": part}]} for part in ("a ", value, " b")]
    done = {"choices": [{"text": "", "finish_reason": "stop"}]}
    body = {"choices": [{"text": value, "finish_reason": "stop"}]}
    fake_server.on("POST", COMPLETIONS, sse(*parts, done) if mode in STREAM_MODES else Reply(body))
    llm = EasyLLM(base_url=fake_server.url)
    assert answer(mode, llm) == (f"a {text} b" if mode in STREAM_MODES else text)


def test_token_counts_may_be_floats(fake_server: FakeServer, model: EasyLLMChat, mode: str) -> None:
    usage = {"prompt_tokens": 3.0, "completion_tokens": 2.0, "total_tokens": 5.0}
    stream = sse(ROLE, says("Hello"), END, {"choices": [], "usage": usage})
    body = whole({"content": "Hello"}) | {"usage": usage}
    fake_server.on("POST", CHAT, stream if mode in STREAM_MODES else Reply(body))
    counts = answer(mode, model).usage_metadata
    assert counts == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    assert {type(count) for count in counts.values()} == {int}


# Keys beside the text


def test_a_refusal_is_an_answer(fake_server: FakeServer, model: EasyLLMChat, mode: str) -> None:
    pieces = [{"choices": [{"delta": {"refusal": part}}]} for part in ("I can", "not.")]
    body = whole({"content": None, "refusal": "I cannot."})
    fake_server.on("POST", CHAT, sse(ROLE, *pieces, END) if mode in STREAM_MODES else Reply(body))
    message = answer(mode, model)
    [block] = [block for block in message.content if isinstance(block, dict)]
    assert (block["type"], block["refusal"]) == ("refusal", "I cannot.")
    if hasattr(core, "ModelRefusalError"):  # the versions that have the block
        assert block in message.content_blocks
    assert message.text == ""
    assert answer(mode, EasyLLM(base_url=fake_server.url, api="chat")) == "I cannot."


@pytest.mark.parametrize("include_raw", [False, True])
def test_a_refusal_of_structured_output(
    fake_server: FakeServer, model: EasyLLMChat, include_raw: bool, whole_mode: str
) -> None:
    fake_server.on("POST", CHAT, Reply(whole({"content": None, "refusal": "I cannot."})))
    schema = {"title": "Person", "type": "object", "properties": {"name": {"type": "string"}}}
    wanted = model.with_structured_output(schema, include_raw=include_raw)
    if include_raw:
        error = answer(whole_mode, wanted)["parsing_error"]
    else:
        with pytest.raises(errors.RefusalError) as caught:
            answer(whole_mode, wanted)
        error = caught.value
    assert isinstance(error, errors.RefusalError)
    assert isinstance(error, getattr(core, "ModelRefusalError", core.ModelError))
    assert "I cannot." in str(error)
    assert not error.is_retryable
    assert len(fake_server.requests) == len({r.path for r in fake_server.requests})  # no repair


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", "thinking"])
def test_reasoning_in_each_server_s_field(
    fake_server: FakeServer, model: EasyLLMChat, name: str, mode: str
) -> None:
    pieces = [{"choices": [{"delta": {name: part}}]} for part in ("Let me ", "think.")]
    stream = sse(ROLE, *pieces, says("Hello"), END)
    body = whole({"content": "Hello", name: "Let me think."})
    fake_server.on("POST", CHAT, stream if mode in STREAM_MODES else Reply(body))
    message = answer(mode, model)
    assert message.text == "Hello"
    assert message.additional_kwargs["reasoning_content"] == "Let me think."
    answer(mode, model, [HumanMessage("Hi"), _as_message(message), HumanMessage("And?")])
    assert body_of(fake_server)["messages"][1][name] == "Let me think."


def test_reasoning_details_go_back_unchanged(
    fake_server: FakeServer, model: EasyLLMChat, mode: str
) -> None:
    first = {"type": "reasoning.text", "index": 0, "format": "x-v1", "signature": None}
    second = {"type": "reasoning.encrypted", "index": 1, "format": "x-v1", "data": "QUJD"}
    pieces = [[{**first, "text": "Let me "}], [{**first, "text": "think."}], [second]]
    chunks = [{"choices": [{"delta": {"reasoning_details": piece}}]} for piece in pieces]
    details = [{**first, "text": "Let me think."}, second]
    body = whole({"content": "Hello", "reasoning_details": details})
    stream = sse(ROLE, *chunks, says("Hello"), END)
    fake_server.on("POST", CHAT, stream if mode in STREAM_MODES else Reply(body))
    message = answer(mode, model)
    assert message.additional_kwargs["reasoning_content"] == "Let me think."
    assert message.additional_kwargs["reasoning_details"] == details
    answer(mode, model, [HumanMessage("Hi"), _as_message(message), HumanMessage("And?")])
    sent = body_of(fake_server)["messages"][1]
    assert sent["reasoning_details"] == details
    assert sent["content"] == "Hello"


def test_reasoning_as_a_part_of_the_content(
    fake_server: FakeServer, model: EasyLLMChat, mode: str
) -> None:
    def thought(text: str) -> dict[str, object]:
        return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}

    stream = sse(ROLE, says([thought("Let me ")]), says([thought("think.")]), says("Hello"), END)
    said = [thought("Let me think."), {"type": "text", "text": "Hello"}]
    fake_server.on(
        "POST", CHAT, stream if mode in STREAM_MODES else Reply(whole({"content": said}))
    )
    message = answer(mode, model)
    assert message.text == "Hello"
    assert message.additional_kwargs["reasoning_content"] == "Let me think."
    answer(mode, model, [HumanMessage("Hi"), _as_message(message), HumanMessage("And?")])
    assert body_of(fake_server)["messages"][1]["content"] == said


def test_what_the_server_says_beside_the_answer(
    fake_server: FakeServer, model: EasyLLMChat, mode: str
) -> None:
    beside = {"id": "chatcmpl-1", "system_fingerprint": "b42", "model": "tiny"}
    timings = {"timings": {"prompt_ms": 2.5, "predicted_per_second": 80.0}}
    stream = sse(ROLE | beside, says("Hello") | beside, END | beside | timings)
    body = whole({"content": "Hello"}) | beside | timings
    reply = stream if mode in STREAM_MODES else Reply(body)
    told = {"x-request-id": "r-7", "x-inference-time": "12", "x-other": "1"}
    reply = replace(reply, headers={**(reply.headers or {}), **told})
    fake_server.on("POST", CHAT, reply)
    metadata = answer(mode, model).response_metadata
    assert metadata["id"] == "chatcmpl-1"
    assert metadata["system_fingerprint"] == "b42"
    assert metadata["timings"]["prompt_ms"] == 2.5
    assert metadata["headers"] == {"x-request-id": "r-7", "x-inference-time": "12"}


@pytest.mark.parametrize(("written", "counted"), [("2", True), ("many", False), ("", False)])
def test_tgi_counts_tokens_in_headers(
    fake_server: FakeServer, written: str, counted: bool, whole_mode: str
) -> None:
    serve(fake_server, "tgi")
    headers = {"x-prompt-tokens": "7", "x-generated-tokens": written}
    fake_server.on("POST", "/generate", replace(tgi_generate("Hello world"), headers=headers))
    chat = EasyLLMChat(base_url=fake_server.url, prompt_builder="zephyr")
    counts = answer(whole_mode, chat).usage_metadata
    wanted = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
    assert counts == (wanted if counted else None)


def _as_message(message: AIMessage) -> AIMessage:
    return AIMessage(**{k: v for k, v in message.model_dump().items()
                        if k in ("content", "additional_kwargs", "response_metadata")})  # fmt: skip


@pytest.mark.parametrize("odd", [{"response": "hi"}, {"code": 0, "msg": "ok"}], ids=str)
def test_json_of_another_protocol_is_kept(
    fake_server: FakeServer, model: EasyLLMChat, any_mode: str, odd: object
) -> None:
    streamed = any_mode in STREAM_MODES
    fake_server.on("POST", CHAT, sse(odd) if streamed else Reply(odd))
    with pytest.raises(errors.ProtocolError) as caught:
        answer(any_mode, model)
    assert caught.value.body is not None
    assert json.loads(caught.value.body) == odd


def test_words_of_a_failure_decide_its_class(fake_server: FakeServer, model: EasyLLMChat) -> None:
    fake_server.on("POST", CHAT, Reply({"code": 50505, "msg": "model overloaded"}))
    with pytest.raises(errors.ModelOverloadedError, match=": model overloaded\\."):
        model.invoke("Hi")


PRETTY = json.dumps(whole({"content": "Hello"}), indent=2).encode()
LINES = b"\n".join(json.dumps(one).encode() for one in (says("Hel"), says("lo"), END))
EVENT_STREAM = b"".join(b"data: " + line + b"\n\n" for line in LINES.split(b"\n"))


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json", "application/x-ndjson"])
@pytest.mark.parametrize(
    "body",
    [
        PRETTY,
        PRETTY.replace(b"{", b"{" + b" " * 20_000, 1),
        LINES,
        EVENT_STREAM,
    ],
    ids=["pretty", "long", "lines", "events"],
)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "bom"])
def test_an_answer_is_read_whatever_frames_it(
    fake_server: FakeServer, model: EasyLLMChat, kind: str, body: bytes, bom: bytes
) -> None:
    fake_server.on("POST", CHAT, Reply(bom + body, headers={"content-type": kind}))
    assert model.invoke("Hi").text == "Hello"
    assert "".join(chunk.text for chunk in model.stream("Hi")) == "Hello"


def test_broken_calls_of_a_whole_message_stay_apart(
    fake_server: FakeServer, model: EasyLLMChat
) -> None:
    calls = [{"function": {"name": "a", "arguments": text}} for text in ("Oslo", '{"city": "O')]
    message = {"content": "t", "tool_calls": [*calls, {"id": "c", "function": {"name": None}}]}
    fake_server.on("POST", CHAT, Reply(whole(message)))
    streamed = AIMessageChunk("")
    for chunk in model.stream("Hi"):
        streamed += chunk
    found = model.invoke("Hi").invalid_tool_calls
    assert isinstance(streamed, AIMessageChunk)
    assert [call["args"] for call in found] == ["Oslo", '{"city": "O', ""]
    assert [call["args"] for call in streamed.invalid_tool_calls] == ["Oslo}", '{"city": "O"]', "}"]
