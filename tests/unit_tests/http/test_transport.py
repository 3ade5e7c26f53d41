"""Another client may stand in the place of ours: the package knows its six methods only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Self
from urllib.error import HTTPError
from urllib.request import Request as URLRequest
from urllib.request import urlopen

import pytest

from langchain_easyllm import EasyLLMChat
from langchain_easyllm._http.models import Request, Response, RetryPolicy
from langchain_easyllm.errors import EasyLLMError

from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import ALL_MODES, answer, text_of


class Events:
    """The events of a response that is here already, for both kinds of loop."""

    def __init__(self, response: Response) -> None:
        self.url, self.headers = response.url, response.headers
        lines = response.body.split(b"\n")
        self._events = iter([[line[6:]] for line in lines if line.startswith(b"data: ")])

    def __iter__(self) -> Iterator[list[bytes]]:
        return self._events

    async def __aiter__(self) -> AsyncIterator[list[bytes]]:
        for events in self._events:
            yield events

    def __enter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._events = iter(())

    async def aclose(self) -> None:
        self.close()


class StandardLibraryTransport:
    """A client without anything of ours: one connection a request, no retries."""

    def __init__(self) -> None:
        self.closed = 0

    def send(self, request: Request, policy: RetryPolicy) -> Response:
        headers = {"content-type": "application/json", **request.headers}
        sent = URLRequest(request.url, request.body, headers, method=request.method)
        try:
            with urlopen(sent, timeout=policy.timeout) as reply:
                return Response(reply.status, dict(reply.headers), reply.read(), request.url)
        except HTTPError as refusal:
            with refusal:
                raise EasyLLMError("refused", status_code=refusal.code) from refusal

    async def asend(self, request: Request, policy: RetryPolicy) -> Response:
        return await asyncio.to_thread(self.send, request, policy)

    def open(self, request: Request, policy: RetryPolicy) -> Events:
        return Events(self.send(request, policy))

    async def aopen(self, request: Request, policy: RetryPolicy) -> Events:
        return Events(await self.asend(request, policy))

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("mode", ALL_MODES)
def test_it_answers_in_every_mode(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url)
    transport = StandardLibraryTransport()
    model._connect().session.transport = transport
    assert text_of(answer(mode, model)) == "Hello world"
    agents = {request.headers["user-agent"].partition("/")[0] for request in fake_server.requests}
    assert agents == {"Python-urllib"}
    model.close()
    assert transport.closed == 1
