"""The asynchronous shell: attempts through one aiohttp session per event loop."""

from __future__ import annotations

import asyncio
import builtins
import io
import os
from functools import lru_cache
from math import inf
from time import monotonic

import aiohttp
from yarl import URL

from ..errors import EasyLLMError
from .addresses import public_url
from .async_streams import AsyncEventStream, drop
from .blocking import CONNECT_TIMEOUT
from .bodies import plain_body
from .connector import connected
from .flow import Attempt
from .loop_sessions import LoopSession
from .messages import Response
from .proxies import Proxy, proxy_for
from .tls import Verify, context_for
from .translation import Phase, error_from_exception, out_of_time

__all__ = ["Sessions"]

LARGE_BODY = 1024 * 1024


class Sessions:
    """The sessions of one transport, one for each event loop that used it.

    Args:
        verify: Which TLS certificates to accept.
    """

    def __init__(self, verify: Verify) -> None:
        self._verify = verify
        self._sessions: dict[asyncio.AbstractEventLoop, LoopSession] = {}
        self._proxies: dict[tuple[str, str, int], Proxy | None] = {}

    async def attempt(self, step: Attempt) -> Response | AsyncEventStream:
        """Make one attempt on the running loop.

        Args:
            step: What to send, and until when.

        Raises:
            EasyLLMError: If there is no answer.
        """
        url = step.address.url
        told: list[bool] = []
        token = connected.set(told)
        try:
            left = step.deadline - monotonic()
            async with asyncio.timeout(None if left == inf else left):
                return await self._converse(step)
        except EasyLLMError as error:
            error.url = error.url or public_url(url)
            raise
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as exc:
            phase: Phase = "answer" if told else "connect"
            if isinstance(exc, builtins.TimeoutError):
                late = told or monotonic() >= step.deadline
                bound = step.timeout if late else min(step.timeout, CONNECT_TIMEOUT)
                raise out_of_time(url, phase, bound) from exc
            raise error_from_exception(exc, url, phase) from exc
        finally:
            connected.reset(token)

    async def aclose(self) -> None:
        """Close the running loop's session at once, and have the others closed."""
        self._proxies.clear()
        session = self._sessions.get(asyncio.get_running_loop())
        if session is not None:
            await session.close()
        self.close()

    def close(self) -> None:
        """Have all sessions closed, each on its own loop."""
        self._proxies.clear()
        for session in tuple(self._sessions.values()):
            self._sessions.pop(session.loop, None)
            session.retire()

    async def _session(self) -> LoopSession:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.pid != os.getpid():
            session = self._sessions[loop] = LoopSession(self._forget)
            await session.start()
            for other in tuple(self._sessions):
                if other.is_closed():
                    self._sessions.pop(other, None)
        return session

    def _forget(self, session: LoopSession) -> None:
        if self._sessions.get(session.loop) is session:
            del self._sessions[session.loop]

    async def _converse(self, step: Attempt) -> Response | AsyncEventStream:
        session = await self._session()
        address = step.address
        proxy, headers, proxy_headers = self._route(step)
        response = await session.client.request(
            step.method,
            _yarl(address.url),
            data=_payload(step.body),
            headers=headers,
            allow_redirects=False,
            ssl=context_for(self._verify) if address.scheme == "https" else True,
            proxy=proxy,
            proxy_headers=proxy_headers,
            timeout=_limits(min(step.timeout, CONNECT_TIMEOUT)),
        )
        # A reader that `close` meets would wait for ever: aiohttp forgets to wake it, so we do.
        session.responses.add(response)
        try:
            session.check()
            answer_headers = _headers(response)
            if step.streaming and 200 <= response.status < 300:
                return AsyncEventStream(session, response, answer_headers, step)
            body = await response.read()
            session.responses.discard(response)
        except BaseException:
            drop(session.responses, response)
            raise
        plain = plain_body(answer_headers, body)
        return Response(response.status, answer_headers, plain, address.url)

    def _route(self, step: Attempt) -> tuple[URL | None, dict[str, str], dict[str, str] | None]:
        address = step.address
        try:
            proxy = self._proxies[address.origin]
        except KeyError:
            proxy = self._proxies[address.origin] = proxy_for(address)
        headers = dict(step.headers)
        if proxy is None:
            return None, headers, None
        secret = {"proxy-authorization": proxy.authorization} if proxy.authorization else {}
        url = _yarl(proxy.address.url)
        # With https the proxy sees only CONNECT; with http the request itself is the proxy's.
        return (url, headers, secret) if address.scheme == "https" else (url, headers | secret, {})


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for spelled, value in response.headers.items():
        name = spelled.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    # aiohttp warns about large bodies given as bytes
    return io.BytesIO(body) if body is not None and len(body) > LARGE_BODY else body


@lru_cache(maxsize=64)
def _limits(connect: float) -> aiohttp.ClientTimeout:
    # The whole is bounded by the attempt's own deadline.
    return aiohttp.ClientTimeout(total=None, sock_connect=None if connect == inf else connect)


@lru_cache(maxsize=1024)
def _yarl(url: str) -> URL:
    return URL(url, encoded=True)
