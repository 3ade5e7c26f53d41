"""Addresses as users paste them."""

from __future__ import annotations

import pytest

from langchain_easyllm._servers.urls import (
    ROUTER,
    is_url,
    parse_server_url,
)
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case

ROUTES = [
    "/v1",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/models",
    "/generate",
    "/generate_stream",
    "/tokenize",
    "/chat_tokenize",
    "/embed",
    "/rerank",
    "/info",
    "/health",
]
ROOTS = [
    "http://localhost:8080",
    "https://example.org",
    "http://example.org/tgi",
    "http://10.0.0.1:3000/a/b",
    "http://[::1]:8080",
    "http://[2001:db8::1]/tgi",
    "https://abc.us-east-1.aws.endpoints.huggingface.cloud",
]


@each_case("root", ROOTS)
@each_case("route", ["", *ROUTES, "/v1/tokenize"])
@each_case("slashes", ["", "/", "//"])
def test_roots_and_full_routes(root: str, route: str, slashes: str) -> None:
    address = parse_server_url(f" {root}{route}{slashes}\n")
    assert address.root == root
    assert address.url("/v1/models") == f"{root}/v1/models"
    assert address.route == ("/tokenize" if route == "/v1/tokenize" else route or None)
    assert not address.router
    assert not address.retired
    assert address.model is None


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("localhost", "http://localhost"),
        ("LocalHost:8080/v1", "http://localhost:8080"),
        ("127.0.0.1:8000/generate", "http://127.0.0.1:8000"),
        ("0.0.0.0:80", "http://0.0.0.0"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("HTTPS://Example.ORG/Path", "https://example.org/Path"),
        ("https://example.org:443/v1", "https://example.org"),
        ("http://example.org:443", "http://example.org:443"),
        ("http://example.org:", "http://example.org"),
        ("http://example.org/regenerate", "http://example.org/regenerate"),
        ("http://example.org/v1/v1/", "http://example.org"),
        ("http://example.org/a/v1//v1/chat/completions", "http://example.org/a"),
    ],
)
def test_forgiven_spellings(text: str, root: str) -> None:
    assert parse_server_url(text).root == root


CHAT, EMBED, MODELS = "/chat/completions", "/embeddings", "/models"


@each_case(
    "base",
    [
        "/api/v3",
        "/api/paas/v4",
        "/v1beta",
        "/v1beta/openai",
        "/v1/openai",
        "/deepinfra/v1/openai",
        "/v1/account/gateway/compat",
        "/v1beta1/projects/p/locations/l/endpoints/openapi",
        "/inference/v2.1",
        "/v1alpha2",
        "/v1/v2",
        "/V1",
        "/API/V3/OpenAI",
        "/models/v2",
    ],
)
@each_case("route", ["", CHAT, "/completions", EMBED, "/rerank", MODELS])
@each_case("slashes", ["", "/", "//"])
def test_a_version_path_of_its_own_is_used_as_it_is(base: str, route: str, slashes: str) -> None:
    root = "https://example.org" + base
    address = parse_server_url(f"{root}{slashes}{route}{slashes}?a=b")
    assert address.versioned
    assert address.root == root
    assert address.route == (route or None)
    for behind in (CHAT, EMBED, MODELS, "/rerank"):
        assert address.url("/v1" + behind) == f"{root}{behind}?a=b"


@each_case(
    ("base", "root"),
    [
        ("/serving/endpoints/v1", "/serving/endpoints"),
        ("/compatible-mode/v1", "/compatible-mode"),
        ("/openai/v1", "/openai"),
        ("/api/v1", "/api"),
        ("/v2/v1", "/v2"),
        ("/v1/v1", ""),
        ("", ""),
    ],
)
@each_case("route", ["", CHAT, "/completions", EMBED, MODELS, "/rerank"])
def test_v1_has_the_servers_root_before_it(base: str, root: str, route: str) -> None:
    root = "https://example.org" + root
    address = parse_server_url(f"https://example.org{base or '/v1'}{route}")
    assert address.root == root
    assert not address.versioned
    assert address.url("/v1" + CHAT) == f"{root}/v1{CHAT}"
    assert address.url("/info") == root + "/info"


@pytest.mark.parametrize(
    "base",
    [
        *("/v2-models/foo", "/v2x", "/version3", "/v", "/vllm", "/v1/models/foo", "/v1/gateway/x"),
        *("/openai", "/my/openai", "/compat", "/api/v3/models/foo", "/v.2", "/v2-beta"),
    ],
)
def test_what_only_looks_like_a_version_is_a_prefix(base: str) -> None:
    root = "https://example.org" + base
    for text in (root, root + "/v1", root + "/v1" + CHAT):
        address = parse_server_url(text)
        assert address.url("/v1" + CHAT) == f"{root}/v1{CHAT}"
        assert address.url("/info") == root + "/info"


@pytest.mark.parametrize("base", ["", "/openai/deployments/gpt", "/serving"])
@pytest.mark.parametrize("route", [CHAT, "/completions", EMBED])
def test_a_full_route_says_that_there_is_no_v1(base: str, route: str) -> None:
    root = "https://example.org" + base
    address = parse_server_url(f"{root}{route}?api-version=1")
    assert (address.root, address.versioned) == (root, False)
    assert address.url("/v1" + CHAT) == f"{root}{CHAT}?api-version=1"


def test_a_query_stays_with_every_request() -> None:
    address = parse_server_url("https://example.org/v1/chat/completions/?api-version=2&a=b")
    assert address.query == "api-version=2&a=b"
    assert address.url("/v1/models") == "https://example.org/v1/models?api-version=2&a=b"


@pytest.mark.parametrize(
    ("text", "root", "model"),
    [
        (ROUTER, ROUTER, None),
        (ROUTER + "/v1/", ROUTER, None),
        ("https://Router.HuggingFace.co/v1", ROUTER, None),
        ("https://router.huggingface.co:443", ROUTER, None),
        ("http://router.huggingface.co", ROUTER, None),
        (ROUTER + "/together/v1/chat/completions", ROUTER + "/together", None),
        (ROUTER + "/hf-inference/models/a/b/v1", ROUTER + "/hf-inference/models/a/b", "a/b"),
        (
            ROUTER + "/hf-inference/models/a/b/pipeline/feature-extraction",
            ROUTER + "/hf-inference/models/a/b",
            "a/b",
        ),
    ],
)
def test_inference_providers(text: str, root: str, model: str | None) -> None:
    address = parse_server_url(text)
    assert (address.root, address.model) == (root, model)
    assert address.router
    assert not address.retired


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("", None),
        ("/", None),
        ("/v1", None),
        ("/models", None),
        ("/models/", None),
        ("/models/gpt2", "gpt2"),
        ("/models/a/b", "a/b"),
        ("/models/a/b/v1/chat/completions", "a/b"),
        ("/models/a%2Fb/", "a/b"),
        ("/models/a/b/pipeline/text-generation", "a/b"),
        ("/pipeline/feature-extraction/a/b", "a/b"),
        ("/pipeline/text-generation/a/b", "a/b"),
    ],
)
def test_the_retired_host_leads_to_the_router(path: str, model: str | None) -> None:
    address = parse_server_url("https://api-inference.huggingface.co" + path)
    assert (address.root, address.model) == (ROUTER, model)
    assert address.router
    assert address.retired


@each_case(
    "text",
    [
        "",
        " ",
        "example.org",
        "example.org:8080",
        "/v1",
        "ftp://example.org",
        "file:///etc/hosts",
        "http://",
        "http:///v1",
        "http:/example.org",
        "https://two words.org",
        "http://example.org:port",
        "http://example.org:99999",
        "http://[::1",
        "http://a|b",
        "meta-llama/Llama-3.1-8B-Instruct",
        "ftp://example.org/?key=secret",
        "https://example.org/#secret",
        "https://example.org/?key=secret#fragment",
        "https://me:secret@example.org",
        "ftp://me:secret@example.org",
        "me:secret@example.org",
        "http://me:secret@example.org:port",
        "http://secret@[::1",
    ],
)
def test_refused_addresses(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^base_url .*[.]$") as caught:
        parse_server_url(text)
    assert len(str(caught.value)) < 160
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "dedicated"),
    [
        ("https://abc.us-east-1.aws.endpoints.huggingface.cloud", True),
        ("https://ABC.us-east-1.aws.Endpoints.HuggingFace.cloud/v1", True),
        ("https://endpoints.huggingface.cloud.example.org", False),
        ("https://example.org/a.endpoints.huggingface.cloud", False),
        (ROUTER, False),
    ],
)
def test_dedicated_endpoints(url: str, dedicated: bool) -> None:
    assert parse_server_url(url).is_dedicated is dedicated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://localhost", True),
        ("HTTPS://example.org", True),
        ("httpx/model", False),
        ("meta-llama/Llama-3.1-8B-Instruct", False),
        ("", False),
    ],
)
def test_a_model_that_is_an_address(text: str, expected: bool) -> None:
    assert is_url(text) is expected
