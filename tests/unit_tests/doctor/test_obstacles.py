"""Servers that cannot be asked: one line says what was seen and what to do, and the code is 2."""

from __future__ import annotations

import socket

import pytest

from langchain_easyllm._servers import session
from langchain_easyllm.doctor import account, examination
from langchain_easyllm.doctor.examination import NOTHING_NAMED

from ...support.fake_server import Cut, FakeServer, Reply, Stall
from ...support.fake_text_servers import serve
from ...support.tls_files import certificate
from .conftest import Doctor

PAGE = Reply(b"<!DOCTYPE html>\n<html><head><title>Welcome!\x1b[31m</title>")
CHAT = "/v1/chat/completions"


def obstacle(doctor: Doctor, *arguments: object) -> str:
    """The last line but one, which says why the server cannot be asked."""
    code, printed = doctor(*arguments)
    assert code == 2
    assert doctor.errors == ""
    lines = printed.splitlines()
    assert not any("\x1b" in line for line in lines)
    assert "requests in" in lines[-1]
    return lines[-2].removeprefix("Cannot check this server: ")


def test_a_web_page(fake_server: FakeServer, doctor: Doctor) -> None:
    for path in ("/info", "/v1/models"):
        fake_server.on("GET", path, PAGE)
    fake_server.on("POST", CHAT, Reply(b"<html><title>405 Not Allowed</title>", status=405))
    said = obstacle(doctor, fake_server.url)
    assert said.startswith('A web page ("Welcome! [31m") answers at /info')
    assert "give the root of the server's API" in said


def test_a_wrong_path(fake_server: FakeServer, doctor: Doctor) -> None:
    serve(fake_server, "vllm")
    said = obstacle(doctor, f"{fake_server.url}/some/where")
    assert "Nothing that this package knows is at" in said
    assert f"There is a server (vllm) at {fake_server.url}: use that URL." in said


def test_nothing_at_all(fake_server: FakeServer, doctor: Doctor) -> None:
    said = obstacle(doctor, fake_server.url)
    assert "it has none of /info, /v1/models" in said
    assert said.endswith("Check the port, and that base_url is the server's root or its /v1.")


@pytest.mark.parametrize("path", ["/info", CHAT])
def test_a_server_that_hangs(
    path: str, fake_server: FakeServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "DETECTION_TIMEOUT", 0.2)
    serve(fake_server, "vllm")
    fake_server.on("POST" if path == CHAT else "GET", path, Reply({}, before=[Stall()]))
    said = obstacle(doctor, fake_server.url, "--timeout", 0.3)
    assert f"not answer GET {path}" in said or f"not POST {path} within 0.3 s" in said
    assert "--timeout" in said


def test_the_times_of_a_server_that_hangs_stay_below_thirty_seconds() -> None:
    from langchain_easyllm.doctor.command import _parser
    from langchain_easyllm.doctor.examination import CONNECT_SECONDS

    answer = _parser().parse_args([]).timeout
    assert CONNECT_SECONDS + session.DETECTION_TIMEOUT + answer < 28
    assert CONNECT_SECONDS + 2 * account.SECONDS + answer < 32


@pytest.mark.parametrize("path", ["/info", CHAT])
@pytest.mark.parametrize("key", ["", "sk-mine-and-secret"])
def test_a_key_that_is_refused_or_missing(
    path: str,
    key: str,
    fake_server: FakeServer,
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusal = Reply({"error": {"message": f"Invalid key {key}"}}, status=401)
    serve(fake_server, "vllm")
    for method, route in (("GET", "/info"), ("GET", "/v1/models"), ("POST", CHAT)):
        if path in (route, "/info"):
            fake_server.on(method, route, refusal)
    monkeypatch.setenv("MY_KEY", key)
    said = obstacle(doctor, fake_server.url, *(["--api-key-env", "MY_KEY"] if key else []))
    if key:
        assert said == "The server refuses the key (401: Invalid key ***). Check its value."
    else:
        assert "wants a key (401: Invalid key)" in said
        assert "--api-key-env" in said


def test_a_proxy_that_answers(
    fake_server: FakeServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", fake_server.url.replace("//", "//me:secret-word@"))
    denied = Reply(b"<html><title>Access denied</title>", status=403)
    for path in ("/info", "/v1/models"):
        fake_server.on("GET", path, denied)
    said = obstacle(doctor, "http://models.example")
    assert said.startswith(f"The proxy {fake_server.url} seems to answer in place of the server")
    assert "(403: Access denied)" in said
    assert "NO_PROXY" in said


def test_a_proxy_that_knows_no_route(
    fake_server: FakeServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", fake_server.url)  # it answers 404 to all
    said = obstacle(doctor, "http://models.example")
    assert said.startswith("Nothing that this package knows is at http://models.example")
    assert f"came through the proxy {fake_server.url}" in said
    assert "NO_PROXY" in said


def test_a_proxy_that_hangs(
    fake_server: FakeServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "DETECTION_TIMEOUT", 0.2)
    monkeypatch.setattr(examination, "CONNECT_SECONDS", 0.3)
    fake_server.on("GET", "/info", Reply({}, before=[Stall()]))
    monkeypatch.setenv("HTTP_PROXY", fake_server.url)
    said = obstacle(doctor, "http://models.example")
    assert said.startswith(f"The proxy {fake_server.url} accepts the connection and does not")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        said = obstacle(doctor, "https://models.example")
    assert said.startswith(f"The proxy {proxy} accepts the connection, and TLS with models.example")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply({"error": "no credits"}, status=402), "402 Payment Required: no credits. Add"),
        (Reply({"error": "slow down"}, status=429), "slow down. Try again when it is less busy."),
        (Reply({}, before=[Cut()]), "If the server speaks TLS, write https:// in its URL."),
    ],
)
def test_a_server_that_answers_nothing_else(
    reply: Reply, expected: str, fake_server: FakeServer, doctor: Doctor
) -> None:
    for method, path in (("GET", "/info"), ("GET", "/v1/models"), ("POST", CHAT)):
        fake_server.on(method, path, reply)
    assert expected in obstacle(doctor, fake_server.url)


@pytest.mark.parametrize("alive", [True, False])
def test_a_proxy_that_makes_no_tunnel(
    alive: bool, fake_server: FakeServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        dead = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("HTTPS_PROXY", fake_server.url if alive else dead)
    said = obstacle(doctor, "https://models.example")
    if alive:
        assert "The proxy for models.example refused to connect to it (404)" in said
    else:
        assert f"The proxy {dead} refuses the connection" in said
    assert "NO_PROXY" in said


def test_a_server_that_is_not_there(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = obstacle(doctor, f"http://127.0.0.1:{port}")
    assert "refuses the connection. Check that a server is running" in said
    assert "cannot be resolved" in obstacle(doctor, "http://nowhere.invalid")


def test_tls_where_there_is_none_and_a_certificate_nobody_knows(
    fake_server: FakeServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "CONNECT_SECONDS", 0.3)
    said = obstacle(doctor, fake_server.url.replace("http:", "https:"))
    assert "does not answer TLS: check that the URL wants https, not http" in said
    monkeypatch.undo()
    import ssl

    chain, key = certificate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    with FakeServer(tls=context) as server:
        serve(server, "vllm")
        assert "cannot be verified (self-signed certificate" in obstacle(doctor, server.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(chain))
        report = doctor.json(server.url, "--only", "plain")
    assert report["connection"]["tls"]["version"] == "TLSv1.3"
    assert report["connection"]["tls"]["days_left"] > 0
    assert report["exit_code"] == 0


def test_without_a_url_and_a_token(doctor: Doctor) -> None:
    assert obstacle(doctor) == NOTHING_NAMED


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ftp://x"], "is no HTTP address"),
        (["http://x", "--only", "tols"], "There is no check 'tols': did you mean 'tools'?"),
        (["http://x", "--api-key-env", "NOT_SET"], "The environment variable NOT_SET is not set."),
        ([""], "base_url is empty"),
        (["http://me:secret-word@x"], "The URL holds credentials"),
        (["me:secret-word@x"], "The URL holds credentials"),
        (["hf_" + "secret-word"], "base_url is a key"),
    ],
)
def test_arguments_that_make_no_sense(arguments: list[str], said: str, doctor: Doctor) -> None:
    assert doctor(*arguments) == (2, "")
    assert said in doctor.errors
    assert doctor.errors.count("\n") == 1
    assert said in doctor.json(*arguments)["obstacle"]
