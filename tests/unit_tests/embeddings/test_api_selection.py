"""Which protocol is spoken to which server, and what is sent on it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.errors import ConfigurationError, NotFoundError

from ...support.embedding_modes import bodies, embedded
from ...support.fake_embedding_servers import (
    openai_route,
    serve_openai,
    serve_tei,
    tei_route,
    vectors_of,
)
from ...support.fake_errors import error
from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import info_tei, info_tgi

TEXTS = ["Hi", "Grüße\nan alle", "한국어 \U0001f600", "a" * 300, "line\r\n two"]


def test_every_mode_gives_the_servers_vectors(fake_server: FakeServer, mode: str) -> None:
    serve_tei(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert embedded(mode, model, TEXTS) == vectors_of(TEXTS)


@pytest.mark.parametrize("api", ["embed", "embeddings"])
def test_an_api_is_chosen_by_hand(fake_server: FakeServer, api: str, mode: str) -> None:
    serve_tei(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url, api=api)
    assert embedded(mode, model, TEXTS) == vectors_of(TEXTS)
    path = {"embed": "/embed", "embeddings": "/v1/embeddings"}[api]
    assert {r.path for r in fake_server.requests if r.body} == {path}


@pytest.mark.parametrize("owned_by", ["vllm", "llamacpp", "me", "somebody"])
def test_other_servers_are_spoken_to_as_openai(
    fake_server: FakeServer, owned_by: str, sync_or_async: str
) -> None:
    serve_openai(fake_server, owned_by)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert embedded(sync_or_async, model, TEXTS) == vectors_of(TEXTS)
    [body] = bodies(fake_server)
    assert body["model"] == "tiny"
    assert sorted(body["input"]) == sorted(TEXTS)  # as they are


@pytest.mark.parametrize("base64", [True, False])
def test_vectors_are_put_in_order(
    fake_server: FakeServer, base64: bool, sync_or_async: str
) -> None:
    serve_openai(fake_server)
    reverse = openai_route(base64=base64, order=lambda data: data[::-1])
    fake_server.on("POST", "/v1/embeddings", reverse)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert embedded(sync_or_async, model, TEXTS) == vectors_of(TEXTS)


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"normalize": False}, {"normalize": False}),
        ({"normalize": True, "truncate": True}, {"normalize": True, "truncate": True}),
        (
            {"truncate": True, "truncation_direction": "Left"},
            {"truncate": True, "truncation_direction": "Left"},
        ),
        ({"prompt_name": "query", "dimensions": 4}, {"prompt_name": "query", "dimensions": 4}),
    ],
)
def test_fields_that_only_tei_has_choose_its_own_route(
    fake_server: FakeServer, fields: dict[str, Any], sent: dict[str, Any], sync_or_async: str
) -> None:
    serve_tei(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url, **fields)
    embedded(sync_or_async, model, ["Hi"])
    assert bodies(fake_server, "/embed") == [{"inputs": ["Hi"], **sent}]


@pytest.mark.parametrize(
    "fields", [{}, {"dimensions": 4}, {"normalize": True}, {"truncate": False}]
)
def test_other_fields_leave_teis_faster_route(
    fake_server: FakeServer, fields: dict[str, Any]
) -> None:
    serve_tei(fake_server)
    EasyLLMEmbeddings(base_url=fake_server.url, **fields).embed_query("Hi")
    [body] = bodies(fake_server, "/v1/embeddings")
    assert body["encoding_format"] == "base64"
    assert body.get("dimensions") == fields.get("dimensions")
    assert not {"normalize", "truncate"} & body.keys()


def test_a_server_that_is_tgi_and_tei_at_once_embeds(
    fake_server: FakeServer, sync_or_async: str
) -> None:
    both_infos = json.loads(json.dumps(info_tei().body)) | {
        "router": "text-generation-router",
        "max_total_tokens": 2048,
    }
    serve_tei(fake_server, limit=7)
    fake_server.on("GET", "/info", Reply(both_infos | {"max_client_batch_size": 7}))
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert embedded(sync_or_async, model, [str(n) for n in range(50)]) == vectors_of(
        [str(n) for n in range(50)]
    )
    assert max(len(body["input"]) for body in bodies(fake_server)) == 7


def test_an_old_tei_without_openais_route_is_spoken_to_in_its_own(
    fake_server: FakeServer, batch_mode: str
) -> None:
    fake_server.on("GET", "/info", info_tei())
    fake_server.on("POST", "/embed", tei_route())
    texts = [str(n) for n in range(200)]
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert embedded(batch_mode, model, texts) == vectors_of(texts)
    tried = len(bodies(fake_server, "/v1/embeddings"))
    assert embedded(batch_mode, model, texts) == vectors_of(texts)
    assert len(bodies(fake_server, "/v1/embeddings")) == tried


def test_a_server_that_has_neither_route_is_an_error_that_names_the_usual_one(
    fake_server: FakeServer, sync_or_async: str
) -> None:
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    for _ in range(2):
        with pytest.raises(NotFoundError, match="v1/embeddings") as caught:
            embedded(sync_or_async, model, ["Hi"])
        assert caught.value.url.endswith("/v1/embeddings")


@pytest.mark.parametrize(
    "words",
    [
        {"detail": [{"loc": ["body", "encoding_format"], "msg": "Input should be 'float'"}]},
        {"error": {"message": "base64 is not supported", "type": "invalid_request_error"}},
    ],
)
def test_a_server_that_refuses_base64_is_asked_for_floats(
    fake_server: FakeServer, words: object, batch_mode: str
) -> None:
    serve_openai(fake_server)
    plain = openai_route()

    def strict(request: Received) -> Reply:
        if "encoding_format" in request.json:
            return Reply(words, status=422)
        return plain(request)

    fake_server.on("POST", "/v1/embeddings", strict)
    texts = [str(n) for n in range(100)]
    model = EasyLLMEmbeddings(base_url=fake_server.url, model="tiny")
    assert embedded(batch_mode, model, texts) == vectors_of(texts)
    sent = len(fake_server.requests)
    assert embedded(batch_mode, model, texts) == vectors_of(texts)
    assert all("encoding_format" not in b for b in bodies(fake_server)[sent:])


@pytest.mark.parametrize(
    ("owned_by", "fields", "words"),
    [
        ("vllm", {"prompt_name": "query"}, "query_prompt"),
        ("vllm", {"normalize": False}, "normalize=False"),
        ("vllm", {"truncation_direction": "left"}, "truncation_direction"),
        ("llamacpp", {"dimensions": 3}, "dimensions=3"),
        ("llamacpp", {"truncate": True}, "truncate=True"),
        ("somebody", {"truncate": True}, "truncate=True"),
    ],
)
def test_a_field_that_cannot_be_expressed_is_an_error(
    fake_server: FakeServer, owned_by: str, fields: dict[str, Any], words: str, sync_or_async: str
) -> None:
    serve_openai(fake_server, owned_by)
    with pytest.raises(ConfigurationError, match=words):
        embedded(sync_or_async, EasyLLMEmbeddings(base_url=fake_server.url, **fields), ["Hi"])
    assert bodies(fake_server) == []


def test_the_openai_route_of_tei_says_which_api_has_the_field(fake_server: FakeServer) -> None:
    serve_tei(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url, api="embeddings", truncate=True)
    with pytest.raises(ConfigurationError, match="api='embed'"):
        model.embed_query("Hi")


def test_vllm_truncates_by_a_field_of_its_own(fake_server: FakeServer) -> None:
    serve_openai(fake_server)
    EasyLLMEmbeddings(base_url=fake_server.url, truncate=True).embed_query("Hi")
    assert bodies(fake_server)[0]["truncate_prompt_tokens"] == -1


@pytest.mark.parametrize("api", ["embeddings", "feature-extraction"])
def test_vectors_are_normalised_here_where_the_server_may_not(
    fake_server: FakeServer, api: str, batch_mode: str
) -> None:
    serve_openai(fake_server)
    fake_server.on("POST", "/", tei_route())
    model = EasyLLMEmbeddings(base_url=fake_server.url, api=api, normalize=True)
    for vector, raw in zip(embedded(batch_mode, model, TEXTS), vectors_of(TEXTS), strict=True):
        length = math.hypot(*raw)
        assert vector == pytest.approx([number / length for number in raw], abs=1e-6)


def test_a_vector_whose_length_is_too_small_for_a_float_stays(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/", Reply([[0.0, 1e-200]]))
    model = EasyLLMEmbeddings(base_url=fake_server.url, api="feature-extraction", normalize=True)
    assert model.embed_query("Hi") == [0.0, 1e-200]


def test_prompts_go_before_texts(fake_server: FakeServer, mode: str) -> None:
    serve_tei(fake_server)
    model = EasyLLMEmbeddings(
        base_url=fake_server.url, query_prompt="query: ", document_prompt="passage: "
    )
    prompt = "query: " if "query" in mode else "passage: "
    assert embedded(mode, model, ["Hi"]) == vectors_of([prompt + "Hi"])


def test_the_callers_keys_are_sent(fake_server: FakeServer) -> None:
    serve_openai(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url, model_kwargs={"user": "me", "model": "x"})
    model.embed_query("Hi")
    [body] = bodies(fake_server)
    assert (body["user"], body["model"]) == ("me", "x")


@pytest.mark.parametrize("kwargs", [{"input": ["other"]}, {"x": object()}])
def test_keys_that_cannot_be_sent_are_an_error(
    fake_server: FakeServer, kwargs: dict[str, Any]
) -> None:
    serve_openai(fake_server)
    with pytest.raises(ConfigurationError, match="model_kwargs"):
        EasyLLMEmbeddings(base_url=fake_server.url, model_kwargs=kwargs).embed_query("Hi")


def test_a_server_that_does_not_embed_says_so(fake_server: FakeServer, sync_or_async: str) -> None:
    for info, words in (
        (info_tgi(), "The server is tgi, which does not embed"),
        (info_tei("reranker"), "EasyLLMRerank"),
    ):
        fake_server.on("GET", "/info", info)
        model = EasyLLMEmbeddings(base_url=fake_server.url, default_headers={"x": words})
        with pytest.raises(ConfigurationError, match=words):
            embedded(sync_or_async, model, ["Hi"])


def test_of_several_models_one_must_be_named(fake_server: FakeServer, sync_or_async: str) -> None:
    serve_openai(fake_server, "somebody")
    listed = {"data": [{"id": "one", "owned_by": "x"}, {"id": "two", "owned_by": "x"}]}
    fake_server.on("GET", "/v1/models", Reply(listed))
    with pytest.raises(ConfigurationError, match="one, two"):
        embedded(sync_or_async, EasyLLMEmbeddings(base_url=fake_server.url), ["Hi"])
    embedded(sync_or_async, EasyLLMEmbeddings(base_url=fake_server.url, model="two"), ["Hi"])
    assert bodies(fake_server)[0]["model"] == "two"


@pytest.mark.parametrize("route", ["/feature-extraction", "/pipeline/feature-extraction"])
def test_a_pasted_route_is_the_one_that_is_asked(fake_server: FakeServer, route: str) -> None:
    fake_server.on("POST", route, tei_route())
    model = EasyLLMEmbeddings(base_url=fake_server.url + route)
    assert model.embed_query("Hi") == vectors_of(["Hi"])[0]


def test_a_server_that_detection_cannot_reach_is_asked_as_openai(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/info", error("fastapi-internal"))
    fake_server.on("POST", "/v1/embeddings", openai_route())
    assert EasyLLMEmbeddings(base_url=fake_server.url).embed_query("Hi") == vectors_of(["Hi"])[0]
