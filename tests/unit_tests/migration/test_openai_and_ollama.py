"""ChatOpenAI's and ChatOllama's names, in constructors and calls."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from langchain_easyllm import (
    EasyLLM,
    EasyLLMChat,
    EasyLLMCrossEncoder,
    EasyLLMEmbeddings,
    EasyLLMRerank,
    EasyLLMSparseEmbeddings,
)
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.fake_embedding_servers import serve_tei
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, answer, body_of

ALL = (
    *(EasyLLMChat, EasyLLM, EasyLLMEmbeddings, EasyLLMRerank),
    *(EasyLLMCrossEncoder, EasyLLMSparseEmbeddings),
)
CLASS = pytest.mark.parametrize("cls", CLASSES)
EVERY = each_case("cls", ALL)
URL = "http://localhost:9"


@EVERY
def test_openais_names_of_the_connection(cls: Any) -> None:
    made = cls(
        openai_api_base=URL,
        openai_api_key="sk-text",
        request_timeout=7,
        max_retries=None,
        extra_body={"a": 1},
    )
    assert (made.base_url, made.timeout, made.max_retries) == (URL, 7, 2)
    assert made.api_key.get_secret_value() == "sk-text"
    assert made.model_kwargs == {"a": 1}
    secret = cls(openai_api_base=URL, openai_api_key=SecretStr("sk-text")).api_key
    assert secret.get_secret_value() == "sk-text"
    assert "sk-text" not in repr(made)


def test_embeddings_send_an_extra_body(fake_server: FakeServer) -> None:
    serve_tei(fake_server)
    EasyLLMEmbeddings(openai_api_base=fake_server.url, extra_body={"task": "x"}).embed_query("Hi")
    assert body_of(fake_server)["task"] == "x"


@CLASS
@pytest.mark.parametrize("name", ["max_completion_tokens", "num_predict"])
def test_names_of_max_tokens(fake_server: FakeServer, cls: Any, mode: str, name: str) -> None:
    serve(fake_server, "vllm")
    answer(mode, cls(base_url=fake_server.url, **{name: 9}))
    assert body_of(fake_server)["max_tokens"] == 9
    answer(mode, cls(base_url=fake_server.url, max_tokens=3), **{name: 8})
    assert body_of(fake_server)["max_tokens"] == 8
    answer(mode, cls(base_url=fake_server.url).bind(**{name: 7}))
    assert body_of(fake_server)["max_tokens"] == 7
    assert name not in body_of(fake_server)


@CLASS
def test_a_key_of_openais_newest_models_is_sent_as_it_is(fake_server: FakeServer, cls: Any) -> None:
    serve(fake_server, "vllm")
    cls(base_url=fake_server.url, model_kwargs={"max_completion_tokens": 9}).invoke("Hi")
    assert body_of(fake_server)["max_completion_tokens"] == 9
    assert "max_tokens" not in body_of(fake_server)


@CLASS
def test_repeat_penalty(fake_server: FakeServer, cls: Any, mode: str) -> None:
    serve(fake_server, "vllm")
    answer(mode, cls(base_url=fake_server.url, repeat_penalty=1.1))
    assert body_of(fake_server)["repetition_penalty"] == 1.1
    answer(mode, cls(base_url=fake_server.url), repeat_penalty=1.2)
    assert body_of(fake_server)["repetition_penalty"] == 1.2


@CLASS
@pytest.mark.parametrize("special", [-1, -2])
def test_what_no_number_of_tokens_means(cls: Any, special: int) -> None:
    words = rf"num_predict={special} .*leave it out"
    with pytest.raises(ConfigurationError, match=words):
        cls(base_url=URL, num_predict=special)
    with pytest.raises(ConfigurationError, match=words):
        cls(base_url=URL).invoke("Hi", num_predict=special)
    with pytest.raises(ConfigurationError, match="max_tokens"):
        cls(base_url=URL, num_predict=0)


@EVERY
@each_case(
    ("name", "value", "where"),
    [
        ("num_ctx", 8192, "OLLAMA_CONTEXT_LENGTH"),
        ("keep_alive", "10m", "OLLAMA_KEEP_ALIVE"),
        ("keep_alive", 0, "OLLAMA_KEEP_ALIVE"),
        ("num_gpu", 1, "Modelfile"),
        ("num_thread", 8, "Modelfile"),
    ],
)
def test_what_is_set_at_the_ollama_server(cls: Any, name: str, value: object, where: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name} is a setting of the .*{where}"):
        cls(base_url=URL, **{name: value})
    if cls in CLASSES:
        with pytest.raises(ConfigurationError, match=rf"{name} is a setting of the .*{where}"):
            cls(base_url=URL).invoke("Hi", **{name: value})
    assert cls(base_url=URL, **{name: None}).base_url == URL


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("format", "kind"), [("json", "json_object"), (SCHEMA, "json_schema"), ("", None), (None, None)]
)
def test_ollamas_format(fake_server: FakeServer, mode: str, format: object, kind: object) -> None:
    serve(fake_server, "ollama")
    answer(mode, EasyLLMChat(base_url=fake_server.url, format=format))
    assert body_of(fake_server).get("response_format", {}).get("type") == kind
    answer(mode, EasyLLMChat(base_url=fake_server.url), format=format)
    assert body_of(fake_server).get("response_format", {}).get("type") == kind


@CLASS
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"format": "yaml"}, "format must be 'json' or a JSON schema"),
        ({"format": 3}, "format must be"),
        ({"format": "json", "response_format": SCHEMA}, "given twice, as format and as response_f"),
        ({"max_completion_tokens": 3, "max_tokens": 4}, "given twice"),
        ({"num_predict": 3, "max_completion_tokens": 4}, "given twice"),
        ({"extra_body": {"a": 1}, "model_kwargs": {"a": 2}}, "given twice"),
        ({"request_timeout": 3, "timeout": 4}, "given twice"),
    ],
)
def test_two_names_that_disagree(cls: Any, given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        cls(base_url=URL, **given)
    with pytest.raises(ConfigurationError, match=words):
        cls(base_url=URL).invoke("Hi", **given)


@CLASS
def test_two_names_that_agree(fake_server: FakeServer, cls: Any, mode: str) -> None:
    serve(fake_server, "vllm")
    body = {"extra_body": {"a": 1}, "model_kwargs": {"a": 1}, "num_predict": 4, "max_tokens": 4}
    answer(mode, cls(base_url=fake_server.url, **body))
    assert (body_of(fake_server)["a"], body_of(fake_server)["max_tokens"]) == (1, 4)
    answer(mode, cls(base_url=fake_server.url), **body)
    assert (body_of(fake_server)["a"], body_of(fake_server)["max_tokens"]) == (1, 4)


@CLASS
def test_an_extra_body_is_merged(fake_server: FakeServer, cls: Any, mode: str) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url, extra_body={"min_p": 0.1, "top_k": 5})
    assert model.top_k == 5  # a field, as in model_kwargs
    answer(mode, model)
    assert (body_of(fake_server)["min_p"], body_of(fake_server)["top_k"]) == (0.1, 5)
    answer(mode, model.bind(extra_body={"min_p": 0.2, "x": 1}))
    assert (body_of(fake_server)["min_p"], body_of(fake_server)["x"]) == (0.2, 1)
    answer(mode, model, extra_body=None)
    assert body_of(fake_server)["min_p"] == 0.1


TIMEOUTS: list[tuple[object, float | None]] = [
    (9, 9),
    (9.5, 9.5),
    (None, None),
    ((1, 9), 9),  # (connect, read)
    ((1, None), None),
    ((1, 9, 3, 4), 9),
    (httpx.Timeout(9), 9),
    (httpx.Timeout(None), None),
    (httpx.Timeout(60, read=9, connect=2), 9),
    (httpx.Timeout(9, read=None), None),
    (SimpleNamespace(total=9, connect=1, sock_read=5, sock_connect=None), 9),  # aiohttp's
    (SimpleNamespace(total=None, connect=1, sock_read=5, sock_connect=None), 5),
    (SimpleNamespace(total=None, connect=1, sock_read=None, sock_connect=None), None),
]


@EVERY
@each_case("name", ["timeout", "request_timeout"])
@each_case(("timeout", "seconds"), TIMEOUTS)
def test_timeouts_of_other_clients(
    cls: Any, name: str, timeout: object, seconds: float | None
) -> None:
    made = cls(base_url=URL, **{name: timeout})
    assert made.timeout == seconds
    assert made.timeout is None or isinstance(made.timeout, float)


def test_a_timeout_of_httpx2() -> None:
    httpx2 = pytest.importorskip("httpx2")
    assert EasyLLMChat(base_url=URL, timeout=httpx2.Timeout(60, read=9)).timeout == 9


@CLASS
@each_case(("timeout", "seconds"), TIMEOUTS)
def test_timeouts_of_a_call(cls: Any, timeout: object, seconds: float | None) -> None:
    model = cls(base_url=URL, timeout=3)
    for name in ("timeout", "request_timeout"):
        policy = model._build_request("Hi", None, {name: timeout}).policy
        assert policy.timeout == seconds


@EVERY
@each_case("bad", [(), (1,), (1, 2, 3, 4, 5), (1, "x"), (1, -1), httpx.Timeout(0), {}])
def test_what_is_no_timeout(cls: Any, bad: object) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        cls(base_url=URL, timeout=bad)
    if cls in CLASSES:
        with pytest.raises(ConfigurationError, match="timeout"):
            cls(base_url=URL).invoke("Hi", request_timeout=bad)


@CLASS
def test_no_number_of_retries_is_the_objects(fake_server: FakeServer, cls: Any) -> None:
    model = cls(base_url=fake_server.url, max_retries=1)
    assert model._build_request("Hi", None, {"max_retries": None}).policy.max_retries == 1
    assert cls(base_url=fake_server.url, max_retries=None).max_retries == 2


@EVERY
def test_who_pays_is_a_field(cls: Any) -> None:
    assert cls(base_url=URL).bill_to is None
    assert cls(base_url=URL, bill_to="my-org").bill_to == "my-org"
    assert cls(base_url=URL, server_kwargs={"bill_to": "my-org"}).bill_to == "my-org"
    for bad in ("a\nb: c", "한", "", 5):
        with pytest.raises(ConfigurationError, match="bill_to"):
            cls(base_url=URL, bill_to=bad)


@EVERY
def test_who_pays_reaches_the_transport(cls: Any) -> None:
    model = cls(model="org/name", bill_to="my-org", base_url=None)
    other = cls(model="org/name", bill_to="other-org")
    one, two = (made._connect().session for made in (model, other))
    assert one is not two  # objects that differ in who pays do not share
    assert one is cls(model="org/name", bill_to="my-org")._connect().session


@CLASS
def test_who_pays_changes_with_the_field_and_goes_nowhere_else(
    fake_server: FakeServer, cls: Any, mode: str
) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url, bill_to="my-org")
    answer(mode, model)
    assert all("x-hf-bill-to" not in request.headers for request in fake_server.requests)
    first = model._connect()
    model.bill_to = "other-org"
    assert model._connect() is not first
