"""The servers behind the addresses that a page of the documentation names.

The examples run as they are written: the name resolution of the process leads each address to a
server here, and no other address can be reached. What can stand in a page:

    <!-- servers: 8080=tgi 8081=tei 8082=reranker -->     Answers "Bonjour !"; any text server of
                                                          `fake_text_servers.py`
    <!-- servers: 8080=vllm:"391" -->                     Another answer
    <!-- servers: 8080=vllm(Qwen/Qwen3-32B):"391" -->     Another model than "tiny"
    <!-- servers: 8080=offline 8081=offline-vllm -->      Real offline servers
    <!-- servers: 8080=offline?cut_after=4 -->            One that misbehaves, by `Faults`' fields
    <!-- servers: hub -->                                 Inference Providers, with a token
    <!-- servers: https://abc.endpoints.huggingface.cloud=tei -->
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import pytest

from langchain_easyllm.offline import offline_server

from .fake_embedding_servers import openai_route, serve_openai, serve_tei, vectors_of
from .fake_server import FakeServer, Received, Reply
from .fake_text_servers import RESPONSE_SHAPES, serve

__all__ = ["documented_servers"]

_KIND = re.compile(r'([\w.-]+?)(?:\?([\w=.&-]+))?(?:\(([^)]+)\))?(?::"([^"]*)")?')
_LOCAL = ("localhost", "127.0.0.1")


@contextmanager
def documented_servers(servers: Mapping[str, str], folder: Path) -> Iterator[dict[str, Any]]:
    """Run these servers, and lead the addresses of this process to them.

    Args:
        servers: The kind by the port or the URL.
        folder: Where the certificate of the URLs may be written.
    """
    addresses: dict[tuple[str, int], tuple[str, int]] = {}
    running: dict[str, Any] = {}
    secure = sorted({str(urlsplit(at).hostname) for at in servers if at.startswith("https:")})
    tls = _authority(secure, folder) if secure else None
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for at, kind in servers.items():
            url = urlsplit(at if "://" in at else f"http://localhost:{at}")
            wanted = tls if url.scheme == "https" else None
            running[at], where = stack.enter_context(_server(kind, wanted))
            port = url.port or (443 if url.scheme == "https" else 80)
            for host in _LOCAL if url.hostname in _LOCAL else (str(url.hostname),):
                addresses[host, port] = where
            if "hub" in kind:
                patch.setenv("HF_TOKEN", "hf_documentation")
        _lead(patch, addresses)
        yield running


def _lead(patch: pytest.MonkeyPatch, addresses: Mapping[tuple[str, int], tuple[str, int]]) -> None:
    """Give each host a loopback address of its own, and connect its ports to the servers'."""
    hosts = sorted({host for host, _ in addresses} - {*_LOCAL})
    numbers = {host: f"127.77.0.{number}" for number, host in enumerate(hosts, start=1)}
    ports = {(numbers.get(host, "127.0.0.1"), port): to for (host, port), to in addresses.items()}
    resolve, connect = socket.getaddrinfo, socket.socket.connect

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in numbers or name == "localhost":
            host = numbers.get(name, "127.0.0.1")
        elif name and name[0] not in "0123456789:":
            text = f"{name}: examples of the documentation reach the servers of their page only"
            raise socket.gaierror(socket.EAI_NONAME, text)
        return resolve(host, *args, **options)

    def connect_there(self: socket.socket, address: Any) -> None:
        connect(self, ports.get(address, address) if isinstance(address, tuple) else address)

    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    patch.setattr(socket.socket, "connect", connect_there)


@contextmanager
def _server(kind: str, tls: ssl.SSLContext | None) -> Iterator[tuple[Any, tuple[str, int]]]:
    found = _KIND.fullmatch(kind)
    if found is None:
        raise ValueError(f"The kind of server {kind!r} cannot be read.")
    name, options, model, text = found.groups()
    if name.partition("-")[0] == "offline":
        faults = {key: json.loads(value) for key, value in parse_qsl(options or "")}
        like = name.removeprefix("offline").removeprefix("-") or "tgi"
        with offline_server(like=cast("Any", like), **faults) as offline:
            yield offline, ("127.0.0.1", int(str(urlsplit(offline.base_url).port)))
        return
    with FakeServer(tls=tls) as server:
        _serve(server, name, model, text)
        yield server, ("127.0.0.1", int(str(urlsplit(server.url).port)))


def _serve(server: FakeServer, name: str, model: str | None, text: str | None) -> None:
    if name in ("tei", "reranker", "classifier"):
        serve_tei(server, "embedding" if name == "tei" else name)
        return
    if name == "infinity":
        serve_openai(server, owned_by=name)
        return
    shape = "router" if name == "hub" else name
    if shape not in RESPONSE_SHAPES:
        known = ["tei", "reranker", "classifier", "infinity", "offline", "hub", *RESPONSE_SHAPES]
        raise ValueError(f"There is no server {name!r}; there are {', '.join(known)}.")
    words = ["Bon", "jour", " !"] if text is None else re.findall(r"\s*\S+|\s+$", text)
    serve(server, shape, words, model=model or "tiny")
    if shape != "tgi":
        server.on("POST", "/v1/embeddings", openai_route())
    if name == "hub":
        _add_hub_tasks(server)


def _add_hub_tasks(server: FakeServer) -> None:
    """Answer the tasks of every model: feature extraction and ranking."""
    take = server._take

    def answer(request: Received) -> Reply:
        if request.path.startswith("/hf-inference/models/"):
            inputs = cast("Any", request.json)["inputs"]
            return Reply(vectors_of([inputs] if isinstance(inputs, str) else inputs))
        return take(request)

    server._take = answer  # type: ignore[method-assign]


def _authority(hosts: list[str], folder: Path) -> ssl.SSLContext:
    """Make a certificate for these hosts, which this process trusts."""
    file, key = folder / "cert.pem", folder / "key.pem"
    names = ",".join(f"DNS:{host}" for host in hosts)
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-days", "2", "-subj", "/CN=documentation", "-addext", f"subjectAltName={names}"]
    command = ["openssl", "req", *options, *subject, "-keyout", str(key), "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    os.environ["SSL_CERT_FILE"] = str(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return context
