"""TLS and proxies, with certificates and a proxy of our own."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from langchain_easyllm._http.auth import Credentials
from langchain_easyllm._http.models import Request, RetryPolicy
from langchain_easyllm.errors import ConfigurationError, ConnectionError, EasyLLMError, TimeoutError

from ...support.fake_server import FakeServer, Pause, Reply, Stall, sse
from ...support.http_clients import post
from .conftest import MakeClient

QUICK = RetryPolicy(timeout=0.5, max_retries=0)


async def pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await source.read(65536):
            target.write(block)
            await target.drain()
    target.close()


@contextmanager
def tls_in_front_of(
    port: int, context: ssl.SSLContext | None, path: Path | None = None
) -> Iterator[int]:
    """Take TLS off connections and pass them on; gives the port to connect to.

    With a path, a Unix domain socket is listened at instead.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pipe(reader, server_writer), pipe(server_reader, writer))
        finally:
            writer.transport.abort()
            server_writer.transport.abort()

    async def main() -> None:
        if path:
            server = await asyncio.start_unix_server(serve, path)
        else:
            server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        listening.set_result(0 if path else server.sockets[0].getsockname()[1])
        ending.set_result(lambda: loop.call_soon_threadsafe(end.set))
        await end.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # the turns of the loop in which the sockets are freed

    listening: Future[int] = Future()
    ending: Future[Callable[[], object]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    yield listening.result(10)
    ending.result(10)()
    thread.join(10)


@dataclass
class Secure:
    """A server that is reached over TLS only."""

    url: str
    plain: FakeServer


@pytest.fixture
def secure(certificate: Path, fake_server: FakeServer) -> Iterator[Secure]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    fake_server.on("POST", "/a", Reply("hi"))
    fake_server.on("POST", "/s", sse("a", Pause(0.01), "b"))
    fake_server.on("POST", "/open", sse("a", Stall()))
    with tls_in_front_of(int(fake_server.url.rpartition(":")[2]), context) as port:
        yield Secure(f"https://127.0.0.1:{port}", fake_server)


class Proxy:
    """A proxy that tunnels, or forwards one request, to the target it is given."""

    def __init__(self, refuses: str = "", agrees: str = "200 Connection established") -> None:
        self.heads: list[str] = []
        self._refuses = refuses
        self._agrees = agrees
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                data += client.recv(65536)
            self.heads.append(data.split(b"\r\n\r\n")[0].decode())
            if self._refuses:
                client.sendall(f"HTTP/1.1 {self._refuses}\r\ncontent-length: 0\r\n\r\n".encode())
                return
            method, target, _ = data.decode().split(" ", 2)
            place = target if method == "CONNECT" else target.split("/")[2]
            host, port = place.rsplit(":", 1)
            with socket.create_connection((host, int(port))) as server:
                if method == "CONNECT":
                    client.sendall(f"HTTP/1.1 {self._agrees}\r\n\r\n".encode())
                else:
                    server.sendall(data)
                back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
                back.start()
                self._copy(client, server)
                back.join(5)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(65536):
                target.sendall(block)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


# TLS


def test_a_stranger_is_not_trusted_and_not_asked_again(
    secure: Secure, make_client: MakeClient
) -> None:
    seen: list[float] = []
    policy = RetryPolicy(timeout=5, max_retries=2, on_retry=lambda error, wait: seen.append(wait))
    with pytest.raises(ConnectionError, match=r"certificate of 127\.0\.0\.1.*SSL_CERT_FILE") as got:
        make_client().send(post(secure.url + "/a"), policy)
    assert not got.value.is_retryable
    assert seen == []
    assert secure.plain.requests == []


@pytest.mark.parametrize("kind", ["file", "path", "folder", "context", "none"])
def test_verify_in_every_form(
    secure: Secure, make_client: MakeClient, certificate: Path, kind: str
) -> None:
    verify = {
        "file": str(certificate),
        "path": certificate,
        "folder": str(certificate.with_name("authorities")),
        "context": ssl.create_default_context(cafile=str(certificate)),
        "none": False,
    }[kind]
    client = make_client(verify=verify)
    for _ in range(2):
        assert client.send(post(secure.url + "/a")).body == b"hi"
        assert client.read(post(secure.url + "/s")) == [b"a", b"b", b"[DONE]"]
    client.first(post(secure.url + "/open"))
    secure.plain.wait_until(lambda: secure.plain.open_connections <= 1)


@pytest.mark.parametrize(
    "variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]
)
def test_the_usual_variables_name_authorities(
    monkeypatch: pytest.MonkeyPatch,
    secure: Secure,
    make_client: MakeClient,
    certificate: Path,
    variable: str,
) -> None:
    place = certificate.with_name("authorities") if variable == "SSL_CERT_DIR" else certificate
    monkeypatch.setenv(variable, str(place))
    assert make_client().send(post(secure.url + "/a")).body == b"hi"


def test_connections_under_tls_are_reused(
    secure: Secure, make_client: MakeClient, certificate: Path
) -> None:
    client = make_client(verify=str(certificate))
    for _ in range(4):
        client.send(post(secure.url + "/a"))
    assert secure.plain.connections <= 2


def test_a_name_that_the_certificate_does_not_hold(
    secure: Secure, make_client: MakeClient, certificate: Path
) -> None:
    url = secure.url.replace("127.0.0.1", "localhost") + "/a"
    with pytest.raises(ConnectionError, match="certificate of localhost"):
        make_client(verify=str(certificate)).send(post(url))


def test_authorities_that_cannot_be_loaded(
    fake_server: FakeServer, make_client: MakeClient, tmp_path: Path
) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    for path in ("no.pem", "missing.pem"):
        with pytest.raises(ConfigurationError, match=path):
            make_client(verify=str(tmp_path / path)).send(post("https://127.0.0.1:1/"))


def test_https_to_a_plain_server(fake_server: FakeServer, make_client: MakeClient) -> None:
    # The server waits for the end of what it takes for a request.
    with pytest.raises(TimeoutError, match=r"No connection to 127\.0\.0\.1"):
        make_client().send(post(fake_server.url.replace("http:", "https:") + "/a"), QUICK)


def test_http_to_a_tls_server(secure: Secure, make_client: MakeClient) -> None:
    with pytest.raises(EasyLLMError):
        make_client().send(post(secure.url.replace("https:", "http:") + "/a"), QUICK)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_from_https_to_http_is_not_followed(
    secure: Secure, make_client: MakeClient, certificate: Path, method: str, status: int
) -> None:
    plain = secure.plain
    plain.on(method, "/old", Reply(status=status, headers={"location": plain.url + "/new?key=x"}))
    plain.on(method, "/new", Reply("moved"))
    request = Request(method, secure.url + "/old", b"{}" if method == "POST" else None)
    client = make_client(verify=str(certificate))
    policy = RetryPolicy(timeout=5, max_retries=2)
    for ask in (client.send, client.read):
        with pytest.raises(EasyLLMError, match=r"/new'.* to http.*base_url") as caught:
            ask(request, policy)
        assert caught.value.status_code == status
        assert "key=x" not in str(caught.value)
    assert {request.path for request in plain.requests} == {"/old"}
    assert len(plain.requests) == 2


def test_a_downgrade_is_seen_behind_other_redirects(
    secure: Secure, make_client: MakeClient, certificate: Path
) -> None:
    plain = secure.plain
    plain.on("POST", "/first", Reply(status=307, headers={"location": secure.url + "/second"}))
    plain.on("POST", "/second", Reply(status=308, headers={"location": plain.url + "/a"}))
    client = make_client(verify=str(certificate))
    with pytest.raises(EasyLLMError, match="from https to http"):
        client.send(post(plain.url + "/first"))  # up to https, and down again
    assert plain.received("/a") == []


@pytest.mark.parametrize("location", ["/a", "//{host}/a", "https://{host}/a"])
def test_a_redirect_that_stays_under_tls_is_followed(
    secure: Secure, make_client: MakeClient, certificate: Path, location: str
) -> None:
    where = location.format(host=secure.url.removeprefix("https://"))
    secure.plain.on("POST", "/old", Reply(status=308, headers={"location": where}))
    client = make_client(verify=str(certificate))
    assert client.send(post(secure.url + "/old")).body == b"hi"


# Proxies


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_plain_requests_go_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
    fake_server: FakeServer,
    make_client: MakeClient,
    proxy: Proxy,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, f"http://user:p%40ss@{proxy.address}")
    fake_server.on("POST", "/a", Reply("hi"))
    assert make_client().send(post(fake_server.url + "/a?b=1")).body == b"hi"
    assert proxy.heads[0].startswith(f"POST {fake_server.url}/a?b=1 HTTP/1.1\r\n")
    login = base64.b64encode(b"user:p@ss").decode()
    assert f"proxy-authorization: Basic {login}" in proxy.heads[0].replace("Proxy-A", "proxy-a")


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_tls_goes_through_a_tunnel_that_never_sees_the_token(
    monkeypatch: pytest.MonkeyPatch,
    secure: Secure,
    make_client: MakeClient,
    proxy: Proxy,
    certificate: Path,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, f"user:secret@{proxy.address}")
    credentials = Credentials("hf_argument", base_url=secure.url)
    client = make_client(credentials, verify=str(certificate))
    for _ in range(2):
        assert client.send(post(secure.url + "/a")).body == b"hi"
        assert client.read(post(secure.url + "/s")) == [b"a", b"b", b"[DONE]"]
    assert len(proxy.heads) <= 2
    assert proxy.heads[0].startswith(f"CONNECT {secure.url.removeprefix('https://')} ")
    assert "hf_argument" not in proxy.heads[0]
    login = base64.b64encode(b"user:secret").decode()
    assert login in proxy.heads[0]
    headers = secure.plain.requests[0].headers
    assert headers["authorization"] == "Bearer hf_argument"
    assert "proxy-authorization" not in headers


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "other.test, 127.0.0.1"])
def test_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
    fake_server: FakeServer,
    make_client: MakeClient,
    proxy: Proxy,
    exempt: str,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
    monkeypatch.setenv("NO_PROXY", exempt)
    fake_server.on("POST", "/a", Reply("hi"))
    assert make_client().send(post(fake_server.url + "/a")).body == b"hi"
    assert proxy.heads == []


@pytest.mark.parametrize("url", ["http://example.test/a", "https://example.test/a"])
@pytest.mark.parametrize("login", ["", "user:secret@"])
def test_a_proxy_that_wants_credentials(
    monkeypatch: pytest.MonkeyPatch, make_client: MakeClient, url: str, login: str
) -> None:
    proxy = Proxy(refuses="407 Proxy Authentication Required")
    monkeypatch.setenv("ALL_PROXY", f"http://{login}{proxy.address}")
    wanted = r"proxy for example\.test, not the server, .*\(407\).*ALL_PROXY=http://user:passwor"
    client = make_client(Credentials("hf_argument", base_url=url))
    for ask in (client.send, client.read):
        with pytest.raises(ConnectionError, match=wanted) as caught:
            ask(post(url), RetryPolicy(timeout=5, max_retries=2))
        assert "secret" not in str(caught.value)
        assert caught.value.status_code == 407
        assert not caught.value.is_retryable
    assert len(proxy.heads) == 2
    proxy.close()


def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch, make_client: MakeClient) -> None:
    proxy = Proxy(refuses="403 Forbidden")
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@{proxy.address}")
    with pytest.raises(ConnectionError, match=r"proxy for .*\(403\).*HTTPS_PROXY") as caught:
        make_client().send(post("https://example.test/a"))
    assert "secret" not in str(caught.value)
    proxy.close()


@pytest.mark.parametrize(
    "status", ["200 OK", "201 Created", "204 No Content", "299 x\r\ncontent-length: 99"]
)
def test_any_2xx_is_a_tunnel(
    monkeypatch: pytest.MonkeyPatch,
    secure: Secure,
    make_client: MakeClient,
    certificate: Path,
    status: str,
) -> None:
    proxy = Proxy(agrees=status)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    client = make_client(verify=str(certificate))
    assert client.send(post(secure.url + "/a")).body == b"hi"
    assert client.read(post(secure.url + "/s")) == [b"a", b"b", b"[DONE]"]
    assert proxy.heads[0].startswith("CONNECT ")
    proxy.close()


@pytest.mark.parametrize("status", ["300 Many", "302 Found", "404 Not Found", "502 Bad Gateway"])
def test_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch, make_client: MakeClient, status: str
) -> None:
    proxy = Proxy(refuses=status)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    with pytest.raises(ConnectionError, match=rf"proxy for .*\({status[:3]}\)"):
        make_client().send(post("https://example.test/a"))
    proxy.close()


def test_the_callers_host_goes_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, fake_server: FakeServer, make_client: MakeClient, proxy: Proxy
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
    fake_server.on("POST", "/a", Reply("hi"))
    make_client(headers={"Host": "model.test"}).send(post(fake_server.url + "/a"))
    assert proxy.heads[0].startswith(f"POST {fake_server.url}/a HTTP/1.1\r\nhost: model.test\r\n")
    assert proxy.heads[0].lower().count("\nhost:") == 1


@pytest.mark.parametrize("tunnel", [False, True])
def test_names_are_checked_against_the_address_and_not_the_callers_host(
    monkeypatch: pytest.MonkeyPatch,
    secure: Secure,
    make_client: MakeClient,
    certificate: Path,
    proxy: Proxy,
    tunnel: bool,
) -> None:
    if tunnel:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    client = make_client(verify=str(certificate), headers={"Host": "model.test"})
    assert client.send(post(secure.url + "/a")).body == b"hi"  # the certificate is the address's
    assert client.read(post(secure.url + "/s", host="other.test")) == [b"a", b"b", b"[DONE]"]
    assert [r.headers["host"] for r in secure.plain.requests] == ["model.test", "other.test"]
    assert all("model.test" not in head for head in proxy.heads)
    assert bool(proxy.heads) is tunnel


def test_one_proxy_authorization_is_sent(
    monkeypatch: pytest.MonkeyPatch, fake_server: FakeServer, make_client: MakeClient, proxy: Proxy
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://user:secret@{proxy.address}")
    fake_server.on("POST", "/a", Reply("hi"))
    make_client(headers={"Proxy-Authorization": "Bearer mine"}).send(post(fake_server.url + "/a"))
    assert proxy.heads[0].lower().count("proxy-authorization:") == 1
    assert "Bearer mine" in proxy.heads[0]


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1", "https://127.0.0.1:1"])
def test_a_kind_of_proxy_that_is_not_spoken(
    monkeypatch: pytest.MonkeyPatch, make_client: MakeClient, url: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", url)
    with pytest.raises(ConfigurationError, match=r"only http:// proxies.*http_client"):
        make_client().send(post("https://example.test/a"))
