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
    DIALECTS,
    chat,
    chat_events,
    completions,
    completions_events,
    tgi_generate,
    tgi_generate_events,
)

__all__ = ["PROTOCOLS", "Protocol", "as_answer", "decoder", "dumps", "read_one", "read_stream"]

DONE = b"[DONE]"


class Protocol:
    """One protocol as one server speaks it.

    Args:
        wire: The protocol.
        dialect: A row of `DIALECTS`.
    """

    def __init__(self, wire: GenerationApi, dialect: str) -> None:
        self.wire = wire
        self.dialect = dialect

    def __str__(self) -> str:
        return f"{self.wire.value} of {self.dialect}"

    def events(self, tokens: Sequence[str], finish_reason: str = "stop") -> list[bytes]:
        """The data of a stream's events."""
        if self.wire is GenerationApi.GENERATE:
            reason = "eos_token" if finish_reason == "stop" else finish_reason
            return [*map(dumps, tgi_generate_events(tokens, finish_reason=reason))]
        build = chat_events if self.wire is GenerationApi.CHAT else completions_events
        row = DIALECTS[self.dialect]
        done = (row if self.wire is GenerationApi.CHAT else row.text or row).done
        events = build(tokens, self.dialect, finish_reason=finish_reason)
        return [*map(dumps, events), *[DONE] * done]

    def body(self, tokens: Sequence[str], finish_reason: str = "stop") -> bytes:
        """The same answer, not streamed."""
        text = "".join(tokens)
        if self.wire is GenerationApi.GENERATE:
            reason = "eos_token" if finish_reason == "stop" else finish_reason
            return dumps(tgi_generate(text, finish_reason=reason, details=True).body)
        build: Callable[..., object] = chat if self.wire is GenerationApi.CHAT else completions
        reply = build(text, dialect=self.dialect, finish_reason=finish_reason)
        return dumps(reply.body)

    def decoder(self) -> Decoder:
        """A new decoder."""
        return decoder(self.wire)


PROTOCOLS = [
    *(
        Protocol(wire, dialect)
        for wire in (GenerationApi.CHAT, GenerationApi.COMPLETIONS)
        for dialect in DIALECTS
    ),
    Protocol(GenerationApi.GENERATE, "tgi"),
]


def dumps(value: object) -> bytes:
    """Write JSON as servers do."""
    return orjson.dumps(value)


def decoder(wire: GenerationApi, **params: object) -> Decoder:
    """Return a decoder for one answer to a call with these parameters."""
    return new_decoder(ProtocolRequest(api=wire, params=params))


def read_stream(
    events: Iterable[bytes | Sequence[bytes]],
    decoder: Decoder,
    stops: tuple[str, ...] = (),
    *,
    reasoning_model: bool = False,
) -> tuple[list[Chunk], ResponseReader]:
    """Read a stream to its end; returns its pieces and the reader."""
    reader = ResponseReader(decoder, stops, reasoning_model=reasoning_model)
    pieces: list[Chunk] = []
    for batch in events:
        pieces += reader.feed([batch] if isinstance(batch, bytes) else batch)
        if reader.over:
            break
    if reader.failure is None:
        pieces += reader.close()
    return pieces, reader


def as_answer(pieces: Iterable[Chunk], end: Delta) -> Answer:
    """Put a streamed answer together."""
    pieces = list(pieces)
    deltas = [piece for piece in pieces if isinstance(piece, Delta)]
    assert all(delta.text == "" for delta in deltas)
    return Answer(
        text="".join(piece for piece in pieces if isinstance(piece, str)),
        end=end,
        reasoning="".join(delta.reasoning for delta in deltas),
    )


def read_one(
    wire: GenerationApi, body: Mapping[str, object] | list[object], **params: object
) -> Answer:
    """Read an answer that was not streamed and holds one completion."""
    answers = read_answers(decoder(wire, **params), dumps(body), ())
    assert not isinstance(answers, Failure)
    assert len(answers) == 1
    return answers[0]
