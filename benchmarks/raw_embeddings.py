"""The raw client for embeddings: texts cut by 32 and nothing else. Bare sockets, aiohttp.

It asks for base64, which is the cheapest way to a vector. As many requests are in flight as there
are batches, up to 128; where the server answers at once, one connection is the fastest (sync).
"""

from __future__ import annotations

import asyncio
import socket
from array import array
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from typing import TYPE_CHECKING

import orjson

from .vectors import texts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

SIZE = 32
MOST = 128
PATH = "/v1/embeddings"


def batches_of(texts: Sequence[str]) -> list[Sequence[str]]:
    """Return the texts by 32."""
    return [texts[start : start + SIZE] for start in range(0, len(texts), SIZE)]


def body_of(texts: Sequence[str]) -> bytes:
    """Return a request's body."""
    return orjson.dumps({"input": texts, "model": "m", "encoding_format": "base64"})


def packed_in(answer: bytes) -> Iterator[bytes]:
    """Yield the vectors of an answer."""
    return (b64decode(item["embedding"]) for item in orjson.loads(answer)["data"])


def lists_in(answer: bytes) -> list[list[float]]:
    """Return the vectors of an answer as lists."""
    return [array("f", packed).tolist() for packed in packed_in(answer)]


class RawEmbeddings:
    """An embeddings-shaped client with neither LangChain nor an HTTP library (async: aiohttp)."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: list[socket.socket] = []
        self.threads: ThreadPoolExecutor | None = None

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors, one request after the other."""
        return list(chain.from_iterable(map(self._ask, batches_of(texts), repeat(lists_in))))

    def embed_at_once(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors, the requests side by side."""
        if self.threads is None:
            self.threads = ThreadPoolExecutor(MOST)
        return list(
            chain.from_iterable(self.threads.map(self._ask, batches_of(texts), repeat(lists_in)))
        )

    def embed_documents_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors as one array."""
        import numpy as np

        packed = map(self._ask, batches_of(texts), repeat(packed_in))
        rows = [np.frombuffer(one, "<f4") for one in chain.from_iterable(packed)]
        return np.vstack(rows)

    async def aembed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors, the requests side by side on one event loop."""
        import aiohttp

        async def ask(batch: Sequence[str]) -> list[list[float]]:
            head = {"content-type": "application/json"}
            async with session.post(url, data=body_of(batch), headers=head) as response:
                return lists_in(await response.read())

        url = f"http://127.0.0.1:{self.port}{PATH}"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=MOST)) as session:
            found = await asyncio.gather(*map(ask, batches_of(texts)))
        return list(chain.from_iterable(found))

    def _ask(self, texts: Sequence[str], read: Callable[[bytes], object]) -> object:
        try:
            sock = self.idle.pop()
        except IndexError:
            sock = socket.create_connection(("127.0.0.1", self.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = body_of(texts)
        head = (
            f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        sock.sendall(head.encode() + body)
        first, _, rest = sock.recv(262144).partition(b"\r\n\r\n")
        length = int(first.lower().split(b"content-length:")[1].split(b"\r", 1)[0])
        pieces = [rest]
        size = len(rest)
        while size < length:
            pieces.append(sock.recv(262144))
            size += len(pieces[-1])
        self.idle.append(sock)
        return read(b"".join(pieces))


class FloorEmbeddings:
    """Decodes vectors that are there already: what every client in Python does, after all I/O."""

    def __init__(self, port: int) -> None:
        raw = array("f", RawEmbeddings(port).embed_documents(texts_of(1))[0]).tobytes()
        self.vector = b64encode(raw).decode()

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors."""
        return [array("f", b64decode(self.vector)).tolist() for _ in texts]
