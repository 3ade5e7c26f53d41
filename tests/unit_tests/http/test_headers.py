"""Headers of the caller: which may be given, and who receives them."""

from __future__ import annotations

import gc

import pytest

from langchain_easyllm._http.auth import Credentials, redact
from langchain_easyllm._http.exchange import Attempt, exchange
from langchain_easyllm._http.headers import RequestHeaders, checked_headers, with_secrets_kept
from langchain_easyllm._http.models import Request, Response, RetryPolicy
from langchain_easyllm.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionError,
    EasyLLMError,
)

from ...support.fake_server import FakeServer, Received, Reply, sse
from ...support.http_clients import post
from .conftest import MakeClient

ROUTER = "https://router.huggingface.co/v1/chat/completions"
ENDPOINT = "https://x.us-east-1.aws.endpoints.huggingface.cloud/v1/chat/completions"
INGRESS = "model.default.example.com"


def sent(url: str, headers: dict[str, str] | None = None, **options: str) -> Attempt:
    steps = exchange(
        post(url), RetryPolicy(), RequestHeaders(Credentials(), headers, **options), streaming=False
    )
    step = next(steps)
    assert isinstance(step, Attempt)
    return step


# Host


@pytest.mark.parametrize("name", ["Host", "host", "HOST"])
@pytest.mark.parametrize("value", [INGRESS, "model:8080", "a_b.local", "10.0.0.1", "[::1]:8080"])
def test_the_host_is_the_callers(
    fake_server: FakeServer, make_client: MakeClient, name: str, value: str
) -> None:
    fake_server.on("POST", "/a", Reply("hi"))
    fake_server.on("POST", "/s", sse("a"))
    of_all = make_client(headers={name: value})
    of_each = make_client(headers={"Host": "other.test"})
    for path in ("/a", "/s"):
        one = Request("POST", fake_server.url + path, b"{}", {name: value})
        for client, request in ((of_all, post(fake_server.url + path)), (of_each, one)):
            client.send(request) if path == "/a" else client.read(request)
    assert [request.headers["host"] for request in fake_server.requests] == [value] * 4


@pytest.mark.parametrize("value", ["", "a b", "a,b", "http://a.test", "a/b", "ü.test", "a@b", "a:"])
def test_a_host_that_is_none(make_client: MakeClient, value: str) -> None:
    with pytest.raises(ConfigurationError, match="'Host' must be a host name"):
        make_client(headers={"Host": value})


def test_a_redirect_within_the_origin_keeps_the_callers_host(
    fake_server: FakeServer, make_client: MakeClient
) -> None:
    fake_server.on("POST", "/a", Reply(status=308, headers={"location": "/b/"}))
    fake_server.on("POST", "/b/", Reply("hi"))
    make_client(headers={"Host": INGRESS}).send(post(fake_server.url + "/a", x_tenant="a"))
    for request in fake_server.requests:
        assert (request.headers["host"], request.headers["x-tenant"]) == (INGRESS, "a")


@pytest.mark.parametrize("status", [307, 308])
def test_another_origin_gets_its_own_host_and_nothing_of_the_callers(
    fake_server: FakeServer, make_client: MakeClient, status: int
) -> None:
    with FakeServer() as other:
        where = {"location": other.url + "/b"}
        fake_server.on("POST", "/a", Reply(status=status, headers=where))
        other.on("POST", "/b", Reply(status=status, headers={"location": fake_server.url + "/c"}))
        fake_server.on("POST", "/c", Reply("hi"))
        client = make_client(headers={"Host": INGRESS, "Content-Type": "text/secret", "X-Q": "1"})
        for _ in range(2):
            client.send(post(fake_server.url + "/a", accept="x/y", x_tenant="acme"))
        seen = [other.requests[0], fake_server.received("/c")[0], fake_server.received("/c")[1]]
        for request, server in zip(seen, (other, fake_server, fake_server), strict=True):
            assert request.headers["host"] == server.url.removeprefix("http://")
            assert not {"x-q", "x-tenant"} & set(request.headers)
            assert request.headers["content-type"] == "application/json"
            assert request.headers["accept"] == "application/json"
    assert [r.headers["host"] for r in fake_server.received("/a")] == [INGRESS] * 2


# Names and values


@pytest.mark.parametrize(
    "name",
    ["Content-Length", "TRANSFER-encoding", "connection", "Keep-Alive", "TE", "Upgrade", "Expect"],
)
def test_how_a_message_is_framed_is_the_clients(make_client: MakeClient, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}.*cannot be given"):
        make_client(headers={name: "1"})


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"X-A": "a\r\nb: c"}, "'X-A' must be Latin-1 text without line breaks"),
        ({"X-A": "a\n"}, "'X-A' must be"),
        ({"X-A": "한"}, "'X-A' must be"),
        ({"X-A": 5}, "'X-A' must be"),
        ({"X-A": None}, "'X-A' must be"),
        ({"X-A": b"a"}, "'X-A' must be"),
        ({5: "a"}, "must be text, not int"),
        ({"": "a"}, "letters, digits and hyphens"),
        ({"X A": "a"}, "letters, digits and hyphens"),
        ({"Authorization: Bearer s3cret-text": ""}, "begins with 'Authorization'"),
        ({"X-A\n": "a"}, "letters, digits and hyphens"),
        ({"X-A": "1", "x-a": "2"}, "'x-a' was given twice"),
    ],
)
def test_what_no_header_can_be(headers: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        checked_headers(headers)
    assert "s3cret" not in str(caught.value)
    assert str(caught.value).count(". ") <= 1


def test_headers_of_one_request_are_secrets_for_its_time(
    fake_server: FakeServer, make_client: MakeClient
) -> None:
    def echo(request: Received) -> Reply:
        return Reply({"error": f"bad {request.headers['x-api-key']}"}, status=400)

    fake_server.on("POST", "/a", echo)
    headers = with_secrets_kept(checked_headers({"X-Api-Key": "of-this-call-only"}))
    client = make_client()
    with pytest.raises(EasyLLMError, match=r"bad \*\*\*") as caught:
        client.send(Request("POST", fake_server.url + "/a", b"{}", headers))
    assert "of-this-call-only" not in f"{caught.value!r}{caught.value.body}{vars(caught.value)}"
    assert redact("of-this-call-only") == "***"
    del headers, caught
    gc.collect()
    assert redact("of-this-call-only") == "of-this-call-only"


def test_an_authorization_of_the_callers_own_is_no_token_that_was_withheld(
    monkeypatch: pytest.MonkeyPatch, fake_server: FakeServer, make_client: MakeClient
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_from_env")
    fake_server.on("POST", "/a", Reply({"error": "no"}, status=401))
    client = make_client()
    with pytest.raises(AuthenticationError) as caught:
        client.send(post(fake_server.url + "/a", authorization="Bearer of-my-own"))
    assert "No token was sent" not in str(caught.value)
    with pytest.raises(AuthenticationError, match="No token was sent"):
        client.send(post(fake_server.url + "/a"))


# Who pays


@pytest.mark.parametrize(
    ("url", "billed"),
    [
        (ROUTER, True),
        (ENDPOINT, True),
        ("https://huggingface.co/api/x", True),
        ("http://router.huggingface.co/v1", False),
        ("https://me-app.hf.space/v1", False),
        ("https://router.huggingface.co.evil.test/v1", False),
        ("http://localhost:8080/v1", False),
    ],
)
def test_who_pays_is_said_to_hugging_face_only(url: str, billed: bool) -> None:
    headers = sent(url, bill_to="my-org").headers
    assert headers.get("x-hf-bill-to") == ("my-org" if billed else None)


@pytest.mark.parametrize("target", ["https://example.test/a", ENDPOINT])
def test_who_pays_is_not_said_after_a_redirect_away(target: str) -> None:
    plan = RequestHeaders(Credentials(), None, "my-org")
    steps = exchange(post(ROUTER), RetryPolicy(), plan, streaming=False)
    next(steps)
    same = steps.send(Response(307, {"location": "/v2"}, b"", ROUTER))
    assert isinstance(same, Attempt)
    assert same.headers["x-hf-bill-to"] == "my-org"
    moved = steps.send(Response(307, {"location": target}, b"", ROUTER))
    assert isinstance(moved, Attempt)
    assert "x-hf-bill-to" not in moved.headers


def test_a_header_of_the_callers_says_who_pays_before_the_field() -> None:
    headers = sent(ROUTER, {"X-HF-Bill-To": "theirs"}, bill_to="ours").headers
    assert headers["x-hf-bill-to"] == "theirs"


def test_a_407_is_the_proxys(fake_server: FakeServer, make_client: MakeClient) -> None:
    fake_server.on("POST", "/a", Reply({"error": "who are you"}, status=407))
    client = make_client(Credentials("hf_argument", base_url=fake_server.url))
    for ask in (client.send, client.read):
        with pytest.raises(ConnectionError, match=r"proxy .* wants credentials .*HTTP_PROXY=http"):
            ask(post(fake_server.url + "/a"), RetryPolicy(timeout=5, max_retries=2))
    assert len(fake_server.requests) == 2  # asked once each
