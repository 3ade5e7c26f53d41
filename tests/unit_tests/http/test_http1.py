from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_easyllm._http import http1
from langchain_easyllm._http.http1 import MAX_HEAD, ResponseParser
from langchain_easyllm.errors import EasyLLMError, IncompleteStreamError, ProtocolError

from ...support.cases import each_case

BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


def answer(chunks: list[bytes], framing: str, *, end: bytes = b"\r\n") -> bytes:
    """An answer as a server might write it."""
    head = [b"HTTP/1.1 100 Continue", b"", b"HTTP/1.1 200 OK", b"X-One: 1", b"x-one:2"]
    body = b"".join(chunks)
    if framing == "length":
        head.append(b"Content-Length:  %d " % len(body))
    elif framing == "chunked":
        head.append(b"Transfer-Encoding: Chunked")
        parts = [b"%X;name=value%b%b%b" % (len(chunk), end, chunk, end) for chunk in chunks]
        body = b"".join([*parts, b"0", end, b"x-trailer: 1", end, end])
    return end.join([*head, b"", b""]) + body


def parse(blocks: list[bytes], *, eof: bool) -> tuple[ResponseParser, bytes]:
    parser = ResponseParser("POST")
    body = b"".join([parser.feed(block) for block in blocks if block])
    if eof:
        parser.feed_eof()
    return parser, body


@given(
    BODIES,
    st.sampled_from(["length", "chunked", "close"]),
    st.sampled_from([b"\r\n", b"\n"]),
    st.data(),
)
def test_any_cut_gives_the_same_answer(
    chunks: list[bytes], framing: str, end: bytes, data: st.DataObject
) -> None:
    whole = answer(chunks, framing, end=end)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    bounds = [0, *cuts, len(whole)]
    blocks = [whole[a:b] for a, b in pairwise(bounds)]
    parser, body = parse(blocks, eof=framing == "close")
    assert (parser.status, body, parser.complete) == (200, b"".join(chunks), True)
    assert parser.headers["x-one"] == "1, 2"
    assert parser.reusable == (framing != "close")


@given(BODIES.filter(bool), st.sampled_from(["length", "chunked"]), st.data())
def test_an_answer_cut_short_is_never_complete(
    chunks: list[bytes], framing: str, data: st.DataObject
) -> None:
    whole = answer(chunks, framing)
    kept = data.draw(st.integers(0, len(whole) - 1))
    parser = ResponseParser("POST")
    parser.feed(whole[:kept])
    assert not parser.complete
    with pytest.raises(IncompleteStreamError):
        parser.feed_eof()


@given(st.lists(st.binary(max_size=60), max_size=10))
@example([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"-1\r\nabc"])
@example([b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd"])
@example([b"HTTP/1.1 101 Switching\r\n\r\n"])
@example([b"HTTP/1.1 200 OK\r\n: x\r\n\r\n"])
def test_only_our_errors_come_out_of_random_bytes(blocks: list[bytes]) -> None:
    for start in (
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding:chunked\r\n\r\n",
    ):
        parser = ResponseParser("POST")
        try:
            parser.feed(start)
            for block in blocks:
                parser.feed(block)
            parser.feed_eof()
        except EasyLLMError:
            continue
        assert parser.complete


@each_case(
    "head",
    [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4",
        "HTTP/1.1 200 OK\r\ncontent-length: -3",
        "HTTP/1.1 200 OK\r\ncontent-length: ٣",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked",
        "HTTP/1.1 200 OK\r\nbad name: x",
        "HTTP/1.1 200 OK\r\nno colon",
        "HTTP/1.1 200 OK\r\nx: a\rb",
        "HTTP/1.1 200 OK\r\nx: a\r\r\ny: b",
        "HTTP/1.1 200 OK\rx: a",
        "HTTP/1.1 200 \rOK",
        "\rHTTP/1.1 200 OK",
        "HTTP/1.1 200 OK\r\nx: a\0b",
        "HTTP/1.1 200 OK\0",
        "HTTP/1.1 200 OK\r\n x: folded into nothing",
        "HTTP/1.1 200 OK\r\nx : a",
        "HTTP/1.1 200 OK\r\ncontent-length: 3, 4",
        "HTTP/1.1 200 OK\r\ncontent-length: 3,",
        "HTTP/1.1 200 OK\r\ncontent-length: +3",
        "HTTP/1.1 200 OK\r\ncontent-length: 0x3",
        "HTTP/1.1 200 OK\r\ncontent-length: 3 3",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n 2",
        "HTTP/1.1 200 OK\r\ncontent-length: " + "9" * 5000,
        "HTTP/1.1 200 OK\r\ncontent-length:",
        "HTTP/1.1 200 OK\r\ntransfer-encoding:\r\ncontent-length: 3",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked",
        "HTTP/1.1 2OO OK",
        "HTTP/1.1 101 Switching Protocols",
        "HTTP/2.0 200 OK",
        "SSH-2.0-OpenSSH_9.6",
        "<html>",
    ],
)
def test_what_makes_no_sense_is_refused(head: str) -> None:
    with pytest.raises(ProtocolError):
        ResponseParser("GET").feed(head.encode() + b"\r\n\r\n")


@each_case(
    "chunk",
    [
        b"zz\r\n",
        b"3\r\nabcd\r\n",
        b"0x1\r\na\r\n",
        b"+1\r\na\r\n",
        b"-1\r\na\r\n",
        b" 1\r\na\r\n",
        b"1_0\r\na\r\n",
        b"\r\na\r\n",
        b";x\r\n\r\n",
        b"1 1\r\na\r\n",
        b"1\r\r\na\r\n",
        b"1;x\ry\r\na\r\n",
        b"1;x\0y\r\na\r\n",
        b"1\0\r\na\r\n",
        b"1\r\na\r\r\n",
        b"1\r\na0\r\n",
        b"0" * 16 + b"\r\n\r\n",
        b"f" * 16 + b"\r\n",
        b"0\r\nx: a\rb\r\n\r\n",
        b"0\r\nx: a\0b\r\n\r\n",
        b"0\r\n\r\r\n",
    ],
)
@each_case("size", [1, 1000])
def test_broken_chunks_are_refused(chunk: bytes, size: int) -> None:
    parser = ResponseParser("GET")
    parser.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    blocks = [chunk[at : at + size] for at in range(0, len(chunk), size)]
    with pytest.raises(ProtocolError):
        [parser.feed(block) for block in blocks]


@pytest.mark.parametrize(
    "chunks",
    [
        b"1\na\n0\n\n",
        b"1 \r\na\r\n0 \t\r\n\r\n",
        b"01\r\na\r\n000\r\n\r\n",
        b'1;name=value\r\na\r\n0;x;y="z"\r\n\r\n',
        b"1 ; name = value\r\na\r\n0\r\nx: \xff\r\n\r\n",
    ],
)
def test_what_real_servers_do_to_chunks_is_read(chunks: bytes) -> None:
    parser = ResponseParser("GET")
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n"
    assert parser.feed(head + chunks) == b"a"
    assert parser.complete
    assert parser.reusable


def test_a_flood_of_interim_answers_is_bounded() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"
    parser = ResponseParser("GET")
    with pytest.raises(ProtocolError, match="too long"):
        [parser.feed(interim * 100) for _ in range(2 * MAX_HEAD // len(interim) // 100)]
    parser = ResponseParser("GET")
    with pytest.raises(ProtocolError, match="too long"):
        parser.feed(interim * (MAX_HEAD // len(interim) + 1))


def test_nothing_long_is_remembered() -> None:
    for cached in (http1._known_name, http1._known_size):
        cached.cache_clear()
    name, size = b"n" * 65, b"1;" + b"x" * 63
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n" + name + b": x\r\n\r\n"
    parser = ResponseParser("GET")
    assert parser.feed(head + size + b"\r\na\r\n1\r\nb\r\n0\r\n\r\n") == b"ab"
    assert parser.headers[name.decode()] == "x"
    assert http1._known_name.cache_info().currsize == 1
    assert http1._known_size.cache_info().currsize == 2


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x: " + b"a" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1", b";x=" + b"a" * 1000),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            b"x: " + b"a" * 99 + b"\r\n",
        ),
    ],
)
def test_heads_chunk_lines_and_trailers_are_bounded(start: bytes, more: bytes) -> None:
    parser = ResponseParser("GET")
    parser.feed(start)
    with pytest.raises(ProtocolError, match="too long"):
        [parser.feed(more) for _ in range(2 * MAX_HEAD // len(more))]


@pytest.mark.parametrize(
    ("raw", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: Keep-Alive\r\n\r\nhi", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi!", False),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            False,
        ),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", False),
        (
            b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\nconnection: keep-alive\r\n\r\n"
            b"0\r\n\r\n",
            False,
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: foo, Close\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x-close-it\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive-not\r\n\r\n", False),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x\r\nconnection: close\r\n\r\n",
            False,
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\ncontent-length: 2\r\n\r\nhi", True),
    ],
)
def test_a_connection_is_reused_only_after_a_clean_end(raw: bytes, reusable: bool) -> None:
    parser = ResponseParser("POST")
    parser.feed(raw)
    assert parser.complete
    assert parser.reusable is reusable


def test_folded_header_lines_are_joined() -> None:
    parser = ResponseParser("GET")
    parser.feed(b"HTTP/1.1 200 OK\r\nx-long: a\r\n\t b\r\ncontent-length: 0\r\n\r\n")
    assert parser.headers["x-long"] == "a b"


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_chunk_that_is_shorter_than_it_says_is_an_error(size: int) -> None:
    body = CHUNKED + b"5\r\nhell\r\n3\r\nabc\r\n0\r\n\r\n"
    with pytest.raises(ProtocolError, match="shorter than it said"):
        parse([body[at : at + size] for at in range(0, len(body), size)], eof=False)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_of_chunks_may_all_end_in_line_feeds(size: int) -> None:
    body = CHUNKED + b"5\nhello\n1\n!\n0\n\n"
    parser = ResponseParser()
    parts = [parser.feed(body[at : at + size]) for at in range(0, len(body), size)]
    assert (b"".join(parts), parser.complete) == (b"hello!", True)
