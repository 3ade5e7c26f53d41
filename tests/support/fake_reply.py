"""What a `WireServer` answers: a reply as a value, down to the pieces in which it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from typing import Literal

__all__ = ["Action", "Crowd", "Cut", "Pause", "Piece", "Reply", "Reset", "Stall", "sse"]


@dataclass(frozen=True)
class Pause:
    """Send nothing for this many seconds."""

    seconds: float


@dataclass(frozen=True)
class Crowd:
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


Action = Pause | Crowd | Stall | Cut | Reset
Piece = bytes | Action


@dataclass(frozen=True)
class Reply:
    """One answer: a whole `body`, or `pieces` that are each sent by a send of their own.

    `body` may be bytes, text, or any other object, which is sent as JSON. `before` is what happens
    ahead of the status line; its bytes go out raw, without framing. Without a `framing`, a body has
    a content-length and pieces are chunked. A content-length in `headers` wins over the true one.
    """

    body: object = b""
    status: int = 200
    headers: Mapping[str, str] | None = None
    pieces: Sequence[Piece] | None = None
    framing: Literal["chunked", "length", "close"] | None = None
    keep_alive: bool = True
    before: Sequence[Piece] = ()

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this reply."""
        return self.framing == "close" or not self.keep_alive

    @property
    def chunked(self) -> bool:
        """Whether the pieces are sent as chunks."""
        return self.framing == "chunked" or (self.framing is None and self.pieces is not None)

    def payload(self) -> Sequence[Piece]:
        """The pieces to send after the head."""
        return self.pieces if self.pieces is not None else [_encode(self.body)[0]]

    def head(self) -> bytes:
        """The status line and the headers."""
        kind = "application/octet-stream" if self.pieces is not None else _encode(self.body)[1]
        headers = {"content-type": kind}
        if self.chunked:
            headers["transfer-encoding"] = "chunked"
        elif self.framing != "close":
            size = sum(len(piece) for piece in self.payload() if isinstance(piece, bytes))
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
        split: Send the stream in pieces of this many bytes, wherever that cuts it.
        headers: More headers.
    """
    end = b"\r\n" if crlf else b"\n"
    pieces: list[Piece] = []
    if done:
        events = (*events, b"data:" + b" " * done_space + b"[DONE]" + end + end)
    for event in events:
        if isinstance(event, Action):
            pieces.append(event)
            continue
        if pieces and pause:
            pieces.append(Pause(pause))
        comment = b": ping" + end + end if comments else b""
        pieces.append(comment + _event(event, space=space, end=end))
    if split or not per_event:
        pieces = list(_resplit(pieces, split))
    return Reply(pieces=pieces, headers={"content-type": "text/event-stream", **(headers or {})})


def _event(event: Mapping[str, object] | str | bytes, *, space: bool, end: bytes) -> bytes:
    if isinstance(event, bytes):
        return event
    text = event if isinstance(event, str) else _dumps(event)
    lines = [("data: " if space else "data:") + line for line in text.split("\n")]
    return end.join([*(line.encode() for line in lines), b"", b""])


def _resplit(pieces: Iterable[Piece], size: int | None) -> Iterable[Piece]:
    """Join the neighbouring bytes, and cut them again every `size` bytes (not at all for None)."""
    for is_bytes, run in groupby(pieces, lambda piece: isinstance(piece, bytes)):
        if not is_bytes:
            yield from run
            continue
        joined = b"".join(piece for piece in run if isinstance(piece, bytes))
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
