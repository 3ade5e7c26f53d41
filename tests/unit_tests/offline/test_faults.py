"""The offline server's misbehaviour, over HTTP and as errors of this package."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

import httpx
import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm import errors as ours
from langchain_easyllm.offline import Faults, OfflineServer, server

from ...support.invocation_modes import MODES, STREAM_MODES, answer, text_of
from ...support.offline_client import (
    ANSWER,
    PROMPT,
    QUESTION,
    data,
    error_of,
    events,
    generate,
    send,
)
from ...support.on_the_clock import ON_THE_CLOCK

APIS = ("chat", "completions", "generate")
every_api = pytest.mark.parametrize("api", APIS)


def model(server: OfflineServer, api: str = "chat", **fields: Any) -> EasyLLMChat:
    prompt = {} if api == "chat" else {"prompt_builder": "zephyr"}
    settings = {"temperature": 0, "max_retries": 0, **prompt, **fields}
    return EasyLLMChat(base_url=server.base_url, api=api, **settings)


def text_before(error: ours.EasyLLMError) -> str:
    assert error.partial is not None
    return error.partial


def test_a_cold_start(offline_server: OfflineServer, offline_faults: Faults) -> None:
    offline_faults.cold_start = 60
    answer = send(offline_server, "/generate", {"inputs": PROMPT})
    assert answer.status_code == 503
    assert 0 < answer.json()["estimated_time"] <= 60
    assert httpx.get(offline_server.base_url + "/health").status_code == 503
    offline_faults.cold_start_as = "proxy"
    answer = httpx.get(offline_server.base_url + "/info")
    assert (answer.status_code, answer.text) == (503, "503 Service Unavailable")


def test_a_request_that_waits_for_the_start(
    offline_server: OfflineServer, offline_faults: Faults
) -> None:
    offline_faults.cold_start = 0.5
    headers = {"x-scale-up-timeout": "20"}
    begun = time.monotonic()
    answer = httpx.get(offline_server.base_url + "/info", headers=headers, timeout=20)
    assert answer.status_code == 200
    assert time.monotonic() - begun > 0.4


@pytest.mark.parametrize("mode", MODES)
def test_a_cold_start_is_waited_for_or_an_error(
    offline_server: OfflineServer, offline_faults: Faults, mode: str
) -> None:
    offline_faults.cold_start = 60
    with pytest.raises(ours.ModelLoadingError):
        answer(mode, model(offline_server), QUESTION)
    offline_faults.cold_start = 0.3
    assert text_of(answer(mode, model(offline_server, wait_for_model=30), QUESTION)) == ANSWER


@pytest.mark.parametrize("mode", MODES)
def test_too_many_requests(
    offline_server: OfflineServer, offline_faults: Faults, mode: str
) -> None:
    offline_faults.rate_limited = 2
    offline_faults.retry_after = 0.25
    with pytest.raises(ours.RateLimitError) as caught:
        answer(mode, model(offline_server), QUESTION)
    assert caught.value.retry_after == 0.25
    assert offline_faults.rate_limited == 1
    assert text_of(answer(mode, model(offline_server, max_retries=1), QUESTION)) == ANSWER
    assert offline_faults.rate_limited == 0


def test_questions_about_the_server_are_not_counted(
    offline_server: OfflineServer, offline_faults: Faults
) -> None:
    offline_faults.rate_limited = 1
    assert httpx.get(offline_server.base_url + "/info").status_code == 200
    limited = send(offline_server, "/embed", {"inputs": "a"})
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")
    assert limited.json() == {"error": "Rate limit reached"}  # TEI has no such type of error
    assert send(offline_server, "/embed", {"inputs": "a"}).status_code == 200


@every_api
@pytest.mark.parametrize("mode", STREAM_MODES)
def test_a_stream_that_is_cut(
    offline_server: OfflineServer, offline_faults: Faults, mode: str, api: str
) -> None:
    offline_faults.cut_after = 3
    with pytest.raises(ours.IncompleteStreamError) as caught:
        answer(mode, model(offline_server, api), QUESTION)
    assert text_before(caught.value) == "The capital of"


def test_an_answer_that_is_cut(offline_server: OfflineServer, offline_faults: Faults) -> None:
    offline_faults.cut_after = 3
    with pytest.raises(httpx.RemoteProtocolError):
        generate(offline_server)
    with pytest.raises(ours.ConnectionError):
        model(offline_server).invoke(QUESTION)


def test_a_cut_connection_writes_nothing_to_the_log(
    offline_server: OfflineServer, offline_faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    for offline_faults.cut_after in (0, 1):
        for path in ("/generate", "/generate_stream"):
            with pytest.raises(httpx.RemoteProtocolError):
                send(offline_server, path, {"inputs": PROMPT})
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


@ON_THE_CLOCK
@pytest.mark.parametrize(
    ("api", "mode"), [("chat", "stream"), ("chat", "astream"), ("generate", "stream")]
)
def test_a_stream_that_stalls(
    offline_server: OfflineServer, offline_faults: Faults, mode: str, api: str
) -> None:
    offline_faults.stall_after = 3
    with pytest.raises(ours.TimeoutError) as caught:
        answer(mode, model(offline_server, api, timeout=0.7), QUESTION)
    assert text_before(caught.value) == "The capital of"


def test_an_answer_that_stalls(offline_server: OfflineServer, offline_faults: Faults) -> None:
    offline_faults.stall_after = 3
    with pytest.raises(ours.TimeoutError):
        model(offline_server, timeout=0.3).invoke(QUESTION)


@every_api
@pytest.mark.parametrize("mode", STREAM_MODES)
def test_a_stream_that_fails(
    offline_server: OfflineServer, offline_faults: Faults, mode: str, api: str
) -> None:
    offline_faults.error_after = 3
    with pytest.raises(ours.GenerationError) as caught:
        answer(mode, model(offline_server, api), QUESTION)
    assert text_before(caught.value) == "The capital of"


def test_an_answer_that_fails(offline_server: OfflineServer, offline_faults: Faults) -> None:
    offline_faults.error_after = 1
    said = error_of(offline_server, "/generate", {"inputs": PROMPT}, status=424)
    assert said.startswith("generation: Request failed during generation")
    *_, error = events(offline_server, "/generate_stream", {"inputs": PROMPT})
    assert error["error_type"] == "generation"
    with pytest.raises(ours.GenerationError):
        EasyLLM(base_url=offline_server.base_url, max_retries=0).invoke(PROMPT)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": QUESTION}]}),
        ("/v1/completions", {"prompt": PROMPT}),
    ],
)
def test_a_stream_for_openais_client_that_fails(
    offline_server: OfflineServer, offline_faults: Faults, path: str, body: dict[str, object]
) -> None:
    offline_faults.error_after = 1
    *_, error, end = data(offline_server, path, {**body, "stream": True})
    said = json.loads(error)["error"]
    assert said["http_status_code"] == 422
    assert said["message"].startswith("Request failed during generation")
    assert end == "[DONE]"


def test_slow_tokens(offline_server: OfflineServer, offline_faults: Faults) -> None:
    offline_faults.delay = 0.1
    begun = time.monotonic()
    assert generate(offline_server, max_new_tokens=5)["generated_text"]
    assert time.monotonic() - begun > 0.4


def test_faults_end_with_the_test(offline_server: OfflineServer) -> None:
    assert offline_server.faults == Faults()


def test_every_fault_is_an_argument() -> None:
    names = [fault.name for fault in dataclasses.fields(Faults)]
    assert [*server._FaultFields.__annotations__] == names


def test_faults_can_be_cleared() -> None:
    faults = Faults(cold_start=60, cold_start_as="proxy", rate_limited=1, cut_after=0, delay=1)
    assert faults.loading_for() > 50
    faults.clear()
    assert faults == Faults()
    assert faults.loading_for() == 0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("delay", -1, "delay is a number of seconds that is not negative, not -1."),
        ("delay", float("nan"), "delay is a number of seconds"),
        ("delay", None, "delay is a number of seconds"),
        ("cut_after", 1.5, "cut_after is a count"),
        ("rate_limited", True, "rate_limited is a count"),
        ("cold_start", "soon", "cold_start is a number of seconds"),
        ("cold_start_as", "page", "'loading' or 'proxy', not 'page'"),
        ("cut", 1, "There is no fault named 'cut': use one of cold_start, "),
    ],
)
def test_faults_that_make_no_sense(name: str, value: object, words: str) -> None:
    faults = Faults()
    with pytest.raises(ours.ConfigurationError, match=r"\w") as caught:
        setattr(faults, name, value)
    assert words in str(caught.value)
    assert faults == Faults()
