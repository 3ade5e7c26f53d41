"""This package's classes against the offline server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm import errors as ours
from langchain_easyllm.offline import OfflineServer

from ...support.invocation_modes import MODES, STREAM_MODES, answer, text_of
from ...support.offline_client import ANSWER, PROMPT, QUESTION, ask

CHATS: list[dict[str, Any]] = [
    {},
    {"api": "chat"},
    {"prompt_builder": "zephyr"},
    {"api": "completions", "prompt_builder": "zephyr"},
    {"api": "generate", "prompt_builder": "phi-3"},
    {"api": "generate", "prompt_builder": "llama2"},
]
TEXTS: list[dict[str, Any]] = [
    {},
    {"api": "completions"},
    {"api": "generate"},
    {"api": "chat"},
    {"prompt_builder": "zephyr"},
]


def names(fields: dict[str, Any]) -> str:
    return "-".join(map(str, fields.values())) or "auto"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fields", CHATS, ids=names)
def test_chats_answer_the_same_on_every_api(
    offline_server: OfflineServer, mode: str, fields: dict[str, Any]
) -> None:
    model = EasyLLMChat(base_url=offline_server.base_url, temperature=0, **fields)
    found = answer(mode, model, QUESTION)
    assert found.text.strip() == ANSWER
    assert found.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fields", TEXTS, ids=names)
def test_texts_are_the_same_on_every_api(
    offline_server: OfflineServer, mode: str, fields: dict[str, Any]
) -> None:
    raw = fields.get("api") != "chat" and "prompt_builder" not in fields
    model = EasyLLM(base_url=offline_server.base_url, temperature=0, **fields)
    assert answer(mode, model, PROMPT if raw else QUESTION) == ANSWER


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fields", CHATS[:4], ids=names)
def test_a_stop_sequence_split_over_tokens_is_not_shown(
    offline_server: OfflineServer, mode: str, fields: dict[str, Any]
) -> None:
    model = EasyLLMChat(base_url=offline_server.base_url, temperature=0, **fields)
    found = answer(mode, model, QUESTION, stop=[" is Par"])
    assert found.text == "The capital of France"


def test_more_stop_sequences_than_the_server_takes(offline_server: OfflineServer) -> None:
    model = EasyLLMChat(base_url=offline_server.base_url, temperature=0)
    found = model.invoke(QUESTION, stop=["xa", "xb", "xc", "xd", "xe", " is Par"])
    assert found.text == "The capital of France"


@pytest.mark.parametrize("mode", MODES)
def test_usage(offline_server: OfflineServer, mode: str) -> None:
    model = EasyLLMChat(base_url=offline_server.base_url, temperature=0)
    usage = answer(mode, model, QUESTION).usage_metadata
    assert usage["input_tokens"] == len(ask(offline_server, "/tokenize", {"inputs": PROMPT}))
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert 10 < usage["output_tokens"] < 20


@pytest.mark.parametrize("api", ["chat", "generate"])
@pytest.mark.parametrize("mode", MODES)
def test_logprobs(offline_server: OfflineServer, mode: str, api: str) -> None:
    prompt = {} if api == "chat" else {"prompt_builder": "zephyr"}
    settings = {"logprobs": True, "top_logprobs": 2, "do_sample": False, **prompt}
    model = EasyLLMChat(base_url=offline_server.base_url, api=api, **settings)
    content = answer(mode, model, QUESTION).response_metadata["logprobs"]["content"]
    said = "".join(token["token"] for token in content)
    assert said.removesuffix("</s>") == ANSWER
    assert {len(token["top_logprobs"]) for token in content} <= {1, 2}


@pytest.mark.parametrize("fields", CHATS[1:4], ids=names)
@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_that_is_too_long(
    offline_server: OfflineServer, mode: str, fields: dict[str, Any]
) -> None:
    model = EasyLLMChat(base_url=offline_server.base_url, **fields)
    with pytest.raises(ours.ContextOverflowError):
        answer(mode, model, "word " * 700)


@pytest.mark.parametrize("mode", STREAM_MODES)
def test_every_token_is_a_chunk(offline_server: OfflineServer, mode: str) -> None:
    model = EasyLLM(base_url=offline_server.base_url, temperature=0)
    assert len([*model.stream(PROMPT)]) > 10
    assert text_of(answer(mode, model, PROMPT)) == ANSWER


def test_tokens_are_counted(offline_server: OfflineServer) -> None:
    model = EasyLLM(base_url=offline_server.base_url)
    tokens = ask(offline_server, "/tokenize", {"inputs": ANSWER, "add_special_tokens": False})
    assert model.get_num_tokens(ANSWER) == len(tokens)


def test_an_unknown_field_is_an_error_that_names_it(offline_server: OfflineServer) -> None:
    model = EasyLLMChat(base_url=offline_server.base_url, model_kwargs={"tempratur": 1})
    with pytest.raises(ours.BadRequestError, match="tempratur"):
        model.invoke(QUESTION)


def test_many_conversations_at_once(offline_server: OfflineServer) -> None:
    model = EasyLLMChat(base_url=offline_server.base_url, temperature=0)
    names = {"France": "Paris", "Japan": "Tokyo", "Italy": "Rome", "Spain": "Madrid"}
    asked = [f"What is the capital of {name}?" for name in names] * 4
    found = [each.text for each in asyncio.run(model.abatch(asked))]
    assert found == [f"The capital of {name} is {city}." for name, city in names.items()] * 4
    assert [each.text for each in model.batch(asked)] == found


def test_what_was_sent_can_be_looked_at(offline_server: OfflineServer) -> None:
    EasyLLM(base_url=offline_server.base_url, temperature=0).invoke(PROMPT)
    last = offline_server.requests[-1]
    assert (last.method, last.path) == ("POST", "/generate")
    assert isinstance(last.json, dict)
    assert last.json["inputs"] == PROMPT
