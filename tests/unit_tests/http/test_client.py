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

from ...support.fake_server import Cut, Pause, Received, Reply, Reset, WireServer
from ...support.http_clients import Caller, post
from .conftest import MakeCaller


def test_an_answer_is_a_value(wire_server: WireServer, caller: Caller) -> None:
    wire_server.on("POST", "/a", Reply({"ok": 1}, headers={"X-Request-Id": "7"}))
    answer = caller.send(post(wire_server.url + "/a?b=c%20d#part", b'{"q": 1}', x_mine="1"))
    assert (answer.status, answer.body) == (200, b'{"ok":1}')
    assert answer.headers["x-request-id"] == "7"
    request = wire_server.requests[0]
    assert request.json == {"q": 1}
    assert request.query == {"b": "c d"}
    assert request.headers == {
        "host": wire_server.url.removeprefix("http://"),
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": "8",
        "user-agent": request.headers["user-agent"],
        "x-mine": "1",
    }
    assert request.headers["user-agent"].startswith("langchain-easyllm/")


def test_get_has_no_body(wire_server: WireServer, caller: Caller) -> None:
    wire_server.on("GET", "/info", Reply("hi"))
    assert caller.send(Request("GET", wire_server.url + "/info")).body == b"hi"
    assert "content-type" not in wire_server.requests[0].headers


def test_the_callers_headers_win(wire_server: WireServer, make_caller: MakeCaller) -> None:
    wire_server.on("POST", "/a", Reply({}))
    caller = make_caller(headers={"User-Agent": "mine", "X-Both": "shared"})
    caller.send(post(wire_server.url + "/a", x_both="own", Accept="text/plain"))
    headers = wire_server.requests[0].headers
    assert (headers["user-agent"], headers["x-both"]) == ("mine", "own")
    assert headers["accept"] == "text/plain"


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\0b", "한국어"])
def test_header_values_cannot_forge_headers(
    wire_server: WireServer, make_caller: MakeCaller, value: str
) -> None:
    with pytest.raises(ConfigurationError, match="'X-Mine'") as caught:
        make_caller(headers={"X-Mine": value})
    assert value not in str(caught.value)
    with pytest.raises(ConfigurationError):
        make_caller().send(post(wire_server.url, X_Mine=value))
    assert wire_server.requests == []


@pytest.mark.parametrize("name", ["bad name", "x:", "", "Content-Length", "transfer-encoding"])
def test_header_names_cannot_break_the_framing(make_caller: MakeCaller, name: str) -> None:
    with pytest.raises(ConfigurationError):
        make_caller(headers={name: "1"})


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:80/x", "ftp://h/x", "/x", "http://", "http://h:no/", "http://h/a\r\nb", ""),
        *("https://evil.com\\.huggingface.co/x", "http://[::1/", "http://a<b>/", "http://h:99999/"),
    ],
)
def test_an_address_that_is_none_is_refused_unsent(caller: Caller, url: str) -> None:
    with pytest.raises(ConfigurationError):
        caller.send(post(url))


def test_non_ascii_paths_are_encoded(wire_server: WireServer, caller: Caller) -> None:
    wire_server.on("POST", "/모델/%", Reply({}))
    caller.send(post(wire_server.url + "/모델/%25"))


def test_a_login_in_the_address_is_basic_auth(wire_server: WireServer, caller: Caller) -> None:
    wire_server.on("POST", "/a", Reply({}, status=400))
    address = wire_server.url.replace("://", "://user:p%40ss@") + "/a?key=hidden"
    with pytest.raises(BadRequestError) as caught:
        caller.send(post(address))
    assert wire_server.requests[0].headers["authorization"] == "Basic dXNlcjpwQHNz"
    assert caught.value.url == wire_server.url + "/a"
    assert "hidden" not in str(caught.value)


def test_connections_are_reused(wire_server: WireServer, caller: Caller) -> None:
    wire_server.on("POST", "/a", Reply({"n": 1}))
    wire_server.on("POST", "/bad", Reply({"error": "no"}, status=400))
    for _ in range(5):
        caller.send(post(wire_server.url + "/a"))
        with pytest.raises(BadRequestError):
            caller.send(post(wire_server.url + "/bad"))
    assert wire_server.connections == 1


def test_a_connection_closed_while_idle_costs_nothing(
    wire_server: WireServer, caller: Caller
) -> None:
    # The server says nothing of closing and does so right after its answer.
    wire_server.on(
        "POST",
        "/a",
        Reply(pieces=[b"hi", Cut()], framing="length", headers={"content-length": "2"}),
    )
    for served in range(1, 4):
        assert caller.send(post(wire_server.url + "/a")).body == b"hi"
        wire_server.wait_until(lambda: wire_server.open_connections == 0)
        assert len(wire_server.requests) == served


@pytest.mark.parametrize("pause", [0, 0.02])
def test_bytes_behind_an_answer_are_never_taken_for_the_next(
    wire_server: WireServer, caller: Caller, pause: float
) -> None:
    forged = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
    pieces = [b"hi", Pause(pause), forged] if pause else [b"hi" + forged]
    reply = Reply(pieces=pieces, framing="length", headers={"content-length": "2"})
    wire_server.on("POST", "/a", reply)
    wire_server.on("POST", "/b", Reply("good"))
    for _ in range(3):
        assert caller.send(post(wire_server.url + "/a")).body == b"hi"
        caller.idle(5 * pause)
        assert caller.send(post(wire_server.url + "/b")).body == b"good"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_large_bodies_both_ways(wire_server: WireServer, caller: Caller, framing: str) -> None:
    body = b"0123456789abcdef" * 200_000

    def echo(request: Received) -> Reply:
        cut = [request.body[at : at + 500_000] for at in range(0, len(request.body), 500_000)]
        return Reply(pieces=cut, framing=framing)

    wire_server.on("POST", "/a", echo)
    assert caller.send(post(wire_server.url + "/a", body)).body == body


def test_interim_answers_are_skipped(wire_server: WireServer, caller: Caller) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"
    wire_server.on("POST", "/a", Reply("hi", before=[early, Pause(0.01), early]))
    answer = caller.send(post(wire_server.url + "/a"))
    assert answer.body == b"hi"
    assert "link" not in answer.headers


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
def test_a_coding_nobody_asked_for_is_undone(
    wire_server: WireServer, caller: Caller, coding: str, encode: object
) -> None:
    body = encode(b"x" * 5000)
    wire_server.on("POST", "/a", Reply(body, headers={"content-encoding": coding}))
    assert caller.send(post(wire_server.url + "/a")).body == b"x" * 5000


def test_a_damaged_coding_is_an_error(wire_server: WireServer, caller: Caller) -> None:
    gzipped = {"content-encoding": "gzip"}
    wire_server.on("POST", "/a", Reply(b"no gzip", headers=gzipped))
    with pytest.raises(ProtocolError):
        caller.send(post(wire_server.url + "/a"))
    wire_server.on("POST", "/a", Reply(gzip.compress(b"abc" * 99)[:-9], headers=gzipped))
    with pytest.raises(IncompleteStreamError):
        caller.send(post(wire_server.url + "/a"))
    wire_server.on("POST", "/a", Reply(b"x", headers={"content-encoding": "br"}))
    with pytest.raises(ProtocolError, match="'br'"):
        caller.send(post(wire_server.url + "/a"))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(pieces=[b"ab", Cut()], framing="length", headers={"content-length": "9"}),
        Reply(pieces=[b"ab", Cut()], framing="chunked"),
        Reply(
            pieces=[b"ab", Pause(0.05), Reset()], framing="length", headers={"content-length": "9"}
        ),
    ],
    ids=["length", "chunked", "reset"],
)
def test_a_body_cut_short_is_an_error(
    wire_server: WireServer, caller: Caller, reply: Reply
) -> None:
    wire_server.on("POST", "/a", reply)
    with pytest.raises(IncompleteStreamError, match="cut off") as caught:
        caller.send(post(wire_server.url + "/a"))
    assert caught.value.url == wire_server.url + "/a"


def test_a_refusal_before_the_whole_body_was_read_is_seen(caller: Caller) -> None:
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
            caller.send(post(url, b"x" * 20_000_000))
        thread.join(10)


def test_an_answer_before_the_request_is_seen(caller: Caller) -> None:
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
            caller.send(post(f"http://127.0.0.1:{listener.getsockname()[1]}/a"))
        thread.join(10)


@pytest.mark.parametrize("before", [[Cut()], [Reset()], [b"HTTP/1.1 200 O", Cut()]])
def test_no_answer_is_a_connection_error(
    wire_server: WireServer, caller: Caller, before: list[object]
) -> None:
    wire_server.on("POST", "/a", Reply(before=before))
    with pytest.raises(ConnectionError) as caught:
        caller.send(post(wire_server.url + "/a"))
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, Exception)
    assert wire_server.url.removeprefix("http://") in str(caught.value)


def test_an_answer_that_is_no_http_is_a_protocol_error(
    wire_server: WireServer, caller: Caller
) -> None:
    wire_server.on("POST", "/a", Reply(before=[b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Cut()]))
    with pytest.raises(ProtocolError, match="HTTP"):
        caller.send(post(wire_server.url + "/a"), RetryPolicy(timeout=5, max_retries=2))
    assert len(wire_server.requests) == 1


def test_nobody_listens(caller: Caller) -> None:
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:1 refuses the connection"):
        caller.send(post("http://127.0.0.1:1/x"))


def test_an_unknown_host(caller: Caller) -> None:
    with pytest.raises(ConnectionError, match=r"host name nowhere\.invalid"):
        caller.send(post("http://nowhere.invalid/x"), RetryPolicy(timeout=5, max_retries=2))


# Redirects


@pytest.mark.parametrize("status", [307, 308])
def test_307_and_308_are_followed_with_the_body(
    wire_server: WireServer, caller: Caller, status: int
) -> None:
    wire_server.on("POST", "/old", Reply(status=status, headers={"location": "/new?x=1"}))
    wire_server.on("POST", "/new", Reply("moved"))
    answer = caller.send(post(wire_server.url + "/old", b'{"q": 1}'))
    assert (answer.body, answer.url) == (b"moved", wire_server.url + "/new?x=1")
    assert wire_server.requests[1].json == {"q": 1}


@pytest.mark.parametrize("status", [301, 302, 303])
def test_301_to_303_are_followed_for_get_only(
    wire_server: WireServer, caller: Caller, status: int
) -> None:
    moved = Reply(status=status, headers={"location": wire_server.url + "/new?secret=1"})
    wire_server.on("GET", "/old", moved)
    wire_server.on("POST", "/old", moved)
    wire_server.on("GET", "/new", Reply("moved"))
    assert caller.send(Request("GET", wire_server.url + "/old")).body == b"moved"
    with pytest.raises(ProtocolError, match=r"/new: use that address as base_url") as caught:
        caller.send(post(wire_server.url + "/old"))
    assert "secret" not in str(caught.value)


def test_redirects_in_a_circle_end(wire_server: WireServer, caller: Caller) -> None:
    wire_server.on("POST", "/a", Reply(status=307, headers={"location": "/a"}))
    with pytest.raises(ProtocolError, match="more than 5 times"):
        caller.send(post(wire_server.url + "/a"))
    assert len(wire_server.requests) == 6


@pytest.mark.parametrize("status", [300, 301, 307])
@pytest.mark.parametrize("location", ["ftp://h/x", "http://", "http://a b/", "http://[::1/a"])
def test_a_redirect_to_nowhere_is_the_servers_fault(
    wire_server: WireServer, caller: Caller, location: str, status: int
) -> None:
    wire_server.on("POST", "/a", Reply(status=status, headers={"location": location}))
    with pytest.raises(ProtocolError):
        caller.send(post(wire_server.url + "/a"))


def test_secrets_do_not_cross_to_another_origin(
    wire_server: WireServer, make_caller: MakeCaller
) -> None:
    with WireServer() as other:
        other.on("POST", "/b", Reply("there"))
        wire_server.on("POST", "/a", Reply(status=307, headers={"location": other.url + "/b"}))
        caller = make_caller(
            Credentials("sekrit-token", base_url=wire_server.url),
            headers={"Cookie": "c=1", "X-API-Key": "k", "X-Team": "blue"},
        )
        assert caller.send(post(wire_server.url + "/a")).body == b"there"
        first, second = wire_server.requests[0].headers, other.requests[0].headers
    assert first["authorization"] == "Bearer sekrit-token"
    assert first["cookie"] == "c=1"
    assert second["x-team"] == "blue"
    assert not {"authorization", "cookie", "x-api-key"} & set(second)
    assert second["host"] == other.url.removeprefix("http://")


def test_the_token_stays_within_its_origin(
    wire_server: WireServer, make_caller: MakeCaller
) -> None:
    wire_server.on("POST", "/a", Reply(status=307, headers={"location": "/b"}))
    wire_server.on("POST", "/b", Reply("there"))
    caller = make_caller(Credentials("sekrit-token", base_url=wire_server.url))
    caller.send(post(wire_server.url + "/a"))
    assert wire_server.requests[1].headers["authorization"] == "Bearer sekrit-token"
