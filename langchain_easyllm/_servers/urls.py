"""The address of a server, as users paste it, and the routes below it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import ConfigurationError

ROUTER = "https://router.huggingface.co"
"""Inference Providers: one address in front of many providers."""

_RETIRED_HOST = "api-inference.huggingface.co"

# What may follow a server's root in a pasted address, longest first.
_ROUTES = (
    "/v1/chat/completions",
    "/api/generate",
    "/api/chat",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/models",
    "/generate_stream",
    "/chat_tokenize",
    "/pipeline/feature-extraction",
    "/pipeline/text-generation",
    "/feature-extraction",
    "/generate",
    "/tokenize",
    "/embed_sparse",
    "/rerank",
    "/health",
    "/embed",
    "/info",
    "/v1",
)
# OpenAI's routes where no `/v1` stands before them: what does is the whole of their base.
_BARE_ROUTES = ("/chat/completions", "/completions", "/embeddings")

# What says nothing of the protocol that is meant.
_SHARED_ROUTES = frozenset({None, "/v1", "/v1/models", "/models", "/info", "/health"})

_VERSION = re.compile(r"v\d+(?:\.\d+)*(?:(?:alpha|beta|preview|rc)\d*)?", re.IGNORECASE)
_BEHIND_VERSION = ("openai", "openapi", "compat")


@dataclass(frozen=True, slots=True, repr=False)
class ServerURL:
    """A server's root, and what else its address says."""

    root: str  # scheme, host, port and path prefix, without a trailing slash
    # whether `/v1` stands before OpenAI's routes; False where the root has all that does
    adds_v1: bool = True
    # whether the root ends in a version path of its own (`/api/v3`), and so is no server's root
    versioned: bool = False
    # query string that every request repeats, without `?`
    query: str = ""
    router: bool = False  # whether this is Inference Providers
    route: str | None = None  # the full route that was pasted (`/generate`, say)
    model: str | None = None
    retired: bool = False  # whether the address was the retired `api-inference` host

    def __repr__(self) -> str:
        from .._http.models import public_url  # noqa: PLC0415 - loads with a connection

        # Not the login in it, nor the query, which may hold a key.
        return f"ServerURL({public_url(self.root)!r})"

    @property
    def is_dedicated(self) -> bool:
        """Whether it is a dedicated Inference Endpoint."""
        from .._http.models import is_dedicated  # noqa: PLC0415 - loads with a connection

        return is_dedicated(urlsplit(self.root).hostname or "")

    def url(self, route: str, *, adds_v1: bool = True) -> str:
        """Return the full address of a route such as `/v1/chat/completions`.

        Without `adds_v1`, the server is known to have its routes without `/v1`.
        """
        if not (adds_v1 and self.adds_v1):
            route = route.removeprefix("/v1")
        return f"{self.root}{route}?{self.query}" if self.query else self.root + route


def is_url(text: str) -> bool:
    """Whether a `model` is really a server's address."""
    return text.lower().startswith(("http://", "https://"))


def parse_server_url(text: str) -> ServerURL:
    """Normalize a server's root, `/v1`, version path of its own or full route.

    Trailing slashes and a missing `http://` for `localhost` are forgiven.
    """
    parts, host = _split(text)
    path, route = _without_route(parts.path.rstrip("/"))
    versioned = not (route or "").startswith("/v1") and _ends_in_version(path)
    # `/v1` before a route that is not below it is somebody's habit, and no prefix.
    prefix = path
    while prefix.endswith("/v1"):
        prefix = prefix.removesuffix("/v1").rstrip("/")
    adds_v1 = not versioned and (prefix != path or route not in _BARE_ROUTES)
    retired = parts.hostname == _RETIRED_HOST
    router = retired or parts.hostname == urlsplit(ROUTER).hostname
    root = ROUTER if router else f"{parts.scheme}://{host}"
    return ServerURL(
        root=root if retired else root + prefix,
        adds_v1=adds_v1,
        versioned=versioned,
        query=parts.query,
        router=router,
        route=route,
        model=_model_in(prefix) if router else None,
        retired=retired,
    )


def distinct_urls(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses of servers that one request may go to, each once, if they fit."""
    if not texts:
        raise ConfigurationError(
            "base_url is an empty list: name one server at least, or leave it out for Inference "
            "Providers."
        )
    if not all(isinstance(text, str) for text in texts):
        raise ConfigurationError("base_url must be a URL, or a list of URLs, each as text.")
    found: dict[tuple[str, str], tuple[str, ServerURL]] = {}
    for text in texts:
        url = parse_server_url(text)
        found.setdefault((url.root, url.query), (text, url))
    urls = [url for _, url in found.values()]
    if len(urls) > 1 and any(url.router for url in urls):
        raise ConfigurationError(
            "base_url lists Inference Providers beside another server: they choose among "
            "providers by themselves (set provider), so list your own servers only."
        )
    if len({(url.adds_v1, url.versioned) for url in urls}) > 1:
        shown = " and ".join(dict.fromkeys(map(_shown, urls)))
        raise ConfigurationError(
            f"base_url lists servers with different paths to their routes ({shown}): write all of "
            "them in the same way, as roots or with the same version."
        )
    if len({url.route for url in urls if url.route not in _SHARED_ROUTES}) > 1:
        raise ConfigurationError(
            "base_url lists servers with different routes: list their roots, and set api."
        )
    return tuple(text for text, _ in found.values())


def _shown(url: ServerURL) -> str:
    from .._http.models import public_url  # noqa: PLC0415 - loads with a connection

    return public_url(url.root)


def _without_route(path: str) -> tuple[str, str | None]:
    """Return a path without the route at its end, and the route."""
    for route in (*_ROUTES, *_BARE_ROUTES):
        if path.endswith(route):
            return path.removesuffix(route).rstrip("/"), route
    above = path.removesuffix("/models").rstrip("/")
    if above != path and _ends_in_version(above):
        return above, "/models"
    return path, None


def _ends_in_version(path: str) -> bool:
    """Whether a path ends in a version other than `/v1`, or in `/openai` somewhere behind one."""
    *above, last = path.split("/")
    if last.lower() in _BEHIND_VERSION:
        return any(map(_VERSION.fullmatch, above))
    return last != "v1" and _VERSION.fullmatch(last) is not None


def _split(text: str) -> tuple[SplitResult, str]:
    """Return the parts of an address, and its host and port as they are compared."""
    text = text.strip()
    if not text:
        raise ConfigurationError(
            "base_url is empty: write 'http://host:port' or 'https://host', or leave it out for "
            "Inference Providers."
        )
    if text.lower().startswith(_LOCAL):
        text = "http://" + text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ConfigurationError(_not_an_address(text)) from None
    if "@" in (parts.netloc or text):
        msg = "base_url holds credentials: pass them as api_key or default_headers instead."
        raise ConfigurationError(msg)
    host = parts.netloc.lower()
    if parts.scheme not in _PORTS or not parts.hostname or _NO_HOST.search(host):
        raise ConfigurationError(_not_an_address(text))
    if parts.fragment:
        raise ConfigurationError("base_url has a fragment (#...): remove it.")
    if not text.isascii():
        from .._http.models import parse_url  # noqa: PLC0415 - few addresses need it

        parse_url(text)  # not every name has an ASCII form, nor every character an encoding
    return parts, host.removesuffix(f":{port}" if port == _PORTS[parts.scheme] else ":")


_LOCAL = ("localhost", "127.", "0.0.0.0", "[::1]")  # noqa: S104 - read, not bound
_PORTS = {"http": 80, "https": 443}
_KEY = re.compile(r"(?:hf_|sk-)[\w-]+")
_NO_HOST = re.compile(r"[\s\\<>\"'`{}|^]")


def _not_an_address(text: str) -> str:
    shown = text.rpartition("@")[2].partition("?")[0]  # the parts around it may be secret
    if _KEY.fullmatch(shown):
        return "base_url is a key, and no HTTP address: write 'http://host:port' or 'https://host'."
    return f"base_url {shown!r} is no HTTP address: write 'http://host:port' or 'https://host'."


# How Inference Providers, and the retired host before them, name a model in a path.
_MODEL = re.compile(r"(?:/hf-inference)?/(?:models|pipeline/[a-z-]+)/(.+)")


def _model_in(path: str) -> str | None:
    found = _MODEL.fullmatch(path)
    return unquote(found[1]) if found else None
