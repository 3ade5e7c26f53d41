"""What the bytes of a body mean: their coding, and whether they are framed as events."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from ..errors import IncompleteStreamError, ProtocolError
from .auth import redact
from .error_mapping import parse_error_body
from .sse import DONE, SSEDecoder

HEAD = 4096
"""Bytes that are kept for an error, while no event of a body without a name has come."""

FIELDS = (b"data", b"event", b"id", b"retry", b":")
"""What a line of an event stream begins with."""

MAX_PLAIN = 1024 * 1024 * 1024
"""Bytes that a compressed body may grow to; beyond it is an attack."""


class Decompressor:
    """Undoes a `Content-Encoding` that the server applied although it was asked not to."""

    __slots__ = ("_left", "_stream")

    def __init__(self, coding: str) -> None:
        if coding not in {"gzip", "x-gzip", "deflate"}:
            raise ProtocolError(
                f"The answer is encoded as {coding[:50]!r}, which nobody asked for."
            )
        # 32 more than the window's size lets zlib tell gzip and deflate apart.
        self._stream = zlib.decompressobj(zlib.MAX_WBITS + 32)
        self._left = MAX_PLAIN

    def feed(self, block: bytes) -> bytes:
        try:
            data = self._stream.decompress(block, self._left)
        except zlib.error as error:
            raise ProtocolError("The compressed answer is damaged.") from error
        self._left -= len(data)
        if self._left <= 0:
            raise ProtocolError(f"The compressed answer holds more than {MAX_PLAIN:,} bytes.")
        return data

    def close(self) -> None:
        if not self._stream.eof:
            raise IncompleteStreamError("The compressed answer was cut off before its end.")


def plain_body(headers: Mapping[str, str], body: bytes) -> bytes:
    coding = _coding(headers)
    if not coding or not body:
        return body
    decompressor = Decompressor(coding)
    plain = decompressor.feed(body)
    decompressor.close()
    return plain


class BodyEvents:
    """Turns a streamed body into lists of events."""

    __slots__ = ("_body", "_decoder", "_decompressor", "_has_events", "_type", "done", "framed")

    def __init__(self, headers: Mapping[str, str]) -> None:
        coding = _coding(headers)
        self._decompressor = Decompressor(coding) if coding else None
        self._type = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._decoder = SSEDecoder()
        self._body = bytearray()
        # Whether it is an event stream; otherwise it is JSON and comes as one item.
        self.framed = not self._type.endswith(("json", "html", "xml"))
        self.done = False  # whether the last event said that the response is complete
        self._has_events = self._type == "text/event-stream"

    def feed(self, block: bytes) -> list[bytes]:
        """Take the next bytes of the body and return the events they complete."""
        if self._decompressor is not None:
            block = self._decompressor.feed(block)
        if not self.framed:
            self._body += block
            return []
        if not self._has_events and len(self._body) < HEAD:
            self._body += block[:HEAD]
        events = self._decoder.feed(block)
        if events:
            self._has_events = True
            self.done = events[-1] == DONE
        return events

    def end(self) -> list[bytes]:
        if self._decompressor is not None:
            self._decompressor.close()
        if self.framed:
            events = self._decoder.close()
            begun = self._body.lstrip()
            if events or self._has_events or not begun or begun.startswith(FIELDS):
                return events
        body = bytes(self._body)
        if not self._type.endswith("json"):
            text = parse_error_body(redact(body.decode("utf-8", "replace"))).short
            raise ProtocolError(
                f"The answer is a page ({self._type or 'of no type'}), not an event stream: "
                f"{text!r}. Check base_url."
            )
        return [body] if body else []


def _coding(headers: Mapping[str, str]) -> str:
    coding = headers.get("content-encoding", "").strip().lower()
    return "" if coding == "identity" else coding
