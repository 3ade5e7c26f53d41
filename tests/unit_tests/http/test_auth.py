from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest

from langchain_easyllm._http.auth import TOKEN_VARIABLES, Credentials, environment_token
from langchain_easyllm._http.exchange import Attempt, exchange
from langchain_easyllm._http.headers import RequestHeaders
from langchain_easyllm._http.models import RetryPolicy, parse_url
from langchain_easyllm._http.proxies import proxy_for
from langchain_easyllm._servers.session import SessionSettings
from langchain_easyllm._servers.urls import parse_server_url
from langchain_easyllm.errors import AuthenticationError, ConfigurationError, EasyLLMError

from ...support.fake_server import FakeServer, Received, Reply, sse
from ...support.http_clients import Client, post
from .conftest import MakeClient

HUB = "https://huggingface.co/api/whoami"
ENDPOINT = "https://abc.us-east-1.aws.endpoints.huggingface.cloud/generate"
LOCAL = "http://localhost:8080/generate"
SPACE = "https://me-app.hf.space/v1"


@pytest.mark.parametrize("name", TOKEN_VARIABLES)
def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "  hf_from_env\n")
    assert environment_token() == "hf_from_env"
    assert Credentials().header_for(HUB) == "Bearer hf_from_env"


def test_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN_PATH")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    old, login = tmp_path / ".huggingface/token", tmp_path / "hf/token"
    for file, token in ((old, "hf_old_file"), (login, "hf_login_file")):
        file.parent.mkdir()
        file.write_text(token + "\n")
    places = ["hf_old_file", "hf_login_file"]
    for name in reversed(TOKEN_VARIABLES):
        monkeypatch.setenv(name, f"hf_{name}")
        places.append(f"hf_{name}")
    for name in TOKEN_VARIABLES:
        assert Credentials("hf_argument").header_for(HUB) == "Bearer hf_argument"
        assert Credentials(" ").header_for(HUB) == f"Bearer {places.pop()}"
        monkeypatch.setenv(name, " \n")
    assert environment_token() is None
    assert Credentials().header_for(HUB) == "Bearer hf_login_file"
    login.write_text("\n")
    assert Credentials().header_for(HUB) == "Bearer hf_old_file"
    old.unlink()
    assert Credentials().header_for(HUB) is None


def test_the_logins_place_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("hf_mine_file")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "mine"))
    assert Credentials().header_for(HUB) == "Bearer hf_mine_file"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        (HUB, True),
        (ENDPOINT, True),
        ("https://hf.co/x", True),
        (SPACE, False),
        ("https://hf.space/embed/me/app", False),
        ("https://me-app.static.HF.space", False),
        ("https://router.huggingface.co:443/v1", True),
        ("https://HUGGINGFACE.CO/x", True),
        ("http://huggingface.co/x", False),
        ("https://huggingface.co.evil.com/x", False),
        ("https://evilhuggingface.co/x", False),
        ("https://evil.com/huggingface.co", False),
        ("https://huggingface.co@evil.com/x", False),
        ("https://evil.com#huggingface.co", False),
        (LOCAL, False),
    ],
)
def test_a_found_token_goes_to_hugging_face_only(
    monkeypatch: pytest.MonkeyPatch, url: str, sent: bool
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_from_env")
    header = "Bearer hf_from_env" if sent else None
    assert Credentials().header_for(url) == header
    assert Credentials(base_url=LOCAL).header_for(url) == header
    assert Credentials().withheld_from(url) is not sent


@pytest.mark.parametrize(
    ("base_url", "url", "sent"),
    [
        (None, HUB, True),
        (None, LOCAL, False),
        (LOCAL, LOCAL, True),
        (LOCAL, "http://localhost:8080/info?x=1", True),
        (LOCAL, "http://localhost:8081/info", False),
        (LOCAL, "https://localhost:8080/info", False),
        (LOCAL, HUB, False),
        (ENDPOINT, ENDPOINT, True),
        (ENDPOINT, HUB, True),
        (ENDPOINT, LOCAL, False),
        ("https://api.together.xyz/v1", "https://api.together.xyz/v1/models", True),
        ("https://api.together.xyz/v1", "https://together.xyz/v1/models", False),
        (SPACE, "https://me-app.hf.space/info", True),
        (SPACE, "https://other-app.hf.space/v1", False),
        (SPACE, HUB, False),
        (None, SPACE, False),
        (ENDPOINT, SPACE, False),
    ],
)
def test_a_given_key_goes_where_it_was_given_for(
    base_url: str | None, url: str, sent: bool
) -> None:
    credentials = Credentials("hf_argument", base_url=base_url)
    assert credentials.header_for(url) == ("Bearer hf_argument" if sent else None)


@pytest.mark.parametrize(
    "token", ["hf_line\nbreak_1", "hf_null\0byte_1", "hf_한국어_token", "a b\t1"]
)
def test_a_token_that_no_header_can_carry(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        Credentials(token)
    assert token not in str(caught.value)
    if "\0" not in token:
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(ConfigurationError, match="environment") as caught:
            Credentials().header_for(HUB)
        assert token not in str(caught.value)


def test_nothing_shows_the_token() -> None:
    credentials = Credentials("hf_argument", base_url=LOCAL)
    credentials.header_for(LOCAL)
    assert "hf_argument" not in repr(credentials) + str(credentials)


def test_no_value_shows_the_secret_that_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "pass-word-1"
    monkeypatch.setenv("https_proxy", f"http://me:{secret}@proxy.test:3128")
    url = f"https://me:{secret}@example.test/a?key={secret}"
    address, request = parse_url(url), post(url.replace(secret, "x"), x_api_key=secret)
    plan = RequestHeaders(Credentials(secret, base_url=url), {"Cookie": secret})
    proxy = proxy_for(address)
    step = next(exchange(request, RetryPolicy(), plan, streaming=False))
    assert isinstance(step, Attempt)
    assert proxy is not None
    assert secret in f"{proxy.authorization and b64decode(proxy.authorization[6:])!r}"
    assert step.headers["authorization"] == f"Bearer {secret}"
    settings = SessionSettings(
        parse_server_url(f"http://h?k={secret}"), secret, (("cookie", secret),), verify=True
    )
    for value in (address, request, plan, proxy, step, settings):
        assert secret not in f"{value!r} {value}"
        assert str(proxy.authorization)[6:] not in f"{value!r} {value}"


def test_an_echoed_token_stays_out_of_errors(
    fake_server: FakeServer, make_client: MakeClient
) -> None:
    def echo(request: Received) -> Reply:
        said = f"bad {request.headers['authorization']} and {request.headers['x-api-key']}"
        return Reply({"error": said}, status=401)

    fake_server.on("POST", "/a", echo)
    credentials = Credentials("hf_very_secret", base_url=fake_server.url)
    client = make_client(credentials, headers={"X-API-Key": "another-secret"})
    with pytest.raises(AuthenticationError, match=r"Bearer \*\*\* and \*\*\*") as caught:
        client.send(post(fake_server.url + "/a"))
    error = caught.value
    shown = f"{error!r} {error} {error.body} {error.url} {error.__dict__} {error.__cause__}"
    assert "hf_very_secret" not in shown
    assert "another-secret" not in shown


def test_a_key_cut_in_two_by_the_quote_is_not_half_shown(
    fake_server: FakeServer, make_client: MakeClient
) -> None:
    key = "hf_" + "k" * 40
    fake_server.on("POST", "/a", Reply({"error": "x" * 280 + key}, status=400))
    client = make_client(Credentials(key, base_url=fake_server.url))
    with pytest.raises(EasyLLMError) as caught:
        client.send(post(fake_server.url + "/a"))
    assert "kkkk" not in str(caught.value)


def test_a_withheld_token_is_named_as_the_reason(
    monkeypatch: pytest.MonkeyPatch, fake_server: FakeServer, client: Client
) -> None:
    fake_server.on("POST", "/a", Reply({"error": "Unauthorized"}, status=401))
    with pytest.raises(AuthenticationError, match="api_key") as caught:
        client.send(post(fake_server.url + "/a"))
    assert "HF_TOKEN" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_from_env")
    with pytest.raises(AuthenticationError, match="pass api_key together with this base_url"):
        type(client)(type(client.transport)()).send(post(fake_server.url + "/a"))
    assert "authorization" not in fake_server.requests[1].headers


def test_streams_are_signed_too(fake_server: FakeServer, make_client: MakeClient) -> None:
    fake_server.on("POST", "/s", sse("a"))
    client = make_client(Credentials("hf_argument", base_url=fake_server.url))
    assert client.read(post(fake_server.url + "/s")) == [b"a", b"[DONE]"]
    assert fake_server.requests[0].headers["authorization"] == "Bearer hf_argument"
