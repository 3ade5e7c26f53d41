"""What is counted for each server."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from langchain_easyllm import EasyLLMChat, EasyLLMEmbeddings, metrics
from langchain_easyllm._http.metrics import count_request, table
from langchain_easyllm._http.models import RetryPolicy, parse_url
from langchain_easyllm.errors import EasyLLMError

from ...support.fake_server import Cut, FakeServer, Reply, sse
from ...support.fake_text_servers import serve
from ...support.http_clients import ONCE, Client, post
from ...support.invocation_modes import STREAM_MODES, answer

NOTHING = {
    "requests": 0,
    "retries": 0,
    "refused": 0,
    "errors": {},
    "input_tokens": 0,
    "output_tokens": 0,
    "first_tokens": 0,
    "first_token_seconds": 0.0,
    "cold_start_waits": 0,
    "cold_start_seconds": 0.0,
}


@pytest.fixture(autouse=True)
def counts_of_its_own() -> Iterator[None]:
    metrics.reset()
    yield
    metrics.reset()


def counted(server: FakeServer) -> dict[str, object]:
    """What differs from zero."""
    found = metrics.snapshot()[server.url]
    assert found.keys() == NOTHING.keys()
    return {name: value for name, value in found.items() if value != NOTHING[name]}


def busy(status: int = 503) -> Reply:
    return Reply(b"busy", status=status, headers={"retry-after": "0"})


def test_each_request_and_each_failure_is_counted(client: Client, fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", busy(), busy(429), Reply({}))
    fake_server.on("POST", "/b", Reply(b"no", status=400))
    client.send(post(fake_server.url + "/a"), RetryPolicy(max_retries=2))
    assert counted(fake_server) == {
        "requests": 3,
        "retries": 2,
        "refused": 1,
        "errors": {"ServerError": 1, "RateLimitError": 1},
    }
    with pytest.raises(EasyLLMError):
        client.read(post(fake_server.url + "/b"))
    assert counted(fake_server)["errors"] == {
        "ServerError": 1,
        "RateLimitError": 1,
        "BadRequestError": 1,
    }


def test_servers_that_are_gone_and_redirects_are_counted_where_they_are(
    client: Client, fake_server: FakeServer
) -> None:
    with FakeServer() as gone:
        pass
    fake_server.on("POST", "/a", Reply(status=307, headers={"location": gone.url + "/b"}))
    with pytest.raises(EasyLLMError):
        client.send(post(fake_server.url + "/a"), ONCE)
    assert counted(fake_server) == {"requests": 1}
    assert counted(gone) == {"requests": 1, "errors": {"ConnectionError": 1}}


def test_cold_starts_are_counted_apart(client: Client, fake_server: FakeServer) -> None:
    loading = Reply({"error": "Model is loading", "estimated_time": 0.05}, status=503)
    fake_server.on("POST", "/a", loading, loading, Reply({}))
    client.send(post(fake_server.url + "/a"), RetryPolicy(max_retries=0, wait_for_model=10))
    found = counted(fake_server)
    assert 0.1 <= found.pop("cold_start_seconds") < 5
    assert found == {"requests": 3, "cold_start_waits": 2, "errors": {"ModelLoadingError": 2}}


def test_tokens_and_first_tokens_are_counted(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm", ["Bonjour", " !"])
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", api="chat")
    usage = answer(mode, model).usage_metadata
    found = counted(fake_server)
    assert found["requests"] == 1
    assert (found["input_tokens"], found["output_tokens"]) == (
        usage["input_tokens"],
        usage["output_tokens"],
    )
    assert found.get("first_tokens", 0) == (mode in STREAM_MODES)
    assert 0 <= found.get("first_token_seconds", 0) < 10


def test_a_stream_that_breaks_is_counted(fake_server: FakeServer, stream_mode: str) -> None:
    broken = sse({"choices": [{"index": 0, "delta": {"content": "Bon"}}]}, Cut())
    fake_server.on("POST", "/v1/chat/completions", broken)
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", api="chat", max_retries=0)
    with pytest.raises(EasyLLMError):
        answer(stream_mode, model)
    assert counted(fake_server) == {"requests": 1, "errors": {"IncompleteStreamError": 1}}


def test_a_stream_that_is_requested_again_is_a_retry(
    fake_server: FakeServer, stream_mode: str
) -> None:
    serve(fake_server, "vllm", ["Bonjour"])
    whole = fake_server._routes["POST", "/v1/chat/completions"].answers[0]
    fake_server.on("POST", "/v1/chat/completions", sse(Cut()), whole)
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", api="chat", max_retries=1)
    answer(stream_mode, model)
    found = counted(fake_server)
    assert (found["requests"], found["retries"]) == (2, 1)
    assert found["errors"] == {"IncompleteStreamError": 1}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"x-compute-tokens": "7"}, {}),
        ({}, {"usage": {"prompt_tokens": 7, "total_tokens": 8, "details": None}}),
        ({}, {"usage": {"total_tokens": 7}}),
    ],
)
def test_tokens_of_embeddings_are_counted(
    fake_server: FakeServer, headers: dict[str, str], body: dict[str, object]
) -> None:
    data = [{"index": n, "embedding": [0.5] * 500} for n in range(2)]
    reply = Reply({"data": data, **body}, headers=headers)
    fake_server.on("POST", "/v1/embeddings", reply)
    model = EasyLLMEmbeddings(base_url=fake_server.url, model="m", api="embeddings", batch_size=2)
    model.embed_documents(["a", "b"])
    assert counted(fake_server)["input_tokens"] == 7


def test_a_snapshot_is_a_copy() -> None:
    address = parse_url("http://[::1]:8080/v1")
    count_request(address)
    before = metrics.snapshot()
    before["http://[::1]:8080"]["errors"]["X"] = 1
    count_request(address)
    assert metrics.snapshot() == {"http://[::1]:8080": {**NOTHING, "requests": 2}}
    assert before["http://[::1]:8080"]["requests"] == 1
    metrics.reset()
    assert metrics.snapshot() == {}


def test_servers_beyond_the_limit_share_their_counters() -> None:
    for number in range(300):
        count_request(parse_url(f"http://host{number}/"))
    found = metrics.snapshot()
    assert len(found) == 257
    assert found["others"]["requests"] == 300 - 256


def test_threads_lose_no_count() -> None:
    address = parse_url("http://host/")

    def count() -> None:
        for _ in range(5000):
            count_request(address)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.snapshot()["http://host"]["requests"] == 20_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_begins_at_zero() -> None:
    count_request(parse_url("http://host/"))
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with table().lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        before = metrics.snapshot()
        count_request(parse_url("http://host/"))
        os._exit(0 if before == {} and metrics.snapshot()["http://host"]["requests"] == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    release.set()
    thread.join()
