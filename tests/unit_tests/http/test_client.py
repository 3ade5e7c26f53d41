from __future__ import annotations

import gzip
import socket
import threading
import zlib

import pytest

from langchain_easyllm._http.auth import Credentials
from langchain_easyllm._http.models import Request, RetryPolicy
from langchain_easyllm.errors import (
    BadRequestError,
    ConfigurationError,
    ConnectionError,
    EasyLLMError,
    IncompleteStreamError,
    ProtocolError,
)

from ...support.fake_server import Cut, FakeServer, Pause, Received, Reply, Reset
from ...support.http_clients import Client, post
from .conftest import MakeClient


def test_an_answer_is_a_value(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/a", Reply({"ok": 1}, headers={"X-Request-Id": "7"}))
    answer = client.send(post(fake_server.url + "/a?b=c%20d#part", b'{"q": 1}', x_mine="1"))
    assert (answer.status, answer.body) == (200, b'{"ok":1}')
    assert answer.headers["x-request-id"] == "7"
    request = fake_server.requests[0]
    assert request.json == {"q": 1}
    assert request.query == {"b": "c d"}
    assert request.headers == {
        "host": fake_server.url.removeprefix("http://"),
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": "8",
        "user-agent": request.headers["user-agent"],
        "x-mine": "1",
    }
    assert request.headers["user-agent"].startswith("langchain-easyllm/")


def test_get_has_no_body(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("GET", "/info", Reply("hi"))
    assert client.send(Request("GET", fake_server.url + "/info")).body == b"hi"
    assert "content-type" not in fake_server.requests[0].headers


def test_the_callers_headers_win(fake_server: FakeServer, make_client: MakeClient) -> None:
    fake_server.on("POST", "/a", Reply({}))
    client = make_client(headers={"User-Agent": "mine", "X-Both": "shared"})
    client.send(post(fake_server.url + "/a", x_both="own", Accept="text/plain"))
    headers = fake_server.requests[0].headers
    assert (headers["user-agent"], headers["x-both"]) == ("mine", "own")
    assert headers["accept"] == "text/plain"


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\0b", "한국어"])
def test_header_values_cannot_forge_headers(
    fake_server: FakeServer, make_client: MakeClient, value: str
) -> None:
    with pytest.raises(ConfigurationError, match="'X-Mine'") as caught:
        make_client(headers={"X-Mine": value})
    assert value not in str(caught.value)
    with pytest.raises(ConfigurationError):
        make_client().send(post(fake_server.url, X_Mine=value))
    assert fake_server.requests == []


@pytest.mark.parametrize("name", ["bad name", "x:", "", "Content-Length", "transfer-encoding"])
def test_header_names_cannot_break_the_framing(make_client: MakeClient, name: str) -> None:
    with pytest.raises(ConfigurationError):
        make_client(headers={name: "1"})


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:80/x", "ftp://h/x", "/x", "http://", "http://h:no/", "http://h/a\r\nb", ""),
        *("https://evil.com\\.huggingface.co/x", "http://[::1/", "http://a<b>/", "http://h:99999/"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(
    client: Client, url: str
) -> None:
    with pytest.raises(ConfigurationError):
        client.send(post(url))


def test_non_ascii_paths_are_encoded(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/모델/%", Reply({}))
    client.send(post(fake_server.url + "/모델/%25"))


def test_a_login_in_the_address_is_basic_auth(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/a", Reply({}, status=400))
    address = fake_server.url.replace("://", "://user:p%40ss@") + "/a?key=hidden"
    with pytest.raises(BadRequestError) as caught:
        client.send(post(address))
    assert fake_server.requests[0].headers["authorization"] == "Basic dXNlcjpwQHNz"
    assert caught.value.url == fake_server.url + "/a"
    assert "hidden" not in str(caught.value)


def test_connections_are_reused(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/a", Reply({"n": 1}))
    fake_server.on("POST", "/bad", Reply({"error": "no"}, status=400))
    for _ in range(5):
        client.send(post(fake_server.url + "/a"))
        with pytest.raises(BadRequestError):
            client.send(post(fake_server.url + "/bad"))
    assert fake_server.connections == 1


def test_a_connection_closed_while_idle_costs_nothing(
    fake_server: FakeServer, client: Client
) -> None:
    # The server says nothing of closing and does so right after its answer.
    fake_server.on(
        "POST",
        "/a",
        Reply(chunks=[b"hi", Cut()], framing="length", headers={"content-length": "2"}),
    )
    for served in range(1, 4):
        assert client.send(post(fake_server.url + "/a")).body == b"hi"
        fake_server.wait_until(lambda: fake_server.open_connections == 0)
        assert len(fake_server.requests) == served


@pytest.mark.parametrize("pause", [0, 0.02])
def test_bytes_behind_an_answer_are_never_taken_for_the_next(
    fake_server: FakeServer, client: Client, pause: float
) -> None:
    forged = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
    chunks = [b"hi", Pause(pause), forged] if pause else [b"hi" + forged]
    reply = Reply(chunks=chunks, framing="length", headers={"content-length": "2"})
    fake_server.on("POST", "/a", reply)
    fake_server.on("POST", "/b", Reply("good"))
    for _ in range(3):
        assert client.send(post(fake_server.url + "/a")).body == b"hi"
        client.idle(5 * pause)
        assert client.send(post(fake_server.url + "/b")).body == b"good"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_large_bodies_both_ways(fake_server: FakeServer, client: Client, framing: str) -> None:
    body = b"0123456789abcdef" * 200_000

    def echo(request: Received) -> Reply:
        cut = [request.body[at : at + 500_000] for at in range(0, len(request.body), 500_000)]
        return Reply(chunks=cut, framing=framing)

    fake_server.on("POST", "/a", echo)
    assert client.send(post(fake_server.url + "/a", body)).body == body


def test_interim_answers_are_skipped(fake_server: FakeServer, client: Client) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"
    fake_server.on("POST", "/a", Reply("hi", before=[early, Pause(0.01), early]))
    answer = client.send(post(fake_server.url + "/a"))
    assert answer.body == b"hi"
    assert "link" not in answer.headers


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
def test_a_coding_nobody_asked_for_is_undone(
    fake_server: FakeServer, client: Client, coding: str, encode: object
) -> None:
    body = encode(b"x" * 5000)
    fake_server.on("POST", "/a", Reply(body, headers={"content-encoding": coding}))
    assert client.send(post(fake_server.url + "/a")).body == b"x" * 5000


def test_a_damaged_coding_is_an_error(fake_server: FakeServer, client: Client) -> None:
    gzipped = {"content-encoding": "gzip"}
    fake_server.on("POST", "/a", Reply(b"no gzip", headers=gzipped))
    with pytest.raises(ProtocolError):
        client.send(post(fake_server.url + "/a"))
    fake_server.on("POST", "/a", Reply(gzip.compress(b"abc" * 99)[:-9], headers=gzipped))
    with pytest.raises(IncompleteStreamError):
        client.send(post(fake_server.url + "/a"))
    fake_server.on("POST", "/a", Reply(b"x", headers={"content-encoding": "br"}))
    with pytest.raises(ProtocolError, match="'br'"):
        client.send(post(fake_server.url + "/a"))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(chunks=[b"ab", Cut()], framing="length", headers={"content-length": "9"}),
        Reply(chunks=[b"ab", Cut()], framing="chunked"),
        Reply(
            chunks=[b"ab", Pause(0.05), Reset()], framing="length", headers={"content-length": "9"}
        ),
    ],
    ids=["length", "chunked", "reset"],
)
def test_a_body_cut_short_is_an_error(
    fake_server: FakeServer, client: Client, reply: Reply
) -> None:
    fake_server.on("POST", "/a", reply)
    with pytest.raises(IncompleteStreamError, match="cut off") as caught:
        client.send(post(fake_server.url + "/a"))
    assert caught.value.url == fake_server.url + "/a"


def test_a_refusal_before_the_whole_body_was_read_is_seen(client: Client) -> None:
    # A server that answers 413 after the head alone, then reads on for a moment and closes.
    def refuse() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(1000)
            client.sendall(
                b"HTTP/1.1 413 Too Large\r\ncontent-length: 8\r\nconnection: close\r\n\r\ntoo long"
            )
            client.shutdown(socket.SHUT_WR)
            while client.recv(1 << 16):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a"
        with pytest.raises(BadRequestError, match="too long"):
            client.send(post(url, b"x" * 20_000_000))
        thread.join(10)


def test_an_answer_before_the_request_is_seen(client: Client) -> None:
    # A server that has no place left says so to whoever connects.
    def refuse() -> None:
        client, _ = listener.accept()
        with client:
            client.sendall(b"HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\nall taken")
            client.shutdown(socket.SHUT_WR)
            client.recv(1 << 16)  # the request; the client may keep the connection

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(EasyLLMError, match="all taken"):
            client.send(post(f"http://127.0.0.1:{listener.getsockname()[1]}/a"))
        thread.join(10)


@pytest.mark.parametrize("before", [[Cut()], [Reset()], [b"HTTP/1.1 200 O", Cut()]])
def test_no_answer_is_a_connection_error(
    fake_server: FakeServer, client: Client, before: list[object]
) -> None:
    fake_server.on("POST", "/a", Reply(before=before))
    with pytest.raises(ConnectionError) as caught:
        client.send(post(fake_server.url + "/a"))
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, Exception)
    assert fake_server.url.removeprefix("http://") in str(caught.value)


def test_an_answer_that_is_no_http_is_a_protocol_error(
    fake_server: FakeServer, client: Client
) -> None:
    fake_server.on("POST", "/a", Reply(before=[b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Cut()]))
    with pytest.raises(ProtocolError, match="HTTP"):
        client.send(post(fake_server.url + "/a"), RetryPolicy(timeout=5, max_retries=2))
    assert len(fake_server.requests) == 1


def test_nobody_listens(client: Client) -> None:
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:1 refuses the connection"):
        client.send(post("http://127.0.0.1:1/x"))


def test_an_unknown_host(client: Client) -> None:
    with pytest.raises(ConnectionError, match=r"host name nowhere\.invalid"):
        client.send(post("http://nowhere.invalid/x"), RetryPolicy(timeout=5, max_retries=2))


# Redirects


@pytest.mark.parametrize("status", [307, 308])
def test_307_and_308_are_followed_with_the_body(
    fake_server: FakeServer, client: Client, status: int
) -> None:
    fake_server.on("POST", "/old", Reply(status=status, headers={"location": "/new?x=1"}))
    fake_server.on("POST", "/new", Reply("moved"))
    answer = client.send(post(fake_server.url + "/old", b'{"q": 1}'))
    assert (answer.body, answer.url) == (b"moved", fake_server.url + "/new?x=1")
    assert fake_server.requests[1].json == {"q": 1}


@pytest.mark.parametrize("status", [301, 302, 303])
def test_301_to_303_are_followed_for_get_only(
    fake_server: FakeServer, client: Client, status: int
) -> None:
    moved = Reply(status=status, headers={"location": fake_server.url + "/new?secret=1"})
    fake_server.on("GET", "/old", moved)
    fake_server.on("POST", "/old", moved)
    fake_server.on("GET", "/new", Reply("moved"))
    assert client.send(Request("GET", fake_server.url + "/old")).body == b"moved"
    with pytest.raises(ProtocolError, match=r"/new: use that address as base_url") as caught:
        client.send(post(fake_server.url + "/old"))
    assert "secret" not in str(caught.value)


def test_redirects_in_a_circle_end(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/a", Reply(status=307, headers={"location": "/a"}))
    with pytest.raises(ProtocolError, match="more than 5 times"):
        client.send(post(fake_server.url + "/a"))
    assert len(fake_server.requests) == 6


@pytest.mark.parametrize("status", [300, 301, 307])
@pytest.mark.parametrize("location", ["ftp://h/x", "http://", "http://a b/", "http://[::1/a"])
def test_a_redirect_to_nowhere_is_the_servers_fault(
    fake_server: FakeServer, client: Client, location: str, status: int
) -> None:
    fake_server.on("POST", "/a", Reply(status=status, headers={"location": location}))
    with pytest.raises(ProtocolError):
        client.send(post(fake_server.url + "/a"))


def test_nothing_of_the_callers_crosses_to_another_origin(
    fake_server: FakeServer, make_client: MakeClient
) -> None:
    with FakeServer() as other:
        other.on("POST", "/b", Reply("there"))
        fake_server.on("POST", "/a", Reply(status=307, headers={"location": other.url + "/b"}))
        client = make_client(
            Credentials("sekrit-token", base_url=fake_server.url),
            headers={"Cookie": "c=1", "X-API-Key": "k", "X-Team": "blue", "User-Agent": "mine/1"},
        )
        assert client.send(post(fake_server.url + "/a", tenant="x")).body == b"there"
        first, second = fake_server.requests[0].headers, other.requests[0].headers
    assert first["authorization"] == "Bearer sekrit-token"
    assert (first["cookie"], first["user-agent"], first["tenant"]) == ("c=1", "mine/1", "x")
    neutral = {"host", "accept", "accept-encoding", "user-agent", "content-type", "content-length"}
    assert set(second) == neutral
    assert second["user-agent"] != "mine/1"
    assert second["content-type"] == "application/json"
    assert second["host"] == other.url.removeprefix("http://")


def test_the_token_stays_within_its_origin(
    fake_server: FakeServer, make_client: MakeClient
) -> None:
    fake_server.on("POST", "/a", Reply(status=307, headers={"location": "/b"}))
    fake_server.on("POST", "/b", Reply("there"))
    client = make_client(Credentials("sekrit-token", base_url=fake_server.url))
    client.send(post(fake_server.url + "/a"))
    assert fake_server.requests[1].headers["authorization"] == "Bearer sekrit-token"
