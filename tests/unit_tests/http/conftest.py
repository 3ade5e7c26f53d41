"""Fixtures of the transport's tests: a certificate, and a client of each kind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from langchain_easyllm._http import connection_limit
from langchain_easyllm._http.auth import Credentials
from langchain_easyllm._http.client import HTTPTransport

from ...support.http_clients import AsyncClient, Client, SyncClient


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, with its key in one file."""
    folder = tmp_path_factory.mktemp("tls")
    key, file = folder / "key.pem", folder / "cert.pem"
    options = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    options += ["-nodes", "-days", "2"]
    subject = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:example.test"]
    subprocess.run(
        ["openssl", *options, *subject, "-keyout", key, "-out", file],
        check=True,
        capture_output=True,
    )
    digest = ["openssl", "x509", "-noout", "-subject_hash", "-in", file]
    name = subprocess.run(digest, check=True, capture_output=True, text=True).stdout.strip()
    (folder / "authorities").mkdir()
    (folder / "authorities" / f"{name}.0").write_text(file.read_text())
    return file


@pytest.fixture(autouse=True)
def own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests have left open takes no room from this one."""
    monkeypatch.setattr(connection_limit, "_limit", connection_limit.ConnectionLimit())


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
