"""One builder of TLS contexts for sync and async, so that both trust the same authorities."""

from __future__ import annotations

import asyncio
import os
import ssl
import stat
import threading
from concurrent.futures import Future
from pathlib import Path

from ..errors import ConfigurationError

Verify = bool | str | os.PathLike[str] | ssl.SSLContext

CA_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

MAX_CONTEXTS = 16
"""Contexts that are kept; one takes 0.1 s to build with the authorities of the web."""

_Stamp = tuple[int, int, int]
_Key = tuple[bool, str | None, tuple[_Stamp, ...]]

_contexts: dict[_Key, Future[ssl.SSLContext]] = {}
_lock = threading.Lock()


def context_for(verify: Verify) -> ssl.SSLContext:
    """The TLS context for a `verify` setting.

    True means the system's authorities, or those that one of `CA_VARIABLES` names; False means no
    verification; else it is a file or directory of authorities, or a context of the caller's own.
    Authorities that were replaced on disk are loaded anew.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    key = _key(verify)
    context, missing = _entry(key)
    if missing:
        _fill(key, context)
    return context.result()


async def load_context(verify: Verify) -> ssl.SSLContext:
    """Do as `context_for`; a context that is not known yet is built in a thread."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    key = _key(verify)
    context, missing = _entry(key)
    if missing:
        # Not in the loop's pool of threads: those may all wait for this very context.
        builder = threading.Thread(target=_fill, args=(key, context), daemon=True)
        try:
            builder.start()
        except RuntimeError:  # an interpreter that exits starts no threads
            _fill(key, context)
    return context.result() if context.done() else await asyncio.wrap_future(context)


def _key(verify: bool | str | os.PathLike[str]) -> _Key:
    if verify is False:
        return False, None, ()
    if verify is True:
        named = (os.environ.get(name) for name in CA_VARIABLES)
        authorities = next((path for path in named if path), None)
    else:
        authorities = os.fspath(verify)
    if authorities is None:
        stamps = [_stamp(os.stat(place)) for place in _system_store()]  # noqa: PTH116
    else:
        stamps = _stamps(authorities)
    return True, authorities, tuple(stamps)


def _stamps(place: str) -> list[_Stamp]:
    """What changes when a file, or a file in a folder, is replaced."""
    try:
        found = os.stat(place)  # noqa: PTH116 - for each new connection
        if not stat.S_ISDIR(found.st_mode):
            return [_stamp(found)]
        with os.scandir(place) as entries:
            return [_stamp(found), *sorted(_stamp(entry.stat()) for entry in entries)]
    except OSError:
        return []  # whoever loads it says so


def _stamp(found: os.stat_result) -> _Stamp:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _entry(key: _Key) -> tuple[Future[ssl.SSLContext], bool]:
    """The context for a key, and whether the caller has to build it."""
    with _lock:
        known = _contexts.get(key)
        if known is not None:
            return known, False
        while len(_contexts) >= MAX_CONTEXTS:
            del _contexts[next(iter(_contexts))]
        context: Future[ssl.SSLContext] = Future()
        context.set_running_or_notify_cancel()  # one who gives up does not end the others' wait
        _contexts[key] = context
        return context, True


def _fill(key: _Key, context: Future[ssl.SSLContext]) -> None:
    try:
        built = _build(check=key[0], authorities=key[1])
    except BaseException as error:  # noqa: BLE001 - raised where the context is wanted
        with _lock:
            _contexts.pop(key, None)  # to be tried again
        context.set_exception(error)
    else:
        context.set_result(built)


def _build(*, check: bool, authorities: str | None) -> ssl.SSLContext:
    if authorities is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load(context, authorities)
    if not check:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authorities is None and not _system_store() and os.name != "nt":
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


def _system_store() -> tuple[str, ...]:
    """Where OpenSSL knows the system to keep its authorities; some builds know of no place."""
    paths = ssl.get_default_verify_paths()
    return tuple(place for place in (paths.cafile, paths.capath) if place)


def _forget() -> None:
    """In a child process, build anew: the thread that was at it is not here."""
    global _lock  # noqa: PLW0603 - it may have been held
    _lock = threading.Lock()
    _contexts.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
