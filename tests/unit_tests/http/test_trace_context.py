"""The current OpenTelemetry span goes along, and nothing of it where none is current."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from langchain_easyllm import EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.models import RetryPolicy

from ...support.fake_embedding_servers import serve_tei
from ...support.fake_server import FakeServer, Reply, sse
from ...support.fake_text_servers import serve
from ...support.http_clients import Client, post

TRACER = TracerProvider().get_tracer("tests")


def parents(server: FakeServer) -> list[str | None]:
    return [request.headers.get("traceparent") for request in server.requests]


def parent_of(span: trace.Span) -> str:
    found = span.get_span_context()
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def test_every_attempt_has_the_span_of_its_call(client: Client, fake_server: FakeServer) -> None:
    busy = Reply({}, status=503, headers={"retry-after": "0"})
    fake_server.on("POST", "/a", busy, Reply({}))
    fake_server.on("POST", "/s", sse({"a": 1}))
    client.send(post(fake_server.url + "/a"), RetryPolicy(max_retries=1))
    with TRACER.start_as_current_span("call") as span:
        client.send(post(fake_server.url + "/a"))
        client.read(post(fake_server.url + "/s"))
    client.send(post(fake_server.url + "/a"))
    assert parents(fake_server) == [None, None, parent_of(span), parent_of(span), None]


def test_a_span_that_is_not_sampled_goes_along_as_such(
    client: Client, fake_server: FakeServer
) -> None:
    fake_server.on("POST", "/a", Reply({}))
    quiet = TracerProvider(sampler=ALWAYS_OFF).get_tracer("tests")
    with quiet.start_as_current_span("call"):
        client.send(post(fake_server.url + "/a"))
    [parent] = parents(fake_server)
    assert parent is not None
    assert int(parent[-2:], 16) & 1 == 0


def test_state_and_baggage_go_along(client: Client, fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply({}))
    token = context.attach(baggage.set_baggage("tenant", "blue"))
    try:
        client.send(post(fake_server.url + "/a"))
        with TRACER.start_as_current_span("call"):
            client.send(post(fake_server.url + "/a"))
    finally:
        context.detach(token)
    assert [r.headers.get("baggage") for r in fake_server.requests] == [None, "tenant=blue"]


def test_the_callers_own_header_wins(client: Client, fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply({}))
    with TRACER.start_as_current_span("call"):
        client.send(post(fake_server.url + "/a", traceparent="mine"))
    assert parents(fake_server) == ["mine"]


def test_another_host_is_not_told(client: Client, fake_server: FakeServer) -> None:
    with FakeServer() as other, TRACER.start_as_current_span("call") as span:
        fake_server.on("POST", "/a", Reply(status=307, headers={"location": other.url + "/b"}))
        other.on("POST", "/b", Reply({}))
        client.send(post(fake_server.url + "/a"))
        assert parents(other) == [None]
    assert parents(fake_server) == [parent_of(span)]


class _Broken:
    """A propagator that fails, or says what no header can."""

    fields: frozenset[str] = frozenset()

    def __init__(self, say: Callable[[dict[str, str]], object]) -> None:
        self._say = say

    def inject(self, carrier: dict[str, str], *_: object, **__: object) -> None:
        self._say(carrier)

    def extract(self, *_: object, **__: object) -> None: ...


@pytest.fixture(
    params=[
        lambda carrier: 1 / 0,
        lambda carrier: carrier.update({"x-trace": "a\r\nx-evil: b"}),
        lambda carrier: carrier.update({"content-length": "7"}),
        lambda carrier: carrier.update({"x-trace": 7}),
    ],
    ids=["raises", "line break", "framing", "number"],
)
def broken(request: pytest.FixtureRequest) -> Iterator[None]:
    """A propagator that must break no call."""
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(_Broken(request.param))
    yield
    propagate.set_global_textmap(before)


@pytest.mark.usefixtures("broken")
def test_a_failure_of_tracing_breaks_no_call(client: Client, fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply({}))
    with TRACER.start_as_current_span("call"):
        assert client.send(post(fake_server.url + "/a")).status == 200
    sent = fake_server.requests[0].headers
    assert not {"x-trace", "x-evil", "traceparent"} & set(sent)
    assert sent["content-length"] == "2"


async def test_tasks_have_their_own_spans(fake_server: FakeServer) -> None:
    import asyncio

    fake_server.on("POST", "/a", Reply({}))
    sent = {}

    async def call(number: int) -> None:
        with TRACER.start_as_current_span(str(number)) as span:
            await asyncio.sleep(0.001)
            body = str(number).encode()
            await transport.asend(post(fake_server.url + "/a", body))
            sent[body] = parent_of(span)

    async with HTTPTransport() as transport:
        await asyncio.gather(*map(call, range(20)))
    assert {r.body: r.headers["traceparent"] for r in fake_server.requests} == sent


def test_models_and_many_texts_have_it(fake_server: FakeServer, mode: str) -> None:
    from ...support.invocation_modes import answer

    serve(fake_server, "vllm")
    with FakeServer() as tei, TRACER.start_as_current_span("call") as span:
        serve_tei(tei)
        answer(mode, EasyLLMChat(base_url=fake_server.url))
        EasyLLMEmbeddings(base_url=tei.url).embed_documents([f"text {n}" for n in range(100)])
        assert set(parents(tei)) == {parent_of(span)}
    assert set(parents(fake_server)) == {parent_of(span)}


def test_it_is_not_needed(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    code = f"""
import sys
sys.modules["opentelemetry"] = None
from langchain_easyllm import EasyLLMChat
print(EasyLLMChat(base_url={fake_server.url!r}).invoke("Hi").text)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "Hello world"
    assert parents(fake_server)
    assert set(parents(fake_server)) == {None}
