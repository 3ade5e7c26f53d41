"""`base_url` as a list: which lists there may be, and how objects that have one travel."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.load import dumps
from pydantic import SecretStr

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm.errors import ConfigurationError

from ...support.fake_text_servers import serve
from ...support.replicas import posts, several_servers, urls

CLASSES = (EasyLLMChat, EasyLLM, EasyLLMEmbeddings, EasyLLMRerank)
A, B, C = "http://a:8080", "http://b:8080", "http://c:8080"


def roots(model: Any) -> list[str]:
    return [address.root for address in model._addresses()]


@pytest.mark.parametrize("model_class", CLASSES)
def test_every_class_takes_a_list(model_class: Any) -> None:
    model = model_class(base_url=[A, B])
    assert model.base_url == (A, B)
    assert model.balance == "least_busy"
    assert A in repr(model)
    assert roots(model_class(endpoint_url=(A, B))) == [A, B]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([f"{A}/", f"{B}/v1", f"{C}/v1/chat/completions"], [A, B, C]),
        ([A, B, A], [A, B]),
        ([A, f"{A}/v1/", "http://A:8080"], [A]),
        (["localhost:1", " http://b:8080 "], ["http://localhost:1", B]),
        ([f"{A}/generate", f"{B}/generate"], [A, B]),
        ([f"{A}/api/v3", f"{B}/api/v3"], [f"{A}/api/v3", f"{B}/api/v3"]),
        ([f"{A}/one", f"{A}/two"], [f"{A}/one", f"{A}/two"]),
    ],
)
def test_spellings(given: list[str], expected: list[str]) -> None:
    assert roots(EasyLLMChat(base_url=given)) == expected


def test_a_list_of_one_is_that_one() -> None:
    assert EasyLLMChat(base_url=[A]).base_url == A
    assert EasyLLMChat(base_url=[A, f"{A}/v1"]).base_url == A
    assert EasyLLMChat(base_url=["https://router.huggingface.co"], model="m")._address().router


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "empty list"),
        ((), "empty list"),
        ([A, ""], "base_url is empty"),
        ([A, None], "list of URLs"),
        ([A, 8080], "list of URLs"),
        ({A, B}, "list of URLs, not set"),
        (8080, "list of URLs, not int"),
        ([A, "ftp://b"], "no HTTP address"),
        ([A, "https://user:secret-word@b"], "credentials"),
        ([A, "https://router.huggingface.co/v1"], "Inference Providers beside another"),
        ([A, "https://api-inference.huggingface.co/models/x"], "Inference Providers beside"),
        ([f"{A}/api/v3", B], "different paths"),
        ([f"{A}/generate", f"{B}/v1/chat/completions"], "different routes"),
        (f"{A},{B}", "no HTTP address|not a valid"),
    ],
)
def test_lists_that_make_no_sense(given: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as error:
        EasyLLMChat(base_url=given)
    assert "secret-word" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"api": "local", "model": "x"}, "api='local'.*base_url"),
        ({"model": C}, "model is a server's URL"),
        ({"provider": "together", "model": "m"}, "leave one of them out"),
        ({"balance": "random"}, "balance"),
    ],
)
def test_fields_that_do_not_fit(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        EasyLLMChat(base_url=[A, B], **fields)


def test_the_environment_names_one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUGGINGFACE_API_BASE", f"{A},{B}")
    with pytest.raises(ConfigurationError, match="HUGGINGFACE_API_BASE"):
        EasyLLMChat()


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda model: model.model_copy(),
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "dumps": lambda model: EasyLLMChat(
        **{**json.loads(dumps(model))["kwargs"], "api_key": model.api_key}
    ),
}


@pytest.mark.parametrize("way", COPIES)
def test_copies_have_the_same_servers(way: str) -> None:
    with several_servers(2) as servers:
        for server in servers:
            serve(server, "vllm")
        model = EasyLLMChat(base_url=urls(servers), balance="prefix", api_key="the-key-of-all")
        assert model.invoke("Hi").text == "Hello world"
        other = COPIES[way](model)
        assert (other.base_url, other.balance) == (model.base_url, "prefix")
        if way == "pickle":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                other.api_key = SecretStr("the-key-of-all")
        assert other.invoke("Hi").text == "Hello world"
        sent = {r.headers["authorization"] for server in servers for r in posts(server)}
        assert sent == {"Bearer the-key-of-all"}


def test_what_is_assigned_takes_effect() -> None:
    with several_servers(3) as servers:
        for server in servers:
            serve(server, "vllm")
        model = EasyLLMChat(base_url=servers[0].url)
        model.invoke("Hi")
        model.base_url = urls(servers[1:])
        for _ in range(2):
            model.invoke("Hi")
        assert [len(posts(server)) for server in servers] == [1, 1, 1]
        model.base_url = servers[0].url
        model.invoke("Hi")
        assert [len(posts(server)) for server in servers] == [2, 1, 1]


def test_a_key_for_other_servers_is_not_sent() -> None:
    with several_servers(2) as servers:
        for server in servers:
            serve(server, "vllm")
        first = EasyLLMChat(base_url=[A, B], api_key="a-key-for-others")
        model = EasyLLMChat(base_url=urls(servers), api_key=first.api_key)
        for _ in range(2):
            model.invoke("Hi")
        assert {r.headers.get("authorization") for s in servers for r in s.requests} == {None}
