"""The line that each request has in the log at level DEBUG."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from langchain_easyllm import EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm._http.auth import Credentials
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.models import Request, RetryPolicy
from langchain_easyllm._http.stream import AsyncEventStream, EventStream
from langchain_easyllm._http.user_functions import UserFunction
from langchain_easyllm.errors import EasyLLMError

from ...support.fake_server import Cut, FakeServer, Pause, Reply, Stall, sse
from ...support.fake_text_servers import serve
from ...support.http_clients import ONCE, Client, post
from ...support.invocation_modes import answer
from .conftest import MakeClient

NAME = "langchain_easyllm.transport"
LINE = re.compile(
    r"(?P<method>[A-Z]+) (?P<url>\S+): (?P<outcome>.+), (?P<ms>\d+) ms, "
    r"(?P<sent>\d+) bytes sent, (?P<received>\d+) bytes received, attempt (?P<attempt>\d+)"
    r"(?:, request id (?P<id>.+))?"
)


class Log:
    """The lines that were written, apart."""

    def __init__(self, caplog: pytest.LogCaptureFixture, url: str) -> None:
        self._caplog = caplog
        self._url = url

    def lines(self) -> list[re.Match[str]]:
        records = [r for r in self._caplog.records if r.name == NAME and r.levelname == "DEBUG"]
        lines = [LINE.fullmatch(record.getMessage()) for record in records]
        assert None not in lines
        return lines  # type: ignore[return-value]

    def short(self) -> list[str]:
        return [
            f"{line['method']} {line['url'].removeprefix(self._url)} {line['outcome']} "
            f"{line['sent']} {line['received']}"
            for line in self.lines()
        ]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, fake_server: FakeServer) -> Log:
    caplog.set_level(logging.DEBUG, logger=NAME)
    return Log(caplog, fake_server.url)


def test_each_request_has_a_line(client: Client, fake_server: FakeServer, log: Log) -> None:
    busy = Reply(b"busy", status=503, headers={"retry-after": "0"})
    fake_server.on("POST", "/a", busy, Reply(status=307, headers={"location": "/b"}))
    fake_server.on("POST", "/b", Reply(b"1234567", chunks=None))
    fake_server.on("GET", "/c", Reply(chunks=[Pause(0.05), b"{}"]))
    client.send(post(fake_server.url + "/a", b"12345"), RetryPolicy(max_retries=1))
    client.send(Request("GET", fake_server.url + "/c"))
    assert log.short() == [
        "POST /a 503 5 4",
        "POST /a 307 5 0",
        "POST /b 200 5 7",
        "GET /c 200 0 2",
    ]
    assert 50 <= int(log.lines()[-1]["ms"]) < 5000


def test_a_line_names_the_attempt_and_the_servers_id_of_the_request(
    client: Client, fake_server: FakeServer, log: Log
) -> None:
    busy = Reply(b"busy", status=503, headers={"retry-after": "0", "x-request-id": "r-1"})
    fake_server.on("POST", "/a", busy, sse({"a": 1}, headers={"x-amzn-requestid": "r-2"}))
    client.read(post(fake_server.url + "/a"), RetryPolicy(max_retries=1))
    fake_server.on("GET", "/b", Reply({}, headers={"request-id": "long" * 100}))
    client.send(Request("GET", fake_server.url + "/b"))
    found = [(line["attempt"], line["id"]) for line in log.lines()]
    assert found == [("1", "r-1"), ("2", "r-2"), ("1", "long" * 50)]


def test_a_failure_has_a_line(client: Client, fake_server: FakeServer, log: Log) -> None:
    fake_server.on("POST", "/cut", Reply(chunks=[b"x", Cut()]))
    fake_server.on("POST", "/late", Reply(chunks=[Stall()]))
    for path in ("/cut", "/late"):
        with pytest.raises(EasyLLMError):
            client.send(post(fake_server.url + path), RetryPolicy(timeout=0.2, max_retries=0))
    with FakeServer() as gone:
        pass
    with pytest.raises(EasyLLMError):
        client.send(post(gone.url + "/a"), ONCE)
    assert log.short() == [
        "POST /cut IncompleteStreamError 2 0",
        "POST /late TimeoutError 2 0",
        f"POST {gone.url}/a ConnectionError 2 0",
    ]


def test_a_stream_has_a_line_when_it_ends(
    client: Client, fake_server: FakeServer, log: Log
) -> None:
    fake_server.on("POST", "/s", sse({"a": 1}, {"b": 2}))
    fake_server.on("POST", "/cut", sse({"a": 1}, Cut()))
    fake_server.on("POST", "/late", sse({"a": 1}, Stall()))
    fake_server.on("POST", "/no", Reply(b"no", status=400))
    client.read(post(fake_server.url + "/s"))
    for path in ("/cut", "/late", "/no"):
        with pytest.raises(EasyLLMError):
            client.read(post(fake_server.url + path), RetryPolicy(timeout=0.3, max_retries=0))
    events = len(b'{"a":1}')
    assert log.short() == [
        f"POST /s 200 stream ended 2 {2 * events + len('[DONE]')}",
        f"POST /cut 200 stream cut by IncompleteStreamError 2 {events}",
        f"POST /late 200 stream cut by TimeoutError 2 {events}",
        "POST /no 400 2 2",
    ]


def test_a_stream_that_is_closed_has_a_line(
    client: Client, fake_server: FakeServer, log: Log
) -> None:
    fake_server.on("POST", "/s", sse({"a": 1}, Stall()))
    events, framed, status = client.first(post(fake_server.url + "/s"))
    assert (events, framed, status) == ([b'{"a":1}'], True, 200)
    assert log.short() == ["POST /s 200 stream closed 2 7"]
    fake_server.wait_until(lambda: fake_server.disconnects == 1)


def test_a_stream_that_is_closed_after_its_last_event_has_ended(
    fake_server: FakeServer, stream_mode: str, log: Log
) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", api="chat")
    answer(stream_mode, model)
    [line] = log.lines()
    assert line["outcome"] == "200 stream ended"


def test_what_is_cancelled_has_a_line(fake_server: FakeServer, log: Log) -> None:
    fake_server.on("POST", "/a", Reply(chunks=[Stall()]))
    fake_server.on("POST", "/s", sse({"a": 1}, Stall()))

    async def read(transport: HTTPTransport) -> None:
        async with await transport.aopen(post(fake_server.url + "/s"), ONCE) as stream:
            async for _ in stream:
                pass

    async def main() -> None:
        async with HTTPTransport() as transport:
            for call in (transport.asend(post(fake_server.url + "/a"), ONCE), read(transport)):
                task = asyncio.create_task(call)
                await asyncio.sleep(0.1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(main())
    assert log.short() == ["POST /a cancelled 2 0", "POST /s 200 stream cancelled 2 7"]


def test_no_secret_no_prompt_and_no_answer_is_logged(
    fake_server: FakeServer, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="langchain_easyllm")
    serve(fake_server, "vllm", ["answer", "text"])
    refusal = {"error": "cannot continue 'prompt text' for hf_topsecret"}
    fake_server.on(
        "POST",
        "/v1/chat/completions",
        Reply(refusal, status=503, headers={"retry-after": "0"}),
        fake_server._routes["POST", "/v1/chat/completions"].answers[0],
    )
    model = EasyLLMChat(
        base_url=fake_server.url + "?key=query_topsecret",
        api_key="hf_topsecret",
        default_headers={"X-Api-Key": "header_topsecret"},
    )
    answer(mode, model, "prompt text")
    text = "".join(record.getMessage() for record in caplog.records if record.name == NAME)
    assert "POST" in text
    for hidden in ("topsecret", "prompt text", "answer"):
        assert hidden not in text


SERVERS = "langchain_easyllm.servers"


def test_a_recognised_server_is_named_once(
    fake_server: FakeServer, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="langchain_easyllm")
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url + "?k=topsecret")
    for _ in range(2):
        answer(mode, model)
    answer(mode, EasyLLMChat(base_url=fake_server.url, model="tiny", api="chat"))
    lines = [r.getMessage() for r in caplog.records if r.name == SERVERS]
    assert lines == [
        f"{fake_server.url} is vllm, model tiny, protocol chat",
        f"{fake_server.url} is used without detection, model tiny, protocol chat",
    ]


def test_servers_of_embeddings_and_replicas_are_named(
    fake_server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="langchain_easyllm")
    serve(fake_server, "vllm")
    fake_server.on("POST", "/v1/embeddings", Reply({"data": [{"index": 0, "embedding": [1.0]}]}))
    EasyLLMEmbeddings(base_url=fake_server.url).embed_query("text")
    with FakeServer() as second:
        serve(second, "vllm")
        both = [fake_server.url, second.url]
        EasyLLMChat(base_url=both).invoke("Hi")
    lines = [r.getMessage() for r in caplog.records if r.name == SERVERS]
    assert lines == [
        f"{fake_server.url} is vllm, model tiny, protocol embeddings",
        *(f"{url} is vllm, model tiny, protocol chat" for url in both),
    ]


def gateway_token() -> str:
    return "gw_topsecret"


def test_a_secret_in_a_path_is_not_logged(
    make_client: MakeClient, fake_server: FakeServer, log: Log
) -> None:
    client = make_client(Credentials(UserFunction(gateway_token), base_url=fake_server.url))
    fake_server.on("POST", "/gw_topsecret/a", Reply({}))
    client.send(post(fake_server.url + "/gw_topsecret/a"))
    assert log.short() == ["POST /***/a 200 2 2"]


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_a_level_above_costs_nothing(
    fake_server: FakeServer, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    caplog.set_level(level, logger=NAME)
    fake_server.on("POST", "/s", sse({"a": 1}))

    async def main() -> None:
        async with HTTPTransport() as transport:
            with transport.open(post(fake_server.url + "/s")) as stream:
                assert type(stream) is EventStream
            async with await transport.aopen(post(fake_server.url + "/s")) as astream:
                assert type(astream) is AsyncEventStream

    asyncio.run(main())
    assert [record for record in caplog.records if record.name == NAME] == []
