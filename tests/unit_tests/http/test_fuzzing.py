"""Bytes of a server, valid, odd and broken, beside other readers of the same formats."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from langchain_easyllm._http.error_mapping import error_from_event, error_from_response
from langchain_easyllm._http.http1 import ResponseParser
from langchain_easyllm._http.sse import ErrorEvent, SSEDecoder
from langchain_easyllm.errors import EasyLLMError

from ...support.fuzzing import assert_linear, cut, examples, spliced
from ...support.http_oracles import Answer, behind_h11, by_h11, by_llhttp

PLACES = st.lists(st.integers(0, 2**16), max_size=6)


def parsed(blocks: Sequence[bytes]) -> tuple[Answer | None, bool]:
    """Our own reading of a response that ends with the connection, and whether it may go on."""
    parser = ResponseParser("POST")
    try:
        body = b"".join([parser.feed(block) for block in blocks if block])
        reusable = parser.reusable
        if not parser.complete:
            parser.feed_eof()
    except EasyLLMError:
        return None, False
    headers = {k: v.lower() if k == "transfer-encoding" else v for k, v in parser.headers.items()}
    return Answer(parser.status, headers, body), reusable


NAMES = st.from_regex(r"x-[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", fullmatch=True).map(str.encode)
VALUES = st.from_regex(rb"([!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?", fullmatch=True)
SPACE = st.sampled_from([b"", b" ", b"\t", b"  \t "])
EXTENSIONS = st.sampled_from([b"", b"", b";a", b";a=b", b";a=1;b=2", b';a="b"'])
CODES = st.sampled_from([200, 201, 299, 404, 422, 429, 500, 503, 599])
REASONS = st.sampled_from([b"", b" ", b" OK", b" Not  Found\t!", b" \xe9t\xe9"])


@st.composite
def heads(draw: st.DrawFn, status: int, fields: Sequence[bytes], minor: int = 1) -> bytes:
    """A head with these fields somewhere among others."""
    more = [
        name + b":" + draw(SPACE) + value + draw(SPACE)
        for name, value in draw(st.lists(st.tuples(NAMES, VALUES), max_size=3))
    ]
    lines = draw(st.permutations([*fields, *more]))
    first = b"HTTP/1.%d %d" % (minor, status) + draw(REASONS)
    return b"\r\n".join([first, *lines, b"", b""])


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A valid response, in a framing that is legal if unusual."""
    interim = draw(st.lists(st.sampled_from([100, 102, 103]), max_size=2))
    before = b"".join(draw(heads(status, [])) for status in interim)
    if draw(st.integers(0, 5)) == 0:
        length = draw(st.sampled_from([[], [b"Content-Length: 7"]]))
        return before + draw(heads(304, length))
    chunks = draw(st.lists(st.binary(min_size=1, max_size=30), max_size=4))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    minor = 1 if framing == "chunked" else draw(st.integers(0, 1))
    connection = draw(st.sampled_from([[], [b"Connection: close"], [b"CONNECTION:keep-alive"]]))
    body = b"".join(chunks)
    if framing == "length":
        field = [
            draw(st.sampled_from([b"content-length:", b"Content-Length: \t"])) + b"%d" % len(body)
        ]
    elif framing == "chunked":
        field = [
            draw(st.sampled_from([b"transfer-encoding:chunked", b"Transfer-Encoding: Chunked"]))
        ]
        parts = []
        for chunk in [*chunks, b""]:
            size = draw(st.sampled_from([b"%x", b"%X", b"%03x"])) % len(chunk)
            end = b"\r\n" if chunk else b""
            parts.append(size + draw(EXTENSIONS) + b"\r\n" + chunk + end)
        trailers = draw(st.lists(st.tuples(NAMES, VALUES), max_size=2))
        body = b"".join([*parts, *(n + b": " + v + b"\r\n" for n, v in trailers), b"\r\n"])
    else:
        field, connection = [], []
    return before + draw(heads(draw(CODES), [*field, *connection], minor)) + body


@examples(150)
@given(responses(), PLACES)
def test_a_valid_response_is_read_as_by_two_others(data: bytes, places: list[int]) -> None:
    read, _ = parsed(cut(data, places))
    assert read is not None
    assert read == by_h11([data]) == by_llhttp([data])


FRAGMENTS = [
    *(b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b'"', b"0", b"5", b"f", b"-"),
    *(b"+", b"0x", b"\x80", b"chunked", b"gzip, ", b"identity", b"close", b"keep-alive"),
    *(b"content-length: 3\r\n", b"Content-Length: 5\r\n", b"content-length: 3, 3\r\n"),
    *(b"transfer-encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"),
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"HTTP/1.0", b"HTTP/2", b" 304", b" 101"),
]
CHANGES = st.lists(
    st.tuples(
        st.integers(0, 2**16),
        st.integers(0, 4),
        st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=3)),
    ),
    max_size=4,
)

# What is forgiven although others refuse it: a line that ends in a line feed alone, a second space
# in the status line, and in chunked responses white space behind a size and the text of trailers.
FORGIVEN = re.compile(rb"(?<!\r)\n|^HTTP/1\.[01]  |(?i:chunked)", re.MULTILINE)


def check_response(data: bytes, places: Sequence[int]) -> None:
    """Nothing that another reader takes for an answer is taken for a different one."""
    read, reusable = parsed([data])
    assert parsed(cut(data, places)) == (read, reusable)
    if read is None:
        return
    others = [other for other in (by_h11([data]), by_llhttp([data])) if other is not None]
    assert all((read.status, read.body) == (other.status, other.body) for other in others)
    assert others or FORGIVEN.search(data)
    if reusable and others:
        # The next response begins for others where it begins for us.
        assert behind_h11(data + b"HTTP/1.1 299 Next\r\n\r\n") in (
            None,
            b"HTTP/1.1 299 Next\r\n\r\n",
        )


@examples(300)
@given(responses(), CHANGES, PLACES)
@example(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc", [], [])
@example(
    b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", [], []
)
@example(b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", [], [])
@example(
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, identity\r\n\r\n1\r\na\r\n0\r\n\r\n", [], []
)
def test_a_broken_response_is_never_read_as_another(
    data: bytes, changes: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    check_response(spliced(data, changes), places)


@examples(150)
@given(st.binary(max_size=80), PLACES)
def test_any_bytes_are_a_response_or_refused(data: bytes, places: list[int]) -> None:
    for start in (
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    ):
        check_response(start + data, places)


def test_the_work_on_a_response_grows_with_its_size_only() -> None:
    for start, more in (
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"a:\r\n b\r\n"),
        (b"", b"HTTP/1.1 100 C\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"0001;a=b\r\na\r\n"),
    ):
        for step in (7, 10**9):

            def work(
                count: int, start: bytes = start, more: bytes = more, step: int = step
            ) -> None:
                data = start + more * count
                parsed([data[at : at + step] for at in range(0, len(data), step)])

            assert_linear(work)


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(b"", b"", b"data", b"data:", b"data: x", b"data:[DONE]", b"data: [DONE] "),
                *(b"{}", b'{"a": 1}', b"{", b"}"),
                *(b"event: error", b"event:error ", b"event", b": ping", b"id: 1", b"retry: 7"),
                *(
                    b" data: x",
                    b"DATA: x",
                    b"data : x",
                    b'data: {"a": "\xea\xb0\x80"}',
                    b"\xef\xbb\xbf",
                ),
            ]
        ),
        st.binary(max_size=8).map(lambda more: b"data: " + more),
        st.binary(max_size=6),
    ),
    max_size=20,
)
LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def event_streams(draw: st.DrawFn) -> bytes:
    """An event stream of lines with any ends."""
    mark = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    return mark + b"".join(line + draw(LINE_ENDS) for line in draw(LINES))


def standard_events(data: bytes) -> list[tuple[bool, bytes]]:
    """What the HTML standard makes of a stream, a character at a time: named error, and data.

    Beside it a line that is a JSON object is an event of its own.
    """
    events: list[tuple[bool, bytes]] = []
    line, lines = b"", []
    data = data[3:] if data[:3] == b"\xef\xbb\xbf" else data
    at = 0
    while at < len(data):
        char = data[at : at + 1]
        at += 1
        if char not in b"\r\n":
            line += char
            continue
        at += char == b"\r" and data[at : at + 1] == b"\n"
        lines.append(line)
        line = b""
    name, buffer = b"", b""
    for line in lines:
        is_object = line[:1] == b"{" and line[-1:] == b"}"
        if not line or is_object:
            if buffer:
                events.append((name == b"error", buffer[:-1]))
            name, buffer = b"", b""
            events += [(False, line)] if is_object else []
            continue
        field, colon, value = line.partition(b":")
        if colon and value[:1] == b" ":
            value = value[1:]
        if field == b"data":
            buffer += value + b"\n"
        elif field == b"event":
            name = value
    return [event for event in events if event[1]]


def decoded(blocks: Sequence[bytes]) -> list[tuple[bool, bytes]]:
    decoder = SSEDecoder(max_buffer=1 << 20)
    events = [event for block in blocks for event in decoder.feed(block)]
    return [(isinstance(event, ErrorEvent), bytes(event)) for event in events]


def check_event_stream(data: bytes, places: Sequence[int]) -> None:
    """Every cut gives what the standard says, but that `[DONE]` has one spelling."""
    standard = [
        (error, b"[DONE]" if not error and text.strip() == b"[DONE]" else text)
        for error, text in standard_events(data)
    ]
    assert decoded([data]) == standard
    assert decoded(cut(data, places)) == standard


@examples(300)
@given(event_streams(), PLACES)
def test_an_event_stream_is_read_as_the_standard_says(data: bytes, places: list[int]) -> None:
    check_event_stream(data, places)


@examples(200)
@given(st.binary(max_size=60), PLACES)
def test_any_bytes_are_an_event_stream(data: bytes, places: list[int]) -> None:
    check_event_stream(data, places)


def test_the_work_on_an_event_stream_grows_with_its_size_only() -> None:
    for more in (b"data: x\n\n", b"data: x\n", b"x", b":\r", b"event: error\r\n", b"\r\n"):
        for step in (3, 10**9):

            def work(count: int, more: bytes = more, step: int = step) -> None:
                data = more * count
                decoded([data[at : at + step] for at in range(0, len(data), step)])

            assert_linear(work)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from([10**400, -1, 429, "429", "503", "loading", "overloaded", "is paused"]),
)  # fmt: skip
KEYS = st.sampled_from(
    [
        *(
            "error",
            "message",
            "detail",
            "errors",
            "error_description",
            "type",
            "error_type",
            "code",
        ),
        *("http_status_code", "status_code", "status", "estimated_time", "loc", "msg", "x"),
    ]
)
VALUES_OF_ERRORS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


BODIES = st.one_of(
    VALUES_OF_ERRORS.map(as_json),
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: f"<html><title>{text}".encode()),
    st.sampled_from([b"[" * 3000, b'{"error":' * 3000, b"<html" + b"<" * 3000, b"\xff\xfe"]),
)
RETRY_AFTER = st.one_of(
    st.none(),
    st.text(st.characters(codec="latin-1"), max_size=20),
    st.sampled_from(["1e400", "-5", "nan", "9" * 500, "Mon, 01 Jan 2024 00:00:00 GMT"]),
)


def check_error_body(status: int, headers: dict[str, str], body: bytes) -> None:
    """A refusal becomes one of this package's errors, short enough to be shown."""
    for error in (
        error_from_response(status, headers, body, "http://a/v1"),
        error_from_event(body, "http://a/v1"),
    ):
        assert isinstance(error, EasyLLMError)
        assert len(str(error)) < 1000
        assert len(error.body or "") <= 2030  # the beginning, and how long it was
        assert error.retry_after is None or 0 <= error.retry_after < 1e9
        assert isinstance(error.is_retryable, bool)


@examples(300)
@given(st.integers(300, 599), BODIES, RETRY_AFTER)
def test_whatever_a_server_says_of_its_failure_becomes_an_error(
    status: int, body: bytes, retry_after: str | None
) -> None:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    check_error_body(status, headers, body)


@examples(25)
@given(
    st.lists(
        st.sampled_from([*'<>[]{}",: \n\\', "<html>", "<title>", '{"error":', "tokens + "]),
        min_size=1,
        max_size=4,
    )
)
def test_the_work_on_an_error_body_grows_with_its_size_only(words: list[str]) -> None:
    for start in ("", "<html>", '{"error": "'):
        assert_linear(
            lambda count, start=start: check_error_body(
                500, {}, (start + "".join(words) * count).encode()
            )
        )
