"""Which of several servers gets the next request: one that works, and is the least busy.

A server that fails is benched: for 1, 2, 4 ... 30 seconds it gets no requests, and then one, which
finds out whether it is back. No I/O.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from math import ceil, inf, isfinite
from time import monotonic
from typing import NamedTuple

import orjson

from .._http.cold_starts import ColdStart
from .._http.models import parse_url
from .._http.request_limit import RequestLimit, request_limit
from .session import ServerSession

LONGEST_BENCH = 30.0
"""The longest time in seconds for which a server that goes on failing gets no request."""

PROMPT_BEGINNING = 1024
"""The characters of a text by which its prompt is told from others."""

LOAD_BOUND = 1.25
"""How many times its share of the requests in flight a server may have for its prompts' sake."""

_TEXT_KEYS = ("prompt", "inputs", "query")


class Replica:
    """One of several servers that have the same model, and how it does.

    Attributes:
        session: Its own session.
        root: Its address.
        in_flight: The requests that were given to it, those that wait for their turns too.
        failures: How often it has failed since it last answered.
        benched_at: When it was benched last (`time.monotonic`).
        benched_until: Until when it gets no request.
        answered_at: When it last answered.
        returning: The requests that are finding out whether it is back.
        is_loading: Whether it failed last because its model was loading.
        checked: Whether it was found to have the same model as the others since it last failed.
        chosen: When it was last chosen, as a count.
    """

    __slots__ = ("_origin", "answered_at", "benched_at", "benched_until", "checked", "chosen",
                 "failures", "in_flight", "is_loading", "returning", "root", "session")  # fmt: skip

    def __init__(self, session: ServerSession) -> None:
        self.session = session
        self.root = session.url.root
        self._origin = parse_url(self.root).origin
        self.answered_at = self.benched_at = self.benched_until = -inf
        self.checked = self.is_loading = False
        self.in_flight = self.returning = self.failures = self.chosen = 0

    @property
    def limit(self) -> RequestLimit:
        """What it has shown to take; that of this process, which a child begins anew."""
        return request_limit(self._origin)

    def is_benched(self) -> bool:
        return self.failures > 0

    def is_available(self, now: float) -> bool:
        """Whether it may get a request: it works, or one may find out whether it does."""
        return not self.failures or (now >= self.benched_until and not self.returning)


class Choice(NamedTuple):
    """The replica of a request."""

    replica: Replica
    returning: bool  # whether the request finds out whether the replica is back
    last_resort: bool  # whether no replica is known to work


class ReplicaChoice:
    """Distributes requests among replicas. Thread-safe.

    By the prompt, the same beginning goes to the same replica as long as that has no more than its
    share of the requests; without one, a request goes to the replica with the fewest in flight, in
    proportion to what each takes.

    Attributes:
        replicas: Those that there are.
        start: The start that calls wait for where no replica works and some are loading.
    """

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.replicas = replicas
        self._lock = threading.RLock()  # a generator may be closed by the collector, anywhere
        self._count = 0
        self.start = ColdStart()
        _choices.add(self)

    def choose(
        self,
        prompt: bytes | None,
        excluded: Collection[Replica] = (),
        *,
        insists: bool = True,
        waits: bool = False,
    ) -> Choice | None:
        """Give a request to a replica; None if all that may have it are excluded.

        Where all others are benched, a request that `insists` goes to one of these, and one that
        `waits` for models that are loading to each whose model is.
        """
        with self._lock:
            now = monotonic()
            left = [replica for replica in self.replicas if replica not in excluded]
            found = [replica for replica in left if replica.is_available(now)]
            loading = [replica for replica in left if waits and replica.is_loading]
            if found:
                chosen = self._best(found, prompt)
            elif loading or (left and insists):
                chosen = min(loading or left, key=_unlikeliness)
            else:
                return None
            self._count += 1
            chosen.chosen = self._count
            chosen.in_flight += 1
            chosen.returning += chosen.is_benched()
            return Choice(chosen, returning=chosen.is_benched(), last_resort=not found)

    def _best(self, replicas: Sequence[Replica], prompt: bytes | None) -> Replica:
        capacity = _capacities(replicas)
        roomy = [replica for replica in replicas if replica.limit.has_room()]
        if prompt is not None:
            total = sum(replica.in_flight for replica in replicas) + 1
            share = LOAD_BOUND * total / sum(capacity.values())
            for replica in sorted(roomy, key=lambda one: _score(prompt, one.root), reverse=True):
                if replica.in_flight + 1 <= ceil(share * capacity[replica]):
                    return replica
        return min(
            roomy or replicas,
            key=lambda replica: (replica.in_flight / capacity[replica], replica.chosen),
        )

    def own_deadline(
        self, replica: Replica, excluded: Collection[Replica], deadline: float
    ) -> float:
        """When a replica is to have answered: in half of the time, while another one is left."""
        now = monotonic()
        others = (one for one in self.replicas if one is not replica and one not in excluded)
        if any(one.is_available(now) for one in others):
            return now + (deadline - now) / 2
        return deadline

    def leave(self, choice: Choice) -> None:
        """Take a request that has ended, however it did, from its replica."""
        replica = choice.replica
        with self._lock:  # a child process began anew: what its parent counted is gone
            replica.in_flight = max(replica.in_flight - 1, 0)
            replica.returning = max(replica.returning - choice.returning, 0)

    def note_answer(self, replica: Replica) -> None:
        with self._lock:
            replica.answered_at = monotonic()
            replica.failures = 0
            replica.is_loading = False

    def note_failure(
        self,
        replica: Replica,
        sent: float,
        seconds: float | None = None,
        *,
        loading: bool = False,
    ) -> None:
        """Bench a replica that failed a request sent at a moment, for so long, or ever longer.

        One that has answered others since then is not at fault as a whole, and what was sent before
        it was benched says nothing new.
        """
        with self._lock:
            if sent < max(replica.answered_at, replica.benched_at):
                return
            replica.failures += 1
            replica.is_loading = loading
            replica.checked = False
            replica.benched_at = monotonic()
            longer = 2.0 ** min(replica.failures - 1, 10)
            pause = min(longer, LONGEST_BENCH) if seconds is None else seconds
            replica.benched_until = replica.benched_at + pause

    def forget_requests(self) -> None:
        """Begin anew in a child process, which has none of its parent's requests in flight."""
        self._lock = threading.RLock()
        self.start = ColdStart()
        for replica in self.replicas:
            replica.in_flight = replica.returning = 0


def _capacities(replicas: Iterable[Replica]) -> dict[Replica, float]:
    """Return what each takes; one that was never refused anything, as much as the best."""
    limits = {replica: replica.limit.limit for replica in replicas}
    most = max((limit for limit in limits.values() if isfinite(limit)), default=1.0)
    return {replica: limit if isfinite(limit) else most for replica, limit in limits.items()}


def _unlikeliness(replica: Replica) -> tuple[int, float]:
    """A key by which the benched replica comes first that is the likeliest to be back."""
    return replica.failures, -replica.answered_at


def _score(prompt: bytes, root: str) -> bytes:
    """The rank of a replica for a prompt: rendezvous hashing, the same in every process."""
    return blake2b(prompt, key=blake2b(root.encode()).digest()[:32], digest_size=8).digest()


def prompt_beginning(body: bytes | None) -> bytes | None:
    """Return what requests with the same beginning of their prompt share; None if it has none.

    It is the first 1,024 characters of a text, or of each message up to the user's first: the same
    in all turns of a conversation.
    """
    try:
        value = orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, Mapping):
        return None
    messages = value.get("messages")
    if isinstance(messages, list):
        parts = []
        for message in messages:
            role = message.get("role") if isinstance(message, Mapping) else None
            content = message.get("content") if isinstance(message, Mapping) else message
            said: str = content if isinstance(content, str) else orjson.dumps(content).decode()
            parts.append(f"{role}\0{said[:PROMPT_BEGINNING]}")
            if role == "user":
                break
        return "\0".join(parts).encode("utf-8", "replace")
    for name in _TEXT_KEYS:
        if isinstance(text := value.get(name), str):
            return text[:PROMPT_BEGINNING].encode("utf-8", "replace")
    return None


_choices: weakref.WeakSet[ReplicaChoice] = weakref.WeakSet()


def _forget_all() -> None:
    for choice in list(_choices):
        choice.forget_requests()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
