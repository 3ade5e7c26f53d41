"""A small parser for HTTP/1.1 responses, without I/O (RFC 9112).

Fed with bytes cut anywhere it gives the head, then the body. It is strict where leniency would
let one response be taken for another, and lenient about bare line feeds.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ..errors import IncompleteStreamError, ProtocolError
from .headers import HEADER_NAME

MAX_HEAD = 64 * 1024
"""Bytes of status line and headers, of a chunk's line, or of trailers."""

# What the next line of a chunked body must be
_SIZE, _CHUNK_END, _TRAILER = range(3)

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) +([1-9][0-9]{2})(?: .*)?")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


class ResponseParser:
    __slots__ = ("_buffer", "_chunked", "_expect", "_head_only", "_left", "_trailers",
                 "complete", "headers", "reusable", "status")  # fmt: skip

    def __init__(self, method: str = "GET") -> None:
        self._buffer = bytearray()
        self._head_only = method == "HEAD"
        self._chunked = False
        self._expect = _SIZE
        self._trailers = 0
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
            return self._take_chunks(block)
        return block if self._left < 0 else self._take_counted(block)

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
            if size > MAX_HEAD:
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
            seen = 0
        rest = bytes(buffer)
        buffer.clear()
        self.status = status
        self._start_body(minor)
        return rest

    def _parse_head(self, head: bytes) -> tuple[int, int]:
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
            last = _lower_name(name)
            text = value.strip(" \t\r")
            headers[last] = f"{headers[last]}, {text}" if last in headers else text
        return int(match[2]), int(match[1])

    def _start_body(self, minor: int) -> None:
        if self.status == 101:
            raise ProtocolError("The server switched to a protocol that nobody asked for.")
        headers = self.headers
        connection = headers.get("connection", "").lower()
        self.reusable = "close" not in connection and (minor == 1 or "keep-alive" in connection)
        coding = headers.get("transfer-encoding", "").lower()
        length = headers.get("content-length")
        if self._head_only or self.status in {204, 304}:
            self.complete = True
        elif coding:
            if coding != "chunked":
                raise ProtocolError(f"The transfer encoding {coding[:50]!r} is unknown.")
            self._chunked = True
            # Both headers at once is how responses are smuggled: never reuse such a connection.
            self.reusable = self.reusable and length is None
        elif length is not None:
            self._left = _parse_length(length)
            self.complete = self._left == 0
        else:
            self._left = -1
            self.reusable = False

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
            line = block[start:end].removesuffix(b"\r")
            start = end + 1
            if self._expect != _SIZE:
                self._take_line(line)
                continue
            left = _chunk_size(line)
            # Most chunks are here whole; taking them at once halves the time of a stream.
            end = start + left
            if left and block[end : end + 2] == b"\r\n":
                parts.append(block[start:end])
                start = end + 2
            else:
                self._left = left
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
            self._trailers += len(line) + 2
            if self._trailers > MAX_HEAD:
                raise ProtocolError("The trailers of the answer are too long.")
            self.complete = not line
        elif line:
            raise ProtocolError("A chunk of the answer is longer than it said.")
        else:
            self._expect = _SIZE


# A server sends the same few names, and chunks of few sizes, again and again.
@lru_cache(maxsize=512)
def _lower_name(name: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        raise ProtocolError("The answer has a malformed header name.")
    return name.lower()


@lru_cache(maxsize=512)
def _chunk_size(line: bytes) -> int:
    match = _CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise ProtocolError("The answer is cut into chunks without a valid size.")
    return int(match[1], 16)


def _parse_length(value: str) -> int:
    """One number, or the same number repeated by a proxy."""
    numbers = {part.strip() for part in value.split(",")}
    number = numbers.pop()
    if numbers or not number.isascii() or not number.isdecimal() or len(number) > 18:
        raise ProtocolError(f"The answer's length {value[:50]!r} makes no sense.")
    return int(number)
