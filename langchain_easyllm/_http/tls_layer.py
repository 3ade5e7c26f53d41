"""TLS without I/O: what the application sends in, what the wire carries out, and back.

Both kinds of connections own their sockets and put this between: what has arrived can still be read
where sending has failed, and a server's last words, such as "certificate required", are heard.
"""

from __future__ import annotations

import ssl

RECORD = 16 * 1024
"""Bytes of the application in one TLS record, at most."""


class TLSLayer:
    """The client's side of one TLS connection."""

    __slots__ = ("_failure", "_incoming", "_object", "_outgoing", "ended", "ready")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._failure: ssl.SSLError | None = None
        self.ready = False  # whether the handshake is done
        self.ended = False  # whether nothing more will come, or a failure comes next

    def handshake(self) -> bool:
        """Go on with the handshake and return whether it is done.

        What `outgoing` returns has to be sent then, after a failure too: it says why.
        """
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.ready = True
        return True

    def feed(self, block: bytes) -> None:
        """Take bytes of the wire, none at its end."""
        if block:
            self._incoming.write(block)
        else:
            self._incoming.write_eof()

    def outgoing(self) -> bytes:
        """Return the bytes that have to go out."""
        return self._outgoing.read()

    def encrypt(self, data: bytes | memoryview) -> bytes:
        left = memoryview(data)
        while left:
            left = left[self._object.write(left) :]
        return self._outgoing.read()

    def decrypt(self, block: bytes) -> bytes:
        """Take bytes of the wire, none at its end, and return those of the application in them.

        A failure behind such bytes is raised by the next call.
        """
        if self._failure is not None:
            raise self._failure
        self.feed(block)
        chunks: list[bytes] = []
        try:
            while not self.ended:
                chunk = self._object.read(RECORD)
                if chunk:
                    chunks.append(chunk)
                    if self._incoming.pending or self._object.pending():
                        continue
                    break
                self.ended = True
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            # Without a farewell, too: whether the response is whole, its framing tells.
            self.ended = True
        except ssl.SSLError as error:
            self.ended = True
            if not chunks:
                raise
            self._failure = error
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
