"""The offline server that speaks as llama.cpp's server does, by plain HTTP and by this package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial, reduce
from operator import add
from typing import Any

import httpx
import pytest
from jinja2 import Template
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings, errors
from langchain_easyllm.offline import OfflineServer, offline_server

from ...support.offline_client import ANSWER, MULTIPLY, PROMPT, QUESTION, USER, ask, generated, send
from ...support.wire_shapes import data_of

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
TIMES = [{"role": "user", "content": "What is 12 times 34?"}]


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@pytest.fixture(scope="module")
def llama_cpp() -> Iterator[OfflineServer]:
    with offline_server(like="llama.cpp") as server:
        yield server


def get(server: OfflineServer, path: str) -> Any:
    return httpx.get(server.base_url + path, verify=False).json()


def refusal(server: OfflineServer, path: str, body: object, status: int = 400) -> Any:
    response = send(server, path, body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == status
    return error


def test_this_package_recognises_it(llama_cpp: OfflineServer) -> None:
    chat = EasyLLMChat(base_url=llama_cpp.base_url)
    message = chat.invoke(QUESTION)
    assert message.text == ANSWER
    server = chat._connect().session.server
    assert server is not None
    assert server.profile.name == "llama.cpp"
    assert message.response_metadata["timings"]["predicted_n"] == 14
    counted = message.usage_metadata
    assert counted is not None
    assert chat.get_num_tokens_from_messages([HumanMessage(QUESTION)]) == counted["input_tokens"]
    assert [request.path for request in llama_cpp.requests[-2:]] == ["/apply-template", "/tokenize"]


def test_it_drops_tools_in_silence_and_says_so_in_its_properties(llama_cpp: OfflineServer) -> None:
    tools = {"messages": TIMES, "tools": [MULTIPLY], "tool_choice": "required"}
    assert (
        ask(llama_cpp, CHAT, tools)["choices"]
        == ask(llama_cpp, CHAT, {"messages": TIMES})["choices"]
    )
    props = get(llama_cpp, "/props")
    assert props["chat_template_caps"]["supports_tools"] is False
    own = Template(props["chat_template"]).render(messages=TIMES, add_generation_prompt=True)
    assert ask(llama_cpp, "/apply-template", {"messages": TIMES}) == {"prompt": own}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("choice", [None, "any"])
def test_this_package_describes_them_in_the_prompt(
    llama_cpp: OfflineServer, choice: str | None, streamed: bool
) -> None:
    chat = EasyLLMChat(base_url=llama_cpp.base_url).bind_tools([MULTIPLY], tool_choice=choice)
    said = reduce(add, chat.stream(TIMES)) if streamed else chat.invoke(TIMES)
    [call] = said.tool_calls
    assert call["name"] == "multiply"
    assert call["args"].keys() == {"a", "b"}
    body: Any = llama_cpp.requests[-1].json
    assert "tools" not in body


def test_stop_sequences_without_number(llama_cpp: OfflineServer) -> None:
    stops = ["<1>", "<2>", "<3>", "<4>", "<5>", "Paris"]
    choice = ask(llama_cpp, CHAT, {"messages": USER, "stop": stops})["choices"][0]
    assert choice["message"]["content"] == "The capital of France is "
    assert choice["finish_reason"] == "stop"


def test_constraints(llama_cpp: OfflineServer) -> None:
    schema = Person.model_json_schema()
    person = "<|user|>\nAnn is 30 years old.</s>\n<|assistant|>\n"
    text = ask(llama_cpp, TEXT, {"prompt": person, "max_tokens": 60, "json_schema": schema})
    assert json.loads(text["choices"][0]["text"]).keys() == {"name", "age"}
    grammar = {"prompt": PROMPT, "grammar": 'root ::= "ab" | "cd"'}
    assert ask(llama_cpp, TEXT, grammar)["choices"][0]["text"] in ("ab", "cd")
    chat = EasyLLMChat(base_url=llama_cpp.base_url)
    for method in ("json_schema", "function_calling"):
        found = chat.with_structured_output(Person, method=method).invoke("Ann is 30 years old.")
        assert found == Person(name="Ann", age=30)
    ignored = {"prompt": PROMPT, "response_format": {"type": "json_object"}}
    assert ask(llama_cpp, TEXT, ignored)["choices"][0]["text"] == ANSWER


def test_log_probabilities_have_chats_form_on_both_routes(llama_cpp: OfflineServer) -> None:
    body = {"messages": USER, "prompt": PROMPT, "max_tokens": 3}
    asked = {**body, "logprobs": True, "top_logprobs": 2}
    chat = ask(llama_cpp, CHAT, asked)["choices"][0]["logprobs"]
    text = ask(llama_cpp, TEXT, {**body, "logprobs": 2})["choices"][0]["logprobs"]
    assert chat == text
    assert all(len(token["top_logprobs"]) == 2 for token in chat["content"])
    llm = EasyLLM(base_url=llama_cpp.base_url, prompt_builder="zephyr", logprobs=True)
    info = llm.generate([QUESTION]).generations[0][0].generation_info
    assert info is not None
    assert "".join(token["token"] for token in info["logprobs"]["content"]) == ANSWER


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (CHAT, {}, 400, "'messages' is required"),
        (CHAT, {"messages": USER, "n": 2}, 400, "Field 'n': Value must be between 1"),
        (CHAT, {"messages": USER, "max_tokens": "x"}, 400, "must be number, but is string"),
        (CHAT, {"messages": USER, "response_format": {"type": "odd"}}, 400, "but got: odd"),
        (TEXT, {"prompt": "a", "grammar": "root ::= oops"}, 400, "failed to parse grammar"),
        (TEXT, {"prompt": "a", "grammar": "x", "json_schema": {}}, 500, "Cannot use both"),
        (TEXT, {"prompt": "word " * 3000}, 400, "exceeds the available context size (1024 tokens)"),
        ("/v1/embeddings", {"input": "a"}, 501, "does not support embeddings"),
        ("/nowhere", {}, 404, "File Not Found"),
    ],
)
def test_its_errors(
    llama_cpp: OfflineServer, path: str, body: object, status: int, words: str
) -> None:
    assert words in refusal(llama_cpp, path, body, status)["message"]


def test_this_package_reads_its_errors(llama_cpp: OfflineServer) -> None:
    with pytest.raises(errors.ContextOverflowError):
        EasyLLMChat(base_url=llama_cpp.base_url).invoke("word " * 3000)
    with pytest.raises(errors.EasyLLMError, match="does not support embeddings"):
        EasyLLMEmbeddings(base_url=llama_cpp.base_url, max_retries=0).embed_query("Hi")


def test_what_it_tells_of_itself(llama_cpp: OfflineServer) -> None:
    assert get(llama_cpp, "/health") == {"status": "ok"}
    slots = get(llama_cpp, "/slots")
    assert [slot["is_processing"] for slot in slots] == [False] * 4
    assert get(llama_cpp, "/props")["default_generation_settings"]["n_ctx"] == slots[0]["n_ctx"]
    assert httpx.get(llama_cpp.base_url + "/health", verify=False).headers["server"] == "llama.cpp"
    bare = ask(llama_cpp, "/tokenize", {"content": "Hi there"})["tokens"]
    whole = ask(llama_cpp, "/tokenize", {"content": "Hi there", "add_special": True})["tokens"]
    pieces = ask(llama_cpp, "/tokenize", {"content": "Hi there", "with_pieces": True})["tokens"]
    assert bare == whole[1:] == [piece["id"] for piece in pieces]
    assert ask(llama_cpp, "/detokenize", {"tokens": bare}) == {"content": "Hi there"}


def test_an_answer_is_continued(llama_cpp: OfflineServer) -> None:
    begun = [*USER, {"role": "assistant", "content": "The capital of"}]
    said = ask(llama_cpp, CHAT, {"messages": begun})["choices"][0]["message"]["content"]
    assert said == ANSWER  # with what it began with
    told = {"continue_final_message": True, "add_generation_prompt": False}
    rest = ANSWER.removeprefix("The capital of")
    for keys, expected in (
        ({}, ANSWER),
        ({"add_generation_prompt": False}, ANSWER),
        (told, rest),
        ({**told, "continue_final_message": "content"}, rest),
    ):
        body = {"messages": begun, **keys}
        assert ask(llama_cpp, CHAT, body)["choices"][0]["message"]["content"] == ANSWER
        chunks = data_of(send(llama_cpp, CHAT, {**body, "stream": True}))[1:-1]
        deltas = [json.loads(chunk)["choices"][0]["delta"] for chunk in chunks]
        assert "".join(delta.get("content", "") for delta in deltas) == expected
    twice = [*begun, {"role": "assistant", "content": "x"}]
    assert ask(llama_cpp, CHAT, {"messages": twice, **told})
    call = {"id": "a", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    for body, message in (
        ({"messages": twice}, "2 or more assistant"),
        ({"messages": begun, "continue_final_message": True}, "Cannot set both"),
        ({"messages": begun, "response_format": {"type": "json_object"}}, "initialize samplers"),
        (
            {"messages": [*USER, {"role": "assistant", "content": "", "tool_calls": [call]}]},
            "calls",
        ),
    ):
        assert message in refusal(llama_cpp, CHAT, body)["message"]


def test_a_busy_slot_and_a_failure_in_mid_answer() -> None:
    with offline_server(like="llama.cpp", error_after=2) as server:
        assert refusal(server, CHAT, {"messages": USER}, 500)["type"] == "server_error"
        *_, failure = data_of(send(server, CHAT, {"messages": USER, "stream": True}))
        assert json.loads(failure)["error"]["code"] == 500
        server.faults.clear()
        server.faults.stall_after = 2
        body = {"messages": USER, "stream": True}
        with httpx.stream("POST", server.base_url + CHAT, json=body, verify=False):
            assert [slot["is_processing"] for slot in get(server, "/slots")] == [True] + 3 * [False]


@pytest.mark.parametrize("path", [CHAT, TEXT])
def test_length_and_biases_act(llama_cpp: OfflineServer, path: str) -> None:
    text_with = partial(generated, llama_cpp, path)
    plain, _, count = text_with()
    assert "Paris" in plain
    assert count < 25
    assert text_with(ignore_eos=True)[1:] == ("length", 30)
    assert text_with(min_tokens=25) == text_with()  # a key that llama-server does not know
    ids = ask(llama_cpp, "/tokenize", {"content": "Paris"})["tokens"]
    ids += ask(llama_cpp, "/tokenize", {"content": " Paris"})["tokens"]
    by_id = {str(token): -100 for token in ids}
    pairs = [[" Paris", False], ["Paris", -50.5], ["x"], [-1, 2], [{}, 1], [3, "x"], [10**9, 1]]
    for biases in (by_id, pairs, dict.fromkeys((" Paris", "Paris"), False)):
        assert "Paris" not in text_with(logit_bias=biases)[0]
    assert text_with(logit_bias="nonsense")[0] == plain
    hot: dict[str, Any] = {"temperature": 2.0, "seed": 2}
    assert text_with(**hot)[0] != plain
    assert text_with(**hot, min_p=1.0)[0] == plain


def test_what_its_sampler_lacks_is_refused(llama_cpp: OfflineServer) -> None:
    for name in ("mirostat", "dry_multiplier", "samplers"):
        error = refusal(llama_cpp, CHAT, {"messages": USER, name: 2})
        assert f"has no `{name}`" in error["message"]
    idle = {"mirostat": 0, "dry_multiplier": 0.0, "samplers": [], "top_n_sigma": -1.0}
    found = ask(llama_cpp, CHAT, {"messages": USER, **idle})
    assert found["choices"][0]["message"]["content"] == ANSWER


HOT: dict[str, object] = {"temperature": 3.0, "seed": 3}


@pytest.mark.parametrize("path", [CHAT, TEXT])
@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"temperature": -1}, {"temperature": 0}),
        ({**HOT, "top_p": -1}, {"temperature": 0}),
        ({**HOT, "min_p": 5}, {"temperature": 0}),
        ({**HOT, "top_p": 5, "typical_p": 2, "min_p": -1}, HOT),
        ({**HOT, "top_k": 0.5}, HOT),
        ({**HOT, "top_k": 1.9}, {"temperature": 0}),
        ({"stop": 5}, {}),
        ({"stop": {"a": 1}}, {}),
        ({"max_tokens": 2.9}, {"max_tokens": 2}),
        ({"max_tokens": 0}, {"max_tokens": 1}),
        ({"max_tokens": None, "n_predict": 2}, {"max_tokens": 2}),
        ({"max_completion_tokens": 2}, {"max_tokens": 2}),
        ({"max_completion_tokens": 4, "n_predict": 2}, {"max_tokens": 2}),
    ],
)
def test_numbers_beyond_their_bounds_are_taken(
    llama_cpp: OfflineServer, path: str, fields: dict[str, object], same: dict[str, object]
) -> None:
    asked = {"max_tokens": 9, **fields}
    assert generated(llama_cpp, path, **asked) == generated(
        llama_cpp, path, **{"max_tokens": 9, **same}
    )


@pytest.mark.parametrize("path", [CHAT, TEXT])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"stop": ["a", 1]}, "Field 'stop': [json.exception.type_error.302] type must be string"),
        ({"logprobs": "x"}, "Field 'logprobs': [json.exception.type_error.302] type must be numbe"),
        ({"n_probs": [1]}, "type must be number, but is array"),
        ({"repeat_penalty": -1}, "penalty_repeat must be finite and greater than 0"),
        ({"messages": [1], "prompt": 5}, "must"),
        ({"messages": [{"role": "user"}], "prompt": None}, "must"),
        ({"messages": "x", "prompt": [None]}, "be a"),
    ],
)
def test_what_has_another_type_is_refused(
    llama_cpp: OfflineServer, path: str, fields: dict[str, object], words: str
) -> None:
    body = {"messages": USER, "prompt": PROMPT, "max_tokens": 2, **fields}
    assert words in refusal(llama_cpp, path, body)["message"]


def shown(server: OfflineServer, path: str, **fields: object) -> int | None:
    """The alternatives of the first token; None without log probabilities."""
    body = {"messages": USER, "prompt": PROMPT, "max_tokens": 1, **fields}
    found = ask(server, path, body)["choices"][0].get("logprobs")
    return len(found["content"][0]["top_logprobs"]) if found else None


def test_the_number_of_alternatives(llama_cpp: OfflineServer) -> None:
    fields: dict[str, object]
    for fields, chat, text in (
        ({"logprobs": True}, 20, 1),
        ({"logprobs": True, "top_logprobs": None}, 20, 1),
        ({"logprobs": True, "top_logprobs": 2.7}, 2, 1),
        ({"logprobs": True, "top_logprobs": 0}, None, 1),
        ({"logprobs": True, "top_logprobs": -1}, None, 1),
        ({"logprobs": 3}, 3, 3),
        ({"logprobs": -1}, None, None),
        ({"logprobs": False, "n_probs": 2}, 2, 2),
        ({"logprobs": 2, "n_probs": 3}, 3, 3),
    ):
        assert (shown(llama_cpp, CHAT, **fields), shown(llama_cpp, TEXT, **fields)) == (chat, text)
    message = refusal(llama_cpp, CHAT, {"messages": USER, "top_logprobs": 2})["message"]
    assert message == "top_logprobs requires logprobs to be set to true"


def test_an_answer_that_ends_with_its_last_token_is_whole(llama_cpp: OfflineServer) -> None:
    for path in (CHAT, TEXT):
        text, reason, count = generated(llama_cpp, path)
        assert reason == "stop"
        assert generated(llama_cpp, path, max_tokens=count) == (text, "stop", count)
        assert generated(llama_cpp, path, max_tokens=count - 1)[1] == "length"


def test_tokens_are_spelled_out(llama_cpp: OfflineServer) -> None:
    body = {"content": "<|user|>\U00010330a", "with_pieces": True}
    first, *bytewise, last = ask(llama_cpp, "/tokenize", body)["tokens"]
    assert (first["piece"], last["piece"]) == ("<|user|>", "a")
    assert b"".join(bytes(one["piece"]) for one in bytewise) == "\U00010330".encode()
    ids = [one["id"] for one in (first, *bytewise, last)]
    assert ask(llama_cpp, "/detokenize", {"tokens": ids}) == {"content": body["content"]}
    assert ask(llama_cpp, "/detokenize", {}) == {"content": ""}
    for wrong in ([10**9], [-1], ["a"], 5):
        assert refusal(llama_cpp, "/detokenize", {"tokens": wrong}, 500)
