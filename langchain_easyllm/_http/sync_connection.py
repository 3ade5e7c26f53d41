"""One synchronous connection: a socket whose waits have a deadline."""

from __future__ import annotations

import builtins
import select
import socket
import ssl
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .exchange import Attempt
    from .http1 import ResponseParser
    from .models import URL

READ_SIZE = 64 * 1024


class SyncConnection:
    """A connected socket whose waits have a deadline; its owner takes it back."""

    __slots__ = ("_give_back", "_sock", "_timeout", "idle_since", "owner")

    def __init__(
        self, sock: socket.socket, owner: object, give_back: Callable[[SyncConnection, URL], None]
    ) -> None:
        self._sock = sock
        self._give_back = give_back
        self._timeout = -1.0
        self.idle_since = 0.0
        self.owner = owner

    def __del__(self) -> None:
        # A stream that was dropped unread must not make Python warn about its socket.
        self.close()

    def send(self, data: bytes | memoryview, deadline: float) -> None:
        self._bound(deadline)
        self._sock.sendall(data)

    def receive(self, deadline: float) -> bytes:
        """Return the next bytes, none at the end, or raise the socket's error."""
        self._bound(deadline)
        return self._sock.recv(READ_SIZE)

    def is_readable(self, wait: float) -> bool:
        if not hasattr(select, "poll"):
            return bool(select.select([self._sock], [], [], wait)[0])
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(wait * 1000))

    def is_spent(self) -> bool:
        """Whether an idle connection has something to read: its end, or what nobody asked for."""
        return self.is_readable(0)

    def start_tls(self, context: ssl.SSLContext, host: str, deadline: float) -> None:
        self._bound(deadline)
        self._sock = context.wrap_socket(self._sock, server_hostname=host)
        self._timeout = -1.0

    def finish(self, parser: ResponseParser, attempt: Attempt) -> None:
        """Keep the connection for another request if the response allows it, else close it."""
        if parser.reusable:
            self._give_back(self, attempt.address)
        else:
            self.close()

    def close(self) -> None:
        self._sock.close()

    def _bound(self, deadline: float) -> None:
        left = deadline - monotonic()
        if left <= 0:
            raise builtins.TimeoutError
        # Changing the timeout is a system call; one that is right to a twentieth second stays.
        if abs(left - self._timeout) > 0.05:
            self._sock.settimeout(None if left == inf else left)
            self._timeout = left
