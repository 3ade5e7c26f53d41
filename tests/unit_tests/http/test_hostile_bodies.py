"""Whatever a server sends as an error: an error of ours, soon."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm import errors
from langchain_easyllm._http.auth import Credentials
from langchain_easyllm._http.body import BodyEvents
from langchain_easyllm._http.error_mapping import (
    MAX_WORDS,
    error_from_event,
    error_from_response,
    retry_after_seconds,
)
from langchain_easyllm.errors import EasyLLMError

from ...support.cases import each_case

URL = "https://example.org/v1"


def response(body: bytes) -> EasyLLMError:
    return error_from_response(500, {}, body, URL)


def event(body: bytes) -> EasyLLMError:
    return error_from_event(body, URL)


def page(body: bytes) -> EasyLLMError:
    reader = BodyEvents({"content-type": "text/html"})
    try:
        reader.feed(body)
        reader.end()
    except EasyLLMError as error:
        return error
    raise AssertionError("a page is no stream")


READERS: list[Callable[[bytes], EasyLLMError]] = [response, event, page]

HOSTILE = {
    "tags": (b"<html>", b"<"),
    "titles": (b"<html>", b"<title"),
    "open titles": (b"<html><title>", b"x<title>"),
    "spaces": (b"", b" "),
    "line breaks before a tag": (b"", b"\n<"),
    "numbers": (b"input must have less than ", b"1"),
    "lengths": (b"", b"input length of input_ids is 1"),
    "words": (b"", b"tokens + max_new_tokens must be "),
    "loading": (b"", b"loadin"),
    "JSON string": (b'{"error": "', b"exceed "),
    "JSON lists": (b"", b"["),
    "JSON objects": (b"", b'{"error":'),
    "errors": (b'{"detail": [', b'{"msg": "a", "loc": ["b"]},'),
    "bytes": (b"", b"\xff"),
}


def best_time(read: Callable[[bytes], object], body: bytes) -> float:
    """The least of a few measurements: what else runs here makes them longer only."""
    times = []
    for _ in range(5):
        start = process_time()
        read(body)
        times.append(process_time() - start)
    return min(times)


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("read", READERS)
def test_reading_takes_no_more_than_linear_time(
    read: Callable[[bytes], EasyLLMError], kind: str
) -> None:
    begin, repeated = HOSTILE[kind]
    small, large = (begin + repeated * (size // len(repeated)) for size in (100_000, 400_000))
    assert best_time(read, large) < 16 * best_time(read, small) + 0.02


def test_a_hostile_page_costs_no_more_than_a_friendly_one() -> None:
    friendly = b"<html><title>Bad gateway</title>" + b"<p>" * 33_000
    for read in READERS:
        assert best_time(read, b"<html>" + b"<" * 100_000) < 20 * best_time(read, friendly) + 0.02


@pytest.mark.parametrize("read", [response, event])
def test_a_message_of_50_mb_is_read_at_its_beginning(read: Callable[[bytes], EasyLLMError]) -> None:
    words = b'{"error": "' + b"too many words " * 3_500_000 + b'"}'
    assert best_time(read, words) < 20 * best_time(read, words[: 2 * MAX_WORDS]) + 0.05
    assert "too many words" in str(read(words))


@pytest.mark.parametrize("before", range(MAX_WORDS - 30, MAX_WORDS + 4, 3))
def test_no_part_of_a_secret_stays_where_reading_ends(before: int) -> None:
    token = "hf_at_the_very_end_of_it"
    credentials = Credentials(token, base_url=URL)
    for body in (
        b" " * before + token.encode() + b"!" * 50_000,
        json.dumps({"error": " " * before + token + "!" * 50_000}).encode(),
    ):
        error = response(body)
        assert "hf_" not in f"{error} {error.body}"
    del credentials


def test_a_secret_that_json_spells_in_another_way_is_hidden() -> None:
    credentials = Credentials("hf_spelled_otherwise", base_url=URL)
    error = response(b'{"error": "who is \\u0068f_spelled_otherwise?"}')
    assert "who is ***?" in str(error)
    del credentials


DIGITS = "9" * 5_000
ODD = [
    "[" * 900 + "]" * 900,
    "[" * 100_000 + "]" * 100_000,
    '{"error":' * 900 + "1" + "}" * 900,
    '{"error":' * 100_000 + "1" + "}" * 100_000,
    '{"detail": [' + "[" * 900 + "]" * 900 + "]}",
    '{"error": {"message": ' + "[" * 900 + "]" * 900 + "}}",
    '{"detail": [{"msg": ' + "[" * 900 + "]" * 900 + ', "loc": [[[]], {}]}]}',
    f'{{"error": {{"message": "no", "code": {DIGITS}}}}}',
    f'{{"error": {{"message": "no", "code": "{DIGITS}"}}}}',
    f'{{"error": "no", "status": "{DIGITS}"}}',
    '{"error": "no", "type": ["a", {"b": 1}], "code": {"c": []}}',
    '{"error": "no", "status_code": "²²²"}',
    '{"error": "no", "code": "４０４"}',
    '{"error": "no", "estimated_time": 1e400}',
    '{"error": "no", "estimated_time": 1e300}',
    f'{{"error": "no", "estimated_time": {DIGITS}}}',
    '{"error": "no", "estimated_time": NaN}',
    '{"error": "no", "estimated_time": -1}',
    '{"error": "no", "estimated_time": "20"}',
    '{"error": "no", "estimated_time": true}',
    '{"error": "\\ud800"}',
    "null",
    "1",
    '"text"',
    "[]",
    "{}",
    "[[], null, {}]",
]


@each_case("status", [300, 400, 404, 422, 500, 503, 599, 999])
@each_case("body", ODD, ids=range(len(ODD)))
def test_only_our_errors_come_of_odd_bodies(body: str, status: int) -> None:
    for encoded in (body.encode(), body.encode("utf-16"), body.encode() + b"\xff"):
        error = error_from_response(status, {}, encoded, URL)
        assert error.status_code == status
        assert len(str(error)) < 2000
        assert error.retry_after is None or 0 <= error.retry_after < 1e9
        assert isinstance(error_from_event(encoded, URL), EasyLLMError)


HEADERS = [
    "Mon, 01 Jan 2024 00:00:00 +99999999999999",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 01 Jan 99999999999999 00:00:00 GMT",
    DIGITS,
    "1e400",
    "nan",
    "-1e400",
    ",,,,",
    "\xff",
    ":" * 60_000,
]


@pytest.mark.parametrize("value", HEADERS, ids=range(len(HEADERS)))
def test_a_header_that_makes_no_sense_is_ignored(value: str) -> None:
    assert retry_after_seconds(value) in (None, 0.0)
    headers = {"retry-after": value, "location": value, "x-request-id": value}
    for status in (302, 429, 503):
        error = error_from_response(status, headers, b"", URL)
        assert len(f"{error}{error.request_id}") < 2000


@given(st.text(max_size=60))
def test_any_header_is_read_or_ignored(value: str) -> None:
    seconds = retry_after_seconds(value)
    assert seconds is None or 0 <= seconds < 1e9
    error_from_response(302, {"location": value, "x-request-id": value}, b"", URL)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["error", "message", "detail", "errors", "msg", "loc", "type", "code", "error_type",
             "status", "status_code", "http_status_code", "estimated_time"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON, st.integers(100, 999))
def test_only_our_errors_come_of_any_json(value: object, status: int) -> None:
    body = json.dumps(value).encode()
    assert error_from_response(status, {}, body, URL).status_code == status
    assert isinstance(error_from_event(body, URL), EasyLLMError)


@given(st.binary(max_size=200))
def test_only_our_errors_come_of_any_bytes(body: bytes) -> None:
    assert isinstance(error_from_response(500, {}, body, URL), errors.ServerError)
    assert isinstance(error_from_event(body, URL), EasyLLMError)
