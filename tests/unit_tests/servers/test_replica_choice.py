"""Which of several servers gets a request; without any server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._servers import replica_choice
from langchain_easyllm._servers.replica_choice import Replica, ReplicaChoice, prompt_beginning
from langchain_easyllm._servers.session import ServerSession
from langchain_easyllm._servers.urls import parse_server_url


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(replica_choice, "monotonic", clock)
    return clock


_ports: Iterator[int] = iter(range(1024, 65536))  # the limit of an origin lives on


def several(count: int = 3) -> ReplicaChoice:
    urls = [parse_server_url(f"http://replica:{next(_ports)}") for _ in range(count)]
    return ReplicaChoice([Replica(ServerSession(url, HTTPTransport())) for url in urls])


def chosen(choice: ReplicaChoice, count: int, prompt: bytes | None = None) -> list[int]:
    """Choose so many times, with nothing ending in between; return the positions."""
    found = [choice.choose(prompt) for _ in range(count)]
    return [choice.replicas.index(one.replica) for one in found if one is not None]


def test_requests_are_spread_evenly() -> None:
    assert Counter(chosen(several(), 30)) == {0: 10, 1: 10, 2: 10}


def test_requests_one_after_the_other_take_turns() -> None:
    choice = several()
    order = []
    for _ in range(6):
        found = choice.choose(None)
        assert found is not None
        order.append(choice.replicas.index(found.replica))
        choice.leave(found)
    assert order == [0, 1, 2, 0, 1, 2]


def test_a_replica_that_takes_less_gets_less() -> None:
    choice = several(2)
    for replica, limit in zip(choice.replicas, (10.0, 30.0), strict=True):
        replica.limit.limit = limit
    assert Counter(chosen(choice, 20)) == {0: 5, 1: 15}


def test_a_full_replica_is_left_out_as_long_as_another_has_room() -> None:
    choice = several(2)
    first = choice.replicas[0].limit
    first.limit, first.turns = 4.0, 4
    assert chosen(choice, 20) == [1] * 20


def test_benches_get_longer_up_to_half_a_minute_and_end_with_an_answer(clock: Clock) -> None:
    choice = several(2)
    bad = choice.replicas[0]
    for seconds in (1, 2, 4, 8, 16, 30, 30):
        choice.note_failure(bad, clock.now)
        clock.now += seconds - 0.01
        assert not bad.is_available(clock.now)
        clock.now += 0.02
        assert bad.is_available(clock.now)
    choice.note_answer(bad)
    clock.now += 1
    choice.note_failure(bad, clock.now)
    assert bad.is_available(clock.now + 1.01)


def test_one_request_finds_out_whether_a_replica_is_back(clock: Clock) -> None:
    choice = several(2)
    choice.note_failure(choice.replicas[0], clock.now)
    assert chosen(choice, 5) == [1] * 5
    clock.now += 1.01
    back = [choice.choose(None) for _ in range(5)]
    assert [one.returning for one in back if one and one.replica is choice.replicas[0]] == [True]
    assert back[0] is not None
    assert back[0].replica is choice.replicas[0]
    choice.note_answer(back[0].replica)
    choice.leave(back[0])
    assert 0 in chosen(choice, 5)


def test_a_failure_among_answers_is_the_requests_own(clock: Clock) -> None:
    choice = several(2)
    sent, clock.now = clock.now, clock.now + 1
    choice.note_answer(choice.replicas[0])
    choice.note_failure(choice.replicas[0], sent)
    assert choice.replicas[0].is_available(clock.now)


def test_failures_of_what_was_sent_before_the_bench_count_once(clock: Clock) -> None:
    choice = several(2)
    sent, clock.now = clock.now, clock.now + 1
    for _ in range(100):
        choice.note_failure(choice.replicas[0], sent)
    assert choice.replicas[0].is_available(clock.now + 1.01)


def test_where_all_are_benched_one_of_them_is_asked(clock: Clock) -> None:
    choice = several(3)
    for replica in choice.replicas:
        choice.note_failure(replica, clock.now)
    found = choice.choose(None)
    assert found is not None
    assert found.last_resort
    assert choice.choose(None, {found.replica}, insists=False) is None


def test_where_all_are_benched_the_likeliest_to_be_back_is_asked(clock: Clock) -> None:
    """Not one that has been away for long; and each in its turn as they go on failing."""
    choice = several(3)
    away, *others = choice.replicas
    for replica in others:
        choice.note_answer(replica)
        clock.now += 0.1
    order = []
    for replica in choice.replicas:
        choice.note_failure(replica, clock.now)
    for _ in range(4):
        found = choice.choose(None)
        assert found is not None
        order.append(found.replica)
        choice.leave(found)
        choice.note_failure(found.replica, clock.now)
    assert order == [others[1], others[0], away, others[1]]


def test_who_waits_for_models_asks_all_that_load(clock: Clock) -> None:
    choice = several(3)
    for replica in choice.replicas:
        choice.note_failure(replica, clock.now, loading=replica is not choice.replicas[1])
    asked: list[Replica] = []
    while (found := choice.choose(None, asked, insists=False, waits=True)) is not None:
        asked.append(found.replica)
    assert asked == [choice.replicas[0], choice.replicas[2]]


def test_a_prompt_goes_to_the_same_replica_in_every_process() -> None:
    choice, again = several(4), several(4)
    for one, other in zip(choice.replicas, again.replicas, strict=True):
        other.root = one.root
    prompts = [f"prompt {n}".encode() for n in range(400)]

    def homes(choice: ReplicaChoice) -> list[int]:
        found = []
        for prompt in prompts:
            one = choice.choose(prompt)
            assert one is not None
            found.append(choice.replicas.index(one.replica))
            choice.leave(one)
        return found

    first = homes(choice)
    assert homes(choice) == first
    assert homes(again) == first
    assert all(60 < count < 140 for count in Counter(first).values())
    # Without one of them, only its own prompts move.
    choice.replicas[2].failures, choice.replicas[2].benched_until = 1, float("inf")
    moved = homes(choice)
    assert [new for old, new in zip(first, moved, strict=True) if old != 2] == [
        old for old in first if old != 2
    ]
    assert 2 not in moved


def test_one_prompt_does_not_overload_its_replica() -> None:
    choice = several(4)
    counts = sorted(Counter(chosen(choice, 100, b"the same")).values())
    assert counts[-1] == 32  # 1.25 times its share, rounded up
    assert sum(counts) == 100


def body(**value: Any) -> bytes:
    return json.dumps({"model": "m", "temperature": 0, **value}).encode()


SYSTEM = {"role": "system", "content": "Be brief. " + "x" * 5000}


def test_turns_of_a_conversation_have_the_same_beginning() -> None:
    talk = [SYSTEM, {"role": "user", "content": "Hi"}]
    later = [*talk, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "Why?"}]
    other = [SYSTEM, {"role": "user", "content": "Ho"}]
    beginning = prompt_beginning(body(messages=talk))
    assert beginning
    assert len(beginning) < 1100
    assert prompt_beginning(body(messages=later, stream=True)) == beginning
    assert prompt_beginning(body(messages=other)) != beginning


@pytest.mark.parametrize("name", ["prompt", "inputs", "query"])
def test_texts_are_told_apart_by_their_first_characters(name: str) -> None:
    long = "p" * 1024
    assert prompt_beginning(body(**{name: long + "a"})) == prompt_beginning(body(**{name: long}))
    assert prompt_beginning(body(**{name: "a"})) != prompt_beginning(body(**{name: "b"}))


@pytest.mark.parametrize(
    "sent", [None, b"", b"{", b"[]", body(), body(inputs=["a", "b"]), body(input=["a"])]
)
def test_what_has_no_prompt_has_no_beginning(sent: bytes | None) -> None:
    assert prompt_beginning(sent) is None


@pytest.mark.parametrize(
    "messages", [[], ["text"], [{}], [{"role": 1, "content": [{"type": "image"}]}], [None]]
)
def test_any_messages_have_a_beginning(messages: Any) -> None:
    assert prompt_beginning(body(messages=messages)) is not None


def test_a_child_process_has_no_requests_in_flight(clock: Clock) -> None:
    choice = several(2)
    chosen(choice, 6)
    choice.note_failure(choice.replicas[0], clock.now)
    choice.forget_requests()
    assert [replica.in_flight for replica in choice.replicas] == [0, 0]
    assert chosen(choice, 1) == [1]
