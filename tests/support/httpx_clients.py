"""Transports over the clients of httpx and httpx2, for the tests of our own connections."""

from __future__ import annotations

import ssl
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from typing import Any

from langchain_easyllm._http.auth import Credentials
from langchain_easyllm._http.client import HTTPTransport

from .http_clients import AsyncClient, Client, SyncClient

__all__ = ["Httpx", "tls_context"]


class ClosingClient(AsyncClient):
    """Closes the httpx client, which belongs to this loop, in the end."""

    def __exit__(self, *_: object) -> None:
        self._runner.run(self.transport._http_async_client.aclose())
        super().__exit__(None, None, None)


@cache
def tls_context(authorities: str | None) -> ssl.SSLContext:
    """What httpx would make for each client, at a tenth of a second."""
    return ssl.create_default_context(cafile=authorities)


class Httpx:
    """Makes transports over one kind of client of one of the two packages."""

    def __init__(self, module: str, kind: str, stack: ExitStack) -> None:
        self._module: Any = import_module(module)
        self._kind = kind
        self._stack = stack

    def __call__(
        self,
        credentials: Credentials | None = None,
        *,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Client:
        """A client with httpx's own options.

        Of them, `verify` may be a path; `httpx_headers` are the headers, `context` is what
        `verify` would be.
        """
        authorities, context = options.get("verify"), options.pop("context", None)
        path = None if authorities is None else str(authorities)
        options["verify"] = context or tls_context(path)
        options["headers"] = options.pop("httpx_headers", None)
        if self._kind == "sync":
            own = self._stack.enter_context(self._module.Client(**options))
            transport = HTTPTransport(credentials, headers=headers, http_client=own)
            return self._stack.enter_context(SyncClient(transport))
        own = self._module.AsyncClient(**options)
        transport = HTTPTransport(credentials, headers=headers, http_async_client=own)
        return self._stack.enter_context(ClosingClient(transport))
