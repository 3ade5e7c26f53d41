"""Several servers with the same model, of which some fail or go away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from .fake_server import FakeServer, Received

__all__ = ["Mortal", "posts", "several_servers", "urls"]


class Mortal(FakeServer):
    """A server that can go away in the middle of a test, as one that is killed."""

    def kill(self) -> None:
        """Close the port, and all connections with what is under way; callable from a route."""
        self._loop.call_soon_threadsafe(self._closing.set)

    def __exit__(self, *failure: Any) -> None:
        with suppress(RuntimeError):  # it was killed
            super().__exit__(*failure)


@contextmanager
def several_servers(count: int = 3) -> Iterator[list[Mortal]]:
    """Run servers without routes."""
    with ExitStack() as stack:
        yield [stack.enter_context(Mortal()) for _ in range(count)]


def urls(servers: list[Mortal]) -> list[str]:
    return [server.url for server in servers]


def posts(server: FakeServer) -> list[Received]:
    """The requests that were more than questions about the server."""
    return [request for request in list(server.requests) if request.method == "POST"]
