"""Two other readers of HTTP responses, to compare the parser with: h11, and llhttp."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import h11
import httptools

__all__ = ["Answer", "behind_h11", "by_h11", "by_llhttp", "joined"]


class Answer(NamedTuple):
    """A whole response to a POST."""

    status: int
    headers: dict[str, str]  # names in lower case, values of one name joined
    body: bytes


def joined(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields as a mapping; the name of a coding has no case."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip(" \t")
        value = value.lower() if name == "transfer-encoding" else value
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def by_h11(blocks: Iterable[bytes]) -> Answer | None:
    """What h11 makes of a response that ends with the connection; None if it is none."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "a")]))
    connection.send(h11.EndOfMessage())
    status, headers, body = 0, {}, b""
    try:
        for block in [*filter(None, blocks), b""]:
            connection.receive_data(block)
            while True:
                event = connection.next_event()
                if event in (h11.NEED_DATA, h11.PAUSED):
                    break
                if isinstance(event, h11.Response):
                    status, headers = event.status_code, joined(event.headers.raw_items())
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    return Answer(status, headers, body)
                elif isinstance(event, h11.ConnectionClosed):
                    return None
    except h11.RemoteProtocolError:
        return None
    return None


class _Reader:
    """Takes llhttp's events up to the end of the first final response."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.fields: list[tuple[bytes, bytes]] = []
        self.status = 0
        self.body = b""
        self.has_head = self.done = False

    def on_message_begin(self) -> None:
        if not self.done:
            self.fields.clear()
            self.has_head = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.done and not self.has_head:  # trailers are no headers
            self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        if not self.done:
            self.status = self.parser.get_status_code()
            self.has_head = True

    def on_body(self, body: bytes) -> None:
        if not self.done:
            self.body += body

    def on_message_complete(self) -> None:
        self.done = self.done or self.status >= 200


def by_llhttp(blocks: Iterable[bytes]) -> Answer | None:
    """What llhttp makes of it."""
    reader = _Reader()
    try:
        for block in filter(None, blocks):
            reader.parser.feed_data(block)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        if not reader.done:
            return None
    headers = joined(reader.fields)
    # The binding does not tell llhttp of the connection's end.
    open_ended = reader.has_head and not headers.keys() & {"content-length", "transfer-encoding"}
    if reader.done or (open_ended and reader.status >= 200):
        return Answer(reader.status, headers, reader.body)
    return None


def behind_h11(data: bytes) -> bytes | None:
    """What h11 leaves unread behind a response; None if it does not end in there."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    try:
        while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.EndOfMessage):
                return connection.trailing_data[0]
    except h11.RemoteProtocolError:
        pass
    return None
