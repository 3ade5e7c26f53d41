"""What the bytes of a streamed body mean: whether they are framed as events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from ..errors import ProtocolError
from .content import Decompressor, coding_of, too_large
from .error_mapping import MAX_WORDS, parse_error_body
from .models import DEFAULT_LIMITS, ResponseLimits
from .sse import (
    BOM,
    DONE,
    SSEDecoder,
    begins_as_json,
    is_event_stream,
    is_json,
    is_json_lines,
    without_end_mark,
)

HEAD = 4096
"""Bytes that are kept for an error, while no event of a body without a name has come."""


class BodyEvents:
    """Turns a streamed body into lists of events.

    Each event has the bounds of an answer; a stream of any length is never cut.
    """

    __slots__ = ("_body", "_decoder", "_decompressor", "_has_events", "_limit", "_type", "_typed",
                 "done", "framed", "pending")  # fmt: skip

    def __init__(
        self,
        headers: Mapping[str, str],
        limits: ResponseLimits = DEFAULT_LIMITS,
    ) -> None:
        coding = coding_of(headers)
        self._decompressor = Decompressor(coding, limits) if coding else None
        self._limit = limits.response_bytes
        self._type = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._decoder = SSEDecoder(max_buffer=limits.response_bytes)
        self._body = bytearray()
        # Whether it is an event stream; otherwise it is JSON and comes as one item.
        lines = self._type.endswith(("ndjson", "jsonlines"))
        self.framed = lines or not self._type.endswith(("json", "html", "xml"))
        self.done = False  # whether the last event said that the response is complete
        self.pending = False  # whether `feed` has more to do before it needs more bytes
        self._typed = self._type == "text/event-stream"
        self._has_events = False

    def feed(self, block: bytes) -> list[bytes]:
        """Take the next bytes of the body and return the events they complete.

        While `pending` is set there may be more of them: call it again, with no bytes.
        """
        if self._decompressor is not None:
            block = self._inflate(self._decompressor, block)
        if not self.framed:
            self._take_whole(block)
            if len(self._body) > HEAD or not is_event_stream(self._body):
                return []
            # Its type is wrong.
            self.framed, block = True, bytes(self._body)
            self._body.clear()
        if not self._has_events:
            self._keep(block)
        events = self._decoder.feed(block)
        if events:
            self._has_events = True
            self._body.clear()
            self.done = events[-1] == DONE
            if self._decompressor is not None:
                self._decompressor.begin_event()
        return events

    def end(self) -> list[bytes]:
        if self._decompressor is not None:
            self._decompressor.close()
        if self.framed:
            events = self._decoder.close()
            begun = self._body.lstrip()
            if events or self._has_events:
                return events
            whole = bytes(begun.removeprefix(BOM)) if begins_as_json(begun) else b""
            if whole and is_json(whole):
                return [whole]
            if self._typed or not begun or is_event_stream(begun):
                return events
        if not self._type.endswith("json"):
            self._refuse_page()
        whole = bytes(self._body)
        if is_json_lines(whole):
            return [*self._decoder.feed(whole), *self._decoder.close()]
        return [without_end_mark(whole)] if whole else []

    def _inflate(self, decompressor: Decompressor, block: bytes) -> bytes:
        decompressor.feed(block)
        plain = decompressor.read()
        self.pending = decompressor.pending
        return plain

    def _keep(self, block: bytes) -> None:
        """Keep the beginning of a body that may be no event stream, and all of what may be JSON."""
        if len(self._body) < HEAD:
            self._body += block
        elif begins_as_json(self._body):
            self._body += block
            self._check_size()

    def _take_whole(self, block: bytes) -> None:
        self._body += block
        if len(self._body) > MAX_WORDS and not self._type.endswith("json"):
            self._refuse_page()
        self._check_size()

    def _check_size(self) -> None:
        if len(self._body) > self._limit:
            raise too_large("max_response_bytes", self._limit)

    def _refuse_page(self) -> NoReturn:
        text = parse_error_body(bytes(self._body)).short
        raise ProtocolError(
            f"The answer is a page ({self._type or 'of no type'}), not an event stream: "
            f"{text!r}. Check base_url."
        )
