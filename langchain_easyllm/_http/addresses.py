"""From a host's name to a connected socket, for threads and event loops."""

from __future__ import annotations

import asyncio
import builtins
import errno
import os
import selectors
import socket
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, cast

from .connection_limit import FULL

KNOWN_SECONDS = 10.0
"""Seconds for which a name's addresses are used again."""

STAGGER = 0.25
"""Seconds that an address may take before the next one is tried beside it."""

LAST_SECONDS = 300.0
"""Seconds for which an address that did not answer in time is tried after all others."""

KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES = 60, 10, 3
"""Seconds of silence before the first probe, seconds between probes, and how many are sent."""

USER_TIMEOUT = KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_PROBES
"""Seconds that the peer's system may leave what was sent to it unacknowledged.

The same as for a silent connection, for this bound also takes the place of the count of probes.
"""

UNREAD = 64 * 1024
"""Bytes of a request that any system takes in before its program reads them."""

AddrInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""One way to reach a host, as `socket.getaddrinfo` gives it."""

_CONNECTING = frozenset(
    {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)}
)
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
_LONGEST_WAIT = 3600.0

# Addresses that did not answer in time, and until when they are tried last.
_last: dict[Any, float] = {}


class Socket(socket.socket):
    """A socket that may be dropped: the collector of a cycle then closes it without a warning.

    In which order a cycle's finalizers run is not known, so the socket's own has to be quiet.
    """

    __slots__ = ()

    def __del__(self) -> None:
        if self.fileno() >= 0:
            self.close()


class Resolver:
    """The addresses of names, looked up in a thread, once for all who need them at one time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lookups: dict[tuple[str, int], tuple[float, asyncio.Future[Sequence[AddrInfo]]]] = {}

    async def find(self, host: str, port: int) -> Sequence[AddrInfo]:
        """The ways to reach a host, in the order in which to try them."""
        try:
            return look_up(host, port, socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass  # a name
        now = monotonic()
        since, lookup = self._lookups.get((host, port), (0.0, None))
        if lookup is None or now - since > KNOWN_SECONDS or _failed(lookup):
            try:
                lookup = self._loop.run_in_executor(None, look_up, host, port)
            except RuntimeError:  # an interpreter that exits begins nothing more in executors
                return best_first(look_up(host, port))
            self._lookups[host, port] = now, lookup
        # One who gives up does not end the others' wait.
        return best_first(await asyncio.shield(lookup))


def look_up(host: str, port: int, flags: int = 0) -> Sequence[AddrInfo]:
    """The ways to reach a host; may take seconds, unless the flags forbid to ask anybody."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:  # a label of the name is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, "no valid host name") from error


def best_first(addresses: Sequence[AddrInfo]) -> list[AddrInfo]:
    """The same addresses, families in turn, those last that did not answer lately.

    An address, or a family, that leads nowhere so costs one try only.
    """
    now = monotonic()
    seen: Counter[int] = Counter()
    ranked: list[tuple[bool, int, AddrInfo]] = []
    for info in addresses:
        ranked.append((_last.get(info[4], 0.0) > now, seen[info[0]], info))
        seen[info[0]] += 1
    return [info for _, _, info in sorted(ranked, key=lambda triple: triple[:2])]


def _note(answered: AddrInfo | None, tried: Iterable[AddrInfo]) -> None:
    """Remember which of the addresses that were tried did not answer, or not in time."""
    if len(_last) > 256:
        _last.clear()
    until = monotonic() + LAST_SECONDS
    for info in tried:
        if info is answered:
            _last.pop(info[4], None)
        else:
            _last[info[4]] = until


def set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A generation may be silent for minutes, and what drops silent connections says nothing.
    with suppress(OSError):  # some sandboxes know no more than the system's own times
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        idle = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
        for option, value in (
            (idle, KEEPALIVE_IDLE),
            (getattr(socket, "TCP_KEEPINTVL", None), KEEPALIVE_INTERVAL),
            (getattr(socket, "TCP_KEEPCNT", None), KEEPALIVE_PROBES),
            (getattr(socket, "TCP_USER_TIMEOUT", None), USER_TIMEOUT * 1000),
        ):
            if option is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


def allow_slow_reading(sock: socket.socket) -> None:
    """Let the peer acknowledge what it has no room for as late as it likes.

    The system counts a full buffer of the peer as no acknowledgement; yet a server that holds a
    large request back until its model has started is alive. Probes go on.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, option, 0)


def connect(host: str, port: int, deadline: float) -> Socket:
    """Connect to the first address that answers, best first; raises the last one's error.

    Each next address is tried when those before it have failed, or take long, then beside them.
    """
    found = look_up(host, port)
    return _connect_to(found[0], deadline) if len(found) == 1 else _connect_first(found, deadline)


def _connect_to(info: AddrInfo, deadline: float) -> Socket:
    family, kind, protocol, _, address = info
    sock = Socket(family, kind, protocol)
    try:
        left = deadline - monotonic()
        if left <= 0:
            raise builtins.TimeoutError  # noqa: TRY301 - closed as for any other
        sock.settimeout(min(left, _LONGEST_WAIT))
        sock.connect(address)
        set_options(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _connect_first(addresses: Sequence[AddrInfo], deadline: float) -> Socket:
    left = deque(best_first(addresses))
    tried: list[AddrInfo] = []
    failure = OSError("the host has no address")
    winner = None
    begin = 0.0
    with _Selector() as selector:
        try:
            while winner is None and (left or selector.get_map()):
                now = monotonic()
                if now >= deadline:
                    raise builtins.TimeoutError
                if left and (now >= begin or not selector.get_map()):
                    tried.append(left.popleft())
                    begin = now + STAGGER
                    try:
                        sock = _begin(tried[-1])
                    except OSError as error:
                        if error.errno in FULL:
                            raise  # another address would need a file, too
                        failure, begin = error, 0.0
                        continue
                    selector.register(sock, selectors.EVENT_WRITE, tried[-1])
                wait = min(begin if left else deadline, deadline) - now
                for key, _ in selector.select(min(wait, _LONGEST_WAIT)):
                    sock = cast("Socket", key.fileobj)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        winner = key
                        break
                    failure = OSError(code, os.strerror(code))
                    selector.unregister(sock)
                    sock.close()
                    begin = 0.0
        finally:
            for key in list(selector.get_map().values()):
                if key is not winner:
                    cast("Socket", key.fileobj).close()
            _note(winner and winner.data, tried)
    if winner is None:
        raise failure
    sock = cast("Socket", winner.fileobj)
    set_options(sock)
    return sock


def _begin(info: AddrInfo) -> Socket:
    family, kind, protocol, _, address = info
    sock = Socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(address)
        if code and code not in _CONNECTING:
            raise OSError(code, os.strerror(code))  # noqa: TRY301 - closed as for any other
    except BaseException:
        sock.close()
        raise
    return sock


async def connect_socket(
    loop: asyncio.AbstractEventLoop, addresses: Sequence[AddrInfo]
) -> socket.socket:
    """Do as `connect` on an event loop, with addresses that are in order."""
    if len(addresses) == 1:
        return await _connect(loop, addresses[0])
    tasks: list[asyncio.Task[socket.socket]] = []
    winner = None
    try:
        winner = await _race(loop, addresses, tasks)
        return winner
    finally:
        for task in tasks:
            task.cancel()
        answered = None
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for info, result in zip(addresses, results, strict=False):
            if isinstance(result, socket.socket):
                if result is winner:
                    answered = info
                else:
                    result.close()
        _note(answered, addresses[: len(tasks)])


async def _race(
    loop: asyncio.AbstractEventLoop,
    addresses: Sequence[AddrInfo],
    tasks: list[asyncio.Task[socket.socket]],
) -> socket.socket:
    failure: BaseException = OSError("the host has no address")
    running: set[asyncio.Task[socket.socket]] = set()
    while running or len(tasks) < len(addresses):
        if len(tasks) < len(addresses):
            tasks.append(loop.create_task(_connect(loop, addresses[len(tasks)])))
            running.add(tasks[-1])
        wait = STAGGER if len(tasks) < len(addresses) else None
        done, running = await asyncio.wait(
            running, timeout=wait, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            error = task.exception()
            if error is None:
                return task.result()
            failure = error
    raise failure


async def _connect(loop: asyncio.AbstractEventLoop, info: AddrInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = Socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        set_options(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _failed(lookup: asyncio.Future[Sequence[AddrInfo]]) -> bool:
    return lookup.done() and (lookup.cancelled() or lookup.exception() is not None)
