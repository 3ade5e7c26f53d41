"""Other people's tools see the requests through an httpx client: vcrpy, respx, OpenTelemetry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import respx
import vcr
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from vcr.errors import CannotOverwriteExistingCassetteException

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm.errors import EasyLLMError, RateLimitError

from ...support.fake_server import FakeServer, Reply
from ...support.fake_text_servers import serve
from ...support.httpx_clients import tls_context

TOKEN = "hf_" + "Fake0Token2" * 3
TEXTS = [f"text {number}" for number in range(5)]
PACKAGES = pytest.mark.parametrize("package", [httpx, httpx2], ids=["httpx", "httpx2"])


async def _each(stream: Any) -> list[Any]:
    return [item async for item in stream]


def _rerank_text(documents: Any) -> list[float]:
    return [document.metadata["relevance_score"] for document in documents]


def _documents() -> list[Any]:
    from langchain_core.documents import Document

    return [Document(text) for text in TEXTS]


SYNC: dict[str, Callable[[dict[str, Any]], object]] = {
    "invoke": lambda m: m["chat"].invoke("Hi").text,
    "stream": lambda m: [c.text for c in m["chat"].stream("Hi") if c.text],
    "batch": lambda m: [a.text for a in m["chat"].batch(["Hi", "Ho"])],
    "llm": lambda m: m["llm"].invoke("Hi"),
    "embed_query": lambda m: m["embeddings"].embed_query("Hi"),
    "embed_documents": lambda m: m["embeddings"].embed_documents(TEXTS),
    "rerank": lambda m: _rerank_text(m["rerank"].compress_documents(_documents(), "q")),
}
ASYNC: dict[str, Callable[[dict[str, Any]], Any]] = {
    "ainvoke": lambda m: m["chat"].ainvoke("Hi"),
    "astream": lambda m: _each(m["chat"].astream("Hi")),
    "abatch": lambda m: m["chat"].abatch(["Hi", "Ho"]),
    "allm": lambda m: m["llm"].ainvoke("Hi"),
    "aembed_documents": lambda m: m["embeddings"].aembed_documents(TEXTS),
    "arerank": lambda m: m["rerank"].acompress_documents(_documents(), "q"),
}


def shown(result: object) -> object:
    """What of a result can be compared: texts, vectors, scores."""
    if isinstance(result, list):
        return [text for item in result if (text := shown(item)) != ""]
    if hasattr(result, "page_content"):
        return _rerank_text([result])
    return getattr(result, "text", result)


def models(url: str, **fields: Any) -> dict[str, Any]:
    fields |= {"base_url": url, "api_key": TOKEN}
    return {
        "chat": EasyLLMChat(**fields),
        "llm": EasyLLM(**fields),
        "embeddings": EasyLLMEmbeddings(**fields, api="embed", batch_size=1),
        "rerank": EasyLLMRerank(**fields, api="tei", batch_size=1),
    }


def ask(call: str, url: str, package: Any = httpx) -> object:
    """Make a call with clients of their own, which are closed behind it."""
    if call in SYNC:
        with package.Client(verify=tls_context(None)) as client:
            return shown(SYNC[call](models(url, http_client=client)))

    async def go() -> object:
        async with package.AsyncClient(verify=tls_context(None)) as client:
            return shown(await ASYNC[call](models(url, http_async_client=client)))

    return asyncio.run(go())


@pytest.fixture
def server(fake_server: FakeServer) -> FakeServer:
    """A server that generates, embeds and scores."""
    serve(fake_server, "vllm")
    fake_server.on("POST", "/embed", Reply([[0.25, 0.5]]))
    fake_server.on("POST", "/rerank", Reply([{"index": 0, "score": 0.75}]))
    return fake_server


# vcrpy


@PACKAGES
@pytest.mark.parametrize("call", [*SYNC, *ASYNC])
def test_vcrpy_records_and_replays(
    server: FakeServer, tmp_path: Path, call: str, package: Any
) -> None:
    path = str(tmp_path / "cassette.yaml")
    recorder = vcr.VCR(filter_headers=["authorization"], match_on=("method", "uri", "body"))
    with recorder.use_cassette(path, record_mode="once"):
        recorded = ask(call, server.url, package)
    seen = len(server.requests)
    assert seen > 0
    assert server.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    with recorder.use_cassette(path, record_mode="none") as cassette:
        assert ask(call, server.url, package) == recorded
        assert cassette.all_played
    assert len(server.requests) == seen
    assert TOKEN not in Path(path).read_text("utf-8")


def test_vcrpy_does_not_see_our_own_connections(server: FakeServer, tmp_path: Path) -> None:
    """So a test whose cassette stays empty has forgotten to give a client."""
    with vcr.use_cassette(str(tmp_path / "cassette.yaml")) as cassette:
        EasyLLMChat(base_url=server.url).invoke("Hi")
    assert len(cassette) == 0


def test_what_a_cassette_does_not_hold_is_vcrpys_own_error(
    server: FakeServer, tmp_path: Path
) -> None:
    path = str(tmp_path / "cassette.yaml")
    with vcr.use_cassette(path):
        ask("invoke", server.url)
    with (
        vcr.use_cassette(path, record_mode="none", match_on=("method", "uri", "body")),
        pytest.raises(CannotOverwriteExistingCassetteException),
    ):
        ask("batch", server.url)


# respx


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
def test_respx_intercepts(call: str) -> None:
    answer = {"choices": [{"message": {"content": "mocked"}}]}
    with respx.mock(base_url="http://mocked.test") as router:
        router.get().mock(httpx.Response(404))
        route = router.post("/v1/chat/completions").mock(httpx.Response(200, json=answer))
        assert ask(call, "http://mocked.test") == "mocked"
    assert route.call_count == 1
    assert route.calls.last.request.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("call", ["stream", "astream"])
def test_respx_intercepts_streams(call: str) -> None:
    events = b"".join(
        b'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n' % text for text in (b"moc", b"ked")
    )
    reply = httpx.Response(
        200, content=events + b"data: [DONE]\n\n", headers={"content-type": "text/event-stream"}
    )
    with respx.mock(base_url="http://mocked.test") as router:
        router.get().mock(httpx.Response(404))
        router.post("/v1/chat/completions").mock(reply)
        assert "".join(ask(call, "http://mocked.test")) == "mocked"  # type: ignore[arg-type]


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
def test_failures_of_respx_become_our_errors(call: str) -> None:
    with respx.mock(base_url="http://mocked.test") as router:
        router.get().mock(httpx.Response(404))
        post = router.post("/v1/chat/completions")
        post.mock(httpx.Response(429, json={"error": "slow down"}, headers={"retry-after": "900"}))
        with pytest.raises(RateLimitError, match="slow down"):
            ask(call, "http://mocked.test")
        post.mock(side_effect=httpx.RemoteProtocolError("Server disconnected"))
        with pytest.raises(EasyLLMError, match="closed the connection"):
            ask(call, "http://mocked.test")
        assert post.call_count == 1 + 3  # two retries


# OpenTelemetry


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """The spans that httpx's instrumentation ends."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    exporter.tracer = provider.get_tracer("test")  # type: ignore[attr-defined]
    yield exporter
    instrumentor.uninstrument()
    provider.shutdown()


@pytest.mark.parametrize(
    "call", ["invoke", "stream", "embed_documents", "ainvoke", "astream", "aembed_documents"]
)
def test_opentelemetry_sees_a_span_and_sends_traceparent(
    server: FakeServer, spans: InMemorySpanExporter, call: str
) -> None:
    with spans.tracer.start_as_current_span("mine") as mine:  # type: ignore[attr-defined]
        ask(call, server.url)
    trace = f"{mine.get_span_context().trace_id:032x}"
    sent = [r for r in server.requests if r.method == "POST"]
    assert sent
    ended = {f"{s.context.span_id:016x}": s for s in spans.get_finished_spans() if s.context}
    for request in sent:
        version, of_trace, of_span, _ = request.headers["traceparent"].split("-")
        assert (version, of_trace) == ("00", trace)
        assert ended[of_span].name == "POST"
        assert ended[of_span].attributes["http.status_code"] == 200  # type: ignore[index]
