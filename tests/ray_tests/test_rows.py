"""Every row is answered or says why not; limits are those of the whole job."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_easyllm import EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm.errors import AuthenticationError, EasyLLMError
from langchain_easyllm.ray import embed, run

from ..support import fake_text_servers
from ..support.fake_embedding_servers import vector_of
from ..support.fake_server import FakeServer, Received, Reply
from .conftest import KEY_VARIABLE, SlotServer, rows_in, serve_vectors, texts_of, write_rows


def token() -> str:
    """The key, found where it is needed."""
    return os.environ[KEY_VARIABLE]


def test_bad_rows_cost_themselves_only(ray, fake_server: FakeServer, tmp_path: Path):
    texts = [*texts_of(1000)]
    texts[3], texts[500], texts[998] = None, "", "teapot"

    def refuse(request: Received) -> Reply | None:
        assert request.headers["authorization"] == "Bearer secret of the environment"
        tea = "teapot" in json.loads(request.body)["input"]
        return Reply({"error": "no tea"}, status=400) if tea else None

    serve_vectors(fake_server, refuse)
    dataset = ray.data.read_parquet(write_rows(tmp_path / "in.parquet", texts))
    embeddings = EasyLLMEmbeddings(base_url=fake_server.url, api_key=token)
    embed(dataset, embeddings, rows_per_block=100, actors=1).write_parquet(str(tmp_path / "out"))
    rows = rows_in(tmp_path / "out")
    assert [row["id"] for row in rows] == [*range(1000)]
    assert len([*(tmp_path / "out").glob("*.parquet")]) >= 10
    bad = {row["id"]: row["error"] for row in rows if row["error"]}
    assert [*bad] == [3, 500, 998]
    assert bad[3] == "ConfigurationError: The text is null."
    assert "no tea" in bad[998]
    assert all(
        row["embedding"] == (None if row["id"] in bad else vector_of(row["text"])) for row in rows
    )


def test_a_chain_answers_rows_and_notes_its_own_errors(ray, fake_server: FakeServer):
    fake_text_servers.serve(fake_server, "tgi", ["Bon", "jour"])

    def check(row: dict) -> str:
        return row["text"] if row["n"] != 5 else 1 / 0

    chain = RunnableLambda(check) | EasyLLMChat(base_url=fake_server.url)
    rows = ray.data.from_items([{"n": n, "text": "Hello"} for n in range(20)])
    answers = run(rows, chain, keep=["n"], into="said", rows_per_block=None, actors=1).take_all()
    assert {row["n"]: row["said"] for row in answers} == {
        n: None if n == 5 else "Bonjour" for n in range(20)
    }
    [error] = [row["error"] for row in answers if row["error"]]
    assert error == "ZeroDivisionError: division by zero"


def test_a_busy_servers_refusals_cost_nothing(ray, fake_server: FakeServer, tmp_path: Path):
    slots = SlotServer(4, 0.02)
    serve_vectors(fake_server, slots)
    dataset = ray.data.read_parquet(write_rows(tmp_path / "in.parquet", texts_of(6000)))
    embeddings = EasyLLMEmbeddings(base_url=fake_server.url, max_concurrency=64)
    rows = embed(dataset, embeddings, rows_per_block=1000).take_all()
    assert len(rows) == 6000
    assert [row["error"] for row in rows if row["error"]] == []
    assert slots.refused > 0


def test_limits_are_divided_over_the_actors(ray, fake_server: FakeServer, tmp_path: Path):
    times: list[float] = []

    def refuse(_: Received) -> None:
        times.append(time.monotonic())

    serve_vectors(fake_server, refuse)
    dataset = ray.data.read_parquet(write_rows(tmp_path / "in.parquet", texts_of(60)))
    embeddings = EasyLLMEmbeddings(
        base_url=fake_server.url, batch_size=1, max_concurrency=5, requests_per_second=40
    )
    rows = embed(dataset, embeddings, actors=2, rows_per_block=10).take_all()
    assert len(rows) == 60
    assert fake_server.max_in_flight <= 4
    assert max(times) - min(times) > 58 / 40 - 0.1  # two begin at once, one in each actor


def test_the_jobs_error_arrives_as_itself(ray, fake_server: FakeServer):
    serve_vectors(fake_server, lambda _: Reply({"error": "no"}, status=401))
    fake_server.on("POST", "/embed", Reply({"error": "no"}, status=401))
    dataset = embed(
        ray.data.from_items([{"text": text} for text in texts_of(100)]),
        EasyLLMEmbeddings(base_url=fake_server.url),
        actors=1,
    )
    with pytest.raises(AuthenticationError) as caught:
        dataset.materialize()
    assert caught.value.status_code == 401
    assert "\n" not in caught.value.message
    # The sentence is what a traceback ends with, and Ray's frames are not before it.
    assert str(caught.value).endswith(caught.value.message)
    assert "ray/data/_internal" not in str(caught.value)


def test_a_server_that_is_not_there_is_waited_for(ray, fake_server: FakeServer):
    with FakeServer() as gone:
        url = gone.url
    dataset = embed(
        ray.data.from_items([{"text": "a"}]),
        EasyLLMEmbeddings(base_url=url),
        patience=0.5,
        actors=1,
    )
    with pytest.raises(EasyLLMError, match=r"No answer for 0\.5 s \(patience\)"):
        dataset.materialize()
