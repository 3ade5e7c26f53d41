"""What happens on each fault of a server: every one is run, and the outcomes are made a table.

`make tables` writes it into the documentation; the suite compares the two.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from unittest.mock import patch

from langchain_core.documents import Document

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm._http import retries
from langchain_easyllm.errors import EasyLLMError

from .support import fake_embedding_servers, fake_text_servers
from .support.fake_errors import error
from .support.fake_server import Cut, FakeServer, Received, Reply, Reset, Stall
from .support.tls_files import certificate

__all__ = ["fault_table"]

TOKENS = ("Hello", " world", "!")
SHORT = 2.5
"""The timeout where a fault is that nothing comes: enough for a busy machine to begin."""


@dataclass(frozen=True)
class Operation:
    """One method of one class on one protocol."""

    method: str  # as the table names it
    api: str
    cls: type[Any]

    @property
    def streams(self) -> bool:
        return self.method.endswith("stream")

    def make(self, url: str, **options: Any) -> Any:
        if self.cls is EasyLLMChat and self.api != "chat":
            options["prompt_builder"] = "chatml"
        return self.cls(base_url=url, api=self.api, model="tiny", **options)

    def run(self, model: Any) -> object:
        """Call the method and return what it gives, a stream's text as one."""
        if self.cls is EasyLLMEmbeddings:
            return model.embed_documents(["a", "b"])
        if self.cls is EasyLLMRerank:
            return model.compress_documents([Document("a"), Document("b")], "q")
        if not self.streams:
            return model.invoke("Hi")
        return "".join(each if isinstance(each, str) else each.text for each in model.stream("Hi"))

    async def arun(self, model: Any) -> object:
        if self.cls is EasyLLMEmbeddings:
            return await model.aembed_documents(["a", "b"])
        if self.cls is EasyLLMRerank:
            return await model.acompress_documents([Document("a"), Document("b")], "q")
        if not self.streams:
            return await model.ainvoke("Hi")
        parts = [each async for each in model.astream("Hi")]
        return "".join(each if isinstance(each, str) else each.text for each in parts)


OPERATIONS = (
    *(Operation("chat invoke", api, EasyLLMChat) for api in ("chat", "completions", "generate")),
    *(Operation("chat stream", api, EasyLLMChat) for api in ("chat", "completions", "generate")),
    *(Operation("LLM invoke", api, EasyLLM) for api in ("chat", "completions", "generate")),
    *(Operation("LLM stream", api, EasyLLM) for api in ("chat", "completions", "generate")),
    *(Operation("embed", api, EasyLLMEmbeddings) for api in ("embed", "embeddings")),
    Operation("rerank", "tei", EasyLLMRerank),
)
STREAMS = frozenset(each for each in OPERATIONS if each.streams)
GENERATION = frozenset(each for each in OPERATIONS if each.method not in ("embed", "rerank"))
WHOLE = frozenset(OPERATIONS) - STREAMS


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, as the table names it."""

    name: str
    spoil: Callable[[Reply, int], Reply] | None = None  # the good reply, and how many came before
    operations: frozenset[Operation] = frozenset(OPERATIONS)
    options: tuple[tuple[str, object], ...] = ()
    url: Callable[[ExitStack, str], str] | None = None  # where to go in place of the server


def _refused(status: int, message: str = "no", **headers: str) -> Callable[[Reply, int], Reply]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _, __: Reply({"error": message}, status=status, headers=named)


def _first(spoil: Callable[[Reply, int], Reply]) -> Callable[[Reply, int], Reply]:
    """Spoil the first answer only."""
    return lambda good, before: good if before else spoil(good, before)


def _known(name: str) -> Callable[[Reply, int], Reply]:
    return lambda _, __: error(name)


def _before(*what: Any) -> Callable[[Reply, int], Reply]:
    return lambda good, _: replace(good, before=what)


def _in_body(what: Any) -> Callable[[Reply, int], Reply]:
    def spoil(good: Reply, _: int) -> Reply:
        [body] = good.payload()
        assert isinstance(body, bytes)
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        half = body[: len(body) // 2]
        return Reply(chunks=[half, what], framing="length", headers=headers)

    return spoil


def _in_stream(count: int, *what: Any) -> Callable[[Reply, int], Reply]:
    def spoil(good: Reply, _: int) -> Reply:
        return replace(good, chunks=[*list(good.payload())[:count], *what])

    return spoil


def _page(status: int) -> Callable[[Reply, int], Reply]:
    page = b"<html><title>Sign in</title></html>"
    return lambda _, __: Reply(page, status=status, headers={"content-type": "text/html"})


def _bomb(_: Reply, __: int) -> Reply:
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    return Reply(_zeros(), headers=headers)


@cache
def _zeros() -> bytes:
    return gzip.compress(bytes(4_000_000))


ERROR_EVENT = b'data: {"error": {"message": "out of memory", "type": "server_error"}}\n\n'


def _closed_port(stack: ExitStack, _: str) -> str:
    sock = stack.enter_context(socket.socket())
    sock.bind(("127.0.0.1", 0))  # and does not listen
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


def _full_port(stack: ExitStack, _: str) -> str:
    """A port where connections are not taken: its queue is full."""
    sock = stack.enter_context(socket.socket())
    sock.bind(("127.0.0.1", 0))
    sock.listen(0)
    for _number in range(4):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(sock.getsockname())
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


def _unknown_host(_: ExitStack, __: str) -> str:
    return "http://no-such-host.invalid"


def _untrusted(stack: ExitStack, _: str) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate())
    return stack.enter_context(FakeServer(tls=context)).url


def _redirect(where: str, status: int) -> Callable[[Reply, int], Reply]:
    return lambda _, __: Reply(b"", status=status, headers={"location": where})


FAULTS = (
    Fault("the connection is refused", url=_closed_port),
    Fault("the host is not known", url=_unknown_host),
    Fault("the connection is not taken in time", url=_full_port, options=(("timeout", SHORT),)),
    Fault("the certificate is not trusted", url=_untrusted),
    Fault("no answer in time", _before(Stall()), options=(("timeout", SHORT),)),
    Fault("closed before the answer", _before(Cut())),
    Fault("reset before the answer", _before(Reset())),
    Fault("closed before the answer, then well", _first(_before(Cut()))),
    Fault("closed inside the headers", _before(b"HTTP/1.1 200 OK\r\ncontent-", Cut())),
    Fault("closed inside the body", _in_body(Cut()), WHOLE),
    Fault("reset inside the body", _in_body(Reset()), WHOLE),
    Fault("silent inside the body", _in_body(Stall()), WHOLE, (("timeout", SHORT),)),
    Fault("stream: closed before the first event", _in_stream(0, Cut()), STREAMS),
    Fault("stream: closed between events", _in_stream(2, Cut()), STREAMS),
    Fault("stream: reset between events", _in_stream(2, Reset()), STREAMS),
    Fault("stream: ends without its last event", _in_stream(2), STREAMS),
    Fault("stream: silent between events", _in_stream(2, Stall()), STREAMS, (("timeout", SHORT),)),
    Fault("stream: an error as its first event", _in_stream(0, ERROR_EVENT), STREAMS),
    Fault("stream: an error between events", _in_stream(2, ERROR_EVENT), STREAMS),
    Fault("stream: an event that is not JSON", _in_stream(2, b"data: {broken\n\n"), STREAMS),
    Fault("400", _refused(400)),
    Fault("401", _refused(401)),
    Fault("402", _refused(402)),
    Fault("403", _refused(403)),
    Fault("404", _refused(404)),
    Fault("408", _refused(408)),
    Fault("413", _refused(413)),
    Fault("422", _refused(422)),
    Fault(
        "422, more tokens than fit; `max_tokens=1024`",
        _known("tgi-too-long"),
        GENERATION,
        options=(("max_tokens", 1024),),
    ),
    Fault("424, the generation failed", _known("tgi-generation")),
    Fault("429", _refused(429)),
    Fault("429, `Retry-After: 0`, then well", _first(_refused(429, retry_after="0"))),
    Fault("429, `Retry-After` beyond the timeout", _refused(429, retry_after="600")),
    Fault("500", _refused(500)),
    Fault(
        "500, more tokens than fit; `max_tokens=1024`",
        _known("llamacpp-too-long"),
        GENERATION,
        options=(("max_tokens", 1024),),
    ),
    Fault("502", _refused(502)),
    Fault("503", _refused(503)),
    Fault("504", _refused(504)),
    Fault("503, then well", _first(_refused(503))),
    Fault("503, the model is loading", _refused(503, "Model tiny is currently loading")),
    Fault(
        "503, the model is loading, then well; `wait_for_model=30`",
        lambda good, before: good if before > 3 else _refused(503, "is loading")(good, before),
        options=(("wait_for_model", 30.0),),
    ),
    Fault("an HTML page with 200", _page(200)),
    Fault("an HTML page with 502", _page(502)),
    Fault(
        "JSON that is none", lambda _, __: Reply(b"{", headers={"content-type": "application/json"})
    ),
    Fault("JSON of another kind", lambda _, __: Reply({"status": "ok"})),
    Fault("bytes that are not HTTP", _before(b"\x16\x03\x01\x02\x00\r\n\r\n", Cut())),
    Fault("headers of 70 KB", _before(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000, Cut())),
    Fault(
        "headers that contradict each other",
        _before(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", Cut()),
    ),
    Fault(
        "a coding that was not asked for",
        lambda good, _: replace(good, headers={"content-encoding": "br"}),
    ),
    Fault(
        "4 MB behind gzip; `max_decompressed_bytes=1_000_000`",
        _bomb,
        options=(("max_decompressed_bytes", 1_000_000),),
    ),
    Fault("302", _redirect("/elsewhere", 302)),
    Fault("307 to an address without a server", _redirect("http://127.0.0.1:9/", 307)),
    Fault("307 in a circle", _redirect("", 307)),
)


@dataclass(frozen=True)
class Outcome:
    """What a caller sees."""

    result: str
    requests: int
    partial: str


def _serve(server: FakeServer, fault: Fault, operation: Operation) -> None:
    """Serve what is good, but spoil it."""
    if operation in GENERATION:
        fake_text_servers.serve(server, "tgi", TOKENS)
    else:
        fake_embedding_servers.serve_tei(
            server, "reranker" if operation.method == "rerank" else "embedding"
        )
    before: Counter[str] = Counter()
    for (method, path), route in list(server._routes.items()):
        if method == "POST":

            def spoiled(request: Received, good: Any = route.answers[0]) -> Reply:
                assert fault.spoil is not None
                count = before[request.path]
                before[request.path] += 1
                reply = good if isinstance(good, Reply) else good(request)
                return fault.spoil(reply, count)

            if fault.spoil is not None:
                server.on(method, path, spoiled)


def _outcome(fault: Fault, operation: Operation, asynchronous: bool) -> Outcome:
    with ExitStack() as stack:
        server = stack.enter_context(FakeServer())
        _serve(server, fault, operation)
        url = fault.url(stack, server.url) if fault.url else server.url
        model = operation.make(url, **dict(fault.options))
        result, partial = "the answer", ""
        try:
            if asynchronous:

                async def run() -> None:
                    try:
                        await operation.arun(model)
                    finally:
                        await model.aclose()

                asyncio.run(run())
            else:
                operation.run(model)
        except EasyLLMError as failure:
            result = f"`{type(failure).__name__}`"
            partial = failure.partial or ""
        finally:
            model.close()
        posts = len([each for each in server.requests if each.method == "POST"])
    return Outcome(result, posts, partial)


@contextmanager
def _without_pauses() -> Iterator[None]:
    """Retries without the pauses between them; the pauses of a cold start stay."""
    with patch.object(retries, "random", lambda: 0.0):
        yield


def outcomes() -> dict[tuple[Fault, Operation], Outcome]:
    """Run every fault on every operation, by a blocking and an asynchronous call.

    Raises:
        AssertionError: If the two differ.
    """
    cells = [(fault, each) for fault in FAULTS for each in OPERATIONS if each in fault.operations]
    runs = [(*cell, asynchronous) for cell in cells for asynchronous in (False, True)]
    waiting = [run for run in runs if dict(run[0].options).get("timeout")]
    found: dict[tuple[Fault, Operation, bool], Outcome] = {}
    with _without_pauses():
        # Those that wait do so together.
        for some, workers in ((waiting, 40), ([run for run in runs if run not in waiting], 4)):
            with ThreadPoolExecutor(workers) as pool:
                found |= zip(some, pool.map(_outcome, *zip(*some, strict=True)), strict=True)
    both = [(found[*cell, False], found[*cell, True]) for cell in cells]
    differing = [
        f"{fault.name}, {operation.method} ({operation.api}): {blocking}, {asynchronous}"
        for (fault, operation), (blocking, asynchronous) in zip(cells, both, strict=True)
        if blocking != asynchronous
    ]
    assert not differing, "\n".join(differing)
    return {cell: blocking for cell, (blocking, _) in zip(cells, both, strict=True)}


def fault_table() -> str:
    """The table, with operations of the same outcome in one row."""
    found = outcomes()
    lines = ["| fault | operation | what comes | requests | `partial` |", "|---|---|---|---|---|"]
    for fault in FAULTS:
        groups: dict[Outcome, list[Operation]] = {}
        for operation in OPERATIONS:
            if operation in fault.operations:
                groups.setdefault(found[fault, operation], []).append(operation)
        for number, (outcome, operations) in enumerate(groups.items()):
            partial = f'"{outcome.partial}"' if outcome.partial else ""
            cells = [
                fault.name if number == 0 else "",
                _named(operations, fault.operations),
                outcome.result,
                str(outcome.requests),
                partial,
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _named(operations: Sequence[Operation], all_of_them: frozenset[Operation]) -> str:
    """Name operations by the kinds that are whole among them."""
    left = set(operations)
    if left == all_of_them == STREAMS:
        return "streams"
    if left == all_of_them:
        return "all"
    names = []
    for name, kind in (("streams", STREAMS), ("all but streams", WHOLE)):
        if kind & all_of_them and kind & all_of_them <= left:
            names.append(name)
            left -= kind
    for method in dict.fromkeys(each.method for each in OPERATIONS):
        kind = {each for each in all_of_them if each.method == method}
        if kind and kind <= left:
            names.append(method)
            left -= kind
    names += [f"{each.method} ({each.api})" for each in operations if each in left]
    return ", ".join(names)
