"""The headers of a request: the transport's own, the caller's, and the token."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping

from .._version import __version__
from ..errors import ConfigurationError
from .auth import Credentials, redact, remember
from .models import URL, Request, RetryPolicy, SecretHeaders, is_dedicated, is_hugging_face

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_SECRET = re.compile(r"auth|cookie|token|secret|password|credential|key", re.IGNORECASE)
# In responses counts of tokens (`x-prompt-tokens`, `x-time-per-token`) are no secrets, nor is the
# way to log in.
_SECRET_OF_RESPONSE = re.compile(
    r"auth(?!enticate$)|cookie|(?<!per-)token(?!s)|secret|password|credential|key|session|signature"
)
# What says where a message ends and how long the connection stays: the transport's business.
_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
BILL_TO = "x-hf-bill-to"
"""The header that names the Hub organisation which pays for a request."""

_REQUEST_IDS = ("x-request-id", "x-amz-request-id", "x-amzn-requestid", "request-id", "cf-ray")

_WITHHELD = (
    "No token was sent: one from the environment, or given for another server, goes only to "
    "Hugging Face's own hosts. If this server may have it, pass api_key together with this "
    "base_url."
)

_LEFT_BEHIND = (
    "No token was sent: a pickled object leaves its key behind. Set HF_TOKEN where it is loaded, "
    "assign .api_key there, or give api_key as a function that finds the token."
)


class CheckedHeaders(SecretHeaders):
    """Headers that can be sent, names in lower case."""

    __slots__ = ("__weakref__",)


class RequestHeaders:
    __slots__ = ("__weakref__", "_bill_to", "_cache", "_credentials", "_extra")

    def __init__(
        self,
        credentials: Credentials,
        headers: Mapping[str, str] | None,
        bill_to: str | None = None,
    ) -> None:
        self._credentials = credentials
        self._extra = with_secrets_kept(checked_headers(headers or {}))
        self._bill_to = checked_headers({BILL_TO: bill_to}) if bill_to else {}
        self._cache: dict[tuple[object, ...], SecretHeaders] = {}

    def for_request(
        self, request: Request, address: URL, policy: RetryPolicy, *, streaming: bool
    ) -> Mapping[str, str]:
        """Headers for a request, names in lower case, the caller's over ours."""
        cold = math.ceil(policy.wait_for_model) if is_dedicated(address.host) else 0
        key = (address.origin, address.login, streaming, request.body is None, cold)
        shared = self._cache.get(key)
        if shared is None:
            shared = self._cache[key] = self._build(address, request, cold, streaming=streaming)
        if not request.headers:
            return shared
        return SecretHeaders({**shared, **checked_headers(request.headers)})

    def why_no_token(self, address: URL) -> str:
        """Why an address was sent no token, and what to do; nothing if there is none to send."""
        if self._credentials.left_behind:
            return _LEFT_BEHIND
        return _WITHHELD if self._credentials.withheld_from(address.url) else ""

    def _build(
        self, address: URL, request: Request, cold: int, *, streaming: bool
    ) -> SecretHeaders:
        headers = neutral_headers(address, request, streaming=streaming)
        if self._bill_to and is_hugging_face(address):
            headers |= self._bill_to
        if cold > 0:
            headers["x-scale-up-timeout"] = str(cold)
        if token := self._credentials.header_for(address.url):
            headers["authorization"] = token
        elif address.login:
            headers["authorization"] = basic(address.login)
            remember_value(self, headers["authorization"])
            remember(self, address.login.partition(":")[2])
        return SecretHeaders(headers | self._extra)


def neutral_headers(address: URL, request: Request, *, streaming: bool) -> dict[str, str]:
    """The transport's own headers, which any host may see."""
    headers = {
        "host": address.authority,
        "accept": "text/event-stream, application/json" if streaming else "application/json",
        # Compression delays the pieces of a stream, and answers are small.
        "accept-encoding": "identity",
        "user-agent": f"langchain-easyllm/{__version__}",
    }
    if request.body is not None:
        headers["content-type"] = "application/json"
    return headers


def basic(login: str) -> str:
    """The header value for `user:password`."""
    return "Basic " + base64.b64encode(login.encode()).decode("ascii")


def checked_headers(headers: Mapping[str, str]) -> CheckedHeaders:
    """The caller's headers, names in lower case; one that cannot be sent is an error."""
    if isinstance(headers, CheckedHeaders):
        return headers
    checked = CheckedHeaders()
    for name, value in headers.items():
        own = _checked_name(name)
        if own in checked:
            raise ConfigurationError(f"The header {own!r} was given twice: give it once.")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ConfigurationError(
                f"The value of the header {name!r} must be Latin-1 text without line breaks."
            )
        text = value.strip()
        if own == "host" and not _HOST.fullmatch(text):
            raise ConfigurationError(
                "The value of the header 'Host' must be a host name, with a port if it needs one."
            )
        checked[own] = text
    return checked


def with_secrets_kept(headers: CheckedHeaders) -> CheckedHeaders:
    """The same headers; the secrets among them stay out of errors as long as they live."""
    for name, value in headers.items():
        if is_secret(name):
            remember_value(headers, value)
    return headers


def _checked_name(name: object) -> str:
    if not isinstance(name, str):
        raise ConfigurationError(f"The name of a header must be text, not {type(name).__name__}.")
    if not HEADER_NAME.fullmatch(name):
        # What follows may be the value: "Authorization: Bearer ...".
        start = HEADER_NAME.match(name)
        raise ConfigurationError(
            f"The name of a header (it begins with {start[0] if start else ''!r}) may hold "
            "letters, digits and hyphens only."
        )
    if name.lower() in _FRAMING:
        raise ConfigurationError(
            f"The header {name!r} cannot be given: the HTTP client sets it itself, by the body and "
            "the connection."
        )
    return name.lower()


def remember_value(owner: object, value: str) -> None:
    """Keep the secrets in a header's value out of errors: `xyz`, `Bearer xyz`, `a=xyz; b=xyz`."""
    for part in re.split(r"[\s;,]+", value):
        remember(owner, part)
        remember(owner, part.partition("=")[2].strip('"'))


def is_secret(name: str) -> bool:
    return bool(_SECRET.search(name))


def public_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a response that a caller may keep: logins, cookies and keys are left out."""
    return {
        name: redact(value)
        for name, value in headers.items()
        if not _SECRET_OF_RESPONSE.search(name)
    }


def request_id_in(headers: Mapping[str, str]) -> str | None:
    """The server's own id of a request, if a response's headers name one."""
    return next((headers[name] for name in _REQUEST_IDS if name in headers), None)


def without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that another host may see."""
    return {name: value for name, value in headers.items() if not is_secret(name)}
