"""Incremental decoding of `text/event-stream`.

Follows the parsing rules of https://html.spec.whatwg.org/multipage/server-sent-events.html,
on bytes, so that a character split between two reads needs no care. Only the data of events is
kept, and whether the event was named "error". One thing is added: a line that is a JSON object (no
field of an event begins so) is an event of its own, as in newline-delimited JSON.
"""

from __future__ import annotations

import re

from ..errors import ProtocolError
from .models import DEFAULT_LIMITS

DONE = b"[DONE]"

_EVENT_LINE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]")
_END_MARK = re.compile(rb"\s*data:\s*\[DONE\]\s*\Z")
BOM = b"\xef\xbb\xbf"


class ErrorEvent(bytes):
    """The data of an event that the server named "error"."""

    __slots__ = ()


class SSEDecoder:
    """Turns the bytes of an event stream into the data of its events.

    Each byte is looked at once, however the stream is cut into reads.
    """

    __slots__ = ("_after_cr", "_data", "_line", "_max", "_name", "_size", "_start")

    def __init__(self, *, max_buffer: int = DEFAULT_LIMITS.response_bytes) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._name = b""
        self._size = 0
        self._max = max_buffer
        self._after_cr = False
        self._start = True

    def feed(self, block: bytes) -> list[bytes]:
        """Take the next bytes, cut anywhere, and return the data of the events they complete.

        Events named "error" are `ErrorEvent`s; those without data are left out.
        """
        if self._start:
            block = self._without_bom(block)
        if self._after_cr or b"\r" in block:
            block = self._with_plain_line_ends(block)
        if not block:
            return []
        if b"\n" not in block:
            self._line += block
            self._check_size()
            return []
        events: list[bytes] = []
        if not (self._line or self._data or self._name):
            block = self._take_whole_events(block, events)
        self._take_lines(block, events)
        self._check_size()
        return events

    def close(self) -> list[bytes]:
        """End the stream and return what its last, unterminated event holds, if it is whole.

        A last line without its line end may have been cut, so it counts only where it can be
        seen to be complete: `[DONE]`, or a JSON text.
        """
        events: list[bytes] = []
        line = bytes(self._line)
        self._line.clear()
        if line.startswith(b"{") and _is_whole(line):
            self._take_json(line, events)
        elif line and (not line.startswith(b"data:") or _is_whole(line[5:].strip())):
            self._take_line(line)
        self._dispatch(events)
        return events

    def _without_bom(self, block: bytes) -> bytes:
        block = bytes(self._line) + block
        self._line.clear()
        if len(block) < len(BOM) and BOM.startswith(block):
            self._line += block
            return b""
        self._start = False
        return block.removeprefix(BOM)

    def _with_plain_line_ends(self, block: bytes) -> bytes:
        # A CR ends its line at once; the LF that may follow in the next read then says nothing.
        if self._after_cr and block:
            block = block.removeprefix(b"\n")
            self._after_cr = False
        if block.endswith(b"\r"):
            self._after_cr = True
        return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take_whole_events(self, block: bytes, events: list[bytes]) -> bytes:
        """The common case: events of one data line each. Returns what is left after the last."""
        whole, blank, rest = block.rpartition(b"\n\n")
        if not blank:
            return block
        if b"\n" not in whole and whole.startswith(b"data: {"):
            events.append(whole[6:])
            return rest
        lines = whole.split(b"\n")
        data = lines[::2]
        if any(lines[1::2]) or {line[:5] for line in data} != {b"data:"}:
            self._take_lines(whole + b"\n\n", events)
            return rest
        if {line[5:6] for line in data} == {b" "}:
            data = [line[6:] for line in data]
        else:
            data = [line[5:].removeprefix(b" ") for line in data]
        if DONE in whole:
            data = [DONE if item.strip() == DONE else item for item in data]
        events += filter(None, data)
        return rest

    def _take_lines(self, block: bytes, events: list[bytes]) -> None:
        lines = block.split(b"\n")
        if self._line:
            self._line += lines[0]
            lines[0] = bytes(self._line)
            self._line.clear()
        self._line += lines.pop()
        for line in lines:
            if line.startswith(b"{") and line.endswith(b"}"):
                self._take_json(line, events)
            elif line:
                self._take_line(line)
            elif self._data or self._name:  # blank lines may come by the million
                self._dispatch(events)

    def _take_json(self, line: bytes, events: list[bytes]) -> None:
        self._dispatch(events)
        self._data.append(line)
        self._dispatch(events)

    def _take_line(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif field == b"event":
            self._name = value

    def _dispatch(self, events: list[bytes]) -> None:
        data = b"\n".join(self._data)
        if data:
            if self._name == b"error":
                data = ErrorEvent(data)
            elif data.strip() == DONE:
                data = DONE
            events.append(data)
        self._data.clear()
        self._name = b""
        self._size = 0

    def _check_size(self) -> None:
        if len(self._line) + self._size > self._max:
            raise ProtocolError(
                f"The server sent more than {self._max:,} bytes without ending an event. If it "
                "may, raise max_response_bytes."
            )


def is_event_stream(body: bytes | bytearray) -> bool:
    """Whether a body begins as event streams do, and no JSON or page does."""
    return bool(_EVENT_LINE.match(body))


def is_json_lines(body: bytes) -> bool:
    """Whether a body is lines of JSON, the first of several being an object by itself."""
    line, _, rest = body.removeprefix(BOM).lstrip().partition(b"\n")
    if not rest or not line.startswith(b"{") or not line.rstrip().endswith(b"}"):
        return False
    return bool(without_end_mark(rest).strip()) and is_json(line)


def begins_as_json(body: bytes | bytearray) -> bool:
    """Whether a body may be a JSON object or list."""
    return bool(_JSON.match(body))


def without_end_mark(body: bytes) -> bytes:
    """Return JSON without the `[DONE]` of an event stream, which some servers write behind it."""
    return _END_MARK.sub(b"", body) if DONE in body[-32:] else body


def _is_whole(data: bytes) -> bool:
    return data == DONE or is_json(data)


def is_json(data: bytes) -> bool:
    import orjson  # noqa: PLC0415 - only streams without a blank line at their end get here

    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True
