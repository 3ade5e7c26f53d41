"""Which proxy the environment names for an address, for sync and async alike.

Apart from `headers`: `urllib.request` imports ssl, which only a first request should cost.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from ..errors import ConfigurationError
from .headers import basic, remember_value
from .models import URL, ascii_host, parse_url

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address


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

    `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are read, in either case; where none of
    them is set, on macOS and Windows the system's settings.
    """
    named = getproxies_environment()
    from_system = not named
    if from_system:
        named = getproxies()
    url = named.get(address.scheme) or named.get("all")
    if not url:
        return None
    if from_system:
        if proxy_bypass(address.host) or proxy_bypass(f"{address.host}:{address.port}"):
            return None
    elif is_exempt(address, named.get("no", "")):
        return None
    url = url if "://" in url else f"http://{url}"
    try:
        proxy = parse_url(url) if url.lower().startswith("http") else None
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{error} It is the proxy for {address.authority}: correct HTTP_PROXY, HTTPS_PROXY or "
            "ALL_PROXY."
        ) from error
    if proxy is None or proxy.scheme != "http":
        raise ConfigurationError(
            f"The proxy for {address.authority} is of the kind {url.partition(':')[0]!r}; only "
            "http:// proxies can be used. Change HTTPS_PROXY or ALL_PROXY, add the host to "
            "NO_PROXY, or pass an http_client that uses this proxy."
        )
    return Proxy(proxy, basic(proxy.login) if proxy.login else None)


# An IPv6 address in brackets, a name or IPv4 address, or a bare IPv6 address; the first two may
# have a port, each may be a network.
_ENTRY = re.compile(r"\[(?P<v6>[^\]]*)\](?P<bits>/\d+)?(?::(?P<port6>\d+))?"
                    r"|(?P<name>[^:]*)(?::(?P<port>\d+))?|(?P<bare>[^\[\]]*)")  # fmt: skip


def is_exempt(address: URL, no_proxy: str) -> bool:
    """Whether `NO_PROXY` names an address; what it holds beside valid entries is ignored.

    The entries, separated by commas or spaces, are names (with all names below them, a leading dot
    or not), IP addresses, networks (`10.0.0.0/8`, `fd00::/8`), each with a port if only that is
    meant, or patterns: `*.example.com` is what is below the name, `*` is everything. An IP address
    is compared only as it was written in the URL: no name is looked up.
    """
    host = address.host.partition("%")[0].removesuffix(".")
    ips = _ip_addresses(host)
    return any(
        _matches(entry, host, address.port, ips) for entry in re.split(r"[\s,]+", no_proxy.lower())
    )


def _matches(entry: str, host: str, port: int, ips: tuple[IPv4Address | IPv6Address, ...]) -> bool:
    if entry == "*":
        return True
    parts = _ENTRY.fullmatch(entry.rpartition("://")[2].removesuffix("/"))
    if parts is None:
        return False
    only = parts["port6"] or parts["port"]
    if only and int(only) != port:
        return False
    name = (parts["v6"] or parts["name"] or parts["bare"] or "") + (parts["bits"] or "")
    if "*" in name:
        return fnmatchcase(host, name)
    if ips:
        return _holds(name, ips)
    try:
        name = name if name.isascii() else ascii_host(name)
    except UnicodeError:
        return False
    name = name.strip(".")
    return bool(name) and (host == name or host.endswith("." + name))


def _holds(network: str, ips: tuple[IPv4Address | IPv6Address, ...]) -> bool:
    from ipaddress import ip_network  # noqa: PLC0415 - as below

    try:
        found = ip_network(network.partition("%")[0], strict=False)
    except ValueError:
        return False
    return any(ip in found for ip in ips)


def _ip_addresses(host: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """The IP address that a host is written as, if it is one; twice if it is IPv4 within IPv6."""
    from ipaddress import ip_address  # noqa: PLC0415 - only where there is a proxy

    try:
        ip = ip_address(host)
    except ValueError:
        return ()
    mapped = getattr(ip, "ipv4_mapped", None)
    return (ip, mapped) if mapped else (ip,)
