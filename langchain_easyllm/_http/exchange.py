"""One request through redirects, retries and cold starts, without any I/O.

`exchange` yields what to do next (an attempt, or a pause) and receives how it went; `run_flow` and
`arun_flow` do it, for every flow of the package.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urljoin

from ..errors import ConfigurationError, EasyLLMError, ProtocolError
from .auth import redact
from .error_mapping import error_from_response, retry_after_seconds
from .future_wait import FutureWait
from .headers import RequestHeaders, neutral_headers
from .metrics import count_failure, count_pause, count_request
from .models import (
    DEFAULT_LIMITS,
    URL,
    Request,
    ResponseLimits,
    RetryPolicy,
    SecretHeaders,
    is_dedicated,
    parse_url,
    public_url,
)
from .socket_errors import proxy_refusal

A = TypeVar("A")
T = TypeVar("T")

MAX_REDIRECTS = 5

logger = logging.getLogger("langchain_easyllm.transport")


class AttemptResult(Protocol):
    """What an attempt ends with: a whole response, or a stream that begins."""

    @property
    def status(self) -> int:
        """HTTP status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers, names in lower case."""


@dataclass(slots=True, repr=False)
class Attempt:
    """One request, ready to be sent."""

    method: str
    address: URL
    headers: Mapping[str, str]  # names in lower case
    body: bytes | None
    streaming: bool  # whether a success is returned before its body has arrived
    deadline: float  # of `time.monotonic`; infinity for never
    timeout: float  # the policy's bound in seconds; infinity for none
    limits: ResponseLimits = DEFAULT_LIMITS
    own_origin: bool = True  # whether no redirect has led to another host
    number: int = 1  # which request of its call it is
    # Keeps the attempt's secrets out of errors; a stream keeps its attempt for as long as it lives.
    secrets: object = None

    def __repr__(self) -> str:
        size = len(self.body or b"")
        return f"Attempt({self.method!r}, {self.address!r}, body=<{size:,} bytes>)"


Flow = Generator["Attempt | FutureWait | float", "AttemptResult | None", "AttemptResult"]


def exchange(
    request: Request,
    policy: RetryPolicy,
    request_headers: RequestHeaders,
    response_limits: ResponseLimits = DEFAULT_LIMITS,
    *,
    streaming: bool,
) -> Flow:
    """Yield attempts, and pauses in seconds, until one succeeds."""
    address = parse_url(request.url)
    headers = request_headers.for_request(request, address, policy, streaming=streaming)
    budget = policy.call_budget()
    if is_dedicated(address.host):
        budget.hold()
    hops = 0
    own_origin = True
    while True:
        retry_after = None
        try:
            budget.requests += 1
            count_request(address)
            limits = budget.deadline, budget.timeout, response_limits, own_origin, budget.requests
            result = yield Attempt(
                request.method, address, headers, request.body, streaming, *limits
            )
        except EasyLLMError as error:
            failure, retry_after = error, error.retry_after
        else:
            assert result is not None  # noqa: S101 - the drivers send one for an attempt
            if 200 <= result.status < 300:
                return result
            if target := _redirect_target(request.method, result, address):
                hops += 1
                if hops > MAX_REDIRECTS:
                    raise ProtocolError(
                        f"{address.authority} redirected more than {MAX_REDIRECTS} times. Check "
                        "base_url.",
                        url=public_url(address.url),
                    )
                if target.origin != address.origin:
                    # Nothing of the caller's follows, whatever its name: not the token, the login,
                    # the `Host` of a virtual host, nor who pays.
                    neutral = neutral_headers(target, request, streaming=streaming)
                    headers, own_origin = SecretHeaders(neutral), False
                address = target
                continue
            retry_after = retry_after_seconds(result.headers.get("retry-after"))
            failure = _refusal(result, address, headers, request_headers)
        count_failure(address, failure)
        pause = budget.pause_after(failure, retry_after)
        # Not the message: it has the server's words, which may repeat a prompt.
        logger.info("trying again in %.2f s after a %s", pause, type(failure).__name__)
        if policy.on_retry is not None:
            policy.on_retry(failure, pause)
        count_pause(address, pause, cold_start=budget.waits_for_model(failure))
        yield pause


def run_flow(flow: Generator[object, A, T], send: Callable[[Any], A]) -> T:
    """Do a flow's steps one after the other and return its result.

    The flow yields what to send, seconds to pause, or what to wait for; it receives each result
    (None after a pause), or the `EasyLLMError` that came instead. It is closed however it ends:
    what it holds must not wait for the garbage collector. The frames below it are left out of an
    error's traceback: its message says what they would.
    """
    try:
        step = next(flow)
        while True:
            try:
                if isinstance(step, int | float):
                    result = cast("A", time.sleep(step))
                elif isinstance(step, FutureWait):
                    result = cast("A", step.run())
                else:
                    result = send(step)
            except EasyLLMError as error:
                step = flow.throw(error.with_traceback(None))
            else:
                step = flow.send(result)
                del result  # it may be large, and the next step long
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        flow.close()


async def arun_flow(flow: Generator[object, A, T], send: Callable[[Any], Awaitable[A]]) -> T:
    """Do a flow's steps one after the other on the running event loop, as `run_flow` does."""
    from asyncio import sleep  # noqa: PLC0415 - loaded by then

    try:
        step = next(flow)
        while True:
            try:
                if isinstance(step, int | float):
                    result = await sleep(step, cast("A", None))
                elif isinstance(step, FutureWait):
                    result = cast("A", await step.arun())
                else:
                    result = await send(step)
            except EasyLLMError as error:
                step = flow.throw(error.with_traceback(None))
            else:
                step = flow.send(result)
                del result  # it may be large, and the next step long
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        flow.close()


def _redirect_target(method: str, result: AttemptResult, address: URL) -> URL | None:
    """Where to go on, if the server sends us there and the method may follow."""
    where = result.headers.get("location")
    if not where or result.status not in {301, 302, 303, 307, 308}:
        return None
    redirects = f"{address.authority} redirects to {redact(public_url(where))!r}"
    status, url = result.status, public_url(address.url)
    try:
        target = parse_url(urljoin(address.url, where))
    except (ConfigurationError, ValueError) as error:
        message = f"{redirects}, which is not a valid address."
        raise ProtocolError(message, status_code=status, url=url) from error
    if (address.scheme, target.scheme) == ("https", "http"):
        raise ProtocolError(
            f"{redirects}: from https to http, where the prompt would be readable on the way. "
            "Correct base_url (its path, a slash at its end), or the server's redirect: behind a "
            "proxy that ends TLS it has to know that it is asked by https (X-Forwarded-Proto).",
            status_code=status,
            url=url,
        )
    # After 301 to 303 a POST would become a GET without its body: an error says so instead.
    return target if status in {307, 308} or method in {"GET", "HEAD"} else None


def _refusal(
    result: AttemptResult, address: URL, sent: Mapping[str, str], headers: RequestHeaders
) -> EasyLLMError:
    if result.status == 407:
        return proxy_refusal(address.url, 407)
    body: bytes = getattr(result, "body", b"")
    absent = ""
    if result.status in {401, 403} and "authorization" not in sent:
        absent = headers.why_no_token(address)
    return error_from_response(
        result.status, result.headers, body, address.url, token_absent=absent
    )
