"""The headers of a request: the transport's own, the caller's, and the token."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping

from .._version import __version__
from ..errors import ConfigurationError
from .auth import Credentials, remember
from .models import URL, Request, RetryPolicy, is_dedicated

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_SECRET = re.compile(r"auth|cookie|token|secret|password|credential|key", re.IGNORECASE)
_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection"})


class RequestHeaders:
    __slots__ = ("__weakref__", "_cache", "_credentials", "_extra")

    def __init__(self, credentials: Credentials, headers: Mapping[str, str] | None) -> None:
        self._credentials = credentials
        self._extra = checked_headers(headers or {})
        self._cache: dict[tuple[object, ...], dict[str, str]] = {}
        for name, value in self._extra.items():
            if is_secret(name):
                remember_value(self, value)

    def for_request(
        self, request: Request, address: URL, policy: RetryPolicy, *, streaming: bool
    ) -> Mapping[str, str]:
        """Headers for a request, names in lower case, the caller's over ours."""
        cold = math.ceil(policy.wait_for_model) if is_dedicated(address.host) else 0
        key = (address.origin, address.login, streaming, request.body is None, cold)
        shared = self._cache.get(key)
        if shared is None:
            shared = self._cache[key] = self._build(address, request, cold, streaming=streaming)
        return {**shared, **checked_headers(request.headers)} if request.headers else shared

    def withheld_from(self, address: URL) -> bool:
        return "authorization" not in self._extra and self._credentials.withheld_from(address.url)

    def _build(
        self, address: URL, request: Request, cold: int, *, streaming: bool
    ) -> dict[str, str]:
        headers = {
            "host": address.authority,
            "accept": "text/event-stream, application/json" if streaming else "application/json",
            # Compression delays the pieces of a stream, and answers are small.
            "accept-encoding": "identity",
            "user-agent": f"langchain-easyllm/{__version__}",
        }
        if request.body is not None:
            headers["content-type"] = "application/json"
        if cold > 0:
            headers["x-scale-up-timeout"] = str(cold)
        if token := self._credentials.header_for(address.url):
            headers["authorization"] = token
        elif address.login:
            headers["authorization"] = basic(address.login)
            remember_value(self, headers["authorization"])
            remember(self, address.login.partition(":")[2])
        return headers | self._extra


def basic(login: str) -> str:
    """The header value for `user:password`."""
    return "Basic " + base64.b64encode(login.encode()).decode("ascii")


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The caller's headers, names in lower case."""
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in _FRAMING:
            raise ConfigurationError(f"{name!r} cannot be used as the name of a header here.")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ConfigurationError(
                f"The value of the header {name!r} must be Latin-1 text without line breaks."
            )
        checked[name.lower()] = value.strip()
    return checked


def remember_value(owner: object, value: str) -> None:
    """Keep the secrets in a header's value out of errors: `xyz`, `Bearer xyz`, `a=xyz; b=xyz`."""
    for part in re.split(r"[\s;,]+", value):
        remember(owner, part)
        remember(owner, part.partition("=")[2].strip('"'))


def is_secret(name: str) -> bool:
    return bool(_SECRET.search(name))


def without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that another host may see."""
    return {name: value for name, value in headers.items() if not is_secret(name)}
