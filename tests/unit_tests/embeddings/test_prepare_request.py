"""Requests to hosts that no test can reach: Inference Providers, retired and dedicated ones."""

from __future__ import annotations

import warnings
from typing import Any

import orjson
import pytest

from langchain_easyllm import EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm._batch.scheduler import BatchJob
from langchain_easyllm._fields import connection as _connection_fields
from langchain_easyllm._http.models import Request
from langchain_easyllm._servers.detection import UNKNOWN
from langchain_easyllm._servers.profile import ServerInfo
from langchain_easyllm.errors import ConfigurationError

ROUTER = "https://router.huggingface.co"
ENDPOINT = "https://abc.us-east-1.aws.endpoints.huggingface.cloud"


def request_of(model: Any, server: ServerInfo | None = None) -> Request:
    """The request that an object would send for "Hi"."""
    embeds = isinstance(model, EasyLLMEmbeddings)
    client = model._embedding_client() if embeds else model._rerank_client("query")
    return client.task(server).build_request(BatchJob(["Hi"]).next_batch(1, 1000))


def body_of(request: Request) -> dict[str, Any]:
    return orjson.loads(request.body or b"")


@pytest.mark.parametrize("provider", [None, "hf-inference", "auto"])
def test_the_hubs_own_provider_extracts_features(provider: str | None) -> None:
    model = EasyLLMEmbeddings(model="org/a name", provider=provider, normalize=True)
    assert not model._embedding_client().depends_on_server(many=True)
    request = request_of(model)
    expected = f"{ROUTER}/hf-inference/models/org/a%20name/pipeline/feature-extraction"
    assert request.url == expected
    assert body_of(request) == {"inputs": ["Hi"], "normalize": True}


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("together", "/together/v1/embeddings"),
        ("scaleway", "/scaleway/v1/embeddings"),
        ("deepinfra", "/deepinfra/v1/openai/embeddings"),
    ],
)
def test_other_providers_speak_openais_protocol(provider: str, path: str) -> None:
    request = request_of(EasyLLMEmbeddings(model="org/name", provider=provider))
    assert request.url == ROUTER + path
    body = body_of(request)
    assert body == {"input": ["Hi"], "model": "org/name", "encoding_format": "base64"}


@pytest.mark.parametrize("provider", ["fastest", "cheapest"])
def test_no_provider_is_chosen_by_speed_or_price(provider: str) -> None:
    with pytest.raises(ConfigurationError, match="name the provider"):
        request_of(EasyLLMEmbeddings(model="org/name", provider=provider))


def test_an_api_that_a_provider_does_not_have() -> None:
    with pytest.raises(ConfigurationError, match="feature-extraction"):
        request_of(EasyLLMEmbeddings(model="org/name", api="embed"))
    with pytest.raises(ConfigurationError, match="embeddings"):
        request_of(EasyLLMEmbeddings(model="org/name", provider="together", api="embed"))


def test_a_providers_own_address() -> None:
    model = EasyLLMEmbeddings(model="org/name", base_url=f"{ROUTER}/together/v1")
    assert request_of(model).url == f"{ROUTER}/together/v1/embeddings"


@pytest.mark.parametrize(
    "path", ["pipeline/feature-extraction/org/name", "models/org/name"], ids=["pipeline", "models"]
)
def test_the_retired_address_names_the_model(path: str) -> None:
    _connection_fields._warn_retired.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = EasyLLMEmbeddings(base_url=f"https://api-inference.huggingface.co/{path}")
    expected = f"{ROUTER}/hf-inference/models/org/name/pipeline/feature-extraction"
    assert request_of(model).url == expected


def test_a_dedicated_endpoint_that_nobody_knows_extracts_features() -> None:
    model = EasyLLMEmbeddings(base_url=ENDPOINT)
    request = request_of(model, UNKNOWN)
    assert (request.url, body_of(request)) == (f"{ENDPOINT}/", {"inputs": ["Hi"]})


def test_the_hub_ranks() -> None:
    request = request_of(EasyLLMRerank(model="org/name"))
    assert request.url == f"{ROUTER}/hf-inference/models/org/name/pipeline/text-ranking"
    assert body_of(request) == {"inputs": {"texts": ["Hi"], "query": "query"}}
    with pytest.raises(ConfigurationError, match="reranking"):
        request_of(EasyLLMRerank(model="org/name", provider="together"))
