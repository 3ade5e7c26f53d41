"""The content of a body: inflated where the server compressed it, and kept within bounds.

Nobody asks for compression, but some proxies compress all the same. It is undone as the bytes come
and in pieces, so that a small body which grows beyond all bounds is found out while it is small.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from ..errors import IncompleteStreamError, ProtocolError
from .models import ResponseLimits

PIECE = 1024 * 1024
"""Bytes that are inflated at once."""

_STEP = 16 * 1024
"""Bytes that are given to zlib at once: what it leaves of them is copied."""

_GZIP = b"\x1f\x8b"
_CODINGS = frozenset({"gzip", "x-gzip", "deflate"})


def coding_of(headers: Mapping[str, str]) -> str:
    """The body's coding, or "" if there is none."""
    given = headers.get("content-encoding")
    if not given:
        return ""
    codings = [coding.strip().lower() for coding in given[:1000].split(",")]
    codings = [coding for coding in codings if coding not in {"", "identity"}]
    if not codings:
        return ""
    if len(codings) > 1 or codings[0] not in _CODINGS:
        named = ", ".join(codings)[:50]
        raise ProtocolError(
            f"The answer is encoded as {named!r}, which nobody asked for. Turn compression off on "
            "the server, or on the proxy before it."
        )
    return codings[0]


class Decompressor:
    """Undoes a `Content-Encoding` that the server applied although it was asked not to.

    Of gzip all members count, with zero bytes between them; what else stands behind the end is
    ignored, as browsers and curl do. `deflate` is read with and without zlib's header: servers
    send both.
    """

    __slots__ = ("_at", "_coding", "_full", "_left", "_limits", "_over", "_pending", "_raw_left",
                 "_stream", "_used")  # fmt: skip

    def __init__(self, coding: str, limits: ResponseLimits) -> None:
        self._coding = coding
        self._limits = limits
        self._stream: zlib._Decompress | None = None  # None between members
        self._pending = b""  # of which the first bytes, up to `_at`, are inflated
        self._at = 0
        self._full = False  # whether zlib may hold more of what it took
        self._over = False  # whether all further bytes are ignored
        self._used = False
        self.begin_event()

    @property
    def pending(self) -> bool:
        """Whether `read` may return more without any further bytes."""
        left = len(self._pending) - self._at
        return self._full or left > (1 if self._stream is None else 0)

    def begin_event(self) -> None:
        """Count from here: each event of a stream has the bounds of an answer."""
        self._left = self._limits.decompressed_bytes
        self._raw_left = self._limits.response_bytes

    def feed(self, block: bytes) -> None:
        self._raw_left -= len(block)
        if self._raw_left < 0:
            raise too_large("max_response_bytes", self._limits.response_bytes)
        self._used = self._used or bool(block)
        if not self._over:
            self._pending = self._pending[self._at :] + block
            self._at = 0

    def read(self) -> bytes:
        """Return the next piece; nothing if more bytes are needed."""
        while self._full or self._at < len(self._pending):
            if self._stream is None and not self._open():
                break
            assert self._stream is not None  # noqa: S101 - it was opened
            stream, given = self._stream, self._pending[self._at : self._at + _STEP]
            room = min(PIECE, self._left or 1)  # behind the last, one more says that it is too much
            try:
                data = stream.decompress(given, room)
            except zlib.error as error:
                raise ProtocolError("The compressed answer is damaged.") from error
            left = stream.unused_data if stream.eof else stream.unconsumed_tail
            self._at += len(given) - len(left)
            self._full = len(data) == room
            if stream.eof:
                self._end_member()
            if data and not self._left:
                raise too_large("max_decompressed_bytes", self._limits.decompressed_bytes)
            self._left -= len(data)
            if data:
                return data
        return b""

    def close(self) -> None:
        """Check that the body was whole."""
        if self._used and not self._over and (self._stream is not None or self._coding):
            raise IncompleteStreamError("The compressed answer was cut off before its end.")

    def _open(self) -> bool:
        """Begin what the next bytes are; whether there are enough of them to know."""
        if not self._coding:  # behind a member of gzip
            self._skip_padding()
        start = self._pending[self._at : self._at + 2]
        if len(start) < 2:
            return False
        if start == _GZIP:
            window = zlib.MAX_WBITS + 16
        elif start[0] & 15 == zlib.DEFLATED and int.from_bytes(start, "big") % 31 == 0:
            window = zlib.MAX_WBITS
        elif self._coding == "deflate":
            window = -zlib.MAX_WBITS
        else:
            raise ProtocolError("The compressed answer is damaged.")
        self._coding = "gzip" if start == _GZIP else "deflate"
        self._stream = zlib.decompressobj(window)
        return True

    def _skip_padding(self) -> None:
        """Go on to the next member of gzip; what is none is ignored, with all that follows."""
        if self._pending[self._at] == 0:
            self._pending = self._pending[self._at :].lstrip(b"\0")
            self._at = 0
        if not _GZIP.startswith(self._pending[self._at : self._at + 2]):
            self._ignore_rest()

    def _end_member(self) -> None:
        if self._coding != "gzip":
            self._ignore_rest()
        self._stream, self._full, self._coding = None, False, ""

    def _ignore_rest(self) -> None:
        self._over, self._pending, self._at = True, b"", 0


class BoundedBody:
    """A whole body as it comes: inflated if it was compressed, and never beyond its bound.

    A success that is larger is an error. Of a failure the beginning is kept, for its status and
    message say more than its size: `full` is then set.
    """

    __slots__ = ("_decompressor", "_left", "_limits", "_success", "full")

    def __init__(
        self, headers: Mapping[str, str], limits: ResponseLimits, *, success: bool
    ) -> None:
        self._success = success
        self._limits = limits if success else limits.for_errors()
        self._left = self._limits.response_bytes
        self._decompressor: Decompressor | None = None
        self.full = False  # whether nothing more is read
        try:
            coding = coding_of(headers)
        except ProtocolError:
            if success:
                raise
            self.full = True  # unreadable, but the status is known
        else:
            self._decompressor = Decompressor(coding, self._limits) if coding else None

    def feed(self, block: bytes) -> bytes:
        pieces: list[bytes] = []
        try:
            self._take(block, pieces)
        except ProtocolError:
            if self._success:
                raise
            self.full = True
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Check that a success was whole."""
        if self._decompressor is not None and self._success:
            self._decompressor.close()

    def _take(self, block: bytes, pieces: list[bytes]) -> None:
        if self._decompressor is not None:
            self._decompressor.feed(block)
            while piece := self._decompressor.read():
                pieces.append(piece if self._success else piece[: self._left])
                self._left -= len(piece)
            return
        if not self.full:
            pieces.append(block[: self._left])
        self._left -= len(block)
        if self._left < 0:
            raise too_large("max_response_bytes", self._limits.response_bytes)


def too_large(setting: str, limit: int) -> ProtocolError:
    return ProtocolError(f"The answer holds more than {limit:,} bytes. If it may, raise {setting}.")
