"""A hook that adds headers to each attempt: what it sees, what it may say, where it is asked."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
from collections.abc import Callable, Mapping
from traceback import TracebackException
from typing import Any

import pytest

from langchain_easyllm._http import auth
from langchain_easyllm._http.auth import Credentials
from langchain_easyllm._http.models import Request, RetryPolicy
from langchain_easyllm._http.user_functions import UserFunction
from langchain_easyllm.errors import ConfigurationError, EasyLLMError, ServerError, TimeoutError

from ...support.fake_server import FakeServer, Received, Reply, sse
from ...support.http_clients import ONCE, Client, post
from .conftest import MakeClient

SECRET = "hook_topsecret_value"


def as_async(hook: Callable[[Request], object]) -> Callable[[Request], object]:
    async def hooked(request: Request) -> object:
        await asyncio.sleep(0)
        return hook(request)

    return hooked


kinds = pytest.mark.parametrize("kind", [lambda hook: hook, as_async], ids=["sync", "async"])


@pytest.fixture
def hooked(make_client: MakeClient) -> Callable[..., Client]:
    """Makes a client with a hook."""

    def make(hook: Any, credentials: Credentials | None = None, **options: object) -> Client:
        return make_client(credentials, request_hook=UserFunction(hook), **options)

    return make


def signature(method: str, path: str, host: str, body: bytes) -> str:
    text = b"\n".join((method.encode(), path.encode(), host.encode(), body))
    return hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()


def sign(request: Request) -> Mapping[str, str]:
    """Sign as a cloud's gateway would have it: what is signed is what is sent."""
    host = request.headers["host"]
    path = request.url.removeprefix(f"http://{host}")
    signed = signature(request.method, path, host, request.body or b"")
    return {"Authorization": f"HMAC Signature={signed}", "X-Date": "20260101"}


def checked(request: Received) -> Reply:
    signed = signature(request.method, request.path, request.headers["host"], request.body)
    good = request.headers.get("authorization") == f"HMAC Signature={signed}"
    return Reply({}) if good else Reply({"error": "bad signature"}, status=403)


@kinds
def test_it_signs_what_is_sent(hooked, fake_server: FakeServer, kind) -> None:
    fake_server.on("POST", "/a", checked)
    fake_server.on("GET", "/a", checked)
    client = hooked(kind(sign), Credentials("hf_argument", base_url=fake_server.url))
    client.send(post(fake_server.url + "/a", b'{"a": 1}'))
    client.send(Request("GET", fake_server.url + "/a"))
    assert [request.headers["x-date"] for request in fake_server.requests] == ["20260101"] * 2


@kinds
def test_it_is_asked_before_each_attempt(hooked, fake_server: FakeServer, kind) -> None:
    busy = Reply({}, status=503, headers={"retry-after": "0"})
    fake_server.on("POST", "/a", busy, Reply(status=307, headers={"location": "/s?q=1"}))
    fake_server.on("POST", "/s", sse({"a": 1}))
    seen: list[tuple[str, str, bytes | None]] = []

    def hook(request: Request) -> Mapping[str, str]:
        seen.append((request.method, request.url, request.body))
        return {"X-Number": str(len(seen))}

    client = hooked(kind(hook))
    assert client.read(post(fake_server.url + "/a", b"[]"), RetryPolicy(max_retries=1))
    assert [request.headers["x-number"] for request in fake_server.requests] == ["1", "2", "3"]
    paths = ["/a", "/a", "/s?q=1"]
    assert seen == [("POST", fake_server.url + path, b"[]") for path in paths]


def test_other_hosts_are_not_shown_to_it(hooked, fake_server: FakeServer) -> None:
    seen = []

    def hook(request: Request) -> Mapping[str, str]:
        seen.append(request.url)
        return {"X-Harmless": SECRET}

    with FakeServer() as other:
        fake_server.on("POST", "/a", Reply(status=307, headers={"location": other.url + "/b"}))
        other.on("POST", "/b", Reply(status=307, headers={"location": fake_server.url + "/c"}))
        fake_server.on("POST", "/c", Reply({}))
        hooked(hook).send(post(fake_server.url + "/a"))
        later = [*other.requests, fake_server.requests[-1]]
    assert seen == [fake_server.url + "/a"]
    assert all("x-harmless" not in request.headers for request in later)


def test_it_sees_all_headers_and_changes_none(hooked, fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply({}))
    seen: list[Request] = []

    def hook(request: Request) -> None:
        seen.append(request)
        with pytest.raises(TypeError):
            request.headers["x-team"] = "red"  # type: ignore[index]
        with pytest.raises(AttributeError):
            request.body = b""  # type: ignore[misc]

    credentials = Credentials("hf_argument", base_url=fake_server.url)
    client = hooked(hook, credentials, headers={"X-Team": "blue"})
    client.send(post(fake_server.url + "/a", X_Call="1"))
    [sent] = fake_server.requests
    assert {**seen[0].headers, "content-length": "2"} == sent.headers
    assert seen[0].headers["x-team"] == "blue"
    assert seen[0].headers["authorization"] == "Bearer hf_argument"
    assert "hf_argument" not in repr(seen[0])


def test_its_headers_win(hooked, fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply({}))
    credentials = Credentials(UserFunction(lambda: "from_a_function"), base_url=fake_server.url)
    own = {"AUTHORIZATION": "Basic hook", "User-Agent": "mine", "x-team": "red"}
    client = hooked(lambda _: own, credentials, headers={"X-Team": "blue"})
    client.send(post(fake_server.url + "/a"))
    sent = fake_server.requests[0].headers
    assert (sent["authorization"], sent["user-agent"]) == ("Basic hook", "mine")
    assert sent["x-team"] == "red"


def test_it_may_name_a_virtual_host(hooked, fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply({}))
    hooked(lambda _: {"Host": "model.example"}).send(post(fake_server.url + "/a"))
    assert [request.headers["host"] for request in fake_server.requests] == ["model.example"]


@kinds
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("X-Team: red", "returned str"),
        ([("X-Team", "red")], "returned list"),
        ({1: "red"}, "must return a mapping of names"),
        ({"X-Team": 1}, "'X-Team' must be Latin-1 text"),
        ({"X-Team": None}, "'X-Team' must be Latin-1 text"),
        ({"X-Team": f"red\r\nX-Evil: {SECRET}"}, "without line breaks"),
        ({"X Team": SECRET}, "name of a header"),
        ({"Content-Length": "7"}, "'Content-Length' cannot be"),
        ({"Transfer-Encoding": "chunked"}, "'Transfer-Encoding' cannot be"),
    ],
)
def test_what_it_may_not_return(
    hooked, fake_server: FakeServer, kind, given: object, said: str
) -> None:
    client = hooked(kind(lambda _: given))
    with pytest.raises(ConfigurationError, match=said) as caught:
        client.send(post(fake_server.url + "/a"), RetryPolicy(max_retries=2))
    assert "request_hook" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert not fake_server.requests


@kinds
def test_what_it_raises_is_explained(hooked, fake_server: FakeServer, kind) -> None:
    calls = []

    def hook(request: Request) -> None:
        calls.append(request)
        raise LookupError(SECRET)

    client = hooked(kind(hook))
    with pytest.raises(ConfigurationError, match="given as request_hook raised LookupError") as it:
        client.send(post(fake_server.url + "/a"), RetryPolicy(max_retries=2))
    assert isinstance(it.value.__cause__, LookupError)
    assert SECRET not in str(it.value)
    assert len(calls) == 1
    assert not fake_server.requests


def test_a_traceback_with_variables_shows_no_token(hooked, fake_server: FakeServer) -> None:
    def hook(_: Request) -> None:
        raise LookupError

    credentials = Credentials(UserFunction(lambda: SECRET), base_url=fake_server.url)
    with pytest.raises(ConfigurationError) as caught:
        hooked(hook, credentials).send(post(fake_server.url + "/a"))
    shown = TracebackException.from_exception(caught.value, capture_locals=True)
    own = [frame for frame in shown.stack if "langchain_easyllm" in frame.filename]
    assert own
    assert SECRET not in str([frame.locals for frame in own if "tests" not in frame.filename])


def test_its_time_counts(hooked, fake_server: FakeServer) -> None:
    async def hook(_: Request) -> None:
        await asyncio.sleep(30)

    with pytest.raises(TimeoutError, match="given as request_hook took longer"):
        hooked(hook).send(post(fake_server.url + "/a"), RetryPolicy(timeout=0.1))


def test_errors_do_not_show_its_secrets(hooked, fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply({"error": f"{SECRET} is no token"}, status=500))
    client = hooked(lambda _: {"X-Api-Token": f"v1 {SECRET}", "X-Team": "engineering"})
    with pytest.raises(ServerError) as caught:
        client.send(post(fake_server.url + "/a"), ONCE)
    assert SECRET not in f"{caught.value}{vars(caught.value)}"
    del caught
    gc.collect()
    assert auth.redact(f"{SECRET} engineering") == f"{SECRET} engineering"


def test_a_call_without_a_hook_pays_nothing(make_client: MakeClient) -> None:
    hooks = make_client(Credentials("hf_argument")).transport._hooks

    def send(_: object) -> Any:
        raise EasyLLMError

    assert hooks.sender(send) is send
    assert hooks.asender(send) is send


@pytest.mark.parametrize("timeout", [5.0, None])
def test_it_is_told_what_time_is_left(
    hooked, fake_server: FakeServer, timeout: float | None
) -> None:
    fake_server.on("POST", "/a", Reply(status=503), Reply("hi"))
    seen: list[float | None] = []
    client = hooked(lambda request: seen.append(request.timeout))
    client.send(post(fake_server.url + "/a"), RetryPolicy(timeout, max_retries=1))
    if timeout is None:
        assert seen == [None, None]
    else:
        first, second = (left or 0.0 for left in seen)
        assert 0 < second < first <= 5
