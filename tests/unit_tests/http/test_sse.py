from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm._http.sse import ErrorEvent, SSEDecoder
from langchain_easyllm.errors import ProtocolError

LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(
                    "",
                    "",
                    "data:",
                    "data: ",
                    "data",
                    "data:[DONE]",
                    "data: [DONE]",
                    "data:  [DONE] ",
                ),
                *("event: error", "event:error", "event: message", ": comment", ":", "id: 7"),
                *("retry: 10", 'data: {"a": "한국어 🤗"}', "data:x", "nonsense", "data : no"),
            ]
        ),
        st.text(alphabet="da:t {}é\u2028\ufeff", max_size=8).map("data: {}".format),
    ),
    max_size=25,
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream with mixed line ends, and the same cut anywhere."""
    text = "".join(line + draw(ENDS) for line in draw(LINES))
    data = (b"\xef\xbb\xbf" if draw(st.booleans()) else b"") + text.encode()
    cuts = sorted(draw(st.sets(st.integers(0, len(data)))))
    bounds = [0, *cuts, len(data)]
    return data, [data[a:b] for a, b in pairwise(bounds)]


def decode(*blocks: bytes) -> list[tuple[bool, bytes]]:
    decoder = SSEDecoder()
    events = [event for block in blocks for event in decoder.feed(block)]
    return [(isinstance(event, ErrorEvent), event) for event in events + decoder.close()]


def reference(data: bytes) -> list[tuple[bool, bytes]]:
    """The standard's algorithm, written for clarity: line by line over the whole text."""
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *lines, tail = text.split(b"\n")
    assert not tail, "these streams end with a line end"
    events, values, name = [], [], b""
    for line in [*lines, b""]:
        if line:
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                values.append(value)
            elif field == b"event":
                name = value
            continue
        joined = b"\n".join(values)
        if joined:
            if name != b"error" and joined.strip() == b"[DONE]":
                joined = b"[DONE]"
            events.append((name == b"error", joined))
        values, name = [], b""
    return events


@given(streams())
def test_any_cut_gives_what_the_standard_says(case: tuple[bytes, list[bytes]]) -> None:
    data, blocks = case
    assert decode(*blocks) == reference(data)


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_any_bytes_cut_anywhere_decode_the_same(blocks: list[bytes]) -> None:
    joined = b"".join(blocks)
    assert decode(*blocks) == decode(joined)
    assert decode(*(joined[at : at + 1] for at in range(len(joined)))) == decode(joined)


@pytest.mark.parametrize("block", [b"data: a\n\n", b"data: a\r\n\r\n", b"data: a\r\r"])
def test_an_event_is_there_with_its_last_byte(block: bytes) -> None:
    assert SSEDecoder().feed(block) == [b"a"]


def test_the_line_feed_of_a_split_line_end_is_no_line() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"\ndata: b\r") == []
    assert decoder.feed(b"\n\r\n") == [b"a\nb"]


@pytest.mark.parametrize(
    ("tail", "events"),
    [
        (b"data: [DONE]", [b"[DONE]"]),
        (b'data: {"a": 1}', [b'{"a": 1}']),
        (b'data: {"a": 1}\n', [b'{"a": 1}']),
        (b'data: {"a": ', []),
        (b"dat", []),
        (b"", []),
    ],
)
def test_an_unterminated_end_counts_only_if_it_is_whole(tail: bytes, events: list[bytes]) -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: x\n\n" + tail) == [b"x"]
    assert decoder.close() == events


def test_a_byte_order_mark_is_skipped_only_at_the_start() -> None:
    assert decode(b"\xef", b"\xbb\xbfdata: a\n\n") == [(False, b"a")]
    assert decode(b"\xef\xbb") == []
    assert decode(b"data: a\n\n\xef\xbb\xbfdata: b\n\n") == [(False, b"a")]


def test_ten_megabytes_byte_by_byte_and_at_once_take_linear_time() -> None:
    size = 10_000_000
    decoder = SSEDecoder()
    started = time.monotonic()
    decoder.feed(b"data: ")
    for _ in range(size // 1000):
        assert decoder.feed(b"x" * 1000) == []
    assert [len(event) for event in decoder.feed(b"\n\n")] == [size]
    assert [len(event) for event in decoder.feed(b"data: " + b"y" * size + b"\n\n")] == [size]
    for byte in b"data: " + b"z" * 300_000 + b"\n":
        assert decoder.feed(bytes([byte])) == []
    assert [len(event) for event in decoder.feed(b"\n")] == [300_000]
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("block", [b"x" * 300, b"data: " + b"x" * 50 + b"\n", b": x" + b"x" * 90])
def test_an_event_without_end_is_refused(block: bytes) -> None:
    decoder = SSEDecoder(max_buffer=1000)
    with pytest.raises(ProtocolError, match="1,000 bytes"):
        [decoder.feed(block) for _ in range(50)]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_line_of_json_is_an_event(size: int) -> None:
    body = b'data: {"a": 1}\n\n{"b": 2}\n{"c": 3}\n\ndata: [DONE]\n\n{"d": 4}'
    decoder = SSEDecoder()
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    events = [event for piece in pieces for event in decoder.feed(piece)]
    events += decoder.close()
    assert events == [b'{"a": 1}', b'{"b": 2}', b'{"c": 3}', b"[DONE]", b'{"d": 4}']


def test_blank_lines_are_no_events_that_end() -> None:
    ended = 0

    class Counting(SSEDecoder):
        def _dispatch(self, events: list[bytes]) -> None:
            nonlocal ended
            ended += 1
            super()._dispatch(events)

    assert Counting().feed(b"\n" * 1000 + b"event: a\n\n\n\ndata: b\nid: 1\n\n\n") == [b"b"]
    assert ended == 2  # by the million they would stop an event loop
