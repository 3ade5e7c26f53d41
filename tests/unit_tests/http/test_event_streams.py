from __future__ import annotations

import asyncio
import gzip
import time

import pytest

from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.models import RetryPolicy
from langchain_easyllm._http.sse import ErrorEvent
from langchain_easyllm.errors import IncompleteStreamError, ProtocolError, TimeoutError

from ...support.fake_server import Cut, FakeServer, Pause, Reply, Reset, Stall, sse
from ...support.http_clients import Client, post
from ...support.on_the_clock import ON_THE_CLOCK

TEXT = ['{"t": "한국"}', '{"t": "🤗"}', '{"t": "x"}']
WHOLE = [*(text.encode() for text in TEXT), b"[DONE]"]


@pytest.mark.parametrize("split", [None, 1, 2, 7, 10_000])
@pytest.mark.parametrize("space", [True, False])
@pytest.mark.parametrize("crlf", [True, False])
def test_events_arrive_however_they_are_written(
    fake_server: FakeServer, client: Client, split: int | None, space: bool, crlf: bool
) -> None:
    reply = sse(*TEXT, split=split, space=space, done_space=space, crlf=crlf, comments=True)
    fake_server.on("POST", "/s", reply)
    assert client.read(post(fake_server.url + "/s")) == WHOLE
    assert fake_server.requests[0].headers["accept"].startswith("text/event-stream")


def test_a_finished_stream_gives_its_connection_back(
    fake_server: FakeServer, client: Client
) -> None:
    fake_server.on("POST", "/s", sse(*TEXT))
    for _ in range(3):
        assert client.read(post(fake_server.url + "/s")) == WHOLE
    assert fake_server.connections == 1


def test_a_stream_left_early_closes_its_connection_at_once(
    fake_server: FakeServer, client: Client
) -> None:
    fake_server.on("POST", "/s", sse(TEXT[0], Stall()))
    events, framed, status = client.first(post(fake_server.url + "/s"))
    assert (events, framed, status) == ([WHOLE[0]], True, 200)
    fake_server.wait_until(lambda: fake_server.disconnects == 1)
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


def test_an_event_is_handed_over_before_the_next_one_is_sent(
    fake_server: FakeServer, client: Client
) -> None:
    fake_server.on("POST", "/s", sse("a", Pause(30), "b"))
    started = time.monotonic()
    assert client.first(post(fake_server.url + "/s"))[0] == [b"a"]
    assert time.monotonic() - started < 10


def test_error_events_can_be_distinguished(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/s", sse("a", b'event: error\ndata: {"error": "x"}\n\n', done=False))
    events = client.read(post(fake_server.url + "/s"))
    assert events == [b"a", b'{"error": "x"}']
    assert [isinstance(event, ErrorEvent) for event in events] == [False, True]


@pytest.mark.parametrize("content_type", ["application/json", "application/problem+json; a=b"])
def test_json_instead_of_a_stream_comes_as_one_item(
    fake_server: FakeServer, client: Client, content_type: str
) -> None:
    body = Reply(chunks=[b'{"a":', Pause(0.02), b" 1}"], headers={"content-type": content_type})
    fake_server.on("POST", "/s", body)
    assert client.first(post(fake_server.url + "/s")) == ([b'{"a": 1}'], False, 200)
    assert client.read(post(fake_server.url + "/s")) == [b'{"a": 1}']


def test_a_page_instead_of_a_stream_is_an_error(fake_server: FakeServer, client: Client) -> None:
    page = b"<html><title>Sign in</title></html>"
    fake_server.on("POST", "/s", Reply(page, headers={"content-type": "text/html"}))
    with pytest.raises(ProtocolError, match="Sign in") as caught:
        client.read(post(fake_server.url + "/s"))
    assert caught.value.url == fake_server.url + "/s"


def test_a_stream_that_ends_with_its_connection_just_ends(
    fake_server: FakeServer, client: Client
) -> None:
    chunks = [b"data: a\n\n", b"data: b\n\n"]
    fake_server.on(
        "POST",
        "/s",
        Reply(chunks=chunks, framing="close", headers={"content-type": "text/event-stream"}),
    )
    assert client.read(post(fake_server.url + "/s")) == [b"a", b"b"]


@pytest.mark.parametrize("ending", [[Cut()], [Pause(0.05), Cut()], [Pause(0.05), Reset()]], ids=str)
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_stream_cut_short_hands_over_what_came_and_fails(
    fake_server: FakeServer, client: Client, framing: str, ending: list[object]
) -> None:
    headers = {"content-type": "text/event-stream"}
    if framing == "length":
        headers["content-length"] = "1000"
    chunks = [b"data: a\n\ndata: b\n\n", *ending]
    fake_server.on("POST", "/s", Reply(chunks=chunks, framing=framing, headers=headers))
    events: list[bytes] = []
    with pytest.raises(IncompleteStreamError) as caught:
        client.read(post(fake_server.url + "/s"), into=events)
    assert events == [b"a", b"b"]
    assert caught.value.url == fake_server.url + "/s"


def test_a_compressed_stream_is_read(fake_server: FakeServer, client: Client) -> None:
    data = gzip.compress(b"data: a\n\ndata: b\n\n")
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
    fake_server.on("POST", "/s", Reply(chunks=[data[:20], data[20:]], headers=headers))
    assert client.read(post(fake_server.url + "/s")) == [b"a", b"b"]


def test_a_stream_of_rubbish_ends_without_events(fake_server: FakeServer, client: Client) -> None:
    headers = {"content-type": "text/event-stream"}
    fake_server.on("POST", "/s", Reply(bytes(range(256)) * 50, headers=headers))
    assert client.read(post(fake_server.url + "/s")) == []


# Time


@pytest.mark.parametrize("chunks", [[Stall()], [b"HTTP/1.1 200 OK\r\n", Stall()]], ids=str)
def test_no_answer_within_the_timeout(
    fake_server: FakeServer, client: Client, chunks: list[object]
) -> None:
    fake_server.on("POST", "/a", Reply(before=chunks))
    policy = RetryPolicy(timeout=0.3)
    started = time.monotonic()
    for call in (client.send, client.read):
        with pytest.raises(TimeoutError, match=r"No answer .* within 0\.3 s\. Raise timeout"):
            call(post(fake_server.url + "/a"), policy)
    assert time.monotonic() - started < 10
    assert len(fake_server.requests) == 2


PINGS = [b": ping\n\n", Pause(0.1)] * 12


@ON_THE_CLOCK
@pytest.mark.parametrize(
    ("reply", "events"),
    [
        (sse("a", *PINGS, "b"), [b"a", b"b"]),
        (sse(*PINGS, "a"), [b"a"]),
        (sse("a", b"data: ", *[b"x", Pause(0.1)] * 12, b"\n\n"), [b"a", b"x" * 12]),
        (sse(b"data: ", *[b"x", Pause(0.1)] * 12, b"\n\n"), [b"x" * 12]),
    ],
    ids=["pings", "pings first", "drip", "drip first"],
)
def test_every_byte_counts_as_progress(
    fake_server: FakeServer, client: Client, reply: Reply, events: list[bytes]
) -> None:
    fake_server.on("POST", "/s", reply)
    assert client.read(post(fake_server.url + "/s"), RetryPolicy(timeout=0.8)) == [
        *events,
        b"[DONE]",
    ]


@ON_THE_CLOCK
@pytest.mark.parametrize(
    "reply",
    [
        sse("a", Stall()),
        sse("a", *[b": ping\n\n", Pause(0.1)] * 3, Stall()),
        sse("a", b"data: {", Pause(0.1), b"x", Stall()),
    ],
    ids=["silence", "pings", "drip"],
)
def test_silence_ends_a_stream(fake_server: FakeServer, client: Client, reply: Reply) -> None:
    fake_server.on("POST", "/s", reply)
    events: list[bytes] = []
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"sent nothing more .* for 0\.4 s"):
        client.read(post(fake_server.url + "/s"), RetryPolicy(timeout=0.4), events)
    assert time.monotonic() - started < 3
    assert events == [b"a"]
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


@ON_THE_CLOCK
def test_the_first_byte_has_what_is_left_of_the_time(
    fake_server: FakeServer, client: Client
) -> None:
    busy = Reply("busy", status=503, headers={"retry-after": "0"}, before=[Pause(0.6)])
    fake_server.on("POST", "/s", busy, sse(Stall()))
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        client.read(post(fake_server.url + "/s"), RetryPolicy(timeout=1))
    assert time.monotonic() - started < 1.5
    assert len(fake_server.requests) == 2


@ON_THE_CLOCK
def test_each_event_has_the_whole_timeout(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/s", sse(*"abcde", pause=0.3))
    events = client.read(post(fake_server.url + "/s"), RetryPolicy(timeout=0.9))
    assert events == [b"a", b"b", b"c", b"d", b"e", b"[DONE]"]


def test_no_timeout_means_no_bound(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/s", sse("a", Pause(0.1), "b"))
    assert client.read(post(fake_server.url + "/s"), RetryPolicy(timeout=None))[:2] == [b"a", b"b"]
    assert client.send(post(fake_server.url + "/s"), RetryPolicy(timeout=None)).status == 200


@ON_THE_CLOCK
def test_a_slow_reader_is_no_slow_server(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/s", sse("a", "b", Pause(0.2), "c"))
    with HTTPTransport() as transport:
        policy = RetryPolicy(timeout=0.5)
        with transport.open(post(fake_server.url + "/s"), policy) as stream:
            time.sleep(0.6)
            events = list(next(stream))
            time.sleep(0.6)
            for more in stream:
                events += more
        assert events == [b"a", b"b", b"c", b"[DONE]"]

        async def read() -> list[bytes]:
            events: list[bytes] = []
            async with await transport.aopen(post(fake_server.url + "/s"), policy) as stream:
                await asyncio.sleep(0.6)
                async for more in stream:
                    events += more
                    await asyncio.sleep(0.6)
            return events

        assert asyncio.run(read()) == events


@ON_THE_CLOCK
def test_the_whole_of_a_send_is_bounded(fake_server: FakeServer, client: Client) -> None:
    busy = Reply("busy", status=503, headers={"retry-after": "0"}, before=[Pause(0.25)])
    fake_server.on("POST", "/a", busy)
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"within 0\.6 s"):
        client.send(post(fake_server.url + "/a"), RetryPolicy(timeout=0.6, max_retries=100))
    assert time.monotonic() - started < 5
    assert 2 <= len(fake_server.requests) <= 3


async def test_cancelling_closes_the_connection(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/s", sse("a", Stall()))
    fake_server.on("POST", "/a", Reply(before=[Stall()]))
    async with HTTPTransport() as transport:

        async def read() -> None:
            async with await transport.aopen(post(fake_server.url + "/s")) as stream:
                async for _ in stream:
                    seen.set()

        seen = asyncio.Event()
        tasks = [
            asyncio.create_task(read()),
            asyncio.create_task(transport.asend(post(fake_server.url + "/a"))),
        ]
        await seen.wait()
        await asyncio.to_thread(fake_server.wait_until, lambda: len(fake_server.requests) == 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.open_connections == 0)
    assert fake_server.disconnects == 2


async def test_open_streams_starve_nobody(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/s", sse("a", Stall()))
    fake_server.on("POST", "/a", Reply("hi"))
    async with HTTPTransport() as transport:
        request = post(fake_server.url + "/s")
        streams = await asyncio.gather(*(transport.aopen(request) for _ in range(300)))
        for stream in streams:
            assert await anext(stream) == [b"a"]
        answer = await transport.asend(post(fake_server.url + "/a"), RetryPolicy(timeout=10))
        assert answer.body == b"hi"
        for stream in streams:
            await stream.aclose()
