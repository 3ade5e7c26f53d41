"""Fixtures of the transport's tests: a clean environment, and a client of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from langchain_easyllm._http.auth import TOKEN_VARIABLES, Credentials
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.tls import CA_VARIABLES

from ...support.http_clients import AsyncClient, Client, SyncClient

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token, proxy or authority of the machine decides a test."""
    for name in (*TOKEN_VARIABLES, *CA_VARIABLES, *PROXY_VARIABLES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("HF_TOKEN_PATH", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HOME", str(tmp_path))


MakeClient = Callable[..., Client]


@pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
def make_client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Builds clients from `HTTPTransport`'s arguments, and closes them."""
    with ExitStack() as stack:

        def make(credentials: Credentials | None = None, **options: object) -> Client:
            return stack.enter_context(request.param(HTTPTransport(credentials, **options)))

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    """A client without any token."""
    return make_client()
