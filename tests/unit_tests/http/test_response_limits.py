"""How much is read of an answer, and how what was compressed is read."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm._http.body import BodyEvents
from langchain_easyllm._http.content import PIECE, Decompressor
from langchain_easyllm._http.http1 import ResponseParser
from langchain_easyllm._http.models import ResponseLimits, RetryPolicy
from langchain_easyllm.errors import (
    EasyLLMError,
    IncompleteStreamError,
    ProtocolError,
    ServerError,
)

from ...support.fake_server import FakeServer, Reply, Stall
from ...support.http_clients import post
from .conftest import MakeClient

MIB = 1024 * 1024
SMALL = ResponseLimits(response_bytes=10_000, decompressed_bytes=5_000, error_bytes=1_000)
THRICE = RetryPolicy(timeout=5, max_retries=2)

GZIPPED = {"content-encoding": "gzip"}


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def inflate(data: bytes, coding: str = "gzip", size: int = 1000) -> bytes:
    decompressor = Decompressor(coding, ResponseLimits())
    plain = b""
    for start in range(0, len(data), size):
        decompressor.feed(data[start : start + size])
        while piece := decompressor.read():
            assert len(piece) <= PIECE
            plain += piece
        assert not decompressor.pending
    decompressor.close()
    return plain


@given(st.binary(max_size=3000), st.integers(1, 4000), st.integers(0, 3))
def test_what_was_compressed_is_read_however_it_is_cut(data: bytes, size: int, zeros: int) -> None:
    for coding, encode in (
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
    ):
        assert inflate(encode(data), coding, size) == data
    two = gzip.compress(data) + bytes(zeros) + gzip.compress(b"more" + data)
    assert inflate(two, size=size) == data + b"more" + data


@pytest.mark.parametrize("garbage", [b"\0" * 9, b"\0\0x", b"\x1f", b"\x1fx", b"garbage", b"\n"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_is_behind_the_end_is_ignored(garbage: bytes, size: int) -> None:
    assert inflate(gzip.compress(b"text") + garbage, "gzip", size) == b"text"
    for encode in (zlib.compress, raw_deflate):
        assert inflate(encode(b"text") + garbage, "deflate", size) == b"text"


@pytest.mark.parametrize("data", [b"x", b"no gzip", b"\x1f\x8b\x08garbage that is no gzip at all."])
def test_what_is_not_compressed_is_an_error(data: bytes) -> None:
    with pytest.raises(EasyLLMError):
        inflate(data)


@pytest.mark.parametrize("kept", [1, 2, 12, 30])
def test_what_is_cut_off_is_an_error(kept: int) -> None:
    whole = gzip.compress(bytes(range(256)))
    with pytest.raises(IncompleteStreamError):
        inflate(whole[:kept])
    with pytest.raises(IncompleteStreamError):
        inflate(whole + whole[: max(kept, 3)])


def test_many_small_members_take_linear_time() -> None:
    member = gzip.compress(b"")
    for count in (2_000, 20_000):
        assert inflate(member * count + gzip.compress(b"end"), size=256 * 1024) == b"end"


@pytest.mark.parametrize(
    ("coding", "said"),
    [("br", "br"), ("gzip, gzip", "gzip, gzip"), ("deflate, gzip", "deflate"), ("x" * 9999, "x")],
)
def test_an_unknown_coding_is_named(
    fake_server: FakeServer, make_client: MakeClient, coding: str, said: str
) -> None:
    fake_server.on("POST", "/a", Reply(b"x", headers={"content-encoding": coding}))
    client = make_client()
    for read in (client.send, client.read):
        with pytest.raises(ProtocolError, match=f"encoded as '{said}") as caught:
            read(post(fake_server.url + "/a"))
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("coding", ["identity", "identity, gzip", "GZIP", " gzip ,", ""])
def test_a_list_with_one_coding_is_that_coding(
    fake_server: FakeServer, make_client: MakeClient, coding: str
) -> None:
    body = gzip.compress(b"text") if "gzip" in coding.lower() else b"text"
    fake_server.on("POST", "/a", Reply(body, headers={"content-encoding": coding}))
    assert make_client().send(post(fake_server.url + "/a")).body == b"text"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("status", [200, 500])
def test_an_empty_body_is_no_damaged_one(
    fake_server: FakeServer, make_client: MakeClient, framing: str, status: int
) -> None:
    fake_server.on("POST", "/a", Reply(b"", status=status, headers=GZIPPED, framing=framing))
    client = make_client()
    if status == 200:
        assert client.send(post(fake_server.url + "/a")).body == b""
        assert client.read(post(fake_server.url + "/a")) == []
        return
    with pytest.raises(ServerError, match="answered 500"):
        client.send(post(fake_server.url + "/a"))


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_answers_without_a_body_have_no_coding(method: str) -> None:
    status = b"204 No Content" if method == "POST" else b"200 OK"
    parser = ResponseParser(method, SMALL)
    head = b"HTTP/1.1 " + status + b"\r\ncontent-encoding: gzip\r\ncontent-length: 99999\r\n\r\n"
    assert parser.feed(head) == b""
    parser.check_body()
    assert parser.complete
    assert parser.reusable


def limited(fake_server: FakeServer, make_client: MakeClient, reply: Reply, how: str) -> str:
    """The error of an answer that is too large; it was asked for once, and not read to its end."""
    fake_server.on("POST", "/a", reply)
    client = make_client(limits=SMALL)
    with pytest.raises(ProtocolError) as caught:
        getattr(client, how)(post(fake_server.url + "/a"), THRICE)
    assert len(fake_server.requests) == 1
    fake_server.wait_until(lambda: fake_server.open_connections == 0)
    return str(caught.value)


JSON = {"content-type": "application/json"}
HOW = pytest.mark.parametrize("how", ["send", "read"])


@HOW
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_plain_answer_has_a_bound(
    fake_server: FakeServer, make_client: MakeClient, how: str, framing: str
) -> None:
    # It goes on for ever: the error comes with the bytes, not with their end.
    length = {"content-length": "20000"} if framing == "length" else {}
    reply = Reply(chunks=[b"x" * 10_001, Stall()], framing=framing, headers={**JSON, **length})
    error = limited(fake_server, make_client, reply, how)
    assert "more than 10,000 bytes" in error
    assert "max_response_bytes" in error


def test_an_announced_length_is_enough(fake_server: FakeServer, make_client: MakeClient) -> None:
    reply = Reply(chunks=[Stall()], headers={"content-length": "10001"}, framing="close")
    assert "max_response_bytes" in limited(fake_server, make_client, reply, "send")


@HOW
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_answer_has_a_bound(
    fake_server: FakeServer, make_client: MakeClient, how: str, coding: str
) -> None:
    bomb = (gzip if coding == "gzip" else zlib).compress(b"x" * 2_000_000)
    reply = Reply(
        chunks=[bomb, Stall()], framing="chunked", headers={**JSON, "content-encoding": coding}
    )
    error = limited(fake_server, make_client, reply, how)
    assert "more than 5,000 bytes" in error
    assert "max_decompressed_bytes" in error


@HOW
def test_what_inflates_to_nothing_has_a_bound(
    fake_server: FakeServer, make_client: MakeClient, how: str
) -> None:
    reply = Reply(
        chunks=[gzip.compress(b"") * 600, Stall()], framing="chunked", headers={**JSON, **GZIPPED}
    )
    assert "max_response_bytes" in limited(fake_server, make_client, reply, how)


@HOW
@pytest.mark.parametrize("size", [5_000, 10_000])
def test_an_answer_up_to_its_bound_is_whole(
    fake_server: FakeServer, make_client: MakeClient, how: str, size: int
) -> None:
    body = json.dumps("x" * (size - 2)).encode()
    client = make_client(limits=SMALL)
    headers = {**JSON, **GZIPPED} if size == 5_000 else JSON
    sent = gzip.compress(body) if size == 5_000 else body
    for framing in ("length", "chunked", "close"):
        fake_server.on("POST", "/a", Reply(sent, headers=headers, framing=framing))
        got = getattr(client, how)(post(fake_server.url + "/a"))
        assert (got.body if how == "send" else got[0]) == body


@HOW
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_one_byte_beyond_the_bound_is_too_much(
    fake_server: FakeServer, make_client: MakeClient, how: str, framing: str, coding: str
) -> None:
    body = json.dumps("x" * 4_999).encode()
    assert len(body) == SMALL.decompressed_bytes + 1
    packed = (gzip if coding == "gzip" else zlib).compress(body)
    reply = Reply(packed, headers={**JSON, "content-encoding": coding}, framing=framing)
    fake_server.on("POST", "/a", reply)
    with pytest.raises(ProtocolError, match="max_decompressed_bytes"):
        getattr(make_client(limits=SMALL), how)(post(fake_server.url + "/a"), THRICE)
    assert len(fake_server.requests) == 1


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("beyond", [0, 1, 2])
def test_an_event_has_its_bound_to_the_byte(size: int, beyond: int) -> None:
    whole = b"data: " + b"x" * (SMALL.decompressed_bytes - 8 + beyond) + b"\n\n"
    packed = gzip.compress(whole)
    reader = BodyEvents({**GZIPPED, "content-type": "text/event-stream"}, SMALL)
    events: list[bytes] = []

    def read() -> None:
        for start in range(0, len(packed), size):
            events.extend(reader.feed(packed[start : start + size]))
            while reader.pending:
                events.extend(reader.feed(b""))
        events.extend(reader.end())

    if beyond:
        with pytest.raises(ProtocolError, match="max_decompressed_bytes"):
            read()
    else:
        read()
    assert len(events) == (not beyond)


@HOW
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_failure_keeps_its_status_however_large_it_is(
    fake_server: FakeServer, make_client: MakeClient, how: str, compressed: bool, framing: str
) -> None:
    body = b"the disk is full. " + b"x" * 100_000
    headers = {"retry-after": "7", **(GZIPPED if compressed else {})}
    body = gzip.compress(body) if compressed else body
    reply = Reply(
        chunks=[body, *([Stall()] if framing != "length" else [])],
        status=500,
        headers=headers,
        framing=framing,
    )
    fake_server.on("POST", "/a", reply)
    with pytest.raises(ServerError, match="500 Internal Server Error: the disk is full") as caught:
        getattr(make_client(limits=SMALL), how)(post(fake_server.url + "/a"))
    assert caught.value.retry_after == 7
    assert 900 < len(caught.value.body or "") <= 1000
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


@pytest.mark.parametrize("coding", ["br", "gzip", "gzip, gzip"])
def test_a_failure_that_cannot_be_read_keeps_its_status(
    fake_server: FakeServer, make_client: MakeClient, coding: str
) -> None:
    reply = Reply(b"no gzip", status=503, headers={"content-encoding": coding})
    fake_server.on("POST", "/a", reply)
    with pytest.raises(ServerError, match="503 Service Unavailable"):
        make_client().send(post(fake_server.url + "/a"))


def test_a_stream_of_events_has_no_bound(fake_server: FakeServer, make_client: MakeClient) -> None:
    events = [{"n": n, "text": "x" * 1000} for n in range(200)]
    client = make_client(limits=SMALL)
    plain = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    for headers, body in (({}, plain), (GZIPPED, gzip.compress(plain))):
        headers = {"content-type": "text/event-stream", **headers}
        fake_server.on("POST", "/a", Reply(body, headers=headers))
        got = client.read(post(fake_server.url + "/a"))
        assert [json.loads(event) for event in got] == events


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("line", [b"data: x\n", b"x"])
def test_one_event_has_a_bound(
    fake_server: FakeServer, make_client: MakeClient, compressed: bool, line: bytes
) -> None:
    body = line * 20_000
    headers = {"content-type": "text/event-stream", **(GZIPPED if compressed else {})}
    body = gzip.compress(body) if compressed else body
    reply = Reply(chunks=[body, Stall()], headers=headers, framing="chunked")
    setting = "max_decompressed_bytes" if compressed else "max_response_bytes"
    assert setting in limited(fake_server, make_client, reply, "read")


def test_a_large_stream_is_inflated_in_pieces() -> None:
    event = b'data: {"a": "' + b"x" * 1000 + b'"}\n\n'
    reader = BodyEvents({"content-encoding": "gzip"})
    counts = [len(reader.feed(gzip.compress(event * 8 * 1024)))]
    while reader.pending:
        counts.append(len(reader.feed(b"")))
    reader.end()
    assert sum(counts) == 8 * 1024
    assert max(counts) <= PIECE // len(event) + 1


def test_a_bomb_is_found_out_before_it_is_large() -> None:
    """0.9 MB that would be 900 MB: no more than the bound, and a piece, was inflated."""
    bomb = gzip.compress(bytes(8 * MIB), 9)
    parser = ResponseParser("POST", ResponseLimits())
    parser.feed(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n")
    read = 0
    for _ in range(100):
        try:
            read += len(parser.feed(bomb))
        except ProtocolError:
            break
    assert read == 64 * MIB


def test_a_page_is_refused_before_its_end(fake_server: FakeServer, make_client: MakeClient) -> None:
    page = b"<html><title>Sign in</title>" + b"<p>" * 10_000
    reply = Reply(chunks=[page, Stall()], headers={"content-type": "text/html"}, framing="chunked")
    fake_server.on("POST", "/a", reply)
    with pytest.raises(ProtocolError, match=r"is a page .text/html.*'Sign in'"):
        make_client().read(post(fake_server.url + "/a"))
