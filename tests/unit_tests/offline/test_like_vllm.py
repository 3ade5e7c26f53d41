"""The offline server that speaks as vLLM does, by plain HTTP and by this package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial, reduce
from operator import add
from typing import Any

import httpx
import pytest
from langchain_core.messages import HumanMessage

from langchain_easyllm import EasyLLM, EasyLLMChat, errors
from langchain_easyllm.offline import OfflineServer, offline_server

from ...support.invocation_modes import MODES, answer, text_of
from ...support.offline_client import ANSWER, MULTIPLY, PROMPT, QUESTION, USER, ask, generated, send
from ...support.wire_shapes import data_of

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
FIVE = ["<1>", "<2>", "<3>", "<4>", "Paris"]


@pytest.fixture(scope="module")
def vllm() -> Iterator[OfflineServer]:
    with offline_server(like="vllm") as server:
        yield server


def refusal(server: OfflineServer, path: str, body: object, status: int = 400) -> Any:
    response = send(server, path, body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == status
    return error


def test_this_package_recognises_it(vllm: OfflineServer) -> None:
    chat = EasyLLMChat(base_url=vllm.base_url)
    message = chat.invoke(QUESTION)
    assert (message.text, message.response_metadata["model_name"]) == (
        ANSWER,
        "langchain-easyllm/offline",
    )
    server = chat._connect().session.server
    assert server is not None
    assert (server.profile.name, server.max_total_tokens) == ("vllm", 2048)
    counted = message.usage_metadata
    assert counted is not None
    assert chat.get_num_tokens_from_messages([HumanMessage(QUESTION)]) == counted["input_tokens"]
    assert vllm.requests[-1].path == "/tokenize"


@pytest.mark.parametrize("path", [CHAT, TEXT])
def test_it_takes_four_stop_sequences(vllm: OfflineServer, path: str) -> None:
    body = {"messages": USER, "prompt": PROMPT, "max_tokens": 30}
    choice = ask(vllm, path, {**body, "stop": FIVE[1:]})["choices"][0]
    text = choice["message"]["content"] if path == CHAT else choice["text"]
    assert (text, choice["finish_reason"]) == ("The capital of France is ", "stop")
    assert choice["stop_reason"] == "Paris"
    error = refusal(vllm, path, {**body, "stop": FIVE})
    assert (error["type"], error["param"]) == ("Bad Request", "body.stop")
    assert "List should have at most 4 items after validation, not 5" in error["message"]


@pytest.mark.parametrize("mode", MODES)
def test_five_stop_sequences_of_a_caller_act(vllm: OfflineServer, mode: str) -> None:
    for model in (
        EasyLLMChat(base_url=vllm.base_url),
        EasyLLM(base_url=vllm.base_url, prompt_builder="zephyr"),
    ):
        assert text_of(answer(mode, model, QUESTION, stop=FIVE)) == "The capital of France is "


def test_a_completion_without_a_limit_ends_after_sixteen_tokens(vllm: OfflineServer) -> None:
    endless = {"prompt": PROMPT, "structured_outputs": {"regex": "[a-z]{50}"}}
    found = ask(vllm, TEXT, endless)
    assert found["usage"]["completion_tokens"] == 16
    assert found["choices"][0]["finish_reason"] == "length"
    llm = EasyLLM(base_url=vllm.base_url, prompt_builder="zephyr")
    result = llm.generate([QUESTION], grammar={"type": "regex", "value": "[a-z]{50}"})
    assert len(result.generations[0][0].text) == 50


CODE = {"type": "string", "enum": ["zx-81"]}
SPELL = {
    "type": "function",
    "function": {
        "name": "open_door",
        "description": "Open the door.",
        "parameters": {
            "type": "object",
            "properties": {"code": CODE},
            "required": ["code"],
        },
    },
}


@pytest.mark.parametrize("choice", ["required", {"function": {"name": "open_door"}}])
def test_a_forced_call_is_held_to_its_schema_only_if_strict(
    vllm: OfflineServer, choice: object
) -> None:
    strict = {**SPELL, "function": {**SPELL["function"], "strict": True}}  # type: ignore[dict-item]
    found = []
    for tool in (SPELL, strict):
        body = {"messages": USER, "tools": [tool], "tool_choice": choice, "max_tokens": 60}
        message = ask(vllm, CHAT, body)["choices"][0]["message"]
        [call] = message.get("tool_calls") or [{"function": {"arguments": "null"}}]
        found.append(json.loads(call["function"]["arguments"]))
    assert found[0] != {"code": "zx-81"}
    assert found[1] == {"code": "zx-81"}


@pytest.mark.parametrize("streamed", [False, True])
def test_this_package_forces_usable_calls(vllm: OfflineServer, streamed: bool) -> None:
    chat = EasyLLMChat(base_url=vllm.base_url)
    bound = chat.bind_tools([SPELL], tool_choice="any")
    said = reduce(add, bound.stream("Hi")) if streamed else bound.invoke("Hi")
    assert [(call["name"], call["args"]) for call in said.tool_calls] == [
        ("open_door", {"code": "zx-81"})
    ]
    free = chat.bind_tools([MULTIPLY])
    times = "What is 12 times 34?"
    said = reduce(add, free.stream(times)) if streamed else free.invoke(times)
    assert [call["args"] for call in said.tool_calls] == [{"a": 12, "b": 34}]


def test_constraints(vllm: OfflineServer) -> None:
    def said(**fields: object) -> str:
        text = ask(vllm, CHAT, {"messages": USER, "max_tokens": 40, **fields})["choices"][0]
        return str(text["message"]["content"])

    schema = {"type": "object", "properties": {"code": CODE}, "required": ["code"]}
    wrapped = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert json.loads(said(response_format=wrapped)) == {"code": "zx-81"}
    assert said(structured_outputs={"choice": ["a.b", "c"]}) in ("a.b", "c")
    assert said(structured_outputs={"grammar": 'root ::= "ab" | "cd"'}) in ("ab", "cd")
    assert said(guided_choice=["a.b", "c"], anything=1) == ANSWER  # keys that it does not know
    llm = EasyLLMChat(base_url=vllm.base_url)
    assert llm.invoke("Hi", grammar={"type": "regex", "value": "[0-9]{3}"}).text.isdecimal()


def test_several_answers_and_their_log_probabilities(vllm: OfflineServer) -> None:
    body = {"prompt": [PROMPT, "a"], "n": 2, "max_tokens": 2, "logprobs": 1, "echo": True}
    found = ask(vllm, TEXT, {**body, "temperature": 1.0})
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2, 3]
    assert [choice["text"].startswith("a") for choice in found["choices"]] == [False] * 2 + [
        True
    ] * 2
    first = found["choices"][0]["logprobs"]
    assert first["text_offset"][0] == len(PROMPT)
    assert len(first["tokens"]) == len(first["token_logprobs"]) == len(first["top_logprobs"])
    chat = EasyLLMChat(base_url=vllm.base_url)
    [answers] = chat.generate([[HumanMessage(QUESTION)]], n=2, temperature=0.5).generations
    assert len(answers) == 2


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"temperature": -1}, "temperature", "must be non-negative, got -1.0"),
        ({"n": 2, "temperature": 0}, None, "n must be 1 when using greedy sampling, got 2"),
        ({"max_tokens": "x"}, "body.max_tokens", "unable to parse string as an integer"),
        ({"max_tokens": 5000}, "max_tokens", "cannot be greater than max_model_len=2048"),
        ({"messages": None}, "body.messages", "Field required"),
        ({"tools": []}, "tools", "must not be an empty array"),
        ({"tool_choice": "required"}, "tool_choice", "`tools` must be set"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "when `stream=True`"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "must be provided"),
        ({"top_logprobs": 2}, "top_logprobs", "`logprobs` must be set to true"),
    ],
)
def test_what_it_refuses(
    vllm: OfflineServer, fields: dict[str, object], param: str | None, words: str
) -> None:
    error = refusal(vllm, CHAT, {"messages": USER, **fields})
    assert error["param"] == param
    assert words in error["message"]


def test_other_errors_of_its_own(vllm: OfflineServer) -> None:
    assert refusal(vllm, CHAT, {"messages": USER, "model": "x"}, 404)["type"] == "NotFoundError"
    missing = httpx.get(vllm.base_url + "/info", verify=False)
    assert (missing.status_code, missing.json()) == (404, {"detail": "Not Found"})
    wrong = httpx.get(vllm.base_url + CHAT, verify=False)
    assert (wrong.status_code, wrong.json()) == (405, {"detail": "Method Not Allowed"})
    plain = httpx.post(vllm.base_url + CHAT, content=b"{bad", verify=False)
    assert plain.status_code == 400
    json_type = {"content-type": "application/json"}
    odd = httpx.post(vllm.base_url + CHAT, content=b"{bad", headers=json_type, verify=False)
    assert "JSON decode error" in odd.json()["error"]["message"]
    for model in (EasyLLM(base_url=vllm.base_url), EasyLLMChat(base_url=vllm.base_url)):
        with pytest.raises(errors.ContextOverflowError):
            model.invoke("word " * 3000)


def test_what_it_tells_of_itself(vllm: OfflineServer) -> None:
    def get(path: str) -> httpx.Response:
        return httpx.get(vllm.base_url + path, verify=False)

    assert get("/version").json() == {"version": "0.32.0"}
    assert get("/health").content == b""
    assert "vllm:num_requests_running{" in get("/metrics").text
    ids = ask(vllm, "/tokenize", {"prompt": "Hi there", "return_token_strs": True})
    assert ids["count"] == len(ids["tokens"]) == len(ids["token_strs"])
    bare = ask(vllm, "/tokenize", {"prompt": "Hi there", "add_special_tokens": False})
    assert bare["tokens"] == ids["tokens"][1:]
    assert ask(vllm, "/detokenize", {"tokens": bare["tokens"]}) == {"prompt": "Hi there"}


def test_an_answer_is_continued(vllm: OfflineServer) -> None:
    begun = [*USER, {"role": "assistant", "content": "The capital of"}]
    body = {"messages": begun, "continue_final_message": True, "add_generation_prompt": False}
    assert ask(vllm, CHAT, body)["choices"][0]["message"]["content"] == " France is Paris."


@pytest.mark.parametrize("path", [CHAT, TEXT])
def test_a_failure_in_mid_answer(path: str) -> None:
    with offline_server(like="vllm", error_after=2) as server:
        body = {"messages": USER, "prompt": PROMPT}
        assert refusal(server, path, body, 500)["type"] == "InternalServerError"
        *_, failure, done = data_of(send(server, path, {**body, "stream": True}))
        assert json.loads(failure)["error"]["code"] == 500
        assert done == "[DONE]"
        with pytest.raises(errors.EasyLLMError):
            list(EasyLLMChat(base_url=server.base_url, max_retries=0).stream("Hi"))


def _tokens(server: OfflineServer, text: str) -> list[int]:
    body = {"prompt": text, "add_special_tokens": False}
    found: list[int] = ask(server, "/tokenize", body)["tokens"]
    return found


@pytest.mark.parametrize("path", [CHAT, TEXT])
def test_length_and_biases_act(vllm: OfflineServer, path: str) -> None:
    text_with = partial(generated, vllm, path)
    plain, _, count = text_with()
    assert "Paris" in plain
    assert count < 25
    assert text_with(ignore_eos=True)[1:] == ("length", 30)
    longer = text_with(min_tokens=25)
    assert longer[2] >= 25
    assert longer[0] != plain
    banned = {str(token): -100 for token in _tokens(vllm, " Paris") + _tokens(vllm, "Paris")}
    assert "Paris" not in text_with(logit_bias=banned)[0]
    hot: dict[str, Any] = {"temperature": 2.0, "seed": 2}
    assert text_with(**hot)[0] != plain
    assert text_with(**hot, min_p=1.0)[0] == plain


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_p": 1.5}, "min_p must be in"),
        ({"min_tokens": -1}, "min_tokens must be greater"),
        ({"min_tokens": 9, "max_tokens": 5}, "less than or equal to max_tokens=5, got 9"),
        ({"min_tokens": 1.5}, "valid integer"),
        ({"logit_bias": [[1, 2]]}, "valid dictionary"),
        ({"logit_bias": {"1": "x"}}, "valid number"),
        ({"logit_bias": {"é": 1}}, "must be an integer"),
        ({"logit_bias": {"99999999": 1}}, "out-of-vocab"),
        ({"bad_words": ["no"]}, "has no `bad_words`"),
        ({"stop_token_ids": [2]}, "has no `stop_token_ids`"),
        ({"skip_special_tokens": False}, "has no `skip_special_tokens`"),
    ],
)
def test_what_it_cannot_do_is_refused(
    vllm: OfflineServer, fields: dict[str, object], message: str
) -> None:
    for path in (CHAT, TEXT):
        error = refusal(vllm, path, {"messages": USER, "prompt": PROMPT, **fields})
        assert message in error["message"]


def test_keys_that_say_nothing_are_taken(vllm: OfflineServer) -> None:
    idle: dict[str, object] = {"bad_words": [], "length_penalty": 1, "skip_special_tokens": True}
    idle |= {"prompt_logprobs": None, "use_beam_search": False, "logit_bias": {}, "min_tokens": 0}
    found = ask(vllm, CHAT, {"messages": USER, **idle, "unknown": 1})
    assert found["choices"][0]["message"]["content"] == ANSWER


def test_the_fields_of_this_package_act(vllm: OfflineServer) -> None:
    chat = EasyLLMChat(base_url=vllm.base_url, max_tokens=30)
    banned = dict.fromkeys(chat.get_token_ids(" Paris"), -100)
    assert "Paris" in chat.invoke(QUESTION).text
    assert "Paris" not in chat.invoke(QUESTION, logit_bias=banned).text
    counted = chat.invoke(QUESTION, min_tokens=20).usage_metadata
    assert counted is not None
    assert counted["output_tokens"] >= 20
    message = chat.invoke(QUESTION, ignore_eos=True)
    assert message.response_metadata["finish_reason"] == "length"


def test_the_answers_of_a_seed_are_the_same_again(vllm: OfflineServer) -> None:
    for path in (CHAT, TEXT):
        body = {"messages": USER, "prompt": PROMPT, "max_tokens": 6, "temperature": 3.0, "seed": 7}
        once, again = (ask(vllm, path, {**body, "n": 3})["choices"] for _ in range(2))
        assert once == again
        [first] = ask(vllm, path, body)["choices"]
        assert first == once[0]
        texts = [one["message"]["content"] if "message" in one else one["text"] for one in once]
        assert len(set(texts)) == 3


def test_an_answer_that_ends_with_its_last_token_is_whole(vllm: OfflineServer) -> None:
    for path in (CHAT, TEXT):
        text, reason, count = generated(vllm, path)
        assert reason == "stop"
        assert generated(vllm, path, max_tokens=count) == (text, "stop", count)


def test_no_stop_sequence_ends_within_min_tokens(vllm: OfflineServer) -> None:
    """Only one that ends behind them, as if the answer began there."""
    for path in (CHAT, TEXT):
        plain, _, count = generated(vllm, path)
        first = plain[0]
        assert generated(vllm, path, stop=[first])[0] == ""
        longer = generated(vllm, path, stop=[first], min_tokens=count - 1)
        assert longer[0].startswith(plain)
        assert longer[2] >= count - 1
        forced = {"stop": [first], "ignore_eos": True}
        assert generated(vllm, path, **forced)[:2] == ("", "stop")


@pytest.mark.parametrize("path", [CHAT, TEXT])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ('"temperature": Infinity', "temperature must be a finite number, got inf."),
        ('"temperature": 1%s' % ("0" * 400), "temperature must be a finite number"),
        ('"repetition_penalty": NaN', "repetition_penalty must be a finite number, got nan."),
        ('"structured_outputs": {"json": "{x"}', "Invalid grammar specification"),
        ('"structured_outputs": {"choice": 5}', "valid list of strings"),
        ('"structured_outputs": {"choice": [5]}', "valid list of strings"),
        ('"tools": 5, "prompt": 5', "Input should be a valid"),
        ('"tools": [1], "prompt": [1]', "Input should be a valid"),
        ('"logprobs": true, "top_logprobs": -2', "must be a positive value or -1."),
        ('"logprobs": true, "top_logprobs": -1', "greater than max allowed: 20"),
    ],
)
def test_numbers_and_types_without_sense_are_refused(
    vllm: OfflineServer, path: str, fields: str, words: str
) -> None:
    if path == TEXT:
        fields = fields.replace('"logprobs": true, "top_logprobs"', '"logprobs"')
    asked = json.dumps({"messages": USER, "prompt": PROMPT, "max_tokens": 2})
    found = httpx.post(
        vllm.base_url + path,
        content=f"{asked[:-1]}, {fields}}}",
        headers={"content-type": "application/json"},
        verify=False,
    )
    assert found.status_code == 400, found.text
    assert words in found.json()["error"]["message"]


def test_special_tokens_are_spelled_out(vllm: OfflineServer) -> None:
    ids = ask(vllm, "/tokenize", {"prompt": "<|user|>Hi"})["tokens"]
    assert ask(vllm, "/detokenize", {"tokens": [*ids, 10**9]}) == {"prompt": "<s><|user|>Hi"}
