"""One builder of TLS contexts for sync and async, so that both trust the same authorities."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from pathlib import Path

from ..errors import ConfigurationError

Verify = bool | str | os.PathLike[str] | ssl.SSLContext

CA_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def context_for(verify: Verify) -> ssl.SSLContext:
    """The TLS context for a `verify` setting.

    True means the system's authorities, or those that one of `CA_VARIABLES` names; False means no
    verification; else it is a file or directory of authorities, or a context of the caller's own.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if verify is True:
        named = (os.environ.get(name) for name in CA_VARIABLES)
        return _build(True, next((path for path in named if path), None))
    if verify is False:
        return _build(False, None)
    return _build(True, os.fspath(verify))


@lru_cache(maxsize=16)
def _build(check: bool, authorities: str | None) -> ssl.SSLContext:
    if authorities is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load(context, authorities)
    if not check:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authorities is None and not _system_store():
        import certifi  # noqa: PLC0415 - huggingface_hub brings it

        _load(context, certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, authorities: str) -> None:
    folder = Path(authorities).is_dir()
    try:
        context.load_verify_locations(**{"capath" if folder else "cafile": authorities})
    except OSError as error:
        raise ConfigurationError(
            f"The certificate authorities in {authorities!r} cannot be loaded ({error}). Check "
            f"verify and the variables {', '.join(CA_VARIABLES)}."
        ) from error


def _system_store() -> bool:
    """Whether OpenSSL knows where the system keeps its authorities; some builds do not."""
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile or paths.capath) or os.name == "nt"
