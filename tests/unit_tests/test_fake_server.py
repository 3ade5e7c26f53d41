"""The test server itself: what it promises to the other tests, seen over raw sockets."""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
import socket
import threading
import time
import warnings
from contextlib import closing

import pytest

from ..support.fake_server import Cut, FakeServer, Pause, Reply, Reset, Stall, sse
from ..support.fake_text_servers import RESPONSE_SHAPES, serve


def connect(server: FakeServer) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def client(server: FakeServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)


def ask(connection: http.client.HTTPConnection, path: str, body: object = None) -> bytes:
    data = None if body is None else json.dumps(body)
    connection.request("GET" if body is None else "POST", path, data)
    return connection.getresponse().read()


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_replies_come_in_turn_and_the_last_one_repeats(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/a", Reply("one"), lambda request: Reply(request.query))
    with closing(client(fake_server)) as connection:
        answers = [ask(connection, f"/a?call={call}") for call in range(3)]
    assert answers == [b"one", b'{"call":"1"}', b'{"call":"2"}']


def test_one_connection_serves_many_requests(fake_server: FakeServer) -> None:
    with closing(client(fake_server)) as connection:
        ask(connection, "/a")
        ask(connection, "/b")
        assert fake_server.open_connections == 1
    assert [request.connection for request in fake_server.requests] == [1, 1]
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


def test_a_connection_counts_as_open_until_its_client_can_see_the_end(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = asyncio.StreamReaderProtocol.connection_lost

    def lost_slowly(self: asyncio.StreamReaderProtocol, exc: Exception | None) -> None:
        lost(self, exc)
        time.sleep(0.02)

    monkeypatch.setattr(asyncio.StreamReaderProtocol, "connection_lost", lost_slowly)
    fake_server.on("GET", "/", Reply("bye", keep_alive=False))
    with closing(connect(fake_server)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = b""
        while not seen.endswith(b"bye"):
            seen += connection.recv(65536)
        fake_server.wait_until(lambda: fake_server.open_connections == 0)
        connection.setblocking(False)
        assert connection.recv(1) == b""


def test_unknown_routes_are_404_in_json(fake_server: FakeServer) -> None:
    with closing(client(fake_server)) as connection:
        connection.request("PUT", "/nowhere")
        response = connection.getresponse()
        assert response.status == 404
        assert json.load(response) == {"error": "no route PUT /nowhere"}


def test_bodies_are_read_in_both_framings_and_after_100_continue(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/echo", lambda request: Reply(request.body, keep_alive=False))
    chunked = (
        b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n"
    )
    for rest in (b"Content-Length: 5\r\n\r\nabcde", chunked):
        with closing(connect(fake_server)) as connection:
            connection.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\n" + rest)
            assert read_all(connection).endswith(b"\r\n\r\nabcde")
    with closing(connect(fake_server)) as connection:
        head = b"POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        connection.sendall(head)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"ok")
        assert read_all(connection).endswith(b"\r\n\r\nok")


def test_chunks_arrive_as_they_were_cut(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/", Reply(chunks=[b"a", Pause(0.05), b"bc"], framing="close"))
    with closing(connect(fake_server)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        seen = connection.recv(65536)
        while not seen.endswith(b"a"):
            seen += connection.recv(65536)
        assert connection.recv(65536) == b"bc"
        assert connection.recv(65536) == b""


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_cut_breaks_the_framing(fake_server: FakeServer, framing: str) -> None:
    reply = Reply(chunks=[b"abc", Cut(), b"def"], framing=framing)  # type: ignore[arg-type]
    fake_server.on("GET", "/", reply)
    connection = client(fake_server)
    with closing(connection), pytest.raises(http.client.IncompleteRead) as caught:
        ask(connection, "/")
    assert caught.value.partial == b"abc"
    assert fake_server.disconnects == 0


def test_a_reset_may_come_before_the_status_line(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/", Reply(before=[Reset()]))
    with closing(client(fake_server)) as connection, pytest.raises(ConnectionResetError):
        ask(connection, "/")


def test_a_client_that_leaves_during_a_stall_is_counted(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/", sse("a", Stall()))
    with closing(client(fake_server)) as connection:
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.readline() == b"data: a\n"
        response.close()
    fake_server.wait_until(lambda: fake_server.disconnects == 1)


def test_closing_ends_a_stall() -> None:
    with FakeServer() as server:
        server.on("GET", "/", Reply(before=[Stall()]))
        connection = connect(server)
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        server.wait_until(lambda: server.max_in_flight == 1)
    with closing(connection):
        assert connection.recv(1) == b""


def test_a_failure_in_a_reply_fails_the_test() -> None:
    with pytest.raises(ZeroDivisionError), FakeServer() as server:  # noqa: PT012 - as it closes
        server.on("GET", "/", lambda _: Reply(1 // 0))
        with closing(connect(server)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert read_all(connection) == b""


def test_the_forms_of_a_stream() -> None:
    def sent(reply: Reply) -> bytes:
        return b"".join(chunk for chunk in reply.payload() if isinstance(chunk, bytes))

    assert sent(sse({"é": 1}, "a\nb")) == (
        'data: {"é":1}\n\ndata: a\ndata: b\n\ndata: [DONE]\n\n'.encode()
    )
    assert sent(sse("a", space=False, done_space=False)) == b"data:a\n\ndata:[DONE]\n\n"
    assert sent(sse("a", crlf=True, done=False, comments=True)) == (
        b": ping\r\n\r\ndata: a\r\n\r\n"
    )
    chunks = sse("é", Pause(1), b"x", done=False, split=7).payload()
    assert chunks == [b"data: \xc3", b"\xa9\n\n", Pause(1), b"x"]
    assert sse("a", "b", per_event=False).payload() == [b"data: a\n\ndata: b\n\ndata: [DONE]\n\n"]


async def test_three_hundred_requests_at_once(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/", Reply(before=[Stall()]))
    address = fake_server.url.removeprefix("http://").split(":")
    streams = await asyncio.gather(*(asyncio.open_connection(*address) for _ in range(300)))
    for _, writer in streams:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.max_in_flight == 300)
    assert fake_server.open_connections == fake_server.connections == 300
    for _, writer in streams:
        writer.close()
    await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.open_connections == 0)
    assert fake_server.disconnects == 300


@pytest.mark.parametrize("server_name", RESPONSE_SHAPES)
def test_a_served_program_says_the_same_streamed_and_not(
    fake_server: FakeServer, server_name: str
) -> None:
    serve(fake_server, server_name, ["Hel", "lo\nObs", "ervation", ": 1"])
    body = {"model": "tiny", "messages": [], "stop": ["\nObservation"]}
    path = "/v1/chat/completions"
    with closing(client(fake_server)) as connection:
        whole = json.loads(ask(connection, path, body))["choices"][0]
        stream = ask(connection, path, {**body, "stream": True}).decode()
    data = [line.removeprefix("data:").strip() for line in stream.split("\n") if line]
    chunks = [json.loads(item) for item in data if item != "[DONE]"]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    assert text == whole["message"]["content"]
    assert choices[-1]["finish_reason"] == whole["finish_reason"] == "stop"
    assert text in {"Hello", "Hello\nObservation"}


def test_a_server_closes_what_it_accepts_in_its_last_moment() -> None:
    addresses: list[tuple[str, int]] = []
    over = threading.Event()

    def keep_connecting() -> None:
        while not over.is_set():
            if addresses:
                with closing(socket.socket()) as connection:
                    connection.settimeout(1)
                    connection.connect_ex(addresses[-1])

    callers = [threading.Thread(target=keep_connecting) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for _ in range(12):
                with FakeServer() as server:
                    host, port = server.url.removeprefix("http://").split(":")
                    addresses.append((host, int(port)))
                    server.wait_until(lambda server=server: server.open_connections)
            gc.collect()
    finally:
        over.set()
        for caller in callers:
            caller.join()
    assert [str(warning.message) for warning in seen] == []
