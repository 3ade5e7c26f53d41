"""A job that was ended, in whatever way, is gone on with; another job's folder is left alone."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from langchain_core.runnables import RunnableLambda

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.bulk import embed, run
from langchain_easyllm.bulk.parts import PartsFolder
from langchain_easyllm.errors import ConfigurationError

from ...support.fake_embedding_servers import openai_route, serve_tei, vectors_of
from ...support.fake_server import FakeServer, Pause, Received, Reply
from .conftest import sent_texts, serve, table_in, texts_of

ROOT = Path(__file__).parents[3]
ROWS, PART, REQUESTS = 3000, 100, 4


def start(source: Path, target: Path, url: str) -> subprocess.Popen[str]:
    """Start the job from the command line."""
    options = ["--base-url", url, "--part-rows", PART, "--max-concurrency", REQUESTS]
    command = [sys.executable, "-m", "langchain_easyllm.bulk", "embed", source, target, *options]
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def serve_slowly(server: FakeServer) -> None:
    serve_tei(server)
    answer = openai_route()

    def route(request: Received) -> Reply:
        return replace(answer(request), before=[Pause(0.01)])

    server.on("POST", "/v1/embeddings", route)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_is_gone_on_with(number, fake_server: FakeServer, tmp_path, target):
    serve_slowly(fake_server)
    source = tmp_path / "texts.parquet"
    texts = texts_of(ROWS)
    pq.write_table(pa.table({"text": texts}), source)
    first = start(source, target, fake_server.url)
    try:
        fake_server.wait_until(lambda: len([*target.glob("part-*.parquet")]) > 4, timeout=60)
    finally:
        first.send_signal(number)
    _, said = first.communicate(timeout=60)
    if number == signal.SIGINT:
        assert first.returncode == 130
        again = "Run the same command again to continue."
        assert said == f"Interrupted. Finished parts are in {target}. {again}\n"
    kept = sum(pq.read_metadata(path).num_rows for path in target.glob("part-*.parquet"))
    assert 4 * PART < kept < ROWS
    (target / ".writing-part-000029.parquet").write_bytes(b"PAR1")
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    result = embed(source, target, model, part_rows=PART)
    assert (result.rows, result.failed, result.sent) == (ROWS, 0, ROWS - kept)
    found = table_in(target)
    assert found["text"].to_pylist() == texts
    assert found["embedding"].to_pylist() == vectors_of(texts)
    under_way = (-(-32 * REQUESTS // PART) + 1) * PART
    assert len(sent_texts(fake_server)) <= ROWS + under_way
    assert not [*target.glob(".writing-*")]
    assert json.loads((target / "_manifest.json").read_text())["complete"] is True


def test_nothing_is_sent_for_a_job_that_is_done(fake_server: FakeServer, target):
    serve(fake_server)
    table = pa.table({"text": texts_of(100)})
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    embed(table, target, model, part_rows=30)
    count = len(fake_server.requests)
    result = embed(table, target, model, part_rows=30)
    assert (result.rows, result.sent) == (100, 0)
    (target / "part-000001.parquet").unlink()
    assert embed(table, target, model, part_rows=30).sent == 30
    assert len(fake_server.requests) == count + 1
    assert table_in(target)["text"].to_pylist() == texts_of(100)


def echo(row: dict[str, str]) -> str:
    return row["text"]


def write(path: Path, count: int = 20) -> Path:
    pq.write_table(pa.table({"text": texts_of(count)}), path)
    return path


def test_another_job_is_an_error_that_names_the_difference(tmp_path, target):
    folder = tmp_path / "input"
    folder.mkdir()
    source = write(folder / "a.parquet")
    chain = RunnableLambda(echo)
    run(folder, target, chain)
    before = table_in(target)

    def refused(words: str, *given, **options) -> None:
        with pytest.raises(ConfigurationError, match=words):
            run(*(given or (folder, target, chain)), **options)

    refused("holds another job: column is None there and 'text' here", column="text")
    refused("another job: into is 'answer' there and 'reply' here", into="reply")
    refused("another job: part_rows is 4096 there and 5 here", part_rows=5)
    refused("chain is 'echo' there and 'other' here", name="other")
    write(folder / "b.parquet")
    refused("the input b.parquet is not its own")
    (folder / "a.parquet").rename(folder / "c.parquet")
    refused("its input a.parquet is not here")
    (folder / "b.parquet").unlink()
    (folder / "c.parquet").rename(source)
    write(source, 30)
    refused("its input a.parquet has changed since")
    other = EasyLLMEmbeddings(base_url="http://localhost:1")
    with pytest.raises(ConfigurationError, match="kind is 'run' there and 'embed' here"):
        embed(folder, target, other)
    assert table_in(target).equals(before)


def test_the_settings_that_vectors_depend_on_are_part_of_the_job(fake_server: FakeServer, target):
    serve(fake_server)
    table = pa.table({"text": texts_of(3)})
    embed(table, target, EasyLLMEmbeddings(base_url=fake_server.url, batch_size=2))
    embed(table, target, EasyLLMEmbeddings(base_url=fake_server.url, batch_size=3))
    changed = EasyLLMEmbeddings(base_url=fake_server.url, document_prompt="passage: ")
    with pytest.raises(ConfigurationError, match="document_prompt is '' there and 'passage: '"):
        embed(table, target, changed)


def test_rows_that_are_not_files_are_compared_with_those_before(target):
    chain = RunnableLambda(echo)
    tables = {name: pa.table({"text": [name] * 10}) for name in "ab"}
    run([tables["a"], tables["b"]], target, chain, part_rows=10)
    with pytest.raises(ConfigurationError, match=r"part-000001.parquet was made of other rows"):
        run([tables["a"], tables["a"]], target, chain, part_rows=10)
    assert run([tables["a"], tables["b"]], target, chain, part_rows=10).sent == 0


def test_rows_are_compared_by_their_values(target):
    """However they lie in memory: in other batches, with dictionaries of their own."""
    rows = [
        {"text": f"t{n}" if n % 7 else None, "list": [n] * (n % 3), "kind": "ab"[n % 2]}
        for n in range(40)
    ]
    whole = pa.Table.from_pylist(rows)
    whole = whole.set_column(2, "kind", whole["kind"].dictionary_encode())
    pieces = [
        pa.RecordBatch.from_pylist(rows[start : start + 7], schema=whole.schema)
        for start in range(0, 40, 7)
    ]
    chain = RunnableLambda(str)
    run(whole, target, chain, part_rows=10)
    assert run(iter(pieces), target, chain, part_rows=10).sent == 0
    kind = pa.array(["other", "b"] * 20).dictionary_encode()
    changed = whole.set_column(2, "kind", kind)
    for given in (changed, whole.slice(0, 20)):
        with pytest.raises(ConfigurationError, match="was made of other rows"):
            run(given, target, chain, part_rows=10)


def test_rows_that_are_tried_again_keep_their_values(target):
    """Parquet has fewer types than Arrow: what is read of a part is not what was written."""
    large = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, 0], "int8"), pa.array(["x", "y"], "large_string")
    )
    table = pa.table(
        {
            "n": [0, 1, 2],
            "seconds": pa.array([1, 2, None], pa.timestamp("s")),
            "day": pa.array([86400000] * 3, pa.date64()),
            "kind": large,
        }
    )
    fails = [True]
    chain = RunnableLambda(lambda n: 1 // (n or not fails[0]))
    run(table, target, chain, column="n", name="one")
    fails[0] = False
    before = table_in(target)
    assert run(table, target, chain, column="n", name="one", retry_errors=True).failed == 0
    after = table_in(target)
    assert after.schema.equals(before.schema)
    assert after.select(table.column_names).equals(before.select(table.column_names))
    assert after["error"].null_count == 3


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path, target):
    source = tmp_path / "a.jsonl"
    source.write_text('{"n": 1}\n' * 100)

    def chain(row: dict[str, int]) -> str:
        with source.open("a") as file:
            file.write('{"n": 2}\n')
        return "answer"

    with pytest.raises(ConfigurationError, match=r"a.jsonl has changed while it was read"):
        run(source, target, RunnableLambda(chain), part_rows=2, max_concurrency=1)


def test_a_chain_may_change_the_current_folder(tmp_path, monkeypatch):
    write(tmp_path / "a.parquet", 20)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    def chain(row: dict[str, str]) -> str:
        monkeypatch.chdir(tmp_path / "elsewhere")
        return row["text"]

    run("a.parquet", "results", RunnableLambda(chain), part_rows=2)
    assert table_in(tmp_path / "results")["answer"].to_pylist() == texts_of(20)


def test_a_full_disk_is_one_sentence_and_what_is_written_stays(tmp_path, target, monkeypatch):
    source = write(tmp_path / "a.parquet", 20)
    written, real = [], pq.write_table

    def full(table: pa.Table, path: Path, **options: object) -> None:
        written.append(path)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "[Errno 28] Error writing bytes to file")
        real(table, path, **options)

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(
        ConfigurationError, match=r"part-\d+.parquet cannot be written to: No space"
    ):
        run(source, target, RunnableLambda(echo), part_rows=5)
    kept = table_in(target).num_rows
    assert run(source, target, RunnableLambda(echo), part_rows=5).sent == 20 - kept < 20


def test_vectors_of_two_models_do_not_get_into_one_folder(fake_server: FakeServer, target):
    serve(fake_server)
    table = pa.table({"text": texts_of(20)})
    embed(table, target, EasyLLMEmbeddings(base_url=fake_server.url), part_rows=10)
    (target / "part-000001.parquet").unlink()
    with FakeServer() as other:
        serve_tei(other, model_id="another/model")
        with pytest.raises(ConfigurationError, match=r"has the model another/model now, .* of "):
            embed(table, target, EasyLLMEmbeddings(base_url=other.url), part_rows=10)
        assert other.received("/v1/embeddings") == []
    wide = [{"index": index, "embedding": [0.5] * 9} for index in range(10)]
    fake_server.on("POST", "/v1/embeddings", Reply({"data": wide}))
    with pytest.raises(ConfigurationError, match="have 9 dimensions now, and those so far 6"):
        embed(table, target, EasyLLMEmbeddings(base_url=fake_server.url), part_rows=10)


def test_the_folder_is_one_jobs_and_one_processs(tmp_path, target):
    chain = RunnableLambda(echo)
    source = write(tmp_path / "a.parquet")
    target.mkdir()

    def refused(words: str, where: Path = target) -> None:
        with pytest.raises(ConfigurationError, match=words):
            run(source, where, chain)

    write(target / "theirs.parquet")
    refused("holds Parquet files that are no bulk job's")
    (target / "theirs.parquet").unlink()
    manifest = target / "_manifest.json"
    manifest.write_text("{}")
    refused("is not a bulk job's manifest")
    manifest.write_text('{"version": 2, "job": {}}')
    refused(r"is of a newer version of this package \(format 2, known: 1\)")
    assert manifest.read_text() == '{"version": 2, "job": {}}'
    manifest.unlink()
    with PartsFolder(target).opened({"kind": "another"}):
        refused("Another process writes to")
    manifest.unlink()
    refused("is no folder", write(tmp_path / "b.parquet"))
    refused("is no folder", tmp_path / "b.parquet" / "below")
    if os.geteuid():
        closed = tmp_path / "closed"
        closed.mkdir(0o500)
        refused("cannot be written to", closed / "results")
    with PartsFolder(target).opened({"kind": "one that was ended before its first part"}):
        pass
    (target / "part-1.parquet").write_bytes(b"not of this job")
    run(source, target, chain)
    (target / "part-000000.parquet").write_bytes(b"cut off")
    refused("is not a part of this job: remove it")
