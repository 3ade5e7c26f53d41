"""Addresses as people and servers write them."""

from __future__ import annotations

import sys

import pytest

from langchain_easyllm import EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm._http.models import is_hugging_face, parse_url
from langchain_easyllm.errors import ConfigurationError, EasyLLMError

from ...support.fake_server import FakeServer, Reply
from ...support.http_clients import post
from ...support.subprocess_scripts import assert_silent
from .conftest import MakeClient


@pytest.mark.parametrize(
    ("host", "ascii_form"),
    [
        ("straße.de", "xn--strae-oqa.de"),
        ("STRASSE.de", "strasse.de"),
        ("faß.example.", "xn--fa-hia.example."),
        ("Bücher.Example", "xn--bcher-kva.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("ｌｏｃａｌｈｏｓｔ", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("model_a.münchen.internal", "model_a.xn--mnchen-3ya.internal"),
        ("1.2.3.４", "1.2.3.4"),
    ],
)
def test_a_host_is_sent_in_ascii(host: str, ascii_form: str) -> None:
    address = parse_url(f"https://{host}:8443/v1")
    assert address.host == ascii_form
    assert address.url == f"https://{ascii_form}:8443/v1"


def test_a_host_is_known_in_any_form() -> None:
    assert is_hugging_face(parse_url("https://ｈｕｇｇｉｎｇｆａｃｅ.co/x"))
    assert not is_hugging_face(parse_url("https://huggingfaçe.co/x"))


@pytest.mark.parametrize(
    "host", ["☕.us", "-ü.de", "ü" * 64 + ".de", "bü cher.de", "bücher_x.de", "℀.de", "ü\u200d.de"]
)
def test_a_name_that_is_none(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"valid|spaces|no HTTP address") as caught:
        parse_url(f"https://{host}/v1")
    assert "xn--" in str(caught.value) or "℀" in host or " " in host
    for cls in (EasyLLMChat, EasyLLMEmbeddings):  # before anything is sent
        with pytest.raises(ConfigurationError):
            cls(base_url=f"https://{host}/v1")


def test_only_a_host_that_needs_them_loads_the_tables_of_unicode() -> None:
    script = """
    import sys
    from langchain_easyllm._http.models import parse_url
    from langchain_easyllm._servers.urls import parse_server_url
    parse_server_url("http://localhost:9")
    parse_url("https://example.test/ü?q=ü")
    assert "idna" not in sys.modules
    parse_url("https://ü.test/")
    assert "idna" in sys.modules
    """
    assert_silent(script)


SURROGATE = "\udc80"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/a{}",
        "http://localhost/a?b={}",
        "http://localhost/a#{}",
        "http://lo{}cal/a",
        "http://user:pass{}@localhost/a",
        "http://{}@localhost/a",
        "http://localhost:8{}0/a",
        "ht{}tp://localhost/a",
    ],
)
def test_half_a_surrogate_pair_has_no_encoding(make_client: MakeClient, url: str) -> None:
    url = url.format(SURROGATE)
    with pytest.raises(ConfigurationError) as caught:
        make_client().send(post(url))
    str(caught.value).encode()  # can be printed
    assert "pass" not in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        EasyLLMChat(base_url=url)
    str(caught.value).encode()


def test_half_a_surrogate_pair_in_a_models_name(fake_server: FakeServer) -> None:
    """It becomes a part of the address at some servers."""
    model = EasyLLMChat(
        model="org/" + SURROGATE, provider="hf-inference", prompt_builder="llama2", max_retries=0
    )
    with pytest.raises(ConfigurationError):
        model.invoke("Hi")


def test_a_percent_encoded_login_that_is_no_text(
    fake_server: FakeServer, make_client: MakeClient
) -> None:
    fake_server.on("POST", "/a", Reply("hi"))
    url = fake_server.url.replace("http://", "http://user:%ED%B2%80%FF@")
    assert make_client().send(post(url + "/a")).body == b"hi"


@pytest.mark.skipif(sys.platform == "win32", reason="the environment is text there")
@pytest.mark.parametrize("place", ["http://\udcff:1", "http://u:\udcff@127.0.0.1:1", "http://a b"])
def test_a_proxy_that_is_no_address(
    monkeypatch: pytest.MonkeyPatch, make_client: MakeClient, place: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", place)
    with pytest.raises(EasyLLMError, match=r"the proxy for example\.test: correct HTTP_PROXY"):
        make_client().send(post("http://example.test/a"))
