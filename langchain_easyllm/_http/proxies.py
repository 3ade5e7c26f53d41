"""Which proxy the environment names for an address, for sync and async alike.

Apart from `headers`: `urllib.request` imports ssl, which only a first request should cost.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.request import getproxies, proxy_bypass

from ..errors import ConfigurationError
from .headers import basic, remember_value
from .models import URL, parse_url


class Proxy(NamedTuple):
    address: URL
    authorization: str | None

    def __repr__(self) -> str:
        return f"Proxy({self.address!r})"


class Proxies:
    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int], Proxy | None] = {}

    def find(self, address: URL) -> Proxy | None:
        """`proxy_for` an address, looked up once."""
        try:
            return self._known[address.origin]
        except KeyError:
            proxy = self._known[address.origin] = proxy_for(address)
            if proxy and proxy.authorization:
                remember_value(self, proxy.authorization)
            return proxy


def proxy_for(address: URL) -> Proxy | None:
    """The proxy for an address, or None for a direct connection.

    `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are read, in either case, and on macOS
    and Windows the system's settings.
    """
    named = getproxies()
    url = named.get(address.scheme) or named.get("all")
    host = f"{address.host}:{address.port}"
    if not url or proxy_bypass(address.host) or proxy_bypass(host):
        return None
    url = url if "://" in url else f"http://{url}"
    proxy = parse_url(url) if url.lower().startswith("http") else None
    if proxy is None or proxy.scheme != "http":
        raise ConfigurationError(
            f"The proxy for {address.authority} is of the kind {url.partition(':')[0]!r}; only "
            "http:// proxies can be used. Change HTTPS_PROXY or ALL_PROXY, or add the host to "
            "NO_PROXY."
        )
    return Proxy(proxy, basic(proxy.login) if proxy.login else None)
