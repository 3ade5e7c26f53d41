"""Whether several servers have the same model: each is detected once, and when it comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from math import inf
from time import monotonic
from typing import Any, TypeAlias, TypeVar
from warnings import warn

from .._http.error_mapping import retry_after_seconds
from .._http.future_wait import FutureWait
from .._http.models import RetryPolicy, public_url
from .._http.retries import is_loading
from ..errors import AuthenticationError, ConfigurationError, EasyLLMError, TimeoutError
from .detection import UNKNOWN
from .profile import ServerInfo
from .replica_choice import LONGEST_BENCH, Replica, ReplicaChoice
from .session import DETECTION_TIMEOUT, NO_HEADERS, DetectionUnderWay

T = TypeVar("T")


@dataclass(slots=True)
class Detections:
    """Find out which servers replicas are, all at once; the results are in their order."""

    replicas: Sequence[Replica]
    policy: RetryPolicy
    headers: Mapping[str, str] = field(repr=False)  # the call's own
    since: float

    def run(self) -> list[ServerInfo | EasyLLMError]:
        calls = [self._detector(replica) for replica in self.replicas]
        return _in_threads(calls) if len(calls) > 1 else [call() for call in calls]

    async def arun(self) -> list[ServerInfo | EasyLLMError]:
        from asyncio import gather  # noqa: PLC0415 - loaded by then

        return await gather(*map(self._adetect, self.replicas))

    def _detector(self, replica: Replica) -> Callable[[], ServerInfo | EasyLLMError]:
        def detect() -> ServerInfo | EasyLLMError:
            try:
                info = replica.session.detect(self.policy, self.since, self.headers)
            except EasyLLMError as error:
                return error
            return replica.session.failure or info

        return detect

    async def _adetect(self, replica: Replica) -> ServerInfo | EasyLLMError:
        try:
            info = await replica.session.adetect(self.policy, self.since, self.headers)
        except EasyLLMError as error:
            return error
        return replica.session.failure or info


def _in_threads(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Call functions that wait for servers at the same time."""
    results: dict[int, Future[T]] = {index: Future() for index in range(len(calls))}

    def run(index: int) -> None:
        try:
            results[index].set_result(calls[index]())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            results[index].set_exception(error)

    threads = [
        threading.Thread(target=copy_context().run, args=(run, index), daemon=True)
        for index in range(1, len(calls))
    ]
    for thread in threads:
        thread.start()
    run(0)
    for thread in threads:
        thread.join()
    return [future.result() for future in results.values()]


CheckFlow: TypeAlias = Generator["Detections | FutureWait | float", Any, T]


class ReplicaCheck:
    """Sees to it that requests go to servers with the same model only.

    Attributes:
        server: What all of them are; `UNKNOWN` if none has answered yet.
        detected: When that was found out (`time.monotonic`); minus infinity for never.
    """

    def __init__(self, choice: ReplicaChoice, model: str | None) -> None:
        self.server = UNKNOWN
        self.detected = -inf
        self._choice = choice
        self._model = model
        self._checking: DetectionUnderWay | None = None
        self._lock = threading.RLock()

    def forget(self) -> None:
        """Have the next call check all of them anew."""
        for replica in self._choice.replicas:
            replica.session.recheck()
        self.detected = -inf

    def ensure(
        self,
        policy: RetryPolicy,
        headers: Mapping[str, str] = NO_HEADERS,
        since: float = -inf,
        *,
        blocking: bool,
    ) -> CheckFlow[ServerInfo]:
        """Check all replicas, unless it was done `since` a moment, or another call is at it.

        The policy's call has begun; what a cold start takes here is not its time.
        """
        waited = False
        limit = DETECTION_TIMEOUT + policy.wait_for_model
        while self.detected == -inf or self.detected < since:
            with self._lock:
                other = self._checking
                if waited or other is None or other.is_over(blocking=blocking):
                    own = self._checking = DetectionUnderWay(limit)
                    other = None
            if other is None:
                try:
                    yield from self._check_all(policy, headers, since)
                finally:
                    with self._lock:
                        if self._checking is own:
                            self._checking = None
                    own.done.set_result(None)
                break
            waited = True
            left = policy.call_budget().deadline + policy.wait_for_model - monotonic()
            yield FutureWait(other.done, max(min(left, limit), 0.0))
        policy.call_budget().resume()
        if not self.server.known:
            yield from self._check_returning(policy, headers)
        return self.server

    def verify(
        self,
        replica: Replica,
        policy: RetryPolicy,
        headers: Mapping[str, str],
    ) -> CheckFlow[None]:
        """Check one that has failed and may be back; raises why it may not have the request."""
        found = (
            yield Detections([replica], _without_waiting(policy), headers, replica.benched_at)
        )[0]
        if isinstance(found, EasyLLMError):
            raise found
        others = [one for one in self._choice.replicas if one is not replica]
        checked = next((one for one in others if one.checked), others[0])
        if error := self._difference([(checked, self.server), (replica, found)]):
            since = monotonic()  # by now all may have another model
            results = yield Detections(others, _without_waiting(policy), headers, since)
            pairs = [(one, info) for one, info in zip(others, results, strict=True)]
            answered = [(replica, found), *_answered(pairs)]
            if len(answered) == 1 or self._difference(answered):
                self._choice.note_failure(replica, monotonic(), LONGEST_BENCH)
                warn(f"{error.message} It gets no requests.", UserWarning, stacklevel=2)
                raise error
            self._accept(answered)
            return
        replica.checked = True
        if not self.server.known:
            self._accept([(replica, found)])

    def _check_all(
        self, policy: RetryPolicy, headers: Mapping[str, str], since: float
    ) -> CheckFlow[None]:
        began = monotonic()
        replicas = self._choice.replicas
        results = yield Detections(replicas, _without_waiting(policy), headers, since)
        pairs = list(zip(replicas, results, strict=True))
        for replica, result in pairs:
            if isinstance(result, EasyLLMError):
                if isinstance(result, ConfigurationError | AuthenticationError):
                    raise result  # a function of the user's failed
                self._choice.note_failure(replica, began, loading=is_loading(result))
        answered = _answered(pairs)
        if not answered and policy.wait_for_model > 0:
            answered = yield from self._wait_for_start(pairs, policy, headers)
        if error := self._difference(answered):
            self.forget()
            raise error
        self._accept(answered)

    def _wait_for_start(
        self,
        pairs: Sequence[tuple[Replica, ServerInfo | EasyLLMError]],
        policy: RetryPolicy,
        headers: Mapping[str, str],
    ) -> CheckFlow[list[tuple[Replica, ServerInfo]]]:
        """Detect again those that are loading, or soon may be, until some answer; return these."""
        budget, quick = policy.call_budget(), _without_waiting(policy)
        answered: list[tuple[Replica, ServerInfo]] = []
        while not answered:
            errors = {one: error for one, error in pairs if isinstance(error, EasyLLMError)}
            loading = [error for error in errors.values() if is_loading(error)]
            # A server that sends nothing would hold each round up.
            polled = [one for one, error in errors.items() if not isinstance(error, TimeoutError)]
            try:
                if not loading:
                    break
                pause = budget.pause_after(loading[0], asked_pause(loading[0]))
            except EasyLLMError:
                break
            yield pause
            results = yield Detections(polled, quick, headers, monotonic())
            pairs = list(zip(polled, results, strict=True))
            answered = _answered(pairs)
        return answered

    def _check_returning(self, policy: RetryPolicy, headers: Mapping[str, str]) -> CheckFlow[None]:
        """Find out what those are that nobody has answered for yet and that may be back."""
        for replica in self._choice.replicas:
            if not replica.checked and replica.is_available(monotonic()):
                began = monotonic()
                try:
                    yield from self.verify(replica, policy, headers)
                except EasyLLMError as error:
                    self._choice.note_failure(replica, began, loading=is_loading(error))
                else:
                    return

    def _accept(self, answered: Collection[tuple[Replica, ServerInfo]]) -> None:
        """Note what all of those that answered are."""
        infos = [info for _, info in answered]
        if infos:
            known = [info for info in infos if info.known]
            self.server = _common(known) if known else infos[0]
        for replica, _ in answered:
            replica.checked = True
        self.detected = monotonic()

    def _difference(
        self, answered: Iterable[tuple[Replica, ServerInfo]]
    ) -> ConfigurationError | None:
        """Return an error that names two of them that differ, if there are two."""
        known = [(replica, info) for replica, info in answered if info.known]
        for replica, info in known[1:]:
            first, reference = known[0]
            if not self._fits(reference, info):
                names = "; ".join(
                    f"{public_url(one.root)} is {_description(its)}"
                    for one, its in ((first, reference), (replica, info))
                )
                return ConfigurationError(
                    f"The servers of base_url must have the same model, and these differ: {names}. "
                    "List servers that do not, or set model to one that all of them have."
                )
        return None

    def _fits(self, first: ServerInfo, second: ServerInfo) -> bool:
        if (first.profile, first.tei) != (second.profile, second.tei):
            return False
        one, other = _models(first), _models(second)
        named = self._model is not None and self._model in one & other
        return not one or not other or one == other or named


def _without_waiting(policy: RetryPolicy) -> RetryPolicy:
    """The policy for a replica in whose place others may answer."""
    return replace(policy, wait_for_model=0.0)


def asked_pause(error: EasyLLMError) -> float | None:
    """The pause that the server asks for; what it expects of a start is only a guess."""
    if error.headers is None:
        return error.retry_after
    return retry_after_seconds(error.headers.get("retry-after"))


def _answered(
    pairs: Iterable[tuple[Replica, ServerInfo | EasyLLMError]],
) -> list[tuple[Replica, ServerInfo]]:
    return [(one, info) for one, info in pairs if isinstance(info, ServerInfo)]


def _models(info: ServerInfo) -> set[str]:
    return set(info.models) or ({info.model} if info.model else set())


def _description(info: ServerInfo) -> str:
    models = ", ".join(sorted(_models(info))[:5]) or "no model that it names"
    kind = f"a {info.tei} of Text Embeddings Inference" if info.tei else info.profile.name
    return f"{kind} with {models}"


def _common(infos: Sequence[ServerInfo]) -> ServerInfo:
    """What all servers take: the lowest of their limits."""

    def least(values: Iterable[int | None]) -> int | None:
        return min((value for value in values if value is not None), default=None)

    return replace(
        infos[0],
        max_stops=least(info.max_stops for info in infos),
        max_total_tokens=least(info.max_total_tokens for info in infos),
        max_batch=least(info.max_batch for info in infos),
    )
