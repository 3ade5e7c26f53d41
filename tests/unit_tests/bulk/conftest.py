"""A server of vectors, and the texts that jobs send to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from langchain_easyllm.bulk import server_watch

from ...support.fake_embedding_servers import openai_route, serve_tei
from ...support.fake_server import FakeServer, Received, Reply


def texts_of(count: int) -> list[str]:
    """So many texts, each its own."""
    return [f"text number {number}" for number in range(count)]


def sent_texts(server: FakeServer) -> list[str]:
    """The texts of all requests, in the order in which they came."""
    return [text for r in server.received("/v1/embeddings") for text in json.loads(r.body)["input"]]


def serve(server: FakeServer, refuse: Callable[[list[str]], Reply | None] = lambda _: None) -> None:
    """Make `server` one of vectors that refuses some requests by their texts."""
    serve_tei(server)
    answer = openai_route()

    def route(request: Received) -> Reply:
        return refuse(json.loads(request.body)["input"]) or answer(request)

    server.on("POST", "/v1/embeddings", route)


def table_in(folder: Path) -> pa.Table:
    """The results, as any reader of a folder of Parquet files has them."""
    return pq.read_table(folder)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try servers that are away more often than is polite."""
    monkeypatch.setattr(server_watch, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(server_watch, "LONGEST_PAUSE", 0.1)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A folder for the results, which is not there yet."""
    return tmp_path / "results"
