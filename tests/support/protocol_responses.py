"""One answer in every protocol of every server: its stream's events, its body, its decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import orjson

from langchain_easyllm._protocols.events import Decoder, Delta, Failure
from langchain_easyllm._protocols.reader import Answer, Chunk, ResponseReader, read_answers
from langchain_easyllm._protocols.registry import new_decoder
from langchain_easyllm._protocols.request import ProtocolRequest
from langchain_easyllm._servers.profile import GenerationApi

from .fake_text_servers import (
    RESPONSE_SHAPES,
    chat,
    chat_events,
    completions,
    completions_events,
    tgi_generate,
    tgi_generate_events,
)
from .text_servers import TEXT_SERVERS

__all__ = ["PROTOCOLS", "Protocol", "as_answer", "decoder", "dumps", "read_one", "read_stream"]

DONE = b"[DONE]"


class Protocol:
    """One protocol as one server speaks it.

    Args:
        api: The protocol.
        server_name: A key of `RESPONSE_SHAPES`.
    """

    def __init__(self, api: GenerationApi, server_name: str) -> None:
        self.api = api
        self.server_name = server_name

    def __str__(self) -> str:
        return f"{self.api.value} of {self.server_name}"

    def events(self, tokens: Sequence[str], finish_reason: str = "stop") -> list[bytes]:
        """The data of a stream's events."""
        if self.api is GenerationApi.GENERATE:
            reason = "eos_token" if finish_reason == "stop" else finish_reason
            return [*map(dumps, tgi_generate_events(tokens, finish_reason=reason))]
        build = chat_events if self.api is GenerationApi.CHAT else completions_events
        row = RESPONSE_SHAPES[self.server_name]
        done = (row if self.api is GenerationApi.CHAT else row.text or row).done
        events = build(tokens, self.server_name, finish_reason=finish_reason)
        return [*map(dumps, events), *[DONE] * done]

    def body(self, tokens: Sequence[str], finish_reason: str = "stop") -> bytes:
        """The same answer, not streamed."""
        text = "".join(tokens)
        if self.api is GenerationApi.GENERATE:
            reason = "eos_token" if finish_reason == "stop" else finish_reason
            return dumps(tgi_generate(text, finish_reason=reason, details=True).body)
        build: Callable[..., object] = chat if self.api is GenerationApi.CHAT else completions
        reply = build(text, server_name=self.server_name, finish_reason=finish_reason)
        return dumps(reply.body)

    def decoder(self) -> Decoder:
        """A new decoder."""
        return decoder(self.api)


PROTOCOLS = [
    *(
        Protocol(api, server_name)
        for api in (GenerationApi.CHAT, GenerationApi.COMPLETIONS)
        for server_name in RESPONSE_SHAPES
        if not TEXT_SERVERS[server_name].plain
    ),
    Protocol(GenerationApi.GENERATE, "tgi"),
]


def dumps(value: object) -> bytes:
    """Write JSON as servers do."""
    return orjson.dumps(value)


def decoder(api: GenerationApi, **params: object) -> Decoder:
    """Return a decoder for one answer to a call with these parameters."""
    return new_decoder(ProtocolRequest(api=api, params=params))


def read_stream(
    events: Iterable[bytes | Sequence[bytes]],
    decoder: Decoder,
    stops: tuple[str, ...] = (),
    *,
    reasoning_model: bool = False,
) -> tuple[list[Chunk], ResponseReader]:
    """Read a stream to its end; returns its chunks and the reader."""
    reader = ResponseReader(decoder, stops, reasoning_model=reasoning_model)
    chunks: list[Chunk] = []
    for batch in events:
        chunks += reader.feed([batch] if isinstance(batch, bytes) else batch)
        if reader.over:
            break
    if reader.failure is None:
        chunks += reader.close()
    return chunks, reader


def as_answer(chunks: Iterable[Chunk], end: Delta) -> Answer:
    """Put a streamed answer together."""
    chunks = list(chunks)
    deltas = [chunk for chunk in chunks if isinstance(chunk, Delta)]
    assert all(delta.text == "" for delta in deltas)
    return Answer(
        text="".join(chunk for chunk in chunks if isinstance(chunk, str)),
        end=end,
        reasoning="".join(delta.reasoning for delta in deltas),
    )


def read_one(
    api: GenerationApi, body: Mapping[str, object] | list[object], **params: object
) -> Answer:
    """Read an answer that was not streamed and holds one completion."""
    answers = read_answers(decoder(api, **params), dumps(body), ())
    assert not isinstance(answers, Failure)
    assert len(answers) == 1
    return answers[0]
