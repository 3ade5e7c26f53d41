"""What the offline server refuses, in TGI's words and format."""

from __future__ import annotations

import math
from typing import Any

import httpx
import pytest

from langchain_easyllm.offline import OfflineServer

from ...support.offline_client import MULTIPLY, PROMPT, USER, error_of, events, send

LONG = "word " * 700


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"temperature": 0}, "`temperature` must be strictly positive"),
        ({"repetition_penalty": -1.0}, "`repetition_penalty` must be strictly positive"),
        ({"frequency_penalty": 2.1}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        ({"top_p": 1.0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"typical_p": 0}, "`typical_p` must be > 0.0 and < 1.0"),
        ({"top_k": 0}, "`top_k` must be strictly positive"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
        ({"stop": list("abcde")}, "`stop` supports up to 4 stop sequences. Given: 5"),
        ({"truncate": 0}, "`truncate` must be strictly positive and less than 1023. Given: 0"),
        ({"top_n_tokens": 6}, "`top_n_tokens` must be >= 0 and <= 5. Given: 6"),
        ({"best_of": 3}, "`best_of` must be > 0 and <= 2. Given: 3"),
        ({"best_of": 2}, "you must use sampling when `best_of` is > 1"),
        (
            {"best_of": 2, "do_sample": True, "seed": 1},
            "`seed` must not be set when `best_of` > 1",
        ),
        ({"max_new_tokens": 2048}, "`inputs` tokens + `max_new_tokens` must be <= 2048. Given: "),
        ({"grammar": {"type": "json", "value": {}}}, "Grammar must have a 'properties' field"),
        ({"grammar": {"type": "regex", "value": "("}}, "grammar is not valid: "),
        ({"grammar": {}}, "a grammar has a `type` and a `value`"),
        ({"grammar": {"type": "json"}}, "a grammar has a `type` and a `value`"),
        ({"grammar": {"type": "xml", "value": "a"}}, "must be one of json, "),
        ({"watermark": True}, "watermarking is not supported"),
        ({"adapter_id": "mine"}, "there are no adapters"),
        ({"temperature": "hot"}, "`parameters.temperature` must be a number"),
        ({"stop": "."}, "`parameters.stop` must be a list of strings"),
        ({"tempratur": 1}, "unknown field `parameters.tempratur`, did you mean `temperature`?"),
    ],
)
def test_parameters_that_are_refused(
    offline_server: OfflineServer, parameters: dict[str, object], words: str
) -> None:
    body = {"inputs": PROMPT, "parameters": parameters}
    said = error_of(offline_server, "/generate", body)
    assert said.startswith("validation: Input validation error: ")
    assert words in said


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"best_of": 2}, "`best_of` != 1 is not supported when streaming tokens"),
        ({"decoder_input_details": True}, "`decoder_input_details` == true is not supported"),
        ({"top_p": 0}, "`top_p` must be > 0.0 and < 1.0"),
    ],
)
def test_a_stream_carries_its_refusal(
    offline_server: OfflineServer, parameters: dict[str, object], words: str
) -> None:
    """As with TGI, whose streams begin before the request is checked."""
    body = {"inputs": PROMPT, "parameters": parameters}
    (error,) = events(offline_server, "/generate_stream", body)
    assert error["error_type"] == "validation"
    assert words in error["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "missing field `inputs`"),
        ({"inputs": ""}, "`inputs` cannot be empty"),
        ({"inputs": ["a"]}, "`inputs` must be a string"),
        ({"inputs": "a", "stream": True}, "unknown field `stream`"),
        ([], "the body must be an object"),
        ({"inputs": LONG * 2}, "`inputs` must have less than 1023 tokens. Given: "),
        ({"inputs": LONG}, "`inputs` must have less than 1023 tokens. Given: 1402"),
    ],
)
def test_bodies_that_are_refused(offline_server: OfflineServer, body: object, words: str) -> None:
    assert words in error_of(offline_server, "/generate", body)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"messages": []}, "template_error: Template error: There are no messages"),
        ({"messages": [{"role": "clown", "content": "a"}]}, "unknown role 'clown'"),
        ({"messages": [{"role": "user"}]}, "missing field `messages[0].content`"),
        ({"messages": [{"role": "user", "content": 1}]}, "content of type int; text is needed"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "a block of type 'image_url'",
        ),
        ({"temprature": 1}, "unknown field `temprature`, did you mean `temperature`?"),
        ({"presence_penalty": 3}, "`presence_penalty` must be >= -2.0 and <= 2.0"),
        ({"logprobs": True, "top_logprobs": 6}, "`top_n_tokens` must be >= 0 and <= 5"),
        ({"stream_options": {"usage": True}}, "unknown field `stream_options.usage`"),
        ({"tools": [{"type": "retrieval", "function": {"name": "f"}}]}, "must be function"),
        ({"tools": [MULTIPLY], "tool_choice": "divide"}, "Tool with name divide not found"),
        (
            {"tools": [MULTIPLY], "response_format": {"type": "regex", "value": "a"}},
            "tool_error: Tool error: Grammar and tools are mutually exclusive",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "a grammar has a `type` and a `value`",
        ),
        ({"response_format": {"type": "json_object"}}, "a grammar has a `type` and a `value`"),
    ],
)
def test_chats_that_are_refused(
    offline_server: OfflineServer, fields: dict[str, object], words: str
) -> None:
    body = {"messages": USER, **fields}
    assert words in error_of(offline_server, "/v1/chat/completions", body)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": ["a"] * 33}, "maximum allowed batch size of 32"),
        ({"prompt": "a", "suffix": "b"}, "Suffix is not supported"),
        ({"prompt": ["a", 1]}, "`prompt` must be a string or a list of strings"),
        ({"prompt": ["a", ""]}, "`inputs` cannot be empty"),
    ],
)
def test_completions_that_are_refused(
    offline_server: OfflineServer, fields: dict[str, object], words: str
) -> None:
    assert words in error_of(offline_server, "/v1/completions", fields)


def test_unknown_routes_and_methods(offline_server: OfflineServer) -> None:
    said = error_of(offline_server, "/generates", {}, status=404)
    assert said.startswith("not_found: There is no route POST /generates")
    answer = httpx.get(offline_server.base_url + "/generate")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert answer.json()["error"] == "/generate takes POST, not GET"


@pytest.mark.parametrize(
    ("content", "kind", "status", "words"),
    [
        (b"{", "application/json", 400, "Failed to parse the request body as JSON: "),
        (b"", "application/json", 400, "Failed to parse the request body as JSON: "),
        (b'"\xff"', "application/json", 400, "Failed to parse the request body as JSON: "),
        (b"{}", "text/plain", 415, "Expected request with `Content-Type: application/json`"),
        (b"{}", "", 415, "Expected request with `Content-Type: application/json`"),
        (b" " * 2_000_001, "application/json", 413, "length limit exceeded"),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/embed"])
def test_bodies_that_are_no_json(
    offline_server: OfflineServer, path: str, content: bytes, kind: str, status: int, words: str
) -> None:
    """The HTTP library of TGI and TEI answers these, in plain text."""
    headers = {"content-type": kind}
    answer = httpx.post(offline_server.base_url + path, content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")
    assert words in answer.text


def test_a_grammar_that_grows_too_large_fails_in_a_sentence(offline_server: OfflineServer) -> None:
    grammar = {"type": "regex", "value": ".*" * 200}
    body = {"inputs": "a", "parameters": {"grammar": grammar}}
    said = error_of(offline_server, "/generate", body, status=424)
    assert said.startswith("generation: Request failed during generation: ")
    assert len(said) < 200


def test_a_body_that_is_nested_too_deeply(offline_server: OfflineServer) -> None:
    schema: dict[str, Any] = {"properties": {}}
    for _ in range(300):
        schema = {"properties": {"a": schema}}
    body = {"inputs": "a", "parameters": {"grammar": {"type": "json", "value": schema}}}
    assert send(offline_server, "/generate", body).status_code == 422


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": 1e-300},
        {"temperature": 1e300},
        {"top_k": 2**31 - 1, "do_sample": True},
        {"seed": 2**64 - 1, "do_sample": True},
        {"repetition_penalty": 1e-300},
        {"repetition_penalty": 1e300},
        {"repetition_penalty": 5e-324},
        {"repetition_penalty": 1.7e308, "top_n_tokens": 2},
        {"typical_p": 1e-300},
        {"stop": [""]},
    ],
)
def test_odd_parameters_are_answered(
    offline_server: OfflineServer, parameters: dict[str, object]
) -> None:
    body = {"inputs": PROMPT, "parameters": {"max_new_tokens": 4, **parameters, "details": True}}
    answer = send(offline_server, "/generate", body)
    assert answer.status_code == 200
    assert all(math.isfinite(t["logprob"]) for t in answer.json()["details"]["tokens"])
