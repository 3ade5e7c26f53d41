"""The OpenAI-style protocols, with all that servers add, leave out or rename."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from langchain_easyllm._protocols.events import Delta, Failure, Usage, finish_reason
from langchain_easyllm._protocols.reader import read_answers
from langchain_easyllm._servers.profile import GenerationApi
from langchain_easyllm.errors import ProtocolError

from ...support.protocol_responses import decoder, dumps, read_one, read_stream

TEXT = '{"a": 1}'
CALL = {"id": "0", "type": "function", "function": {"name": "add", "arguments": TEXT}}
LOGPROBS = {"content": [{"token": "One", "logprob": -0.5, "top_logprobs": []}]}


def chunk(delta: Mapping[str, object] | None = None, **choice: object) -> bytes:
    return dumps({"choices": [{"index": 0, "delta": delta, **choice}]})


def end(**more: object) -> bytes:
    return dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **more})


def deltas(*events: bytes, api: GenerationApi = GenerationApi.CHAT) -> list[Delta]:
    chunks, reader = read_stream(events, decoder(api))
    return [*(item for item in chunks if isinstance(item, Delta)), reader.end]


def whole(message: Mapping[str, object], **choice: object) -> Mapping[str, object]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}]}


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, Usage(3, 2, 5)),
        ({"prompt_tokens": 3, "completion_tokens": 2}, Usage(3, 2, 5)),
        ({"prompt_tokens": 3, "completion_tokens": None, "total_tokens": 5}, Usage(3, 2, 5)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, Usage(0, 0, 0)),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 2,
                "total_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(3, 2, 5, cached_tokens=1, reasoning_tokens=2),
        ),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 2,
                "prompt_tokens_details": None,
                "completion_tokens_details": {"reasoning_tokens": None},
            },
            Usage(3, 2, 5),
        ),
        ({"prompt_tokens": 3}, None),
        ({"completion_tokens": 3}, None),
        ({"prompt_tokens": "3", "completion_tokens": "2"}, None),
        ({}, None),
        (None, None),
        ([3], None),
    ],
)
def test_usage_is_what_the_server_counted(usage: object, read: Usage | None) -> None:
    streams = [
        [end(usage=usage)],
        [end(usage=None), dumps({"choices": [], "usage": usage})],
        [end(), dumps({"usage": usage}), b"[DONE]"],
        [chunk({"content": "a"}), dumps({"choices": [{"finish_reason": "stop", "usage": usage}]})],
    ]
    assert [deltas(*events)[-1].usage for events in streams] == [read] * 4
    body = {**whole({"content": "a"}), "usage": usage}
    assert read_one(GenerationApi.CHAT, body).end.usage == read


def test_the_last_of_running_counts_stands() -> None:
    running = {"prompt_tokens": 3, "completion_tokens": 1}
    first = dumps({"choices": [{"delta": {"content": "a"}}], "usage": running})
    ends = deltas(first, end(usage={"prompt_tokens": 3, "completion_tokens": 2}))
    assert ends[-1].usage == Usage(3, 2, 5)


def test_tool_calls_in_a_list_and_bare() -> None:
    found = deltas(chunk({"tool_calls": [CALL]}), chunk({"tool_calls": CALL}), end())
    assert [[call.arguments for call in delta.calls] for delta in found] == [[TEXT], [TEXT], []]
    answer = read_one(GenerationApi.CHAT, whole({"content": None, "tool_calls": [CALL, None]}))
    assert (answer.text, [call.arguments for call in answer.end.calls]) == ("", [TEXT])


@pytest.mark.parametrize("calls", [None, [], {}, "", 0])
def test_no_tool_calls(calls: object) -> None:
    chunks, _ = read_stream(
        [chunk({"content": "a", "tool_calls": calls}), end()], decoder(GenerationApi.CHAT)
    )
    assert [item if isinstance(item, str) else item.calls for item in chunks] == ["a"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("One", "One"),
        (None, ""),
        ("", ""),
        ([{"type": "text", "text": "On"}, {"type": "text", "text": "e"}], "One"),
        ([{"type": "image_url", "image_url": {}}, "stray", None], "stray"),
        (3, "3"),
        (0.005, "0.005"),
        (True, "true"),
        ({"text": "One"}, "One"),
        ({"city": "Köln"}, '{"city":"Köln"}'),
    ],
)
def test_content_is_text_or_a_list_of_parts(content: object, text: str) -> None:
    assert read_one(GenerationApi.CHAT, whole({"content": content})).text == text
    for before in ([], [chunk({"role": "assistant"})]):
        chunks, _ = read_stream(
            [*before, chunk({"content": content}), end()], decoder(GenerationApi.CHAT)
        )
        assert "".join(item for item in chunks if isinstance(item, str)) == text


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_under_both_names(name: str) -> None:
    events = [chunk({name: "Hm"}), chunk({name: "."}), chunk({"content": "</think>Yes"}), end()]
    chunks, reader = read_stream(events, decoder(GenerationApi.CHAT))
    assert [p if isinstance(p, str) else (p.reasoning, p.reasoning_field) for p in chunks] == [
        ("Hm", name),
        (".", None),
        "</think>Yes",
    ]
    assert reader.reasoned
    other = {"reasoning": "reasoning_content", "reasoning_content": "reasoning"}[name]
    answer = read_one(GenerationApi.CHAT, whole({"content": "Yes", name: "Hm.", other: None}))
    assert (answer.text, answer.reasoning, answer.end.reasoning_field) == ("Yes", "Hm.", name)


@pytest.mark.parametrize(
    ("message", "reasoning", "refusal"),
    [
        ({"content": "Yes", "reasoning_content": 7}, "7", ""),
        ({"content": "Yes", "reasoning_content": {"text": "Hm."}}, "Hm.", ""),
        ({"content": "Yes", "reasoning": {"content": "Hm."}}, "Hm.", ""),
        ({"content": "Yes", "reasoning": [{"text": "H"}, {"text": "m."}]}, "Hm.", ""),
        ({"content": "Yes", "reasoning": {"effort": "high"}}, "", ""),
        ({"content": "Yes", "reasoning": True}, "", ""),
        (
            {"content": [{"type": "text", "text": "Yes"}, {"type": "refusal", "refusal": "No."}]},
            "",
            "No.",
        ),
    ],
)
def test_reasoning_and_refusals_in_other_shapes(
    message: dict[str, object], reasoning: str, refusal: str
) -> None:
    answer = read_one(GenerationApi.CHAT, whole(message))
    assert (answer.text, answer.reasoning, answer.refusal) == ("Yes", reasoning, refusal)
    chunks, _ = read_stream([chunk(message), end()], decoder(GenerationApi.CHAT))
    parts = [item for item in chunks if not isinstance(item, str)]
    assert "".join(part.reasoning for part in parts) == reasoning
    assert "".join(part.refusal for part in parts) == refusal


@pytest.mark.parametrize("reasoning_model", [False, True])
def test_text_before_reasoning_keeps_its_place(reasoning_model: bool) -> None:
    events = [chunk({"content": "\n"}), chunk({"reasoning": "Hm"}), chunk({"content": "Yes"})]
    chunks, _ = read_stream(
        [*events, end()], decoder(GenerationApi.CHAT), reasoning_model=reasoning_model
    )
    assert "".join(item for item in chunks if isinstance(item, str)) == "\nYes"


def test_logprobs_of_chat() -> None:
    found = deltas(chunk({"content": "One"}, logprobs=LOGPROBS), chunk({}, logprobs=None), end())
    assert [delta.logprobs for delta in found] == [LOGPROBS, None]
    answer = read_one(GenerationApi.CHAT, whole({"content": "One"}, logprobs=LOGPROBS))
    assert answer.logprobs == LOGPROBS


@pytest.mark.parametrize("empty", [None, {}, {"content": None}, {"content": []}, "", []])
def test_no_logprobs(empty: object) -> None:
    assert read_one(GenerationApi.CHAT, whole({"content": "One"}, logprobs=empty)).logprobs is None
    body = {"choices": [{"text": "One", "logprobs": empty}]}
    assert read_one(GenerationApi.COMPLETIONS, body).logprobs is None


@pytest.mark.parametrize(
    ("tops", "read"),
    [
        (
            [{"a": -0.5, "b": -1.0}],
            [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1}],
        ),
        ([None], []),
        (None, []),
    ],
)
def test_logprobs_of_completions_are_reported_as_those_of_chat(tops: object, read: object) -> None:
    logprobs = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": tops, "text_offset": [0]}
    reported = {"content": [{"token": "a", "logprob": -0.5, "top_logprobs": read}]}
    choice = {"text": "a", "logprobs": logprobs, "finish_reason": "stop"}
    assert read_one(GenerationApi.COMPLETIONS, {"choices": [choice]}).logprobs == reported
    found = deltas(dumps({"choices": [choice]}), api=GenerationApi.COMPLETIONS)
    assert found[0].logprobs == reported


def test_a_first_logprob_may_be_unknown() -> None:
    logprobs = {"tokens": ["a", "b"], "token_logprobs": [None, -0.5]}
    answer = read_one(
        GenerationApi.COMPLETIONS, {"choices": [{"text": "ab", "logprobs": logprobs}]}
    )
    assert answer.logprobs is not None
    content = answer.logprobs["content"]
    assert isinstance(content, list)
    assert [token["logprob"] for token in content] == [None, -0.5]


def test_only_the_first_of_several_answers_is_streamed() -> None:
    counts = {"prompt_tokens": 1, "completion_tokens": 4}
    events = [
        chunk({"content": "One"}),
        chunk({"content": "Other"}, index=1),
        chunk({"content": "!"}),
        end(),
        dumps({"choices": [{"index": 1, "finish_reason": "length"}], "usage": counts}),
    ]
    chunks, reader = read_stream(events, decoder(GenerationApi.CHAT))
    assert chunks == ["One", "!"]
    assert (reader.end.finish_reason, reader.end.usage) == ("stop", Usage(1, 4, 5))


def test_every_answer_of_a_whole_one_is_read() -> None:
    body = {
        "model": "tiny",
        "choices": [
            {"index": 0, "message": {"content": "One END"}, "finish_reason": "length"},
            {"index": 1, "message": {"content": "Two"}, "finish_reason": "length"},
        ],
    }
    answers = read_answers(decoder(GenerationApi.CHAT), dumps(body), (" END",))
    assert not isinstance(answers, Failure)
    assert [(one.text, one.end.finish_reason) for one in answers] == [
        ("One", "stop"),
        ("Two", "length"),
    ]


def test_stray_keys_are_no_matter() -> None:
    delta = {"role": "assistant", "content": "One", "tool_calls": None, "refusal": None}
    stray = {"text": "other", "seed": 3, "logprobs": None, "stop_reason": None}
    events = [chunk(delta, **stray), chunk(delta, **stray), chunk(None), dumps({"choices": []})]
    events += [dumps({"id": "ping"}), end(x_groq={"id": "a"})]
    assert read_stream(events, decoder(GenerationApi.CHAT))[0] == ["One", "One"]


def test_keys_may_be_absent_and_null() -> None:
    bare = [{"choices": [{}]}, {"choices": [{"delta": None}]}, {"choices": None}, {}]
    bare += [{"choices": [{"delta": {"content": None}}]}, {"choices": [{"text": None}]}]
    for api in (GenerationApi.CHAT, GenerationApi.COMPLETIONS):
        assert read_stream([*map(dumps, bare), end()], decoder(api))[0] == []
    assert read_one(GenerationApi.CHAT, {"choices": [{"message": {"content": None}}]}).text == ""
    assert read_one(GenerationApi.COMPLETIONS, {"choices": [{"text": None}]}).text == ""


@pytest.mark.parametrize("choice", [{}, {"message": None}, {"delta": "text"}, {"text": "other"}])
def test_a_whole_answer_without_a_message_is_no_chat(choice: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match="this protocol does not have"):
        read_one(GenerationApi.CHAT, {"choices": [choice]})


def test_a_whole_answer_without_text_is_no_completion() -> None:
    with pytest.raises(ProtocolError, match="this protocol does not have"):
        read_one(GenerationApi.COMPLETIONS, {"choices": [{"message": {"content": "other"}}]})


def test_facts_of_the_answer_are_gathered() -> None:
    first = dumps({"model": "tiny", "system_fingerprint": "f", "choices": [{"delta": {}}]})
    last = deltas(first, end(service_tier="default", model=""))[-1]
    assert last.model == "tiny"
    assert last.extra == {"system_fingerprint": "f", "service_tier": "default"}


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("eos_token", "stop"),
        ("stop_sequence", "stop"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("", None),
        (None, None),
        (3, None),
    ],
)
def test_finish_reasons(word: object, reason: str | None) -> None:
    assert finish_reason(word) == reason


@pytest.mark.parametrize("api", [GenerationApi.CHAT, GenerationApi.COMPLETIONS])
@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": None}, {"message": "Hi"}])
def test_an_answer_without_choices_is_a_protocol_error(api: GenerationApi, body: object) -> None:
    with pytest.raises(ProtocolError, match="no choices"):
        read_answers(decoder(api), dumps(body), ())


@pytest.mark.parametrize("api", [GenerationApi.CHAT, GenerationApi.COMPLETIONS])
def test_errors_of_status_200(api: GenerationApi) -> None:
    for body in ({"object": "error", "message": "No"}, {"error": "No", "choices": [{}]}):
        data = dumps(body)
        assert read_answers(decoder(api), data, ()) == Failure(data)
    old = dumps({"object": "error", "message": "No"})
    assert read_stream([old], decoder(api))[1].failure == Failure(old)


def test_what_only_a_strict_parser_refuses_is_read() -> None:
    halves = [
        b'{"choices": [{"delta": {"content": "a"}}]}',
        b'{"choices": [{"delta": {"content": "b\\ud83d"}}]}',
        b'{"choices": [{"delta": {"content": "c"}, "logprobs": null, "x": NaN}]}',
        b'{"choices": [{"delta": {"content": "\xff"}}]}',
        end(),
    ]
    assert read_stream(halves, decoder(GenerationApi.CHAT))[0] == ["a", "b\ufffd", "c", "\ufffd"]
    whole = b'\xef\xbb\xbf{"choices": [{"message": {"content": "\\ud83d\\ude00"}}]}'
    answers = read_answers(decoder(GenerationApi.CHAT), whole, ())
    assert [answer.text for answer in answers] == ["\N{GRINNING FACE}"]
