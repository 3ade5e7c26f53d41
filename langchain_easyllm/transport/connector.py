"""How aiohttp opens and reuses connections here."""

from __future__ import annotations

import asyncio
import select
from contextvars import ContextVar
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from .blocking import IDLE_SECONDS

__all__ = ["Connector", "connected"]

OPENING = 64
"""Connections to one server that are opened at once.

The number of open ones has no bound but the process's own, so that streams never starve another
request; yet a burst takes over connections that become free while it queues. 1,000 first requests
at once on a zero-cost server took 0.3 to 0.4 s, against 0.5 to 0.7 s when each opens its own. A
bound of 256 in all took 0.2 to 0.25 s, but a fifth longer on a server that needs 50 ms.
"""
connected: ContextVar[list[bool] | None] = ContextVar("connected", default=None)
"""What the running attempt learns: true once it has a connection."""


class Connector(aiohttp.TCPConnector):
    """Checks idle connections before they are used, and notes when one is there.

    A loop that was busy elsewhere has not yet seen that the server closed a connection; asking
    the socket itself saves the request from being lost on it.
    """

    def __init__(self) -> None:
        super().__init__(
            limit=_most_connections(),
            keepalive_timeout=IDLE_SECONDS,
            resolver=aiohttp.ThreadedResolver(),
        )
        # A protocol forgets its transport when it closes, but the socket may live on.
        self.transports: WeakKeyDictionary[ResponseHandler, asyncio.Transport] = WeakKeyDictionary()
        self._gates: dict[ConnectionKey, asyncio.Semaphore] = {}

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Connection:
        """Give a connection, opening only so many at once and handing out none that is spent."""
        gate = self._gates.setdefault(req.connection_key, asyncio.Semaphore(OPENING))
        while True:
            async with gate:
                connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or protocol not in self.transports:
                break
            # What came behind the last answer would be taken for the next one.
            if not (protocol.should_close or _readable(connection)):
                break
            connection.close()
        if protocol is not None and protocol.transport is not None:
            self.transports[protocol] = protocol.transport
        if (told := connected.get()) is not None:
            told.append(True)
        return connection

    def __del__(self, _warnings: object = None) -> None:
        """Say nothing: `LoopSession` closes the sockets of loops that are gone."""


def _most_connections() -> int:
    """Connections that fit beside the process's other files; 0 where there is no bound."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return 0
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if limit == resource.RLIM_INFINITY else max(limit * 3 // 4, 16)


def _readable(connection: Connection) -> bool:
    transport = connection.transport
    sock = transport and transport.get_extra_info("socket")
    if not sock or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
