"""What a `FakeServer` answers: a reply as a value, down to the chunks in which it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from typing import Literal

__all__ = ["Action", "Barrier", "Chunk", "Cut", "Pause", "Reply", "Reset", "Stall", "sse"]


@dataclass(frozen=True)
class Pause:
    """Send nothing for this many seconds."""

    seconds: float


@dataclass(frozen=True)
class Barrier:
    """Send nothing until so many requests have been in flight at once, or the time is over."""

    count: int
    seconds: float


@dataclass(frozen=True)
class Stall:
    """Send nothing more until the client goes away or the server closes."""


@dataclass(frozen=True)
class Cut:
    """Close the connection here, whatever the framing promised."""


@dataclass(frozen=True)
class Reset:
    """Reset the connection (RST) here."""


Action = Pause | Barrier | Stall | Cut | Reset
Chunk = bytes | Action


@dataclass(frozen=True)
class Reply:
    """One answer: a whole `body`, or `chunks` that are each sent by a send of their own.

    `body` may be bytes, text, or any other object, which is sent as JSON. `before` is what happens
    ahead of the status line; its bytes go out raw, without framing. Without a `framing`, a body has
    a content-length and chunks are chunked. A content-length in `headers` wins over the true one.
    """

    body: object = b""
    status: int = 200
    headers: Mapping[str, str] | None = None
    chunks: Sequence[Chunk] | None = None
    framing: Literal["chunked", "length", "close"] | None = None
    keep_alive: bool = True
    before: Sequence[Chunk] = ()

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this reply."""
        return self.framing == "close" or not self.keep_alive

    @property
    def chunked(self) -> bool:
        """Whether the body is sent with chunked framing."""
        return self.framing == "chunked" or (self.framing is None and self.chunks is not None)

    def payload(self) -> Sequence[Chunk]:
        """The chunks to send after the head."""
        return self.chunks if self.chunks is not None else [_encode(self.body)[0]]

    def head(self) -> bytes:
        """The status line and the headers."""
        kind = "application/octet-stream" if self.chunks is not None else _encode(self.body)[1]
        headers = {"content-type": kind}
        if self.chunked:
            headers["transfer-encoding"] = "chunked"
        elif self.framing != "close":
            size = sum(len(chunk) for chunk in self.payload() if isinstance(chunk, bytes))
            headers["content-length"] = str(size)
        if self.closes:
            headers["connection"] = "close"
        headers |= {name.lower(): value for name, value in (self.headers or {}).items()}
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def sse(
    *events: Mapping[str, object] | str | bytes | Action,
    space: bool = True,
    done: bool = True,
    done_space: bool = True,
    crlf: bool = False,
    per_event: bool = True,
    pause: float = 0.0,
    comments: bool = False,
    split: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Build a `text/event-stream` reply.

    A mapping is sent as JSON after `data:`, text as it stands after `data:`, bytes raw (for
    `event:` lines and broken events), and an action happens between the events around it.

    Args:
        events: What to send, in order.
        space: Whether a blank follows `data:`.
        done: Whether `data: [DONE]` ends the stream.
        done_space: Whether a blank stands before `[DONE]`.
        crlf: Whether lines end in CRLF instead of LF.
        per_event: Whether each event is sent on its own, and not all at once.
        pause: Seconds between events.
        comments: Whether a comment line goes before each event.
        split: Send the stream in chunks of this many bytes, wherever that cuts it.
        headers: More headers.
    """
    end = b"\r\n" if crlf else b"\n"
    chunks: list[Chunk] = []
    if done:
        events = (*events, b"data:" + b" " * done_space + b"[DONE]" + end + end)
    for event in events:
        if isinstance(event, Action):
            chunks.append(event)
            continue
        if chunks and pause:
            chunks.append(Pause(pause))
        comment = b": ping" + end + end if comments else b""
        chunks.append(comment + _event(event, space=space, end=end))
    if split or not per_event:
        chunks = list(_resplit(chunks, split))
    return Reply(chunks=chunks, headers={"content-type": "text/event-stream", **(headers or {})})


def _event(event: Mapping[str, object] | str | bytes, *, space: bool, end: bytes) -> bytes:
    if isinstance(event, bytes):
        return event
    text = event if isinstance(event, str) else _dumps(event)
    lines = [("data: " if space else "data:") + line for line in text.split("\n")]
    return end.join([*(line.encode() for line in lines), b"", b""])


def _resplit(chunks: Iterable[Chunk], size: int | None) -> Iterable[Chunk]:
    """Join the neighbouring bytes, and cut them again every `size` bytes (not at all for None)."""
    for is_bytes, run in groupby(chunks, lambda chunk: isinstance(chunk, bytes)):
        if not is_bytes:
            yield from run
            continue
        joined = b"".join(chunk for chunk in run if isinstance(chunk, bytes))
        step = size or len(joined)
        yield from (joined[at : at + step] for at in range(0, len(joined), step))


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _encode(body: object) -> tuple[bytes, str]:
    """Return the bytes of a body and their content type."""
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    if isinstance(body, str):
        return body.encode(), "text/plain; charset=utf-8"
    return _dumps(body).encode(), "application/json"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
