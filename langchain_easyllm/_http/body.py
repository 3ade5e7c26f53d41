"""What the bytes of a body mean: their coding, and whether they are framed as events."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from ..errors import IncompleteStreamError, ProtocolError
from .auth import redact
from .error_mapping import parse_error_body
from .sse import DONE, SSEDecoder

__all__ = ["BodyEvents", "Decompressor", "plain_body"]


HEAD = 4096
"""Bytes that are kept for an error, while no event of a body without a name has come."""

FIELDS = (b"data", b"event", b"id", b"retry", b":")
"""What a line of an event stream begins with."""

MAX_INFLATED = 1024 * 1024 * 1024
"""Bytes that a compressed body may grow to; beyond it is an attack."""


class Decompressor:
    """Undoes a `Content-Encoding` that the server applied although it was asked not to.

    Args:
        coding: The header's value.

    Raises:
        ProtocolError: If the coding is none of gzip and deflate.
    """

    __slots__ = ("_left", "_stream")

    def __init__(self, coding: str) -> None:
        if coding not in {"gzip", "x-gzip", "deflate"}:
            raise ProtocolError(
                f"The answer is encoded as {coding[:50]!r}, which nobody asked for."
            )
        # 32 more than the window's size lets zlib tell gzip and deflate apart.
        self._stream = zlib.decompressobj(zlib.MAX_WBITS + 32)
        self._left = MAX_INFLATED

    def feed(self, block: bytes) -> bytes:
        """Return what the next bytes hold, as far as they go."""
        try:
            data = self._stream.decompress(block, self._left)
        except zlib.error as error:
            raise ProtocolError("The compressed answer is damaged.") from error
        self._left -= len(data)
        if self._left <= 0:
            raise ProtocolError(f"The compressed answer holds more than {MAX_INFLATED:,} bytes.")
        return data

    def close(self) -> None:
        """Say that no more bytes come.

        Raises:
            IncompleteStreamError: If the compressed text has not ended.
        """
        if not self._stream.eof:
            raise IncompleteStreamError("The compressed answer was cut off before its end.")


def plain_body(headers: Mapping[str, str], body: bytes) -> bytes:
    """The body without the coding that its headers name.

    Args:
        headers: The answer's headers, names in lower case.
        body: The body as it was sent.
    """
    coding = _coding(headers)
    if not coding or not body:
        return body
    inflater = Decompressor(coding)
    plain = inflater.feed(body)
    inflater.close()
    return plain


class BodyEvents:
    """Turns a streamed body into lists of events.

    Args:
        headers: The answer's headers, names in lower case.

    Attributes:
        framed: Whether the body is an event stream; otherwise it is JSON and comes as one item.
        done: Whether the last event said that the answer is complete (`[DONE]`).

    Raises:
        ProtocolError: If the body is encoded in a way that is not known here.
    """

    __slots__ = ("_body", "_decoder", "_eventful", "_inflater", "_type", "done", "framed")

    def __init__(self, headers: Mapping[str, str]) -> None:
        coding = _coding(headers)
        self._inflater = Decompressor(coding) if coding else None
        self._type = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._decoder = SSEDecoder()
        self._body = bytearray()
        self.framed = not (self._type.endswith(("json", "html", "xml")))
        self.done = False
        self._eventful = self._type == "text/event-stream"

    def feed(self, block: bytes) -> list[bytes]:
        """Take the next bytes of the body and return the events they complete."""
        if self._inflater is not None:
            block = self._inflater.feed(block)
        if not self.framed:
            self._body += block
            return []
        if not self._eventful and len(self._body) < HEAD:
            self._body += block[:HEAD]
        events = self._decoder.feed(block)
        if events:
            self._eventful = True
            self.done = events[-1] == DONE
        return events

    def end(self) -> list[bytes]:
        """End the body and return what is left of it.

        Raises:
            ProtocolError: If the body is a page for people.
            IncompleteStreamError: If its compression has not ended.
        """
        if self._inflater is not None:
            self._inflater.close()
        if self.framed:
            events = self._decoder.close()
            begun = self._body.lstrip()
            if events or self._eventful or not begun or begun.startswith(FIELDS):
                return events
        body = bytes(self._body)
        if not self._type.endswith("json"):
            said = parse_error_body(redact(body.decode("utf-8", "replace"))).short
            raise ProtocolError(
                f"The answer is a page ({self._type or 'of no type'}), not an event stream: "
                f"{said!r}. Check base_url."
            )
        return [body] if body else []


def _coding(headers: Mapping[str, str]) -> str:
    coding = headers.get("content-encoding", "").strip().lower()
    return "" if coding == "identity" else coding
