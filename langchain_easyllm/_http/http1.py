"""A small parser for HTTP/1.1 responses, without I/O (RFC 9112).

Fed with bytes cut anywhere it gives the head, then the body. It is strict where leniency would
let one response be taken for another, and lenient about bare line feeds, which servers do send.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ..errors import IncompleteStreamError, ProtocolError
from .content import BoundedBody, too_large
from .headers import HEADER_NAME
from .models import ResponseLimits

MAX_HEAD = 64 * 1024
"""Bytes of status line and headers (with all interim ones), of a chunk's line, or of trailers."""

_MAX_CACHED = 64
"""Bytes of a header's name or of a chunk's line that is remembered."""

# What the next line of a chunked body must be
_SIZE, _CHUNK_END, _TRAILER = range(3)

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) +([1-9][0-9]{2})(?: .*)?")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")


class ResponseParser:
    __slots__ = ("_bare", "_body", "_buffer", "_chunked", "_expect", "_head_only", "_interim",
                 "_left", "_limits", "_streaming", "_trailers", "complete", "headers", "reusable",
                 "status")  # fmt: skip

    def __init__(
        self,
        method: str = "GET",
        limits: ResponseLimits | None = None,  # None: whatever comes
        *,
        streaming: bool = False,  # whether somebody else decodes a success, as it comes
    ) -> None:
        self._limits = limits
        self._streaming = streaming
        self._body: BoundedBody | None = None
        self._buffer = bytearray()
        self._head_only = method == "HEAD"
        self._chunked = False
        self._bare = False
        self._expect = _SIZE
        self._trailers = 0
        self._interim = 0
        # Bytes left of the body, or of the current chunk; -1: until the connection ends
        self._left = 0
        self.status = 0  # until the head is there
        self.headers: dict[str, str] = {}  # names in lower case
        self.complete = False
        self.reusable = False  # whether the connection may carry another request after it

    def feed(self, block: bytes) -> bytes:
        """Take the next bytes and return those of the body among them."""
        if not self.status:
            block = self._take_head(block)
            if not self.status:
                return b""
        if self.complete:
            # Bytes past the end belong to no request: nothing after them can be trusted.
            self.reusable = self.reusable and not block
            return b""
        if self._chunked:
            block = self._take_chunks(block)
        elif self._left >= 0:
            block = self._take_counted(block)
        return block if self._body is None else self._take_body(self._body, block)

    def check_body(self) -> None:
        """Check that the body of a success was whole, once it is complete."""
        if self._body is not None:
            self._body.close()

    def feed_eof(self) -> None:
        self.reusable = False
        if self.status and self._left < 0:
            self.complete = True
        if not self.complete:
            raise IncompleteStreamError("The answer was cut off before its end. Ask again.")

    def _take_head(self, block: bytes) -> bytes:
        """Parse the head, skipping interim (1xx) ones; returns what follows it."""
        buffer = self._buffer
        seen = max(len(buffer) - 3, 0)
        buffer += block
        while True:
            end = _END_OF_HEAD.search(buffer, seen)
            size = end.start() if end else len(buffer)
            if size + self._interim > MAX_HEAD:
                raise ProtocolError("The headers of the answer are too long.")
            if not end:
                if not b"HTTP/1.".startswith(buffer[:7]):
                    raise ProtocolError("The server does not answer in HTTP/1.1.")
                return b""
            status, minor = self._parse_head(bytes(buffer[:size]))
            del buffer[: end.end()]
            if status >= 200 or status == 101:
                break
            self.headers = {}
            self._interim += end.end()
            seen = 0
        rest = bytes(buffer)
        buffer.clear()
        self.status = status
        self._start_body(minor)
        return rest

    def _parse_head(self, head: bytes) -> tuple[int, int]:
        if b"\0" in head or head.count(b"\r") != head.count(b"\r\n"):
            raise ProtocolError("The headers of the answer hold a NUL or a lone carriage return.")
        first, *lines = head.decode("latin-1").split("\n")
        match = _STATUS_LINE.fullmatch(first.removesuffix("\r"))
        if match is None:
            raise ProtocolError("The server does not answer in HTTP/1.1.")
        headers = self.headers
        last = ""
        for line in lines:
            if last and line.startswith((" ", "\t")):
                # a folded line, obsolete since 2014
                headers[last] += " " + line.strip(" \t\r")
                continue
            name, colon, value = line.partition(":")
            if not colon:
                raise ProtocolError("The answer has a header line without a colon.")
            last = _known_name(name) if len(name) <= _MAX_CACHED else _lower_name(name)
            text = value.strip(" \t\r")
            headers[last] = f"{headers[last]}, {text}" if last in headers else text
        return int(match[2]), int(match[1])

    def _start_body(self, minor: int) -> None:
        if self.status == 101:
            raise ProtocolError("The server switched to a protocol that nobody asked for.")
        headers = self.headers
        self.reusable = _persists(headers.get("connection"), minor)
        coding = headers.get("transfer-encoding")
        length = headers.get("content-length")
        if self._head_only or self.status in {204, 304}:
            self.complete = True
        elif coding is not None:
            if coding.lower() != "chunked":
                raise ProtocolError(f"The transfer encoding {coding[:50]!r} is unknown.")
            self._chunked = True
            # Both headers at once is how responses are smuggled, and HTTP/1.0 has no chunks, though
            # some server or proxy between may send them: never reuse such a connection.
            self.reusable = self.reusable and length is None and minor == 1
        elif length is not None:
            self._left = _parse_length(length)
            self.complete = self._left == 0
        else:
            self._left = -1
            self.reusable = False
        if self._limits is not None and not self.complete:
            self._bound_body(self._limits)

    def _bound_body(self, limits: ResponseLimits) -> None:
        success = self.status < 300
        if success and self._streaming:
            return
        bound = limits.response_bytes if success else limits.error_bytes
        counted = self._left >= 0 and not self._chunked
        if counted and self._left <= bound and "content-encoding" not in self.headers:
            return
        self._body = BoundedBody(self.headers, limits, success=success)
        if success and self._left > bound:
            raise too_large("max_response_bytes", bound)

    def _take_body(self, body: BoundedBody, block: bytes) -> bytes:
        complete, self.complete = self.complete, False  # where that fails, nothing is complete
        block = body.feed(block)
        self.complete = complete or body.full
        if body.full:  # of a failure enough is known, whatever else comes
            self.reusable = False
        return block

    def _take_counted(self, block: bytes) -> bytes:
        if len(block) > self._left:
            self.reusable = False
            block = block[: self._left]
        self._left -= len(block)
        self.complete = self._left == 0
        return block

    def _take_chunks(self, block: bytes) -> bytes:
        if self._buffer:
            block = bytes(self._buffer) + block
            self._buffer.clear()
        parts: list[bytes] = []
        start, size = 0, len(block)
        while start < size and not self.complete:
            if self._left:
                part = block[start : start + self._left]
                parts.append(part)
                self._left -= len(part)
                start += len(part)
                continue
            end = block.find(b"\n", start)
            if end < 0:
                break
            raw = block[start:end]
            line = raw.removesuffix(b"\r")
            start = end + 1
            if self._expect != _SIZE:
                # A carriage return that the chunk swallowed: its size was one too many.
                if self._expect == _CHUNK_END and not raw and not self._bare:
                    raise ProtocolError("A chunk of the answer is shorter than it said.")
                self._take_line(line)
                continue
            left = _known_size(line) if len(line) <= _MAX_CACHED else _chunk_size(line)
            # Most chunks are here whole; taking them at once halves the time of a stream.
            end = start + left
            if left and block[end : end + 2] == b"\r\n":
                parts.append(block[start:end])
                start = end + 2
            else:
                self._left = left
                self._bare = raw == line  # whether its lines end in line feeds only
                self._expect = _CHUNK_END if left else _TRAILER
        if start < size:
            self.reusable = self.reusable and not self.complete
            self._buffer += block[start:]
            if len(self._buffer) > MAX_HEAD:
                raise ProtocolError("A line of the chunked answer is too long.")
        return b"".join(parts)

    def _take_line(self, line: bytes) -> None:
        """Take what stands behind a chunk, or behind the last one."""
        if self._expect == _TRAILER:
            if b"\r" in line or b"\0" in line:
                raise ProtocolError("A trailer of the answer holds a NUL or a carriage return.")
            self._trailers += len(line) + 2
            if self._trailers > MAX_HEAD:
                raise ProtocolError("The trailers of the answer are too long.")
            self.complete = not line
        elif line:
            raise ProtocolError("A chunk of the answer is longer than it said.")
        else:
            self._expect = _SIZE


def _lower_name(name: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        raise ProtocolError("The answer has a malformed header name.")
    return name.lower()


def _chunk_size(line: bytes) -> int:
    if len(line) > MAX_HEAD:
        raise ProtocolError("A line of the chunked answer is too long.")
    match = _CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise ProtocolError("The answer is cut into chunks without a valid size.")
    return int(match[1], 16)


# A server sends the same few names, and chunks of few sizes, again and again.
_known_name = lru_cache(maxsize=512)(_lower_name)
_known_size = lru_cache(maxsize=512)(_chunk_size)


def _persists(connection: str | None, minor: int) -> bool:
    """Whether the server keeps the connection, going by its `Connection` header."""
    if connection is None:
        return minor == 1
    options = {option.strip() for option in connection.lower().split(",")}
    return "close" not in options and (minor == 1 or "keep-alive" in options)


def _parse_length(value: str) -> int:
    """One number, or the same number repeated by a proxy."""
    numbers = {part.strip() for part in value.split(",")}
    number = numbers.pop()
    if numbers or not number.isascii() or not number.isdecimal() or len(number) > 18:
        raise ProtocolError(f"The answer's length {value[:50]!r} makes no sense.")
    return int(number)
