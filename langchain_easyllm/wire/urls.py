"""Addresses: what users paste as a server's address, and the routes below it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import ConfigurationError

__all__ = ["ROUTER", "Address", "is_dedicated_endpoint", "looks_like_url", "parse_address"]

ROUTER = "https://router.huggingface.co"
"""Inference Providers: one address in front of many providers."""

_ROUTER_HOST = "router.huggingface.co"
_RETIRED_HOST = "api-inference.huggingface.co"
_DEDICATED = ".endpoints.huggingface.cloud"

# What may follow a server's root in a pasted address, longest first.
_ROUTES = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/models",
    "/generate_stream",
    "/chat_tokenize",
    "/feature-extraction",
    "/generate",
    "/tokenize",
    "/rerank",
    "/health",
    "/embed",
    "/info",
    "/v1",
)


@dataclass(frozen=True, slots=True)
class Address:
    """A server's root, taken apart.

    Attributes:
        root: Scheme, host, port and path prefix, without a trailing slash.
        query: Query string that every request repeats, without `?`.
        router: Whether this is Inference Providers.
        route: The full route that was pasted (`/generate`, say), or None.
        model: Model named by the address itself (retired and per-model addresses), or None.
        retired: Whether the address was the retired `api-inference` host.
    """

    root: str
    query: str = ""
    router: bool = False
    route: str | None = None
    model: str | None = None
    retired: bool = False

    def url(self, route: str) -> str:
        """Return the full address of a route such as `/v1/chat/completions`."""
        return f"{self.root}{route}?{self.query}" if self.query else self.root + route


def looks_like_url(text: str) -> bool:
    """Whether a `model` is really a server's address."""
    return text.startswith(("http://", "https://"))


def is_dedicated_endpoint(url: str) -> bool:
    """Whether an address belongs to a dedicated Inference Endpoint."""
    return (urlsplit(url).hostname or "").endswith(_DEDICATED)


def parse_address(text: str) -> Address:
    """Normalise a server's address.

    Args:
        text: Root, `/v1` or full route of a server; trailing slashes and a missing `http://` for
            `localhost` are forgiven.

    Raises:
        ConfigurationError: If it is no HTTP address, or holds credentials or a fragment.
    """
    parts = _split(text)
    path = parts.path.rstrip("/")
    route = next((r for r in _ROUTES if path.endswith(r)), None)
    if route:
        path = path[: -len(route)].rstrip("/")
    root = f"{parts.scheme}://{parts.netloc}{path}"
    address = Address(root=root, query=parts.query, route=route)
    if parts.hostname == _RETIRED_HOST:
        return _from_retired(path, parts.query, route)
    if parts.hostname == _ROUTER_HOST:
        return replace(address, router=True)
    return address


def _split(text: str) -> SplitResult:
    text = text.strip()
    if text.startswith(("localhost", "127.", "0.0.0.0", "[::1]")):  # noqa: S104 - read, not bound
        text = "http://" + text
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        msg = f"base_url {text!r} is no HTTP address: write it as 'http://host:port' or 'https://host'."
        raise ConfigurationError(msg)
    if "@" in parts.netloc:
        msg = "base_url holds credentials: pass them as api_key or default_headers instead."
        raise ConfigurationError(msg)
    if parts.fragment:
        raise ConfigurationError(f"base_url {text!r} has a fragment (#...): remove it.")
    return parts


def _from_retired(path: str, query: str, route: str | None) -> Address:
    """The retired host named the model in its path: `/models/{model}[/v1/...]`."""
    for prefix in ("/pipeline/feature-extraction/", "/pipeline/text-generation/", "/models/"):
        if path.startswith(prefix):
            model = unquote(path.removeprefix(prefix)) or None
            break
    else:
        model = None
    return Address(root=ROUTER, query=query, router=True, route=route, model=model, retired=True)
