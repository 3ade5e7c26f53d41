from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from langchain_easyllm._http.error_mapping import retry_after_seconds
from langchain_easyllm._http.models import RetryPolicy
from langchain_easyllm._http.retries import Backoff
from langchain_easyllm.errors import (
    BadRequestError,
    ConnectionError,
    EasyLLMError,
    EndpointPausedError,
    ModelLoadingError,
    RateLimitError,
    ServerError,
)

from ...support.fake_server import Cut, FakeServer, Pause, Reply, Reset, sse
from ...support.http_clients import Client, post
from ...support.on_the_clock import ON_THE_CLOCK

LOADING = Reply({"error": "Model gpt2 is currently loading", "estimated_time": 20.0}, status=503)
LLAMA_LOADING = Reply(
    {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, status=503
)
READY = Reply({"ok": 1})


def soon(status: int, body: object = "busy") -> Reply:
    return Reply(body, status=status, headers={"retry-after": "0"})


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(fake_server: FakeServer, client: Client, status: int) -> None:
    fake_server.on("POST", "/a", soon(status), soon(status), READY)
    assert client.send(post(fake_server.url + "/a"), RetryPolicy(timeout=20)).status == 200
    assert len(fake_server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 413, 422, 424, 501, 505])
def test_what_will_not_change_is_not_tried_again(
    fake_server: FakeServer, client: Client, status: int
) -> None:
    fake_server.on("POST", "/a", soon(status), READY)
    with pytest.raises(EasyLLMError) as caught:
        client.send(post(fake_server.url + "/a"), RetryPolicy(timeout=20))
    assert caught.value.status_code == status
    assert len(fake_server.requests) == 1


def test_the_last_error_is_raised_after_max_retries(
    fake_server: FakeServer, client: Client
) -> None:
    fake_server.on("POST", "/a", soon(500, "one"), soon(502, "two"), soon(503, "three"), READY)
    seen: list[tuple[str, float]] = []

    def note(error: Exception, wait: float) -> None:
        seen.append((str(error), wait))

    with pytest.raises(ServerError, match="three"):
        client.send(post(fake_server.url + "/a"), RetryPolicy(timeout=20, on_retry=note))
    assert len(fake_server.requests) == 3
    assert ["one" in seen[0][0], "two" in seen[1][0]] == [True, True]
    assert [wait for _, wait in seen] == [0, 0]


def test_no_retries_when_none_are_wanted(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/a", soon(503), READY)
    with pytest.raises(ServerError):
        client.send(post(fake_server.url + "/a"), RetryPolicy(max_retries=0))
    assert len(fake_server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(before=[Cut()]),
        Reply(before=[Reset()]),
        Reply(chunks=[b"half", Cut()], framing="length", headers={"content-length": "99"}),
    ],
    ids=["cut", "reset", "half"],
)
def test_broken_connections_are_tried_again(
    fake_server: FakeServer, client: Client, reply: Reply
) -> None:
    fake_server.on("POST", "/a", reply, READY)
    assert client.send(post(fake_server.url + "/a"), RetryPolicy(timeout=20)).status == 200
    assert len(fake_server.requests) == 2


def test_a_refused_connection_is_tried_again(client: Client) -> None:
    waits: list[float] = []
    with pytest.raises(ConnectionError):
        client.send(
            post("http://127.0.0.1:1/"),
            RetryPolicy(timeout=20, on_retry=lambda error, wait: waits.append(wait)),
        )
    assert len(waits) == 2
    assert all(0 <= wait <= bound for wait, bound in zip(waits, (0.5, 1), strict=True))


def test_retry_after_is_honoured(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/a", Reply("slow", status=429, headers={"retry-after": "0.3"}), READY)
    started = time.monotonic()
    client.send(post(fake_server.url + "/a"), RetryPolicy(timeout=20))
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_wait_beyond_the_time_left_fails_at_once(
    fake_server: FakeServer, client: Client, form: str
) -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    value = "3600" if form == "seconds" else in_an_hour
    fake_server.on("POST", "/a", Reply("slow", status=429, headers={"retry-after": value}))
    started = time.monotonic()
    with pytest.raises(RateLimitError) as caught:
        client.send(post(fake_server.url + "/a"), RetryPolicy(timeout=60))
    assert time.monotonic() - started < 10
    assert caught.value.retry_after == pytest.approx(3600, abs=60)
    assert len(fake_server.requests) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        (None, None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_reading_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value) == seconds


def test_a_used_up_quota_is_not_tried_again(fake_server: FakeServer, client: Client) -> None:
    error = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    fake_server.on("POST", "/a", Reply(error, status=429))
    with pytest.raises(RateLimitError) as caught:
        client.send(post(fake_server.url + "/a"), RetryPolicy(timeout=20))
    assert not caught.value.is_retryable
    assert len(fake_server.requests) == 1


# Cold starts


@pytest.mark.parametrize("loading", [LOADING, LLAMA_LOADING], ids=["hub", "llama.cpp"])
def test_a_cold_start_does_not_count_as_a_retry(
    fake_server: FakeServer, client: Client, loading: Reply
) -> None:
    fake_server.on("POST", "/a", *[loading] * 5, READY)
    answer = client.send(
        post(fake_server.url + "/a"), RetryPolicy(timeout=5, max_retries=0, wait_for_model=30)
    )
    assert answer.status == 200
    assert len(fake_server.requests) == 6


def test_a_cold_start_that_takes_too_long(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/a", LOADING)
    started = time.monotonic()
    with pytest.raises(ModelLoadingError, match="wait_for_model"):
        client.send(post(fake_server.url + "/a"), RetryPolicy(wait_for_model=0.5))
    assert 0.4 < time.monotonic() - started < 5
    assert len(fake_server.requests) > 2


def test_a_cold_start_is_an_ordinary_failure_by_default(
    fake_server: FakeServer, client: Client
) -> None:
    fake_server.on("POST", "/a", LOADING)
    started = time.monotonic()
    with pytest.raises(ModelLoadingError) as caught:
        client.send(post(fake_server.url + "/a"), RetryPolicy(max_retries=1))
    assert time.monotonic() - started < 5
    assert caught.value.retry_after == 20
    assert len(fake_server.requests) == 2


@ON_THE_CLOCK
def test_the_time_limit_starts_again_once_the_model_is_there(
    fake_server: FakeServer, client: Client
) -> None:
    slow = Reply({"ok": 1}, before=[Pause(0.6)])
    fake_server.on("POST", "/a", *[LOADING] * 4, slow)
    policy = RetryPolicy(timeout=0.9, max_retries=0, wait_for_model=10)
    assert client.send(post(fake_server.url + "/a"), policy).status == 200


def test_a_server_that_wants_more_time_than_there_is(
    fake_server: FakeServer, client: Client
) -> None:
    fake_server.on("POST", "/a", Reply("loading", status=503, headers={"retry-after": "99"}))
    with pytest.raises(ModelLoadingError) as caught:
        client.send(post(fake_server.url + "/a"), RetryPolicy(wait_for_model=5))
    assert caught.value.retry_after == 99
    assert len(fake_server.requests) == 1


def test_a_paused_endpoint_is_not_waited_for(fake_server: FakeServer, client: Client) -> None:
    said = "The endpoint is paused, ask a maintainer to restart it"
    fake_server.on("POST", "/a", Reply({"error": said}, status=400))
    with pytest.raises(EndpointPausedError, match="ask a maintainer") as caught:
        client.send(post(fake_server.url + "/a"), RetryPolicy(wait_for_model=5))
    assert not caught.value.is_retryable
    assert len(fake_server.requests) == 1


# Streams


def test_a_stream_is_tried_again_until_it_begins(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/s", soon(503), Reply(before=[Cut()]), sse("a", "b"))
    events = client.read(post(fake_server.url + "/s"), RetryPolicy(timeout=20))
    assert events == [b"a", b"b", b"[DONE]"]


def test_a_stream_is_never_tried_again_after_its_first_event(
    fake_server: FakeServer, client: Client
) -> None:
    fake_server.on("POST", "/s", sse("a", Pause(0.05), Cut()), sse("again"))
    events: list[bytes] = []
    with pytest.raises(ConnectionError):
        client.read(post(fake_server.url + "/s"), RetryPolicy(timeout=20), events)
    assert events == [b"a"]
    assert len(fake_server.requests) == 1


def test_a_refused_stream_carries_the_servers_words(
    fake_server: FakeServer, client: Client
) -> None:
    fake_server.on("POST", "/s", Reply({"error": "too hot"}, status=422))
    with pytest.raises(BadRequestError, match="too hot"):
        client.read(post(fake_server.url + "/s"))


# Pauses


@pytest.mark.parametrize("failures", [1, 2, 3, 4, 5, 6, 2000])
def test_pauses_are_drawn_from_a_span_that_doubles_up_to_8_seconds(failures: int) -> None:
    failure = ServerError("busy", status_code=503)
    pauses: list[float] = []
    for _ in range(1 if failures > 100 else 200):
        backoff = Backoff(failures)
        pauses.append([backoff.pause_after(failure, None, math.inf) for _ in range(failures)][-1])
    bound = min(8, 0.5 * 2 ** min(failures - 1, 9))
    assert all(0 <= pause <= bound for pause in pauses)
    if len(pauses) > 1:
        assert min(pauses) < bound / 4
        assert max(pauses) > bound * 3 / 4


@pytest.mark.parametrize(("left", "again"), [(0.5, False), (0.2, False), (0.6, True)])
def test_a_pause_that_the_server_asks_for_must_fit_into_the_time_left(
    left: float, again: bool
) -> None:
    failure = RateLimitError("busy", status_code=429)
    backoff = Backoff(2)
    if again:
        assert backoff.pause_after(failure, 0.5, left) == 0.5
        return
    with pytest.raises(RateLimitError) as caught:
        backoff.pause_after(failure, 0.5, left)
    assert caught.value is failure


def test_the_next_failure_may_be_another_threads() -> None:
    backoff = Backoff(2)
    failure = RateLimitError("busy", status_code=429)
    for _ in range(2):
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(backoff.pause_after, failure, 0.5, 60.0).result() == 0.5
    with pytest.raises(RateLimitError):
        backoff.pause_after(failure, 0.5, 60.0)


def test_an_attempt_with_a_part_of_the_time_keeps_to_it_at_a_proxy_that_holds_requests() -> None:
    budget = RetryPolicy(timeout=10).begin().call_budget()
    own = budget.single(budget.deadline - 5)
    own.hold()
    assert own.deadline == pytest.approx(budget.deadline - 5)
    assert budget.single().deadline == budget.deadline
    assert RetryPolicy(timeout=None).call_budget().single(math.inf).deadline == math.inf
