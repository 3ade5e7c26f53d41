"""Functions that the user gives, sync or async: how they are called, and errors of theirs."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from time import monotonic
from types import MethodType

from ..errors import AuthenticationError, ConfigurationError, EasyLLMError, TimeoutError

API_KEY = "api_key"
REQUEST_HOOK = "request_hook"


class UserFunction:
    """A function that the user gave, equal only to itself.

    Its representation is its name: that of a `functools.partial` would show its arguments.
    """

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function

    def __repr__(self) -> str:
        function = self.function
        while isinstance(function, partial):
            function = function.func
        return str(getattr(function, "__qualname__", type(function).__qualname__))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UserFunction) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[int, ...]:
        """The ids of what is kept alive; a bound method is another object each time it is read."""
        function = self.function
        if isinstance(function, MethodType):
            return id(function.__self__), id(function.__func__)
        return (id(function),)


@dataclass(slots=True)
class FunctionCall:
    """One call of a user's function; a step of a flow."""

    function: UserFunction
    name: str  # of the field that it was given as
    arguments: tuple[object, ...] = field(default=(), repr=False)  # a request holds a prompt
    deadline: float = inf  # of `time.monotonic`
    timeout: float = inf  # the call's bound in seconds, for the error that says so

    def run(self) -> object:
        """Call it in this thread; an async one on the event loop of the background."""
        if inspect.iscoroutinefunction(self.function.function):
            return _run_in_background(self._wait_for(self._call))
        result = self._call()
        if inspect.isawaitable(result):
            return _run_in_background(self._wait_for(lambda: result))
        return self._in_time(result)

    async def arun(self) -> object:
        """Call it, a sync one in a thread: it may wait for a server, and the loop must not."""
        if inspect.iscoroutinefunction(self.function.function):
            return await self._wait_for(self._call)
        from asyncio import to_thread  # noqa: PLC0415 - loaded by then

        return await self._wait_for(lambda: to_thread(self._call))

    def _call(self) -> object:
        # Explained here, in the thread: a future cannot hold a StopIteration, and waits for ever.
        try:
            return self.function.function(*self.arguments)
        except EasyLLMError:
            raise
        except Exception as error:
            raise self._failure(error) from error

    async def _wait_for(self, start: Callable[[], object]) -> object:
        from asyncio import timeout  # noqa: PLC0415 - loaded by then

        timer = timeout(None if self.deadline == inf else self.deadline - monotonic())
        try:
            async with timer:
                result = start()
                while inspect.isawaitable(result):
                    result = await result
        except EasyLLMError:
            raise
        except Exception as error:
            raise (self._too_late() if timer.expired() else self._failure(error)) from error
        return self._in_time(result)

    def _in_time(self, result: object) -> object:
        if monotonic() >= self.deadline:
            raise self._too_late()
        return result

    def _too_late(self) -> EasyLLMError:
        return TimeoutError(
            f"The function {self.function!r} given as {self.name} took longer than the timeout of "
            f"{self.timeout:.4g} s, so nothing was sent."
        )

    def _failure(self, error: Exception) -> EasyLLMError:
        text = (
            f"The function {self.function!r} given as {self.name} raised "
            f"{type(error).__name__}, so nothing was sent."
        )
        return AuthenticationError(text) if self.name == API_KEY else ConfigurationError(text)


def fits_a_header(token: str) -> bool:
    """Whether a token can be sent: without line breaks, control and non-ASCII characters."""
    return token.isascii() and token.isprintable()


def token_in(result: object, function: UserFunction) -> str:
    """Check what a function given as `api_key` returned."""
    given = getattr(result, "get_secret_value", None)  # a pydantic SecretStr
    token = given() if callable(given) else result
    if not isinstance(token, str):
        wrong = type(token).__name__
    elif not (token := token.strip()):
        wrong = "an empty text"
    elif not fits_a_header(token):
        wrong = "a token with line breaks, control or non-ASCII characters"
    else:
        return token
    raise ConfigurationError(
        f"The function {function!r} given as api_key returned {wrong}: it must return a token as "
        "str or SecretStr."
    )


def ask_token(source: str | UserFunction | None) -> str | None:
    """Return a token, asking for it where a function knows it. Blocks."""
    if not isinstance(source, UserFunction):
        return source
    return token_in(FunctionCall(source, API_KEY).run(), source)


def _run_in_background(work: Awaitable[object]) -> object:
    from .background_loop import background  # noqa: PLC0415 - a thread, and seldom needed

    return background().run(work)  # type: ignore[arg-type]
