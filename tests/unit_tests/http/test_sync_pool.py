"""The pool of the threads, where two of them meet in the middle of a step."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.connect import IdleConnections
from langchain_easyllm._http.models import parse_url
from langchain_easyllm._http.sync_connection import SyncConnection
from langchain_easyllm._http.sync_pool import SyncPool, _SyncOriginPool

from ...support.fake_server import FakeServer, Reply, Stall, sse
from ...support.http_clients import SyncClient, post


class Contended(IdleConnections[SyncConnection]):
    """Idle connections; in the middle of one step of a thread, another thread does something.

    Args:
        step: The name of the method after which (`pop`, `put`: before which) that happens, once.
        rival: What the other thread does.
    """

    def __init__(self, step: str, rival: Callable[[], object]) -> None:
        super().__init__()
        self._step = step
        self._rival = rival

    def _meet(self, step: str) -> None:
        if step == self._step:
            self._step = ""
            thread = threading.Thread(target=self._rival)
            thread.start()
            thread.join(10)

    def put(self, connection: SyncConnection) -> None:
        self._meet("put")
        super().put(connection)

    def append(self, connection: SyncConnection) -> None:
        super().append(connection)
        self._meet("append")

    def __getitem__(self, index: int) -> SyncConnection:
        found = super().__getitem__(index)
        self._meet("look")
        return found

    def pop(self) -> SyncConnection:
        self._meet("pop")
        return super().pop()


@pytest.fixture
def client(fake_server: FakeServer) -> Iterator[SyncClient]:
    fake_server.on("POST", "/a", Reply("hi"))
    fake_server.on("POST", "/s", sse("a", "b"))
    fake_server.on("POST", "/open", sse("a", Stall()))
    with SyncClient(HTTPTransport()) as client:
        yield client


def contend(client: SyncClient, url: str, step: str, rival: Callable[[], object]) -> Contended:
    """Let the connections to a server be contended from now on."""
    idle = Contended(step, rival)
    origins = client.transport._sync_pool()._origins
    origins.setdefault(parse_url(url).origin, _SyncOriginPool()).idle = idle
    return idle


@pytest.mark.parametrize("streaming", [False, True])
def test_a_connection_may_be_taken_as_soon_as_it_is_back(
    fake_server: FakeServer, client: SyncClient, streaming: bool
) -> None:
    url, taken = fake_server.url, []
    contend(client, url, "append", lambda: taken.append(client.transport.open(post(url + "/open"))))
    if streaming:
        assert client.read(post(url + "/s")) == [b"a", b"b", b"[DONE]"]
    else:
        assert client.send(post(url + "/a")).body == b"hi"
    assert next(taken[0]) == [b"a"]
    assert fake_server.connections == 1  # the very same one
    taken[0].close()


def test_a_pool_may_be_closed_as_a_connection_comes_back(
    fake_server: FakeServer, client: SyncClient
) -> None:
    contend(client, fake_server.url, "put", client.transport.close)
    assert client.send(post(fake_server.url + "/a")).body == b"hi"
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


def test_an_old_connection_may_be_taken_while_it_is_looked_at(
    fake_server: FakeServer, client: SyncClient
) -> None:
    url, transport = fake_server.url, client.transport
    stream = transport.open(post(url + "/s"))
    transport.send(post(url + "/a"))  # by a second connection, which is idle now
    (old,) = transport._sync_pool()._origins[parse_url(url).origin].idle
    old.idle_since -= 3600
    contend(client, url, "look", transport.close).extend([old])
    assert [event for events in stream for event in events] == [b"a", b"b", b"[DONE]"]
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


def test_what_is_closed_may_be_taken_meanwhile(fake_server: FakeServer, client: SyncClient) -> None:
    taken: list[SyncConnection] = []
    idle = contend(client, fake_server.url, "pop", lambda: taken.append(deque.pop(idle)))
    with client.transport.open(post(fake_server.url + "/s")) as stream:
        assert list(stream)
    assert len(idle) == 1
    client.transport.close()
    assert len(taken) == 1
    taken[0].close()
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


def test_another_server_may_be_asked_meanwhile(fake_server: FakeServer, client: SyncClient) -> None:
    known = client.transport._sync_pool()._origins
    contend(
        client,
        fake_server.url,
        "pop",
        lambda: known.setdefault(("http", "h", 80), _SyncOriginPool()),
    )
    with client.transport.open(post(fake_server.url + "/s")) as stream:
        assert list(stream)
    client.transport.close()
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


def test_no_thread_of_a_child_process_gets_the_parents_connection(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply("hi"))
    address = parse_url(fake_server.url)
    found: list[SyncConnection | None] = []

    class Watched(SyncPool):
        """Another thread asks for a connection at each step in which this one is changed."""

        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if watching:
                watching.clear()
                found.append(self._take(address))
                watching.append(name)

    watching: list[str] = []
    with SyncClient(HTTPTransport()) as client:
        client.transport._backends.sync = pool = Watched(verify=True)
        client.send(post(fake_server.url + "/a"))
        assert len(pool._origins[address.origin].idle) == 1
        pool._pid -= 1  # as it is in a child: the pool was made by another process
        watching.append("all")
        found.append(pool._take(address))
    assert found == [None] * len(found)
    assert len(found) > 3
