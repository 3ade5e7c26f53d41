"""TGI's own protocol on the offline server."""

from __future__ import annotations

import re

import pytest
from langchain_core.callbacks import get_usage_metadata_callback

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.offline import OfflineServer

from ...support.invocation_modes import MODES, answer
from ...support.offline_client import (
    ANSWER,
    PROMPT,
    QUESTION,
    USER,
    ask,
    data,
    events,
    generate,
    send,
)

NAME = "langchain-easyllm/offline"


def test_an_answer(offline_server: OfflineServer) -> None:
    assert generate(offline_server) == {"generated_text": ANSWER}


def test_the_details_of_an_answer(offline_server: OfflineServer) -> None:
    details = generate(offline_server, details=True)["details"]
    tokens = details.pop("tokens")
    assert details == {
        "finish_reason": "eos_token",
        "generated_tokens": len(tokens),
        "seed": None,
        "prefill": [],
        "best_of_sequences": None,
    }
    assert "".join(token["text"] for token in tokens[:-1]) == ANSWER
    assert tokens[-1]["text"] == "</s>"
    assert [token["special"] for token in tokens] == [False] * (len(tokens) - 1) + [True]
    assert all(token["logprob"] <= 0 for token in tokens)


@pytest.mark.parametrize(
    ("path", "more"), [("/generate_stream", {}), ("/", {"stream": True})], ids=["own", "root"]
)
def test_a_stream_has_an_event_for_each_token(
    offline_server: OfflineServer, path: str, more: dict[str, object]
) -> None:
    whole = generate(offline_server, details=True)["details"]
    body = {"inputs": PROMPT, "parameters": {"details": True}, **more}
    found = events(offline_server, path, body)
    assert [event["index"] for event in found] == [*range(1, len(found) + 1)]
    assert [event["token"]["text"] for event in found] == [t["text"] for t in whole["tokens"]]
    assert [event["generated_text"] for event in found] == [None] * (len(found) - 1) + [ANSWER]
    tokens = ask(offline_server, "/tokenize", {"inputs": PROMPT})
    assert found[-1]["details"] == {
        "finish_reason": "eos_token",
        "generated_tokens": len(found),
        "input_length": len(tokens),
        "seed": None,
    }


def test_a_stream_of_its_own_protocol_has_no_end_mark(offline_server: OfflineServer) -> None:
    assert "[DONE]" not in data(offline_server, "/generate_stream", {"inputs": PROMPT})


def test_the_root_route_answers_a_list_of_one(offline_server: OfflineServer) -> None:
    assert ask(offline_server, "/", {"inputs": PROMPT}) == [{"generated_text": ANSWER}]


def test_a_stop_sequence_split_over_tokens_ends_the_answer(offline_server: OfflineServer) -> None:
    tokens = generate(offline_server, details=True)["details"]["tokens"]
    assert not any("is P" in token["text"] for token in tokens)
    answer = generate(offline_server, stop=["nowhere", "is P"], details=True)
    assert answer["generated_text"] == "The capital of France is P"
    assert answer["details"]["finish_reason"] == "stop_sequence"


def test_the_length_of_an_answer(offline_server: OfflineServer) -> None:
    answer = generate(offline_server, max_new_tokens=2, details=True)
    assert answer["details"]["finish_reason"] == "length"
    assert answer["details"]["generated_tokens"] == 2


def test_an_answer_ends_with_the_context(offline_server: OfflineServer) -> None:
    """Clients ask for 1,024 new tokens by default, which would not fit."""
    inputs = "word " * 300
    answer = generate(
        offline_server,
        inputs,
        max_new_tokens=1024,
        details=True,
        grammar={"type": "regex", "value": "[a-z ]+x{2000}"},
    )
    count = len(ask(offline_server, "/tokenize", {"inputs": inputs}))
    assert answer["details"]["finish_reason"] == "length"
    assert answer["details"]["generated_tokens"] + count == 1024


def test_a_seed_draws_the_same_again(offline_server: OfflineServer) -> None:
    settings = {"temperature": 50.0, "max_new_tokens": 8, "details": True}
    first, second = (generate(offline_server, seed=7, **settings) for _ in range(2))
    assert first == second
    assert first["details"]["seed"] == 7
    drawn = generate(offline_server, **settings)
    assert drawn["generated_text"] != first["generated_text"]
    again = generate(offline_server, seed=drawn["details"]["seed"], **settings)
    assert again == drawn


@pytest.mark.parametrize("greedy", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-3}])
def test_the_filters_filter(offline_server: OfflineServer, greedy: dict[str, object]) -> None:
    settings = {"do_sample": True, "temperature": 50.0, **greedy}
    assert generate(offline_server, **settings)["generated_text"] == ANSWER


def test_a_repetition_penalty_counts(offline_server: OfflineServer) -> None:
    answer = generate(offline_server, repetition_penalty=50.0, max_new_tokens=12)
    assert answer["generated_text"] != ANSWER


def test_the_likeliest_tokens_of_each_position(offline_server: OfflineServer) -> None:
    details = generate(offline_server, details=True, top_n_tokens=3)["details"]
    assert [len(top) for top in details["top_tokens"]] == [3] * details["generated_tokens"]
    best = [top[0]["text"] for top in details["top_tokens"]]
    assert best == [token["text"] for token in details["tokens"]]
    streamed = events(
        offline_server, "/generate_stream", {"inputs": PROMPT, "parameters": {"top_n_tokens": 3}}
    )
    assert [event["top_tokens"] for event in streamed] == details["top_tokens"]


def test_the_prompts_own_logprobs(offline_server: OfflineServer) -> None:
    prefill = generate(offline_server, decoder_input_details=True)["details"]["prefill"]
    tokens = ask(offline_server, "/tokenize", {"inputs": PROMPT})
    assert [token["id"] for token in prefill] == [token["id"] for token in tokens]
    assert prefill[0]["logprob"] is None
    assert all(token["logprob"] < 0 for token in prefill[1:])


def test_the_best_of_two(offline_server: OfflineServer) -> None:
    settings = {"temperature": 5.0, "max_new_tokens": 8, "details": True}
    details = generate(offline_server, best_of=2, **settings)["details"]
    (other,) = details["best_of_sequences"]
    assert details["seed"] != other["seed"]
    best, second = (
        sum(token["logprob"] for token in each["tokens"]) / each["generated_tokens"]
        for each in (details, other)
    )
    assert best >= second


def test_the_full_text(offline_server: OfflineServer) -> None:
    answer = generate(offline_server, return_full_text=True)
    assert answer["generated_text"] == PROMPT + ANSWER
    body = {"inputs": PROMPT, "parameters": {"return_full_text": True}}
    assert events(offline_server, "/generate_stream", body)[-1]["generated_text"] == PROMPT + ANSWER


def test_truncate_keeps_the_end_of_a_prompt(offline_server: OfflineServer) -> None:
    length = len(ask(offline_server, "/tokenize", {"inputs": PROMPT}))
    inputs = "Some words that are too many. " * 200 + PROMPT
    answer = generate(offline_server, inputs, truncate=length - 1, details=True)
    assert answer["generated_text"] == ANSWER
    body = {"inputs": inputs, "parameters": {"truncate": length - 1, "details": True}}
    last = events(offline_server, "/generate_stream", body)[-1]
    assert last["details"]["input_length"] == length - 1


@pytest.mark.parametrize(
    ("grammar", "pattern"),
    [
        ({"type": "regex", "value": "[a-z]{3}-[0-9]{2}"}, r"[a-z]{3}-[0-9]{2}"),
        (
            {"type": "json", "value": {"properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}},
            r'\{"n": [12]\}',
        ),
        (
            {"type": "json", "value": '{"properties": {"n": {"const": 3}}, "required": ["n"]}'},
            r'\{"n": 3\}',
        ),
        (
            {
                "type": "json_schema",
                "value": {
                    "name": "answer",
                    "schema": {"properties": {"b": {"type": "boolean"}}, "required": ["b"]},
                },
            },
            r'\{"b": (true|false)\}',
        ),
    ],
    ids=["regex", "json", "json in a string", "json_schema"],
)
def test_a_grammar_holds(
    offline_server: OfflineServer, grammar: dict[str, object], pattern: str
) -> None:
    assert re.fullmatch(pattern, generate(offline_server, grammar=grammar)["generated_text"])


def test_tokens_of_a_text(offline_server: OfflineServer) -> None:
    tokens = ask(offline_server, "/tokenize", {"inputs": "Größe 12", "add_special_tokens": False})
    assert all("Größe 12"[t["start"] : t["stop"]] == t["text"] for t in tokens)
    with_bos = ask(offline_server, "/tokenize", {"inputs": "Größe 12"})
    assert with_bos[1:] == tokens


def test_headers_tell_of_tokens_and_times(offline_server: OfflineServer) -> None:
    body = {"inputs": PROMPT, "parameters": {"details": True}}
    chat = {"messages": USER}
    routes = {"/generate": body, "/": body, "/v1/completions": {"prompt": PROMPT}}
    for path, asked in {**routes, "/v1/chat/completions": chat}.items():
        headers = send(offline_server, path, asked).headers
        assert (headers["x-prompt-tokens"], headers["x-generated-tokens"]) == ("17", "14")
        total, inference = (int(headers[f"x-{name}-time"]) for name in ("total", "inference"))
        assert total >= inference >= int(headers["x-time-per-token"]) >= 0
        assert headers["x-compute-type"] == "1-cpu"


@pytest.mark.parametrize("text", ["Hi", "🙂 ᚠ!", "<s>a</s>"])
def test_headers_count_the_characters_of_the_prompt(
    offline_server: OfflineServer, text: str
) -> None:
    for parameters in ({"max_new_tokens": 1}, {"max_new_tokens": 1, "truncate": 2}):
        body = {"inputs": text, "parameters": parameters}
        headers = send(offline_server, "/generate", body).headers
        assert headers["x-compute-characters"] == f"{len(text)}"


@pytest.mark.parametrize("mode", MODES)
def test_langchains_callback_counts_the_same_on_every_route(
    offline_server: OfflineServer, mode: str
) -> None:
    counts = []
    for api in ("generate", "completions", "chat"):
        given = {} if api == "chat" else {"prompt_builder": "zephyr"}
        model = EasyLLMChat(base_url=offline_server.base_url, api=api, model=NAME, **given)
        with get_usage_metadata_callback() as callback:
            answer(mode, model, QUESTION)
        counts.append(callback.usage_metadata)
    wanted = {"input_tokens": 17, "output_tokens": 14, "total_tokens": 31}
    assert counts == [{NAME: wanted}] * 3
