"""Connecting on an event loop: names looked up once, addresses raced (RFC 8305)."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Sequence
from time import monotonic

from .shared import Place, look_up, set_options

__all__ = ["Names", "dial"]

KNOWN_SECONDS = 10.0
"""Seconds for which a name's addresses are used again."""

STAGGER = 0.25
"""Seconds that an address may take before the next one is tried beside it."""


class Names:
    """The addresses of names, looked up in a thread, once for all who ask at the same time.

    Args:
        loop: The event loop that asks.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked: dict[tuple[str, int], tuple[float, asyncio.Future[Sequence[Place]]]] = {}

    async def find(self, host: str, port: int) -> Sequence[Place]:
        """The ways to reach a host, in the order in which to try them.

        Args:
            host: Name or address.
            port: Port number.

        Raises:
            socket.gaierror: If there is none.
        """
        try:
            return look_up(host, port, socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass  # a name
        now = monotonic()
        since, answer = self._asked.get((host, port), (0.0, None))
        if answer is None or now - since > KNOWN_SECONDS or _failed(answer):
            try:
                answer = self._loop.run_in_executor(None, look_up, host, port)
            except RuntimeError:  # an interpreter that leaves begins nothing more in executors
                return _by_turns(look_up(host, port))
            self._asked[host, port] = now, answer
        # One who gives up does not end the others' wait.
        return _by_turns(await asyncio.shield(answer))


async def dial(loop: asyncio.AbstractEventLoop, places: Sequence[Place]) -> socket.socket:
    """Connect to the first address that answers.

    Args:
        loop: The running loop.
        places: Where to connect, best first.

    Raises:
        OSError: If none answers; the error of the last one tried.
    """
    if len(places) == 1:
        return await _connect(loop, places[0])
    tasks: list[asyncio.Task[socket.socket]] = []
    winner = None
    try:
        winner = await _race(loop, places, tasks)
        return winner
    finally:
        for task in tasks:
            task.cancel()
        for one in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(one, socket.socket) and one is not winner:
                one.close()


async def _race(
    loop: asyncio.AbstractEventLoop,
    places: Sequence[Place],
    tasks: list[asyncio.Task[socket.socket]],
) -> socket.socket:
    failure: BaseException = OSError("the host has no address")
    running: set[asyncio.Task[socket.socket]] = set()
    while running or len(tasks) < len(places):
        if len(tasks) < len(places):
            tasks.append(loop.create_task(_connect(loop, places[len(tasks)])))
            running.add(tasks[-1])
        patience = STAGGER if len(tasks) < len(places) else None
        done, running = await asyncio.wait(
            running, timeout=patience, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            error = task.exception()
            if error is None:
                return task.result()
            failure = error
    raise failure


async def _connect(loop: asyncio.AbstractEventLoop, place: Place) -> socket.socket:
    family, kind, protocol, _, address = place
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        set_options(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _failed(answer: asyncio.Future[Sequence[Place]]) -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)


def _by_turns(places: Sequence[Place]) -> list[Place]:
    """The same addresses, families by turns: one that leads nowhere costs one try only."""
    seen: Counter[int] = Counter()
    ranked: list[tuple[int, Place]] = []
    for place in places:
        ranked.append((seen[place[0]], place))
        seen[place[0]] += 1
    return [place for _, place in sorted(ranked, key=lambda pair: pair[0])]
