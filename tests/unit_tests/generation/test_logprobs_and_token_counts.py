"""Log probabilities in one format, whatever the server's, and token counts by the model's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError, EasyLLMError

from ...support.fake_server import FakeServer, Received, Reply, sse
from ...support.fake_text_servers import (
    chat,
    chat_events,
    completions,
    completions_events,
    serve,
    tgi_generate,
    tgi_generate_events,
)
from ...support.invocation_modes import CLASSES, answer, body_of
from ...support.text_servers import TEXT_SERVERS

TOP = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -2.5}]


def content_of(message: Any) -> list[dict[str, Any]]:
    return message.response_metadata["logprobs"]["content"]


def chats_form(*tokens: str, **more: Any) -> dict[str, object]:
    each = {"logprob": -0.1, "top_logprobs": TOP, **more}
    return {"content": [{"token": token, **each} for token in tokens]}


def completions_form(*tokens: str, **more: Any) -> dict[str, object]:
    top = {one["token"]: one["logprob"] for one in TOP}
    count = len(tokens)
    lists = {"token_logprobs": [-0.1] * count, "top_logprobs": [top] * count}
    return {"tokens": list(tokens), **lists, **{key: [x] * count for key, x in more.items()}}


def serve_chat(server: FakeServer, name: str, logprobs: Callable[..., object]) -> None:
    serve(server, name)

    def reply(request: Received) -> Reply:
        if not body_of(server).get("stream"):
            whole: Any = chat("ab", server_name=name).body
            whole["choices"][0]["logprobs"] = logprobs("a", "b")
            return Reply(whole)
        events: Any = chat_events(["a", "b"], name)
        for event, token in zip(events[1:3], "ab", strict=True):
            event["choices"][0]["logprobs"] = logprobs(token)
        return sse(*events)

    server.on("POST", "/v1/chat/completions", reply)


def serve_completions(server: FakeServer, name: str, logprobs: Callable[..., object]) -> None:
    serve(server, name)

    def reply(request: Received) -> Reply:
        if not body_of(server).get("stream"):
            whole: Any = completions("ab", server_name=name).body
            whole["choices"][0]["logprobs"] = logprobs("a", "b")
            return Reply(whole)
        events: Any = completions_events(["a", "b"], name)
        for event, token in zip(events, "ab", strict=False):
            event["choices"][0]["logprobs"] = logprobs(token)
        return sse(*events)

    server.on("POST", "/v1/completions", reply)


def in_chat(server: FakeServer) -> None:
    serve_chat(server, "vllm", partial(chats_form, bytes=None))


def in_completions(server: FakeServer) -> None:
    serve_completions(server, "vllm", partial(completions_form, text_offset=0))


def in_completions_as_in_chat(server: FakeServer) -> None:
    """llama-server's completions, which have the form of its chat."""
    serve_completions(server, "llamacpp", partial(chats_form, id=1, bytes=[97]))


def in_chat_as_in_completions(server: FakeServer) -> None:
    """An older llama-cpp-python's chat, which has the form of its completions."""
    serve_chat(server, "llama-cpp-python", completions_form)


def in_generate(server: FakeServer) -> None:
    serve(server, "tgi")
    tops = [{"id": 1, "text": one["token"], "logprob": one["logprob"]} for one in TOP]

    def whole(request: Received) -> Reply:
        reply: Any = tgi_generate("ab", tokens="ab", details=True).body
        reply["details"]["tokens"] = [
            {"id": 1, "text": t, "logprob": -0.1, "special": False} for t in "ab"
        ]
        reply["details"]["top_tokens"] = [tops, tops]
        return Reply(reply)

    def streamed(request: Received) -> Reply:
        events: Any = tgi_generate_events(["a", "b"])
        for event in events:
            event["top_tokens"] = tops
            event["token"]["logprob"] = -0.1
        return sse(*events, done=False)

    server.on("POST", "/generate", whole)
    server.on("POST", "/generate_stream", streamed)


CHATS = (in_chat, in_chat_as_in_completions)
TEXTS = (in_completions, in_completions_as_in_chat, in_generate)


@pytest.mark.parametrize("protocol", [*CHATS, *TEXTS])
def test_log_probabilities_have_one_format(
    fake_server: FakeServer, protocol: Any, mode: str
) -> None:
    protocol(fake_server)
    builder = None if protocol in CHATS else "zephyr"
    model = EasyLLMChat(
        base_url=fake_server.url, prompt_builder=builder, logprobs=True, top_logprobs=2
    )
    message = answer(mode, model)
    assert message.text == "ab"
    found = content_of(message)
    assert [one["token"] for one in found] == ["a", "b"]
    assert [one["logprob"] for one in found] == [-0.1, -0.1]
    assert [
        [{"token": top["token"], "logprob": top["logprob"]} for top in one["top_logprobs"]]
        for one in found
    ] == [TOP, TOP]


@pytest.mark.parametrize("protocol", TEXTS)
def test_an_llm_tells_them_in_its_generation_info(fake_server: FakeServer, protocol: Any) -> None:
    protocol(fake_server)
    model = EasyLLM(base_url=fake_server.url, logprobs=True, top_logprobs=2)
    info = model.generate(["Hi"]).generations[0][0].generation_info
    assert [one["token"] for one in info["logprobs"]["content"]] == ["a", "b"]
    chunks = list(model._stream("Hi"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert [one["token"] for one in whole.generation_info["logprobs"]["content"]] == ["a", "b"]


def test_there_are_no_log_probabilities_unless_asked_for(
    fake_server: FakeServer, mode: str
) -> None:
    in_generate(fake_server)  # TGI sends them always
    message = answer(mode, EasyLLMChat(base_url=fake_server.url, prompt_builder="zephyr"))
    assert "logprobs" not in message.response_metadata


TOKENIZERS = {name: row.tokenize for name, row in TEXT_SERVERS.items() if row.tokenize}


@pytest.mark.parametrize("server_name", TOKENIZERS)
@pytest.mark.parametrize("cls", CLASSES)
def test_the_server_counts_tokens(fake_server: FakeServer, cls: type, server_name: str) -> None:
    path, field, reply = TOKENIZERS[server_name]
    serve(fake_server, server_name)
    fake_server.on("POST", path, Reply(reply))
    model = cls(base_url=fake_server.url)
    assert model.get_num_tokens("Hi there") == 2
    assert model.get_token_ids("Hi there") == [5, 6]
    assert body_of(fake_server)[field] == "Hi there"
    assert model.get_num_tokens_from_messages([HumanMessage("Hi")]) > 0


@pytest.mark.parametrize("server_name", ["transformers", "openai", "ollama", "tgi", "sglang"])
def test_without_a_route_a_local_file_counts(
    fake_server: FakeServer, server_name: str, tmp_path: Path
) -> None:
    serve(fake_server, server_name)  # these TGI and SGLang are old ones without the route
    vocabulary = {"Hi": 0, "there": 1, "[UNK]": 2}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "truncation": None,
        "padding": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    model = EasyLLMChat(base_url=fake_server.url, model=str(tmp_path))
    assert model.get_token_ids("Hi there Bob") == [0, 1, 2]


def test_nothing_is_guessed(fake_server: FakeServer) -> None:
    serve(fake_server, "openai", model="nobody/nothing")
    for cls in CLASSES:
        with pytest.raises(ConfigurationError) as caught:
            cls(base_url=fake_server.url).get_num_tokens("Hi")
        assert "nobody/nothing" in str(caught.value)


@pytest.mark.parametrize(
    "reply", [Reply("no json"), Reply({"tokens": "x"}), Reply({}), Reply([None])]
)
def test_a_broken_count_is_no_python_error(fake_server: FakeServer, reply: Reply) -> None:
    serve(fake_server, "tgi")
    fake_server.on("POST", "/tokenize", reply)
    with pytest.raises(EasyLLMError):
        EasyLLMChat(base_url=fake_server.url).get_num_tokens("Hi")


def test_ones_own_counter_wins(fake_server: FakeServer) -> None:
    serve(fake_server, "tgi")
    model = EasyLLMChat(base_url=fake_server.url, custom_get_token_ids=lambda text: [1] * len(text))
    assert model.get_num_tokens("Hi") == 2
    assert not fake_server.received("/tokenize")
