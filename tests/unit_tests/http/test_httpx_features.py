"""What is the httpx client's own: proxies, sockets, TLS, HTTP/2, event hooks, `auth`, cookies."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from langchain_easyllm import EasyLLMChat
from langchain_easyllm._http.auth import Credentials
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.models import Request, RetryPolicy
from langchain_easyllm.errors import (
    ConfigurationError,
    ConnectionError,
    EasyLLMError,
    RateLimitError,
    TimeoutError,
)

from ...support.fake_server import FakeServer, Pause, Received, Reply, Stall, sse
from ...support.fake_text_servers import serve
from ...support.http_clients import Client, post
from ...support.httpx_clients import Httpx, tls_context
from .test_tls_and_proxies import (  # noqa: F401 - fixtures
    Proxy,
    proxy,
    tls_in_front_of,
)

BOTH = pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])
MakeClient = Callable[..., Client]


@pytest.fixture(params=["httpx-sync", "httpx-async"])
def make_client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Builds clients with httpx's own options."""
    with ExitStack() as stack:
        yield Httpx(*request.param.split("-"), stack)


@pytest.fixture
def is_async(request: pytest.FixtureRequest) -> bool:
    """Whether `make_client` builds asynchronous clients."""
    return "async" in request.node.callspec.params["make_client"]


def echo(request: Received) -> Reply:
    """Answer with the headers of the request."""
    return Reply(request.headers)


# Headers


def test_whose_headers_are_sent(fake_server: FakeServer, make_client: MakeClient) -> None:
    fake_server.on("POST", "/a", Reply("hi"))
    own = {"accept": "text/html", "accept-encoding": "br", "x-tenant": "7", "user-agent": "mine/1"}
    own |= {"authorization": "Bearer of-the-client", "content-type": "text/plain"}
    client = make_client(Credentials("token-1", base_url=fake_server.url), httpx_headers=own)
    client.send(post(fake_server.url + "/a", b"{}"))
    sent = fake_server.requests[-1].headers
    assert sent["accept"] == "application/json"
    assert sent["accept-encoding"] == "identity"
    assert sent["content-type"] == "application/json"
    assert sent["authorization"] == "Bearer token-1"
    assert sent["user-agent"] == "mine/1"
    assert sent["x-tenant"] == "7"
    assert sent["content-length"] == "2"
    make_client(headers={"user-agent": "theirs"}, httpx_headers=own).send(
        post(fake_server.url + "/a")
    )
    sent = fake_server.requests[-1].headers
    assert sent["user-agent"] == "theirs"
    assert sent["authorization"] == "Bearer of-the-client"  # there is no token of ours
    make_client().send(post(fake_server.url + "/a"))
    assert fake_server.requests[-1].headers["user-agent"].startswith("langchain-easyllm/")


def test_what_the_client_adds_stays_with_the_first_origin(
    fake_server: FakeServer, make_client: MakeClient
) -> None:
    with FakeServer() as other:
        other.on("POST", "/b", Reply("there"))
        fake_server.on("POST", "/a", Reply(status=307, headers={"location": other.url + "/b"}))
        client = make_client(
            httpx_headers={"authorization": "Bearer theirs", "x-api-key": "k", "x-tenant": "7"},
            cookies={"session": "secret"},
            params={"key": "in-the-query"},
            auth=("user", "password"),
        )
        assert client.send(post(fake_server.url + "/a")).body == b"there"
        first, second = fake_server.requests[0], other.requests[0]
    assert first.headers["authorization"].startswith("Basic ")
    assert first.headers["cookie"] == "session=secret"
    assert first.query == {"key": "in-the-query"}
    assert second.query == {}
    assert not {"authorization", "cookie", "x-api-key", "x-tenant"} & set(second.headers)
    assert second.headers["user-agent"].startswith("langchain-easyllm/")


def test_cookies_are_the_clients(fake_server: FakeServer, make_client: MakeClient) -> None:
    fake_server.on("POST", "/a", Reply("hi", headers={"set-cookie": "replica=3; Path=/"}))
    client = make_client()
    client.send(post(fake_server.url + "/a"))
    client.send(post(fake_server.url + "/a"))
    assert fake_server.requests[1].headers["cookie"] == "replica=3"


def test_an_auth_of_httpx_may_ask_twice(fake_server: FakeServer, make_client: MakeClient) -> None:
    class Renewed(httpx.Auth):
        token = "old"

        def auth_flow(self, request: Any) -> Iterator[Any]:
            request.headers["authorization"] = f"Bearer {self.token}"
            response = yield request
            if response.status_code == 401:
                self.token = "new"
                request.headers["authorization"] = f"Bearer {self.token}"
                yield request

    def check(request: Received) -> Reply:
        new = request.headers["authorization"] == "Bearer new"
        return sse("a") if new else Reply("old token", status=401)

    fake_server.on("POST", "/a", check)
    client = make_client(auth=Renewed())
    assert client.read(post(fake_server.url + "/a")) == [b"a", b"[DONE]"]
    assert len(fake_server.requests) == 2


# Event hooks


def hooks(is_async: bool, **functions: Callable[[Any], None]) -> dict[str, list[object]]:
    """The functions as httpx wants them of a kind of client."""

    def asynchronous(function: Callable[[Any], None]) -> object:
        async def hook(value: Any) -> None:
            function(value)

        return hook

    return {
        name: [asynchronous(function) if is_async else function]
        for name, function in functions.items()
    }


def test_event_hooks_see_each_attempt(
    fake_server: FakeServer, make_client: MakeClient, is_async: bool
) -> None:
    busy = Reply("busy", status=503, headers={"retry-after": "0"})
    fake_server.on("POST", "/a", busy, Reply("hi"))
    seen: list[object] = []

    def note(request: Any) -> None:
        request.headers["x-signed"] = "yes"
        seen.append(request.method)

    made = hooks(is_async, request=note, response=lambda r: seen.append(r.status_code))
    client = make_client(event_hooks=made)
    assert client.send(post(fake_server.url + "/a"), RetryPolicy(5, 1)).body == b"hi"
    assert seen == ["POST", 503, "POST", 200]
    assert fake_server.requests[-1].headers["x-signed"] == "yes"


@pytest.mark.parametrize("reads", [False, True])
def test_a_hook_may_raise_for_status(
    fake_server: FakeServer, make_client: MakeClient, is_async: bool, reads: bool
) -> None:
    busy = Reply({"error": "too much"}, status=429, headers={"retry-after": "0"})
    fake_server.on("POST", "/a", busy, Reply("hi"))
    fake_server.on("POST", "/always", busy)

    async def arraise(response: Any) -> None:
        if reads:
            await response.aread()
        response.raise_for_status()

    def raise_(response: Any) -> None:
        if reads:
            response.read()
        response.raise_for_status()

    client = make_client(event_hooks={"response": [arraise if is_async else raise_]})
    assert client.send(post(fake_server.url + "/a"), RetryPolicy(5, 1)).body == b"hi"
    for ask in (client.send, client.read):
        with pytest.raises(RateLimitError, match="too much" if reads else "429"):
            ask(post(fake_server.url + "/always"))


def test_a_hook_may_read_the_response(
    fake_server: FakeServer, make_client: MakeClient, is_async: bool
) -> None:
    import gzip

    packed = Reply(gzip.compress(b"hello"), headers={"content-encoding": "gzip"})
    fake_server.on("POST", "/a", packed)
    fake_server.on("POST", "/s", sse("a", "b"))

    async def aread(response: Any) -> None:
        await response.aread()

    read = aread if is_async else (lambda response: response.read())
    client = make_client(event_hooks={"response": [read]})
    assert client.send(post(fake_server.url + "/a")).body == b"hello"
    assert client.read(post(fake_server.url + "/s")) == [b"a", b"b", b"[DONE]"]


def test_an_error_of_a_hook_is_the_callers(
    fake_server: FakeServer, make_client: MakeClient, is_async: bool
) -> None:
    def fail(_: Any) -> None:
        raise ZeroDivisionError("mine")

    client = make_client(event_hooks=hooks(is_async, request=fail))
    with pytest.raises(ZeroDivisionError, match="mine"):
        client.send(post(fake_server.url + "/a"), RetryPolicy(5, 2))
    assert fake_server.requests == []


# Connections


def test_a_full_pool_says_so(
    fake_server: FakeServer, make_client: MakeClient, is_async: bool
) -> None:
    fake_server.on("POST", "/s", sse("a", Stall()))
    fake_server.on("POST", "/a", Reply("hi"))
    client = make_client(limits=httpx.Limits(max_connections=1))
    transport = client.transport
    request, quick = post(fake_server.url + "/a"), RetryPolicy(timeout=0.3, max_retries=0)

    def both() -> None:
        with transport.open(post(fake_server.url + "/s")) as stream:
            next(stream)
            transport.send(request, quick)

    async def aboth() -> None:
        async with await transport.aopen(post(fake_server.url + "/s")) as stream:
            await anext(stream)
            await transport.asend(request, quick)

    field = "http_async_client" if is_async else "http_client"
    with pytest.raises(TimeoutError, match=rf"{field} became free within 0\.3 s.*max_connections"):
        client._runner.run(aboth()) if is_async else both()
    assert client.send(request).body == b"hi"  # the stream has given its place back


@pytest.mark.parametrize("pause", [0.0, 0.01])
def test_the_end_of_a_stream_keeps_its_connection(
    fake_server: FakeServer, make_client: MakeClient, pause: float
) -> None:
    """A model stops reading at [DONE], which the end of the framing follows."""
    fake_server.on("POST", "/s", sse("a", b"data: [DONE]\n\n", Pause(pause)))
    client = make_client()
    for _ in range(4):
        with_done(client, fake_server.url + "/s")
    assert fake_server.connections < 4  # a machine that is late may miss the end of one


def test_a_server_that_goes_on_behind_the_end_is_left(
    fake_server: FakeServer, make_client: MakeClient
) -> None:
    fake_server.on("POST", "/s", sse("a", b"data: [DONE]\n\n", Stall()))
    client = make_client()
    started = time.monotonic()
    with_done(client, fake_server.url + "/s")
    assert time.monotonic() - started < 5
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


def with_done(client: Client, url: str) -> None:
    """Read a stream until [DONE], and close it then."""
    transport = client.transport
    request, policy = post(url), RetryPolicy(timeout=30, max_retries=0)
    if hasattr(client, "_runner"):

        async def read() -> None:
            async with await transport.aopen(request, policy) as stream:
                async for events in stream:
                    if b"[DONE]" in events:
                        break

        client._runner.run(read())
    else:
        with transport.open(request, policy) as stream:
            for events in stream:
                if b"[DONE]" in events:
                    break


async def test_a_cancelled_task_gives_its_connection_back(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/s", sse("a", Stall()))
    fake_server.on("POST", "/a", Reply(before=[Stall()]))
    async with httpx.AsyncClient(verify=tls_context(None)) as own:
        transport = HTTPTransport(http_async_client=own)

        async def read() -> None:
            async with await transport.aopen(post(fake_server.url + "/s")) as stream:
                async for _ in stream:
                    seen.set()

        seen = asyncio.Event()
        tasks = [
            asyncio.create_task(read()),
            asyncio.create_task(transport.asend(post(fake_server.url + "/a"))),
        ]
        await seen.wait()
        await asyncio.to_thread(fake_server.wait_until, lambda: len(fake_server.requests) == 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.open_connections == 0)


async def test_a_dropped_asynchronous_stream_gives_its_connection_back(
    fake_server: FakeServer,
) -> None:
    fake_server.on("POST", "/s", sse("a", Stall()))
    async with httpx.AsyncClient(verify=tls_context(None)) as own:
        transport = HTTPTransport(http_async_client=own)
        stream = await transport.aopen(post(fake_server.url + "/s"))
        await anext(stream)
        del stream
        gc.collect()
        await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.open_connections == 0)


@BOTH
def test_a_stream_dropped_in_a_cycle_is_silent(fake_server: FakeServer, module: Any) -> None:
    serve(fake_server, "vllm")
    events = [b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n', Stall()]
    fake_server.on("POST", "/v1/chat/completions", sse(*events))
    with module.Client(verify=tls_context(None)) as own, warnings.catch_warnings():
        warnings.simplefilter("error")
        holder: dict[str, Any] = {}
        holder["me"] = holder
        holder["stream"] = EasyLLMChat(base_url=fake_server.url, http_client=own).stream("Hi")
        next(holder["stream"])
        del holder
        gc.collect()
        fake_server.wait_until(lambda: fake_server.open_connections == 0)


def test_the_time_for_a_whole_response_is_bounded(
    fake_server: FakeServer, make_client: MakeClient
) -> None:
    """However few bytes come at a time."""
    drip = Reply(chunks=[b"x", Pause(0.1)] * 100)
    fake_server.on("POST", "/a", drip)
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"within 0\.5 s"):
        make_client().send(post(fake_server.url + "/a"), RetryPolicy(timeout=0.5, max_retries=0))
    assert time.monotonic() - started < 5
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


# Ways to a server


def test_a_unix_domain_socket(
    fake_server: FakeServer, tmp_path: Path, make_client: MakeClient, is_async: bool
) -> None:
    fake_server.on("POST", "/a", Reply("hi"))
    fake_server.on("POST", "/s", sse("a"))
    port = int(fake_server.url.rpartition(":")[2])
    path = tmp_path / "s"
    with tls_in_front_of(port, None, path):
        kind = httpx.AsyncHTTPTransport if is_async else httpx.HTTPTransport
        client = make_client(transport=kind(uds=str(path)))
        assert client.send(post("http://localhost/a")).body == b"hi"
        assert client.read(post("http://localhost/s")) == [b"a", b"[DONE]"]
    assert fake_server.requests[-1].headers["host"] == "localhost"


def test_a_proxy_of_the_client(
    fake_server: FakeServer,
    make_client: MakeClient,
    proxy: Proxy,  # noqa: F811
) -> None:
    fake_server.on("POST", "/a", Reply("hi"))
    client = make_client(proxy=f"http://user:secret@{proxy.address}")
    assert client.send(post(fake_server.url + "/a")).body == b"hi"
    assert proxy.heads[0].startswith(f"POST {fake_server.url}/a HTTP/1.1\r\n")


def test_a_proxy_of_the_client_that_refuses(make_client: MakeClient) -> None:
    refusing = Proxy(refuses="407 Proxy Authentication Required")
    client = make_client(proxy=f"http://user:secret@{refusing.address}")
    with pytest.raises(ConnectionError, match=r"The proxy of http_.*407") as caught:
        client.send(post("https://example.test/a"), RetryPolicy(5, 2))
    assert not caught.value.is_retryable
    assert "secret" not in str(caught.value)
    refusing.close()


class SocksProxy(Proxy):
    """A SOCKS5 proxy without passwords."""

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(2 + 255)
            client.sendall(b"\x05\x00")
            head = client.recv(4)
            host = client.recv(client.recv(1)[0]).decode() if head[3] == 3 else ""
            host = host or socket.inet_ntoa(client.recv(4))
            port = int.from_bytes(client.recv(2))
            self.heads.append(f"{host}:{port}")
            with socket.create_connection((host, port)) as server:
                client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
                back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
                back.start()
                self._copy(client, server)
                back.join(5)


def test_a_socks_proxy(fake_server: FakeServer, make_client: MakeClient) -> None:
    with closing(SocksProxy()) as socks:
        fake_server.on("POST", "/a", Reply("hi"))
        fake_server.on("POST", "/s", sse("a"))
        client = make_client(proxy=f"socks5://{socks.address}")
        assert client.send(post(fake_server.url + "/a")).body == b"hi"
        assert client.read(post(fake_server.url + "/s")) == [b"a", b"[DONE]"]
        assert socks.heads[0] == fake_server.url.removeprefix("http://")


def test_a_client_certificate(
    fake_server: FakeServer,
    certificate: Path,
    make_client: MakeClient,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    key = certificate.with_name("key.pem")
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    fake_server.on("POST", "/a", Reply("hi"))
    with tls_in_front_of(int(fake_server.url.rpartition(":")[2]), context) as port:
        request = post(f"https://127.0.0.1:{port}/a")
        trusting = ssl.create_default_context(cafile=str(certificate))
        with pytest.raises(EasyLLMError):
            make_client(context=trusting).send(request)
        trusting = ssl.create_default_context(cafile=str(certificate))
        trusting.load_cert_chain(certificate, key)
        assert make_client(context=trusting).send(request).body == b"hi"


HTTP2_APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    version = scope["http_version"].encode()
    headers = [(b"content-type", b"text/event-stream"), (b"x-version", version)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for event in (b"data: a\\n\\n", b"data: [DONE]\\n\\n"):
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body"})
"""


@pytest.fixture(scope="module")
def http2_server(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks HTTP/2 over TLS."""
    hypercorn = pytest.importorskip("hypercorn")
    from hypercorn.asyncio import serve as run

    namespace: dict[str, Any] = {}
    exec(HTTP2_APP, namespace)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = hypercorn.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.certfile, config.keyfile = str(certificate), str(certificate.with_name("key.pem"))
    config.graceful_timeout = 0.1
    config.errorlog = logging.getLogger("hypercorn.silent")
    loop = asyncio.new_event_loop()
    end = asyncio.Event()
    app = namespace["app"]
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(run(app, config, shutdown_trigger=end.wait)),
        daemon=True,
    )
    thread.start()
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.02)
    yield f"https://127.0.0.1:{port}"
    loop.call_soon_threadsafe(end.set)
    thread.join(10)
    loop.close()


def test_http_2(http2_server: str, certificate: Path, make_client: MakeClient) -> None:
    pytest.importorskip("h2")
    client = make_client(verify=certificate, http2=True)
    for _ in range(2):
        response = client.send(post(http2_server + "/a"))
        assert response.headers["x-version"] == "2"
        assert client.read(post(http2_server + "/a")) == [b"a", b"[DONE]"]
        with_done(client, http2_server + "/a")


# The rest


def test_an_application_may_stand_in_for_a_server() -> None:
    """A mock or an application in this process is a transport of httpx."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(404)
        return httpx.Response(200, json={"choices": [{"message": {"content": "mocked"}}]})

    with httpx.Client(transport=httpx.MockTransport(handle)) as client:
        model = EasyLLMChat(base_url="http://localhost:9", model="m", http_client=client)
        assert model.invoke("Hi").text == "mocked"


def test_a_subclass_is_one_too(fake_server: FakeServer) -> None:
    class Mine(httpx.Client):
        pass

    fake_server.on("GET", "/a", Reply("hi"))
    with Mine(verify=tls_context(None)) as client:
        transport = HTTPTransport(http_client=client)
        assert transport.send(Request("GET", fake_server.url + "/a")).body == b"hi"


def test_an_address_that_httpx_cannot_use(make_client: MakeClient) -> None:
    with pytest.raises(ConfigurationError, match="cannot send to localhost"):
        make_client().send(post("http://localhost:9/" + "a" * 70_000))


SILENT = """
import asyncio, httpx, logging
logging.getLogger("asyncio").setLevel(logging.ERROR)  # not that a step took 0.1 s in dev mode
from langchain_easyllm import EasyLLMChat
client = httpx.Client(verify=False)
model = EasyLLMChat(base_url={url!r}, http_client=client)
model.invoke("Hi"); list(model.stream("Hi"))
stream = model.stream("Hi"); next(stream)
aclient = httpx.AsyncClient(verify=False)
amodel = EasyLLMChat(base_url={url!r}, http_async_client=aclient)
async def main():
    await amodel.ainvoke("Hi")
    global left
    left = amodel.astream("Hi")
    await anext(left)
    await aclient.aclose()
asyncio.run(main())
client.close()
"""


def test_nothing_is_printed_at_exit(fake_server: FakeServer) -> None:
    from ...support.subprocess_scripts import assert_silent

    serve(fake_server, "vllm")
    assert_silent(SILENT.format(url=fake_server.url))
