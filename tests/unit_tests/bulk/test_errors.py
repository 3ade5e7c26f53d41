"""Whose error it is: the row's is noted, the job's stops it, the server's is waited out."""

from __future__ import annotations

import threading
import time

import pyarrow as pa
import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.runnables import RunnableLambda

from langchain_easyllm import EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm.bulk import embed, embed_batches, run, run_batches
from langchain_easyllm.bulk.classification import Fault, fault_of
from langchain_easyllm.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConnectionError,
    ContextOverflowError,
    EasyLLMError,
    EndpointPausedError,
    GenerationError,
    ModelLoadingError,
    ModelOverloadedError,
    NotFoundError,
    PermissionDeniedError,
    PromptError,
    ProtocolError,
    RateLimitError,
    RefusalError,
    ServerError,
    StructuredOutputError,
    TimeoutError,
)

from ...support import fake_text_servers
from ...support.fake_embedding_servers import vectors_of
from ...support.fake_server import FakeServer, Received, Reply
from .conftest import sent_texts, serve, table_in, texts_of


class ForeignError(Exception):
    """An error of another package's client."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


def unretryable(error: EasyLLMError) -> EasyLLMError:
    error.is_retryable = False
    return error


FAULTS = {
    Fault.ROW: [
        BadRequestError("no"),
        ContextOverflowError("long"),
        PromptError("no"),
        RefusalError("no"),
        StructuredOutputError("no"),
        OutputParserException("no"),
        ValueError("a parser's"),
        KeyError("variable"),
        ForeignError(400),
        ForeignError(422),
    ],
    Fault.JOB: [
        AuthenticationError("no"),
        PermissionDeniedError("no"),
        NotFoundError("no"),
        ConfigurationError("no"),
        EndpointPausedError("no"),
        unretryable(RateLimitError("the quota is used up")),
        unretryable(ConnectionError("the name is not known")),
        ForeignError(401),
        ForeignError(404),
    ],
    Fault.SERVER: [
        RateLimitError("busy"),
        ModelOverloadedError("busy"),
        ServerError("broken", status_code=503),
        ModelLoadingError("soon"),
        GenerationError("failed"),
        ProtocolError("a proxy's page"),
        ConnectionError("gone"),
        TimeoutError("late"),
        ConnectionResetError("gone"),
        ForeignError(500),
        ForeignError(429),
    ],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whose_error_it_is(fault: Fault):
    for error in FAULTS[fault]:
        assert fault_of(error, was_answered=False) is fault, error


def test_one_bad_row_in_a_thousand_costs_that_row(fake_server: FakeServer, target):
    texts = texts_of(1000)
    texts[10], texts[500], texts[700], texts[999] = None, "", "long " * 600, "teapot"

    def refuse(given: list[str]) -> Reply | None:
        return Reply({"error": "no tea"}, status=400) if "teapot" in given else None

    serve(fake_server, refuse)
    table = pa.table({"text": texts})
    result = embed(table, target, EasyLLMEmbeddings(base_url=fake_server.url), part_rows=256)
    found = table_in(target).to_pylist()
    bad = {n: row["error"] for n, row in enumerate(found) if row["error"]}
    assert [*bad] == [10, 500, 700, 999]
    assert bad[10] == "ConfigurationError: The text is null."
    assert "empty" in bad[500]
    assert bad[700].startswith("BadRequestError: ") or bad[700].startswith("ContextOverflowError")
    assert "no tea" in bad[999]
    assert all(found[n]["embedding"] is None for n in bad)
    good = [row for row in found if not row["error"]]
    assert [row["embedding"] for row in good] == vectors_of([row["text"] for row in good])
    assert (result.rows, result.failed) == (1000, 4)
    assert sum(result.reasons.values()) == 4
    assert "4 rows failed" in str(result)


def test_vectors_that_float32_cannot_hold_cost_their_rows(fake_server: FakeServer, tmp_path):
    kept = {"large": [1e39] * 6, "small": [1e-50] * 6, "zero": [0.0] * 6}
    serve(fake_server, lambda given: Reply([kept.get(text, [1.0] * 6) for text in given]))
    source = pa.table({"text": ["large", "one", "zero", "small", "two"]})
    result = embed(source, tmp_path / "out", EasyLLMEmbeddings(base_url=fake_server.url))
    assert str(result).count("1  ProtocolError: The vector ") == 3
    assert len(sent_texts(fake_server)) == 5
    assert (result.rows, result.failed) == (5, 3)


@pytest.mark.parametrize("every", [100, 1], ids=["some", "all"])
def test_a_zero_vector_costs_its_row_and_is_not_asked_for_again(fake_server: FakeServer, every):
    texts = texts_of(300)

    def zeros(given: list[str]) -> Reply:
        vectors = vectors_of(given)
        unknown = [texts.index(text) % every == 0 for text in given]
        return Reply([[0.0] * 6 if bad else v for bad, v in zip(unknown, vectors, strict=True)])

    serve(fake_server, zeros)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    batches = pa.table({"text": texts}).to_batches()
    found = [
        row for batch in embed_batches(batches, model, part_rows=100) for row in batch.to_pylist()
    ]
    bad = {n: row["error"] for n, row in enumerate(found) if row["error"]}
    assert [*bad] == [*range(0, 300, every)]
    assert bad[0].startswith("ProtocolError: The vector is all zeros, which is near to nothing")
    assert len(set(bad.values())) == 1
    assert all(found[n]["embedding"] is None for n in bad)
    assert sorted(sent_texts(fake_server)) == sorted(texts)


def test_a_row_that_the_server_cannot_answer_is_found(fake_server: FakeServer):
    """Its 500 repeats whatever it is sent with; nobody else has it twice over."""

    def refuse(given: list[str]) -> Reply | None:
        return Reply({"error": "CUDA error"}, status=500) if "poison" in given else None

    serve(fake_server, refuse)
    texts = texts_of(300)
    texts[123] = "poison"
    model = EasyLLMEmbeddings(base_url=fake_server.url, max_retries=0)
    found = [
        row
        for batch in embed_batches(pa.table({"text": texts}).to_batches(), model, part_rows=100)
        for row in batch.to_pylist()
    ]
    assert [n for n, row in enumerate(found) if row["error"]] == [123]
    assert found[123]["error"].startswith("ServerError: ")
    assert len(sent_texts(fake_server)) < 600


def test_the_only_row_that_is_left_is_given_up(fake_server: FakeServer):
    """With nobody else to be answered, a tenth of the time decides."""
    serve(fake_server, lambda _: Reply({"error": "CUDA error"}, status=500))
    model = EasyLLMEmbeddings(base_url=fake_server.url, max_retries=0)
    table = pa.table({"text": ["poison"]})
    [batch] = embed_batches(table.to_batches(), model, patience=3)
    assert batch["error"][0].as_py().startswith("ServerError")


class Away:
    """A server that closes each connection for some seconds from its n-th request on."""

    def __init__(self, after: int, seconds: float) -> None:
        self.left, self.seconds = after, seconds
        self.until: float | None = None

    def __call__(self, _: object) -> Reply | None:
        self.left -= 1
        if self.left > 0:
            return None
        self.until = self.until or time.monotonic() + self.seconds
        away = time.monotonic() < self.until
        return Reply({"error": "restarting"}, status=503) if away else None


def test_a_server_that_answers_503_for_a_while_costs_nothing(fake_server: FakeServer, target):
    serve(fake_server, Away(8, 0.6))
    texts = texts_of(2000)
    model = EasyLLMEmbeddings(base_url=fake_server.url, max_retries=0)
    result = embed(pa.table({"text": texts}), target, model, part_rows=500, patience=30)
    assert result.failed == 0
    assert table_in(target)["embedding"].to_pylist() == vectors_of(texts)


def test_a_server_that_is_gone_for_a_while_costs_nothing(target):
    """It stops listening with requests under way, and another one listens there later."""
    texts = texts_of(3000)
    outcome = {}

    def work(url: str) -> None:
        model = EasyLLMEmbeddings(base_url=url, max_retries=0, max_concurrency=4)
        table = pa.table({"text": texts})
        outcome["result"] = embed(table, target, model, part_rows=256, patience=60)

    with FakeServer() as first:
        serve(first)
        job = threading.Thread(target=work, args=[first.url])
        job.start()
        first.wait_until(lambda: len(first.requests) > 20)
        port = int(first.url.rpartition(":")[2])
    time.sleep(0.3)
    with FakeServer(port=port) as second:
        serve(second)
        job.join(60)
    assert outcome["result"].failed == 0
    assert table_in(target)["text"].to_pylist() == texts
    assert table_in(target)["embedding"].to_pylist() == vectors_of(texts)
    assert len(sent_texts(second)) <= 3000


def test_a_server_that_is_away_for_too_long_ends_the_job(fake_server: FakeServer, target):
    serve(fake_server, Away(20, 60))
    table = pa.table({"text": texts_of(2000)})
    model = EasyLLMEmbeddings(base_url=fake_server.url, max_retries=0, max_concurrency=2)
    with pytest.raises(ServerError, match=r"^No answer for 0.5 s \(patience\)"):
        embed(table, target, model, part_rows=100, patience=0.5)
    there = table_in(target)
    assert 0 < there.num_rows < 2000
    serve(fake_server)
    before = len(sent_texts(fake_server))
    result = embed(table, target, model, part_rows=100)
    assert (result.rows, result.failed, result.sent) == (2000, 0, 2000 - there.num_rows)
    assert len(sent_texts(fake_server)) - before == 2000 - there.num_rows
    assert table_in(target)["text"].to_pylist() == texts_of(2000)


def test_a_busy_servers_refusals_cost_nothing(fake_server: FakeServer):
    count = iter(range(10**6))

    def refuse(_: object) -> Reply | None:
        busy = next(count) % 3 == 0
        return Reply({"error": "busy"}, status=429, headers={"retry-after": "0"}) if busy else None

    serve(fake_server, refuse)
    texts = texts_of(1500)
    found = embed_batches(
        pa.table({"text": texts}).to_batches(), EasyLLMEmbeddings(base_url=fake_server.url)
    )
    assert [v for batch in found for v in batch["embedding"].to_pylist()] == vectors_of(texts)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_the_jobs_error_stops_it_and_what_is_written_stays(status: int, target):
    kinds = {401: AuthenticationError, 403: PermissionDeniedError, 404: NotFoundError}
    table = pa.table({"text": texts_of(3000)})
    with FakeServer() as server:
        left = iter(range(30))

        def refuse(_: object) -> Reply | None:
            return None if next(left, None) is not None else Reply({"error": "no"}, status=status)

        serve(server, refuse)
        server.on("POST", "/embed", Reply({"error": "no"}, status=status))
        model = EasyLLMEmbeddings(base_url=server.url, max_concurrency=2)
        with pytest.raises(kinds[status]):
            embed(table, target, model, part_rows=100)
        sent = len(sent_texts(server))
        assert sent < 3000
        there = table_in(target).num_rows
        assert there
        serve(server)
        assert embed(table, target, model, part_rows=100).sent == 3000 - there
    assert table_in(target)["text"].to_pylist() == texts_of(3000)


def test_rows_of_a_model_wait_for_its_server(fake_server: FakeServer, target):
    fake_text_servers.serve(fake_server, "vllm", ["yes"])
    answer = fake_server._routes["POST", "/v1/chat/completions"].answers[0]
    away = Away(20, 0.5)

    def route(request: Received) -> Reply:
        text = request.json["messages"][-1]["content"]
        if text == "teapot":
            return Reply({"error": "no tea"}, status=400)
        if text == "poison":
            return Reply({"error": "CUDA error"}, status=500)
        return away(text) or answer(request)

    fake_server.on("POST", "/v1/chat/completions", route)
    texts = texts_of(200)
    texts[3], texts[5], texts[199] = "poison", "teapot", None
    model = EasyLLMChat(base_url=fake_server.url, max_retries=0)
    options = {"column": "text", "max_concurrency": 8, "part_rows": 50}
    result = run(pa.table({"text": texts}), target, model, **options)
    found = table_in(target).to_pylist()
    assert [n for n, row in enumerate(found) if row["error"]] == [3, 5, 199]
    assert {row["answer"] for row in found if not row["error"]} == {"yes"}
    assert result.failed == 3
    assert result.output_tokens > 0


def test_a_row_that_fails_before_it_is_sent_leaves_the_others_their_turn():
    """While a server is away one row at a time tries it: also one that never gets there."""
    failed = iter(range(25))

    def chain(row: dict[str, int]) -> str:
        if row["n"] % 2:
            raise KeyError("variable")
        if next(failed, None) is not None:
            raise ConnectionError("gone")
        return "answer"

    table = pa.table({"n": range(20)})
    batches = run_batches(table.to_batches(), RunnableLambda(chain), max_concurrency=20)
    found = [row for batch in batches for row in batch.to_pylist()]
    assert [row["answer"] for row in found] == ["answer", None] * 10


def test_a_chain_that_cannot_work_stops(target):
    def chain(row: dict[str, int]) -> str:
        raise ForeignError(401)

    with pytest.raises(ConfigurationError, match="ForeignError: status 401"):
        run(pa.table({"n": range(5)}), target, RunnableLambda(chain))


def test_too_many_errors_stop_the_job(target):
    def chain(row: dict[str, int]) -> str:
        if row["n"] % 10 == 0:
            raise ValueError("no answer")
        return "answer"

    table = pa.table({"n": range(1500)})
    with pytest.raises(EasyLLMError, match=r"rows failed, more than max_errors=0.05 allows"):
        run(table, target, RunnableLambda(chain), max_errors=0.05, part_rows=100)
    assert 0 < table_in(target).num_rows < 1500
    assert run(table, target, RunnableLambda(chain), max_errors=0.2, part_rows=100).failed == 150


def test_only_the_rows_that_failed_are_tried_again(fake_server: FakeServer, target):
    down = {"bad", "worse"}

    def refuse(given: list[str]) -> Reply | None:
        return Reply({"error": "no"}, status=422) if down & {*given} else None

    serve(fake_server, refuse)
    texts = texts_of(500)
    texts[5], texts[150], texts[450] = "bad", "worse", "bad"
    table = pa.table({"text": texts})
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert embed(table, target, model, part_rows=100).failed == 3
    times = {path.name: path.stat().st_mtime_ns for path in target.glob("*.parquet")}
    down.remove("bad")
    sent = len(sent_texts(fake_server))
    result = embed(table, target, model, part_rows=100, retry_errors=True)
    assert (result.rows, result.failed, result.sent) == (500, 1, 3)
    assert set(sent_texts(fake_server)[sent:]) == {"bad", "worse"}
    found = table_in(target)
    assert found["text"].to_pylist() == texts
    assert [n for n, error in enumerate(found["error"].to_pylist()) if error] == [150]
    assert found["embedding"].to_pylist()[450] == vectors_of(["bad"])[0]
    changed = {p.name for p in target.glob("*.parquet") if p.stat().st_mtime_ns != times[p.name]}
    assert changed == {"part-000000.parquet", "part-000001.parquet", "part-000004.parquet"}


def test_a_part_of_which_all_failed_has_the_type_of_the_others(fake_server: FakeServer, target):
    serve(fake_server)
    texts = [""] * 64 + texts_of(64)
    table = pa.table({"text": texts})
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert embed(table, target, model, part_rows=32).failed == 64
    assert table_in(target)["embedding"].to_pylist() == [None] * 64 + vectors_of(texts[64:])
