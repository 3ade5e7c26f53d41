"""Requests, responses, the policy of a call, and absolute http addresses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from ..errors import ConfigurationError, EasyLLMError
from .retries import CallBudget


class SecretHeaders(dict[str, str]):
    """Headers that show their names only: error reporters print the variables of each frame."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<headers: {', '.join(self)}>"


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """An HTTP request.

    Content type, `Accept`, user agent and authorization are added by the transport; a header
    given here wins over them.

    Attributes:
        method: `"GET"`, `"POST"`, ...
        url: The absolute address, percent-encoded, without credentials.
        body: The body, or None.
        headers: The headers by name; a client adds those of the framing (`content-length`, ...).
        timeout: The time in seconds that the call has left, or None if it has no limit.
    """

    method: str
    url: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {public_url(self.url)!r}, body={_size(self.body)})"


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """An HTTP response that is here as a whole.

    Attributes:
        status: The HTTP status code.
        headers: The headers by name, repeated ones joined by `", "`.
        body: The body.
        url: The address that it came from, without credentials. Default: that of the request.
        secrets: Set by the transport, to keep what was secret about the request out of errors.
    """

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    url: str = ""
    secrets: object = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        url = public_url(self.url)
        return f"Response(status={self.status}, url={url!r}, body={_size(self.body)})"


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """The most bytes that are read of an answer; the fields of `ConnectionFields` explain them."""

    response_bytes: int = 256 * 1024 * 1024
    decompressed_bytes: int = 64 * 1024 * 1024
    error_bytes: int = 16 * 1024 * 1024

    def for_errors(self) -> ResponseLimits:
        return ResponseLimits(self.error_bytes, self.error_bytes, self.error_bytes)


DEFAULT_LIMITS = ResponseLimits()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait and how often to try again; the fields of `ConnectionFields` explain it."""

    timeout: float | None = 120.0
    max_retries: int = 2
    wait_for_model: float = 0.0
    # Called with the error and the seconds to wait before each new attempt.
    on_retry: Callable[[EasyLLMError, float], None] | None = None
    # What is left of the call that the request is part of; None if it is all of it.
    budget: CallBudget | None = None
    # For one of many calls, which wait for their turns: how often it may be refused one while
    # nobody else is answered. None for a call by itself.
    batch_retries: int | None = None
    # Whether an answer comes soon or not at all: of several servers, one may then have a part of
    # the time only. Streams begin soon in any case.
    answers_soon: bool = False

    def call_budget(self) -> CallBudget:
        """Return what is left of the call; a new one begins now."""
        return self.budget or CallBudget(self.timeout, self.max_retries, self.wait_for_model)

    def begin(self) -> RetryPolicy:
        """Return the policy of a call that begins now, for all its requests."""
        return RetryPolicy(
            self.timeout,
            self.max_retries,
            self.wait_for_model,
            self.on_retry,
            self.call_budget(),
            self.batch_retries,
            self.answers_soon,
        )


# Not hf.space: the program of a Space is anybody's, and would have the token.
HUGGING_FACE_HOSTS = ("huggingface.co", "hf.co", "huggingface.cloud")
DEDICATED_HOSTS = ".endpoints.huggingface.cloud"
DEFAULT_PORTS = {"http": 80, "https": 443}

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Names (with the underscore of container networks) and IP addresses; a name that holds anything
# else may be read as another host by another library.
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.%]+")
_RESERVED = "!#$%&'()*+,/:;=?@[]~"


def _size(body: bytes | None) -> str:
    return "None" if body is None else f"<{len(body):,} bytes>"


class URL(NamedTuple):
    scheme: str
    host: str  # in lower case and ASCII, or an IP address without brackets
    port: int  # the scheme's own if none was given
    target: str  # path and query, percent-encoded
    login: str | None  # user:password, decoded

    def __repr__(self) -> str:
        return f"URL({public_url(self.url)!r})"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what a token is bound to."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port as the `Host` header wants them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole address without credentials."""
        return f"{self.scheme}://{self.authority}{self.target}"


@lru_cache(maxsize=1024)
def parse_url(url: str) -> URL:
    url = url.strip()
    # urlsplit silently drops line breaks; an address with one is somebody's mistake or attack.
    if _FORBIDDEN.search(url):
        raise ConfigurationError("A URL may not contain spaces or control characters.")
    if _SURROGATE.search(url):
        raise ConfigurationError(
            f"{public_url(url)!r} is not a valid URL: it contains half of a surrogate pair, which "
            "has no encoding. Write the character itself, or its percent-encoded bytes."
        )
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        # not chained: urllib's message may quote the credentials
        raise ConfigurationError(f"{public_url(url)!r} is not a valid URL.") from None
    if not host.isascii():
        try:
            host = ascii_host(host)
        except UnicodeError as error:
            raise ConfigurationError(
                f"{host!r} is not a valid host name ({error}). Correct it, or write it in ASCII "
                "(xn--...)."
            ) from error
    if parts.scheme not in DEFAULT_PORTS or not _HOST.fullmatch(host):
        raise ConfigurationError(
            f"{public_url(url)!r} is not an absolute http:// or https:// address."
        )
    target = quote(parts.path or "/", safe=_RESERVED)
    if parts.query:
        target += "?" + quote(parts.query, safe=_RESERVED)
    login = None
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return URL(parts.scheme, host, port, target, login)


def ascii_host(host: str) -> str:
    """A host name in ASCII, by IDNA 2008 with the mapping of UTS 46, or a `UnicodeError`."""
    import idna  # noqa: PLC0415 - heavy tables, and few hosts need them

    labels = idna.uts46_remap(host, std3_rules=False, transitional=False).split(".")
    # Only what is not ASCII is checked: container networks have names with underscores.
    return ".".join(
        label if label.isascii() else idna.alabel(label).decode("ascii") for label in labels
    )


def public_url(url: str) -> str:
    """The address without what may be secret: credentials, query, fragment."""
    bare = re.split(r"[?#]", url.strip(), maxsplit=1)[0]
    return re.sub(r"^([^/]*//)[^/]*@", r"\1", bare)


def is_hugging_face(address: URL) -> bool:
    """Whether the host belongs to Hugging Face and is asked over https."""
    host = address.host
    return address.scheme == "https" and any(
        host == known or host.endswith("." + known) for known in HUGGING_FACE_HOSTS
    )


def is_dedicated(host: str) -> bool:
    """Whether a host is a dedicated Inference Endpoint, which may be scaled to zero."""
    return host.endswith(DEDICATED_HOSTS)
