"""What the doctor says of servers that work, and of those that do not do what they claim."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langchain_easyllm.doctor.checks import CHECKS
from langchain_easyllm.offline import OfflineServer, offline_server

from ...support.fake_embedding_servers import serve_openai, serve_tei
from ...support.fake_server import FakeServer, Received, Reply, Stall
from ...support.fake_text_servers import chat, info_tei, serve
from ...support.misbehaving_gateway import FAULTS, spoil
from ...support.text_servers import TEXT_SERVERS
from .conftest import Doctor

COUNTED = ["One", ",", " two", ",", " three", ",", " four", ",", " five", "."]


@pytest.fixture(scope="module")
def like_vllm() -> Iterator[OfflineServer]:
    with offline_server(like="vllm") as server:
        yield server


LACKING = {
    "tgi": {"reasoning"},
    "llama.cpp": {"reasoning", "embeddings", "rerank"},
}


@pytest.mark.parametrize("like", LACKING)
def test_all_that_an_offline_server_has_works(like: str, doctor: Doctor) -> None:
    with offline_server(like=like) as server:
        report = doctor.json(server.base_url, "--max-concurrency", 4)
        assert report["requests"] == len(server.requests)
    found = {one["name"]: one["state"] for one in report["checks"]}
    assert [*found] == [*CHECKS]
    assert {name for name, state in found.items() if state == "not offered"} == LACKING[like]
    assert {name for name, state in found.items() if state == "works"} == {*CHECKS} - LACKING[like]
    assert report["exit_code"] == 0
    assert report["server"] == like
    assert report["version"]
    assert report["model"] == "langchain-easyllm/offline"
    assert "chat" in report["protocols"]
    assert report["limits"]["context_length"]


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("loses stop", {"stop"}),
        ("loses tools", {"tools-auto", "tools-required", "tools-named"}),
        ("loses constraints", {"schema", "regex"}),
        ("loses stream_options", {"stream-usage"}),
        ("counts wrong", {"usage"}),
        ("loses text", {"plain", "schema", "regex"}),
        ("cuts streams", {"stream"}),
    ],
)
def test_what_a_server_claims_and_does_not_do_is_named(
    fault: str, named: set[str], like_vllm: OfflineServer, fake_server: FakeServer, doctor: Doctor
) -> None:
    assert fault in FAULTS
    spoil(fake_server, like_vllm.base_url, fault)
    only = ",".join({"tokenize", "tools-none", *named})
    report = doctor.json(fake_server.url, "--only", only)
    assert {one["name"] for one in report["checks"] if one["ok"] is False} == named
    assert report["exit_code"] == 1


def test_every_known_server_is_named_and_answers(doctor: Doctor) -> None:
    for name, row in TEXT_SERVERS.items():
        if name == "router":
            continue
        with FakeServer() as server:
            serve(server, name, COUNTED)
            only = "plain,stream,usage,stop,many-stops"
            report = doctor.json(server.url, "--only", only, "--model", "tiny")
        assert report["server"] == row.profile.name
        failed = {one["name"]: one["note"] for one in report["checks"] if one["ok"] is False}
        assert failed == {}, name
        assert report["exit_code"] == 0


def test_a_server_of_embeddings_need_not_have_text(fake_server: FakeServer, doctor: Doctor) -> None:
    serve_tei(fake_server)
    fake_server.on("GET", "/info", info_tei(version="1.9.0"))
    found = doctor.states(fake_server.url)
    assert found["embeddings"] == "works"
    assert {state for name, state in found.items() if name != "embeddings"} == {"not offered"}
    code, printed = doctor(fake_server.url)
    assert code == 0
    assert "tei 1.9.0" in printed
    assert "stream-usage" in printed
    assert len(printed.splitlines()) < 20  # what has the same reason is one line


def test_the_number_of_requests_before_429_is_found(
    fake_server: FakeServer, doctor: Doctor
) -> None:
    serve(fake_server, "vllm", COUNTED)
    # One for the chat, one alone, four at once; of the next sixteen, six are refused.
    good, bad = chat("Hi", server_name="vllm"), Reply({"error": "busy"}, status=429)
    fake_server.on("POST", "/v1/chat/completions", *[good] * (6 + 10), *[bad] * 6, good)
    report = doctor.json(fake_server.url, "--only", "concurrency")
    [check] = report["checks"]
    assert check["ok"]
    assert check["note"] == "4 at once; of 16, 6 are refused (429)"
    assert check["advice"] == "Set max_concurrency=10."


def test_an_answer_nobody_reads_is_ended(fake_server: FakeServer, doctor: Doctor) -> None:
    serve(fake_server, "vllm", COUNTED)
    running = iter([0, 1, 1, 0])

    def metrics(_: Received) -> Reply:
        lines = f'vllm:num_requests_running{{model_name="tiny"}} {next(running)}.0\n'
        return Reply(lines.encode())

    fake_server.on("GET", "/metrics", metrics)
    [check] = doctor.json(fake_server.url, "--only", "cancellation")["checks"]
    assert check["ok"]
    assert "free" in check["note"]


def test_streams_that_hang_are_named_once_and_the_rest_is_tried(
    fake_server: FakeServer, doctor: Doctor
) -> None:
    serve(fake_server, "vllm", COUNTED)
    [answer] = [chat("Hi", server_name="vllm")]

    def hang(request: Received) -> Reply:
        streams = isinstance(request.json, dict) and request.json.get("stream")
        return Reply({}, before=[Stall()]) if streams else answer

    fake_server.on("POST", "/v1/chat/completions", hang)
    only = "plain,stream,first-token,stop,usage,stream-usage,reasoning,cancellation,tools-none"
    found = doctor.states(fake_server.url, "--only", only, "--timeout", 0.3)
    works = {"plain", "usage", "tools-none"}
    assert found.pop("stream") == "fails"
    assert {name for name, state in found.items() if state == "works"} == works
    assert {state for name, state in found.items() if name not in works} == {"unclear"}


def test_a_chat_that_fails_fails_each_check_that_is_asked_for_alone(
    fake_server: FakeServer, doctor: Doctor
) -> None:
    serve(fake_server, "vllm", COUNTED)
    fake_server.on("POST", "/v1/chat/completions", Reply({"error": "no memory"}, status=500))
    code, printed = doctor(fake_server.url, "--only", "tools-none")
    assert code == 1
    assert "no memory" in printed


def test_reasoning_comes_apart_from_the_text(fake_server: FakeServer, doctor: Doctor) -> None:
    serve(fake_server, "vllm", ["<think>", "Let me", " see", ".", "</think>", "51"])
    [check] = doctor.json(fake_server.url, "--only", "reasoning")["checks"]
    assert check["ok"]
    assert check["note"].startswith("comes apart from the text")


@pytest.mark.parametrize("broken", [False, True])
def test_text_that_fails_where_there_are_vectors_was_never_offered(
    broken: bool, fake_server: FakeServer, doctor: Doctor
) -> None:
    serve_openai(fake_server, "llamacpp")
    if broken:
        for path in ("/v1/embeddings", "/v1/rerank"):
            fake_server.on("POST", path, Reply({"error": "no such route"}, status=404))
    refusal = Reply({"error": {"message": "cannot compute logits"}}, status=500)
    for path in ("/v1/chat/completions", "/v1/completions"):
        fake_server.on("POST", path, refusal)
    found = doctor.states(fake_server.url, "--only", "plain,stream,embeddings")
    if broken:
        assert found == {"plain": "fails", "stream": "unclear", "embeddings": "not offered"}
    else:
        assert found["embeddings"] == "works"
        assert {found[name] for name in ("plain", "stream")} == {"not offered"}
