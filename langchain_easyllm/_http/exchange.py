"""One request through redirects, retries and cold starts, without any I/O.

`exchange` yields what to do next (an attempt, or a pause) and receives how it went; `run_flow` and
`arun_flow` do it. Everything that sync and async share is here, written once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urljoin

from ..errors import ConfigurationError, EasyLLMError, ProtocolError
from .auth import redact
from .error_mapping import error_from_response, retry_after_seconds
from .headers import RequestHeaders, without_secrets
from .models import URL, Request, RetryPolicy, is_dedicated, parse_url, public_url

__all__ = ["Answer", "Attempt", "arun_flow", "exchange", "run_flow"]


A = TypeVar("A")
T = TypeVar("T")

MAX_REDIRECTS = 5

logger = logging.getLogger("langchain_easyllm.transport")


class Answer(Protocol):
    """What an attempt ends with: a whole answer, or a stream that begins."""

    @property
    def status(self) -> int:
        """HTTP status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers, names in lower case."""


@dataclass(slots=True)
class Attempt:
    """One request, ready for the wire.

    Args:
        method: HTTP method.
        address: Where to send it.
        headers: All headers but those of framing, names in lower case.
        body: The body, or None.
        streaming: Whether a success is to be handed over before its body is there.
        deadline: Moment (`time.monotonic`) when the attempt must be over; infinity for never.
        timeout: The policy's bound in seconds; infinity for none.
    """

    method: str
    address: URL
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None
    streaming: bool
    deadline: float
    timeout: float


Flow = Generator["Attempt | float", "Answer | None", "Answer"]


def exchange(
    request: Request, policy: RetryPolicy, plan: RequestHeaders, *, streaming: bool
) -> Flow:
    """Yield attempts, and pauses in seconds, until one succeeds.

    Args:
        request: What to send.
        policy: How long to wait and how often to try.
        plan: The headers to add.
        streaming: Whether a stream is wanted.

    Returns:
        The successful answer.

    Raises:
        EasyLLMError: The last failure, when trying again is not allowed or of no use.
    """
    address = parse_url(request.url)
    headers = plan.for_request(request, address, policy, streaming=streaming)
    budget = policy.call_budget()
    if is_dedicated(address):
        budget.hold()
    hops = 0
    while True:
        asked = None
        try:
            answer = yield Attempt(
                request.method,
                address,
                headers,
                request.body,
                streaming,
                budget.deadline,
                budget.timeout,
            )
        except EasyLLMError as error:
            failure = error
        else:
            assert answer is not None  # noqa: S101 - the drivers answer an attempt
            if 200 <= answer.status < 300:
                return answer
            if target := _redirect_target(request.method, answer, address):
                hops += 1
                if hops > MAX_REDIRECTS:
                    raise _circle(address)
                headers = _headers_for(target, address, headers)
                address = target
                continue
            asked = retry_after_seconds(answer.headers.get("retry-after"))
            failure = _refusal(answer, address, plan)
        pause = budget.pause_after(failure, asked)
        logger.info("trying again in %.2f s: %s", pause, failure)
        if policy.on_retry is not None:
            policy.on_retry(failure, pause)
        yield pause


def run_flow(flow: Generator[object, A, T], send: Callable[[Any], A]) -> T:
    """Do a flow's steps one after the other and return its result.

    Args:
        flow: Yields what to send, or seconds to pause; receives each answer (None after a pause),
            or the `EasyLLMError` that came instead.
        send: Sends one step.
    """
    try:
        step = next(flow)
        while True:
            try:
                if isinstance(step, int | float):
                    answer = cast("A", time.sleep(step))
                else:
                    answer = send(step)
            except EasyLLMError as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
                del answer  # it may be large, and the next step long
    except StopIteration as end:
        return cast("T", end.value)


async def arun_flow(flow: Generator[object, A, T], send: Callable[[Any], Awaitable[A]]) -> T:
    """Do a flow's steps one after the other on the running event loop, as `run_flow` does."""
    from asyncio import sleep  # noqa: PLC0415 - loaded by then

    try:
        step = next(flow)
        while True:
            try:
                if isinstance(step, int | float):
                    answer = await sleep(step, cast("A", None))
                else:
                    answer = await send(step)
            except EasyLLMError as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
                del answer  # it may be large, and the next step long
    except StopIteration as end:
        return cast("T", end.value)


def _redirect_target(method: str, answer: Answer, address: URL) -> URL | None:
    """Where to go on, if the answer sends us there and the method may follow."""
    where = answer.headers.get("location")
    if not where or answer.status not in {301, 302, 303, 307, 308}:
        return None
    redirects = f"{address.authority} redirects to {redact(public_url(where))!r}"
    status, url = answer.status, public_url(address.url)
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


def _headers_for(target: URL, address: URL, headers: Mapping[str, str]) -> Mapping[str, str]:
    same = target.origin == address.origin
    return {**(headers if same else without_secrets(headers)), "host": target.authority}


def _circle(address: URL) -> ProtocolError:
    return ProtocolError(
        f"{address.authority} redirected more than {MAX_REDIRECTS} times. Check base_url.",
        url=public_url(address.url),
    )


def _refusal(answer: Answer, address: URL, plan: RequestHeaders) -> EasyLLMError:
    body: bytes = getattr(answer, "body", b"")
    withheld = answer.status in {401, 403} and plan.withheld_from(address)
    return error_from_response(
        answer.status, answer.headers, body, address.url, token_withheld=withheld
    )
