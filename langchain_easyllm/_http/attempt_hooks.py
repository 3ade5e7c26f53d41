"""What surrounds each attempt where it is wanted: token function, trace, request hook, log.

Where nothing is, a call goes straight to the backend.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import replace
from math import inf
from time import monotonic
from types import MappingProxyType
from typing import Any

from ..errors import ConfigurationError
from .auth import Credentials, SecretScope, remember
from .exchange import Attempt, AttemptResult, arun_flow, run_flow
from .headers import checked_headers, is_secret, remember_value
from .models import Request, Response, SecretHeaders
from .request_log import AsyncLoggedStream, LoggedStream, RequestLog, is_logged
from .trace_context import is_traced, trace_headers
from .user_functions import API_KEY, REQUEST_HOOK, FunctionCall, UserFunction, token_in

# Yields functions to call and the attempt to send, and receives the results.
AttemptFlow = Generator["FunctionCall | Attempt", Any, AttemptResult]
LogStream = Callable[[Any, RequestLog], LoggedStream | AsyncLoggedStream]


class AttemptHooks:
    """Surrounds the attempts of one transport."""

    __slots__ = ("_configured", "_credentials", "_request_hook")

    def __init__(self, credentials: Credentials, request_hook: UserFunction | None = None) -> None:
        self._credentials = credentials
        self._request_hook = request_hook
        self._configured = credentials.function is not None or request_hook is not None

    def sender(
        self, send: Callable[[Attempt], AttemptResult]
    ) -> Callable[[Attempt], AttemptResult]:
        """Return what sends the attempts of one call: `send` itself, if nothing surrounds it."""
        if not self._are_needed():
            return send
        scope = SecretScope()

        def run(step: FunctionCall | Attempt) -> object:
            return step.run() if isinstance(step, FunctionCall) else send(step)

        return lambda attempt: run_flow(self._attempt(attempt, scope, LoggedStream), run)

    def asender(
        self, send: Callable[[Attempt], Awaitable[AttemptResult]]
    ) -> Callable[[Attempt], Awaitable[AttemptResult]]:
        """The same for an async backend."""
        if not self._are_needed():
            return send
        scope = SecretScope()

        async def run(step: FunctionCall | Attempt) -> object:
            return await (step.arun() if isinstance(step, FunctionCall) else send(step))

        return lambda attempt: arun_flow(self._attempt(attempt, scope, AsyncLoggedStream), run)

    def _are_needed(self) -> bool:
        return self._configured or is_logged() or is_traced()

    def _attempt(self, attempt: Attempt, scope: SecretScope, log_stream: LogStream) -> AttemptFlow:
        if attempt.own_origin:
            attempt = _with_headers(attempt, {**trace_headers(), **attempt.headers}, scope)
            attempt = yield from self._with_token(attempt, scope)
            attempt = yield from self._with_hook(attempt, scope)
        if is_logged():
            result = yield from _logged(attempt, log_stream)
        else:
            result = yield attempt
        return replace(result, secrets=scope) if isinstance(result, Response) else result

    def _with_token(
        self, attempt: Attempt, scope: SecretScope
    ) -> Generator[FunctionCall, Any, Attempt]:
        function = self._credentials.function_for(attempt.address)
        if function is None or "authorization" in attempt.headers:
            return attempt
        call = FunctionCall(function, API_KEY, (), attempt.deadline, attempt.timeout)
        token = token_in((yield call), function)
        remember(scope, token)
        return _with_headers(attempt, {"authorization": f"Bearer {token}"}, scope)

    def _with_hook(
        self, attempt: Attempt, scope: SecretScope
    ) -> Generator[FunctionCall, Any, Attempt]:
        hook = self._request_hook
        if hook is None:
            return attempt
        # No name for the headers: tools that print the variables of a traceback would show a token.
        request = Request(
            attempt.method,
            attempt.address.url,
            attempt.body,
            MappingProxyType(dict(attempt.headers)),
            None if attempt.deadline == inf else max(attempt.deadline - monotonic(), 0.0),
        )
        call = FunctionCall(hook, REQUEST_HOOK, (request,), attempt.deadline, attempt.timeout)
        own = _headers_in((yield call), hook)
        for name, value in own.items():
            if is_secret(name):
                remember_value(scope, value)
        return _with_headers(attempt, own, scope)


def _with_headers(attempt: Attempt, headers: Mapping[str, str], scope: SecretScope) -> Attempt:
    return replace(attempt, headers=SecretHeaders({**attempt.headers, **headers}), secrets=scope)


def _logged(attempt: Attempt, log_stream: LogStream) -> Generator[Attempt, Any, AttemptResult]:
    log = RequestLog(attempt)
    try:
        result: AttemptResult = yield attempt
    except BaseException as error:
        log.end_with(error)  # a flow that is given up is closed: GeneratorExit
        raise
    log.status = result.status
    if not isinstance(result, Response):
        return log_stream(result, log)
    log.received, log.headers = len(result.body), result.headers
    log.end()
    return result


def _headers_in(result: object, hook: UserFunction) -> dict[str, str]:
    """Check what a request hook returned."""
    if result is None:
        return {}
    if not isinstance(result, Mapping) or not all(isinstance(name, str) for name in result):
        raise ConfigurationError(
            f"The function {hook!r} given as request_hook returned {type(result).__name__}: it "
            "must return a mapping of names of headers to their values, or None."
        )
    try:
        return checked_headers(result)
    except ConfigurationError as error:
        raise ConfigurationError(f"request_hook ({hook!r}) cannot be followed: {error}") from None
