"""Checks of many requests at once, and of one that is given up."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence

from .._http.models import Request, RetryPolicy
from ..errors import EasyLLMError, RateLimitError, TimeoutError
from .advice import advice
from .recording import parsed
from .report import Finding, fails, not_offered, unclear, works
from .subject import GREETING, Subject, seconds_since

LEVELS = 4, 16, 64
"""How many requests are sent at once, one level after the other."""

ON_PROVIDERS = 4
"""The highest level where each answer is paid for, and quotas are shared."""

FREE_WITHIN = 5.0
"""Seconds that a server has to notice that nobody reads an answer any more."""

STORY = "Write a long story about a cat."
STORY_TOKENS = 400


def cancellation(subject: Subject) -> Finding:
    """A stream that is closed early, and whether the server then stops."""
    before = _busy(subject)
    stream = subject.chat(max_tokens=STORY_TOKENS).stream(STORY)
    for chunk in stream:
        if chunk.content or chunk.additional_kwargs:
            break
    during = _busy(subject)
    closed = time.monotonic()
    close = getattr(stream, "close", None)
    if close is not None:
        close()
    if before is None or during is None:
        seconds = _answer_time(subject)
        return works(
            f"the stream is closed and the next answer comes in {seconds:.2f} s; the server does "
            "not say what it works on",
            advice(subject, "cancellation"),
        )
    if during <= before:
        return unclear("The answer was over before the stream was closed.")
    while (busy := _busy(subject)) is not None and busy > before:
        if seconds_since(closed) > FREE_WITHIN:
            return fails(
                f"The server still works on the answer {FREE_WITHIN:.0f} s after the stream was "
                "closed.",
                "Check that the proxy before the server hands a closed connection on.",
            )
        time.sleep(0.05)
    return works(f"the server is free {seconds_since(closed):.2f} s after the stream was closed")


def concurrency(subject: Subject) -> Finding:
    """How many requests at once are answered."""
    most = subject.options.most
    if most is None:
        most = ON_PROVIDERS if subject.session.url.router else LEVELS[-1]
    levels = [level for level in LEVELS if level < most] + [most] * bool(most)
    if not levels:
        return not_offered("It is left out: --max-concurrency 0.")
    alone = _answer_time(subject)
    reached, seconds = 1, alone
    for level in levels:
        begun = time.monotonic()
        errors = asyncio.run(_at_once(subject, level))
        taken = seconds_since(begun)
        if not errors:
            reached, seconds = level, taken
            if taken > subject.options.timeout / 2:
                break
            continue
        return _limited(subject, level, reached, errors)
    return works(f"{reached} at once: {seconds:.2f} s for all, {alone:.2f} s for one alone")


def _limited(
    subject: Subject, level: int, reached: int, errors: Sequence[BaseException]
) -> Finding:
    refused = sum(isinstance(error, RateLimitError) for error in errors)
    if refused == len(errors):
        note = f"{reached} at once; of {level}, {refused} are refused (429)"
        return works(note, f"Set max_concurrency={max(reached, level - refused)}.")
    late = sum(isinstance(error, TimeoutError) for error in errors)
    if late + refused == len(errors):
        return works(
            f"{reached} at once; of {level}, {late} have no answer within "
            f"{subject.options.timeout:g} s",
            advice(subject, "concurrency"),
        )
    other = next(e for e in errors if not isinstance(e, RateLimitError | TimeoutError))
    return fails(f"Of {level} at once, {len(errors)} fail: {other}")


async def _at_once(subject: Subject, level: int) -> list[BaseException]:
    """Ask so many times at once, for one token each; return the errors."""
    chat = subject.chat(max_tokens=1, max_retries=0)
    try:
        found = await asyncio.gather(
            *(chat.ainvoke(GREETING) for _ in range(level)), return_exceptions=True
        )
    finally:
        await chat.aclose()
    errors = [one for one in found if isinstance(one, BaseException)]
    for error in errors:
        if not isinstance(error, EasyLLMError):
            raise error
    return errors


def _answer_time(subject: Subject) -> float:
    begun = time.monotonic()
    subject.chat(max_tokens=1).invoke(GREETING)
    return seconds_since(begun)


def _busy(subject: Subject) -> int | None:
    """Return how many requests the server works on; None if it does not say."""
    route = subject.profile.busy_route
    if route is None or subject.session.url.versioned:
        return None
    request = Request("GET", subject.session.url.url(route.path))
    try:
        response = subject.session.transport.send(request, RetryPolicy(5.0, max_retries=0))
    except EasyLLMError:
        return None
    listed = parsed(response.body)
    if isinstance(listed, list):
        slots = [one for one in listed if isinstance(one, Mapping)]
        return sum(one.get(route.name) is True for one in slots)
    text = response.body.decode("utf-8", "replace")
    numbers = re.findall(rf"^{re.escape(route.name)}(?:\{{[^}}]*\}})? +(\S+)", text, re.MULTILINE)
    try:
        return round(sum(map(float, numbers))) if numbers else None
    except (ValueError, OverflowError):
        return None
