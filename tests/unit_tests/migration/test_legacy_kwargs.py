"""Constructor calls written for other packages' classes, with only the class changed."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from langchain_core.callbacks import StreamingStdOutCallbackHandler

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, answer, body_of

SAMPLING = {
    "max_new_tokens": 512,
    "top_k": 10,
    "top_p": 0.95,
    "typical_p": 0.95,
    "temperature": 0.01,
    "repetition_penalty": 1.03,
}
GENERATED = {**SAMPLING, "do_sample": True, "details": True}
KWARGS = {"max_new_tokens": 512, "top_k": 50, "temperature": 0.1, "repetition_penalty": 1.03}
HEADERS = {"Authorization": "Bearer abc", "Content-Type": "application/json"}
CALLBACKS = [StreamingStdOutCallbackHandler()]
URL = "the server's address"

# Calls of LangChain's guides and class docstrings that name a server, and the parameters that TGI
# is to be sent for each.
TO_A_SERVER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "HuggingFaceTextGenInference": ({"inference_server_url": URL, **SAMPLING}, GENERATED),
    "HuggingFaceTextGenInference, streaming": (
        {"inference_server_url": URL, **SAMPLING, "callbacks": CALLBACKS, "streaming": True},
        GENERATED,
    ),
    "HuggingFaceTextGenInference, headers": (
        {"inference_server_url": URL, **KWARGS, "server_kwargs": {"headers": HEADERS}},
        {**KWARGS, "do_sample": True, "details": True},
    ),
    "HuggingFaceTextGenInference, stops": (
        {
            "inference_server_url": URL,
            "temperature": 0.1,
            "typical_p": None,
            "stop_sequences": ["</s>", "Observation"],
            "server_kwargs": {},
        },
        {
            "max_new_tokens": 1024,
            "temperature": 0.1,
            "do_sample": True,
            "stop": ["</s>", "Observation"],
            "details": True,
        },
    ),
    "HuggingFaceEndpoint": (
        {"endpoint_url": URL, **SAMPLING, "huggingfacehub_api_token": "abc"},
        GENERATED,
    ),
    "HuggingFaceEndpoint, streaming": (
        {
            "endpoint_url": URL,
            **SAMPLING,
            "callbacks": CALLBACKS,
            "streaming": True,
            "huggingfacehub_api_token": "abc",
        },
        GENERATED,
    ),
    "HuggingFaceEndpoint, model_kwargs": (
        {"endpoint_url": URL, "task": "text-generation", "model_kwargs": KWARGS},
        {**KWARGS, "do_sample": True, "details": True},
    ),
    "HuggingFaceEndpoint, all its other fields": (
        {
            "endpoint_url": URL,
            "truncate": 100,
            "seed": 1,
            "timeout": 60,
            "do_sample": False,
            "watermark": False,
            "provider": "auto",
            "client": None,
            "async_client": None,
            "verbose": True,
            "model_kwargs": {"details": False},
        },
        {
            "max_new_tokens": 1024,
            "truncate": 100,
            "seed": 1,
            "do_sample": False,
            "watermark": False,
            "details": False,
        },
    ),
}

# Calls that name a model, and the fields that each becomes.
TO_A_MODEL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "HuggingFaceEndpoint, max_length": (
        {
            "repo_id": "org/name",
            "max_length": 128,
            "temperature": 0.5,
            "huggingfacehub_api_token": "abc",
            "provider": "auto",
        },
        {"model": "org/name", "max_tokens": 128, "temperature": 0.5, "provider": None},
    ),
    "HuggingFaceEndpoint, token": (
        {"repo_id": "org/name", "max_length": 128, "temperature": 0.5, "token": "abc"},
        {"model": "org/name", "max_tokens": 128, "temperature": 0.5},
    ),
    "HuggingFaceEndpoint, provider": (
        {"repo_id": "org/name", "provider": "novita", "max_new_tokens": 100, "do_sample": False},
        {"model": "org/name", "provider": "novita", "max_tokens": 100, "do_sample": False},
    ),
    "HuggingFaceEndpoint, task": (
        {
            "repo_id": "org/name",
            "task": "text-generation",
            "max_new_tokens": 512,
            "do_sample": False,
            "repetition_penalty": 1.03,
        },
        {"model": "org/name", "max_tokens": 512, "do_sample": False, "repetition_penalty": 1.03},
    ),
    "HuggingFaceHub": (
        {"repo_id": "org/name", "huggingfacehub_api_token": "abc"},
        {"model": "org/name"},
    ),
    "HuggingFaceHub, max_length": (
        {"repo_id": "org/name", "model_kwargs": {"temperature": 0.5, "max_length": 64}},
        {"temperature": 0.5, "max_tokens": 64, "model_kwargs": {}},
    ),
    "HuggingFaceHub, task": (
        {"repo_id": "org/name", "task": "conversational", "model_kwargs": KWARGS},
        {"max_tokens": 512, "top_k": 50, "temperature": 0.1, "repetition_penalty": 1.03},
    ),
    "ChatHuggingFace": (
        {"model_id": "org/name", "stop_sequences": "a", "n": 1, "logprobs": True, "verbose": True},
        {"model": "org/name", "stop": ["a"], "n": 1, "logprobs": True, "verbose": True},
    ),
}


# Calls for embeddings, and the fields that each becomes.
TO_EMBED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "HuggingFaceEndpointEmbeddings": (
        {
            "model": "org/name",
            "task": "feature-extraction",
            "huggingfacehub_api_token": "abc",
        },
        {"model": "org/name"},
    ),
    "HuggingFaceEndpointEmbeddings, repo_id": (
        {"repo_id": "org/name", "provider": "auto", "model_kwargs": {"truncate": True}},
        {"model": "org/name", "provider": None, "truncate": True, "model_kwargs": {}},
    ),
    "HuggingFaceEndpointEmbeddings, server": (
        {"model": "http://localhost:8080", "huggingfacehub_api_token": "abc"},
        {"model": None, "base_url": "http://localhost:8080"},
    ),
    "HuggingFaceEndpointEmbeddings, nothing": (
        {},
        {"model": "sentence-transformers/all-mpnet-base-v2", "base_url": None},
    ),
    "HuggingFaceInferenceAPIEmbeddings": (
        {"api_key": "abc", "model_name": "org/name"},
        {"model": "org/name"},
    ),
    "HuggingFaceInferenceAPIEmbeddings, server": (
        {"api_key": "abc", "api_url": "http://localhost:8080", "additional_headers": {"X-A": "b"}},
        {"base_url": "http://localhost:8080", "default_headers": {"X-A": "b"}},
    ),
    "HuggingFaceEmbeddings": (
        {
            "model_name": "org/name",
            "encode_kwargs": {"normalize_embeddings": False, "batch_size": 4},
            "show_progress": True,
        },
        {"model": "org/name", "normalize": False, "batch_size": 4, "show_progress": True},
    ),
    "HuggingFaceBgeEmbeddings": (
        {"model_name": "org/name", "query_instruction": "q: ", "embed_instruction": "d: "},
        {"query_prompt": "q: ", "document_prompt": "d: "},
    ),
}


@pytest.mark.parametrize("call", TO_EMBED)
def test_a_call_for_embeddings(call: str) -> None:
    arguments, fields = TO_EMBED[call]
    made = EasyLLMEmbeddings(**arguments)
    assert {name: getattr(made, name) for name in fields} == fields
    if "abc" in arguments.values():
        assert made.api_key is not None
        assert made.api_key.get_secret_value() == "abc"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"task": "sentence-similarity"}, "task='sentence-similarity' is not what"),
        ({"encode_kwargs": {"precision": "int8"}}, "encode_kwargs holds 'precision'"),
        ({"encode_kwargs": 3}, "encode_kwargs must be a dict"),
    ],
)
def test_what_has_no_meaning_for_embeddings(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        EasyLLMEmbeddings(model="org/name", **arguments)


@each_case("call", TO_A_SERVER)
def test_a_call_that_names_a_server(fake_server: FakeServer, call: str, mode: str) -> None:
    arguments, parameters = TO_A_SERVER[call]
    given = {name: fake_server.url if value == URL else value for name, value in arguments.items()}
    serve(fake_server, "tgi")
    model = EasyLLM(**given)
    assert answer(mode, model) == "Hello world"
    assert body_of(fake_server)["parameters"] == parameters
    EasyLLMChat(**given)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("call", TO_A_MODEL)
def test_a_call_that_names_a_model(cls: type, call: str) -> None:
    arguments, fields = TO_A_MODEL[call]
    model = cls(**arguments)
    assert {name: getattr(model, name) for name in fields} == fields
    if "abc" in arguments.values():
        assert model.api_key.get_secret_value() == "abc"


def test_headers_of_server_kwargs_are_sent(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    settings = {
        "headers": {**HEADERS, "X-A": "theirs"},
        "cookies": {"a": "1", "b": "2"},
        "timeout": 9,
        "bill_to": "org",
    }
    model = EasyLLM(
        base_url=fake_server.url, server_kwargs=settings, default_headers={"x-a": "ours"}
    )
    answer(mode, model)
    sent = fake_server.requests[-1].headers
    assert sent["authorization"] == "Bearer abc"
    assert (sent["x-a"], sent["cookie"]) == ("ours", "a=1; b=2")
    assert "x-hf-bill-to" not in sent  # it is no server of Hugging Face's
    assert (model.timeout, model.bill_to) == (9, "org")
    assert settings["headers"] == {**HEADERS, "X-A": "theirs"}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"task": "summarization"}, "task='summarization' is not what this class does"),
        ({"client": object()}, "client=... is another package's own object"),
        ({"tokenizer": object()}, "tokenizer=... is another package's own object"),
        ({"server_kwargs": {"proxies": {}}}, "server_kwargs holds 'proxies'"),
        ({"server_kwargs": 3}, "server_kwargs must be a dict"),
        ({"server_kwargs": {"headers": "a"}}, "headers must be a dict"),
        ({"max_length": 3, "max_tokens": 4}, "given twice, as max_length and as max_tokens"),
        ({"model_kwargs": {"temperature": "hot"}}, "temperature"),
    ],
)
def test_what_has_no_meaning_here_is_said(
    cls: type, arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        cls(base_url="http://localhost:9", **arguments)


def test_a_field_in_model_kwargs_goes_as_it_is_where_it_has_no_name(
    fake_server: FakeServer, mode: str
) -> None:
    serve(fake_server, "tgi")
    kwargs = {"repetition_penalty": 1.1, "max_new_tokens": 9, "do_sample": False}
    model = EasyLLMChat(base_url=fake_server.url, model_kwargs=kwargs)
    answer(mode, model)
    body = body_of(fake_server)
    assert (body["repetition_penalty"], body["max_tokens"], body["top_p"]) == (1.1, 9, 1e-6)
    assert "max_new_tokens" not in body
    assert "do_sample" not in body
    with pytest.raises(ConfigurationError, match="repetition_penalty cannot be expressed"):
        answer(mode, model, repetition_penalty=1.2)


def test_a_pickled_and_a_copied_object_keep_what_was_in_model_kwargs(
    fake_server: FakeServer,
) -> None:
    serve(fake_server, "tgi")
    model = EasyLLMChat(base_url=fake_server.url, model_kwargs={"top_k": 5})
    for same in (model.model_copy(), pickle.loads(pickle.dumps(model))):
        same.invoke("Hi")
        assert body_of(fake_server)["top_k"] == 5


def test_the_models_name_is_the_servers_where_none_was_given(fake_server: FakeServer) -> None:
    serve(fake_server, "tgi", model="org/served")
    assert EasyLLMChat(base_url=fake_server.url).model_id == "org/served"
    assert EasyLLM(base_url=fake_server.url, model_id="org/name").model_id == "org/name"
    assert EasyLLM(repo_id="org/name").model_id == "org/name"
    assert not [request for request in fake_server.requests if request.method == "POST"]
