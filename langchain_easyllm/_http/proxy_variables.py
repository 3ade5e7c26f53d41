"""The environment variables that name proxies; `proxies` reads what they say.

Apart from it: `urllib.request` imports ssl, which only a first request should cost.
"""

from __future__ import annotations

import os

_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_VARIABLES = tuple(spelt for name in _NAMES for spelt in (name, name.upper()))


def proxy_settings() -> tuple[str | None, ...]:
    """Return the values of all these variables: what decides on which proxy a request takes."""
    return tuple(map(os.environ.get, _VARIABLES))


def proxy_variable(scheme: str) -> str:
    """Return the variable that names the proxy for addresses of a scheme."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if os.environ.get(variable):
                return variable
    return f"{scheme.upper()}_PROXY"
