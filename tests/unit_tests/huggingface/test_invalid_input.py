"""EasyLLM's clients: what cannot work is said before anything is sent."""

from __future__ import annotations

import pytest

from langchain_easyllm import huggingface
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.easyllm_clients import CLIENTS, call
from ...support.fake_server import FakeServer

WRONG = [
    ({"stream": True, "n": 2}, "n > 1 cannot be streamed"),
    ({"n": 0}, "n: "),
    ({"prompt_builder": "lama2"}, "did you mean 'llama2'"),
    ({"prompt_builder": 7}, "not int"),
    ({"max_new_tokens": 5}, "did you mean 'max_tokens'"),
    ({"tempreature": 1}, "did you mean 'temperature'"),
    ({"repetition_penalty": 1.1}, "did you mean 'frequency_penalty'"),
    ({"stop_sequences": ["a"]}, "did you mean 'stop'"),
    ({"presence_penalty": 1}, "There is no parameter 'presence_penalty': The parameters are"),
    ({"frequency_penalty": 0}, "1.0 is none"),
    ({"frequency_penalty": "much"}, "^frequency_penalty: "),
    ({"temperature": -1}, "temperature: "),
    ({"temperature": float("nan")}, "temperature: "),
    ({"top_p": 2}, "top_p: "),
    ({"max_tokens": 0}, "max_tokens: "),
    ({"seed": "x"}, "seed: "),
    ({"stop": [""]}, "one character or more"),
    ({"stop": 5}, "give a string or a list"),
    ({"timeout": 0}, "timeout: "),
    ({"api_base": "nowhere"}, "api_base 'nowhere' is no HTTP address"),
    ({"api_key": 7}, "api_key must be a str"),
    ({"model": "http://other.example"}, "server's URL"),
]


@pytest.fixture(autouse=True)
def server(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    monkeypatch.setattr(huggingface, "api_base", fake_server.url)
    return fake_server


@each_case("mode", ["sync", "async"])
@each_case("kind", CLIENTS)
@each_case(("given", "said"), WRONG)
def test_a_parameter_that_cannot_work(server, mode, kind, given, said):
    with pytest.raises(ConfigurationError, match=said):
        call(mode, kind, **given)
    assert server.requests == []


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "no messages"),
        ("Hi", "list of"),
        ({"role": "user", "content": "Hi"}, "list of"),
        (None, "list of"),
        ([{"role": "user", "content": ""}], "is empty"),
        ([{"role": "human", "content": "Hi"}], "unknown role 'human'"),
        ([{"content": "Hi"}], "unknown role None"),
        (["Hi"], "unknown role None"),
        ([{"role": "user", "content": 7}], "content of type int"),
    ],
)
def test_messages_that_are_none(server, messages, said):
    with pytest.raises(ConfigurationError, match=said):
        call("sync", "chat", messages)
    assert server.requests == []


def test_a_conversation_that_easyllms_prompt_cannot_write(server):
    messages = [{"role": "user", "content": "Hi"}, {"role": "function", "content": "f()"}]
    with pytest.raises(ConfigurationError, match="Llama 2 does not support function calls"):
        call("sync", "chat", messages, prompt_builder="llama2")
    assert server.requests == []


@pytest.mark.parametrize("prompt", ["", None, ["a", "b"], 7])
def test_a_prompt_that_is_no_text(server, prompt):
    with pytest.raises(ConfigurationError, match="prompt is one text"):
        call("sync", "text", prompt)
    assert server.requests == []


@pytest.mark.parametrize(
    ("given", "said"), [({"suffix": 7}, "suffix is a text"), ({"echo": "maybe"}, "^echo: ")]
)
def test_a_completions_own_parameter_that_cannot_work(server, given, said):
    with pytest.raises(ConfigurationError, match=said):
        call("sync", "text", **given)
    assert server.requests == []


def test_a_module_attribute_that_cannot_work(server, monkeypatch):
    monkeypatch.setattr(huggingface, "stop_sequences", "")
    with pytest.raises(ConfigurationError, match="stop"):
        call("sync", "chat")
    monkeypatch.setattr(huggingface, "stop_sequences", [])
    monkeypatch.setattr(huggingface, "prompt_builder", "lama3")
    with pytest.raises(ConfigurationError, match="llama3"):
        call("sync", "chat")
    assert server.requests == []


@pytest.mark.parametrize("client", CLIENTS.values())
def test_what_is_missing_is_named(client):
    with pytest.raises(TypeError, match=r"missing a required argument: '(messages|prompt)'"):
        client.create()
