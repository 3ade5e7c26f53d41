"""Texts of any source become vectors in Parquet parts, in their order."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from langchain_core.runnables import RunnableLambda

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.bulk import embed, embed_batches, run
from langchain_easyllm.errors import ConfigurationError

from ...support.fake_embedding_servers import DIM, vector_of, vectors_of
from ...support.fake_server import FakeServer
from .conftest import sent_texts, serve, table_in, texts_of

TEXTS = texts_of(150)
NAMES = ["embedding", "error", "input_tokens", "output_tokens"]


def write_csv(path: Path) -> None:
    path.write_text("n,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(TEXTS)))


def write_lines(path: Path, opener=open) -> None:
    with opener(path, "wt") as file:
        file.writelines(json.dumps({"n": n, "text": text}) + "\n\n" for n, text in enumerate(TEXTS))


def write_folder(path: Path) -> None:
    (path / "b").mkdir(parents=True)
    (path / "notes.md").write_text("no rows")
    (path / "_manifest.json").write_text("{}")
    table = pa.table({"n": range(50), "text": TEXTS[:50]})
    pq.write_table(table, path / "a.parquet", row_group_size=7)
    pq.write_table(pa.table({"n": range(50, 80), "text": TEXTS[50:80]}), path / "b" / "a.parquet")
    rest = [{"n": n, "text": TEXTS[n]} for n in range(80, 150)]
    (path / "b" / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rest))


def source_of(kind: str, folder: Path):
    table = pa.table({"n": range(150), "text": TEXTS})
    path = folder / f"input.{kind}"
    match kind:
        case "parquet":
            pq.write_table(table, path)
        case "csv":
            write_csv(path)
        case "jsonl":
            write_lines(path)
        case "jsonl.gz":
            write_lines(path, gzip.open)
        case "folder":
            write_folder(path)
        case "batches":
            return iter([*table.slice(0, 70).to_batches(max_chunksize=9), table.slice(70)])
        case "table":
            return table
        case "dataset":
            pq.write_table(table, path)
            return pyarrow.dataset.dataset(path)
    return path


KINDS = ["parquet", "csv", "jsonl", "jsonl.gz", "folder", "batches", "table", "dataset"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_row_has_its_vector(kind: str, fake_server: FakeServer, tmp_path, target):
    serve(fake_server)
    source = source_of(kind, tmp_path)
    result = embed(source, target, EasyLLMEmbeddings(base_url=fake_server.url), part_rows=64)
    found = table_in(target)
    assert found.column_names == ["n", "text", *NAMES]
    assert found["text"].to_pylist() == TEXTS
    assert found["embedding"].to_pylist() == vectors_of(TEXTS)
    assert found["error"].null_count == found["input_tokens"].null_count == 150
    assert found["n"].to_pylist() == [str(n) if kind == "csv" else n for n in range(150)]
    assert [pq.read_metadata(path).num_rows for path in sorted(target.glob("*.parquet"))] == [
        64,
        64,
        22,
    ]
    assert (result.rows, result.failed, result.sent) == (150, 0, 150)
    assert result.input_tokens == 150  # as the server counts them, for requests as a whole
    assert sorted(sent_texts(fake_server)) == sorted(TEXTS)


def test_the_columns_and_types_are_the_callers_choice(fake_server: FakeServer, target):
    serve(fake_server)
    table = pa.table({"id": range(9), "body": texts_of(9), "error": ["of theirs"] * 9})
    embed(
        table,
        target,
        EasyLLMEmbeddings(base_url=fake_server.url, document_prompt="passage: "),
        column="body",
        into="vector",
        keep=["id"],
        dtype="float16",
    )
    found = table_in(target)
    assert found.column_names == ["id", "vector", *NAMES[1:]]
    assert found.schema.field("vector").type.value_type == pa.float16()
    vectors = found["vector"].to_pylist()
    assert vectors[3] == pytest.approx(vector_of("passage: text number 3"), rel=1e-3)


def test_a_number_beyond_float16_fails_its_row(fake_server: FakeServer):
    from ...support.fake_server import Reply

    serve(fake_server)
    rows = [{"index": index, "embedding": [1.0, 1e5 * index]} for index in range(2)]
    fake_server.on("POST", "/v1/embeddings", Reply({"data": rows}))
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    [batch] = embed_batches(
        pa.table({"text": ["same", "same"]}).to_batches(), model, dtype="float16"
    )
    assert batch["embedding"].to_pylist() == [[1.0, 0.0], None]
    assert "float16" in batch["error"][1].as_py()


def test_batches_are_embedded_as_they_are_needed(fake_server: FakeServer):
    """What Ray's actors and Spark's `mapInArrow` call: no files, and no more in memory."""
    serve(fake_server)
    read = []

    def batches():
        for start in range(0, 4000, 10):
            read.append(start)
            numbers = range(start, start + 10)
            yield pa.record_batch({"n": numbers, "text": [f"text {n}" for n in numbers]})

    model = EasyLLMEmbeddings(base_url=fake_server.url, max_concurrency=2)
    found = embed_batches(batches(), model, part_rows=50)
    first = next(found)
    assert first.schema.field("embedding").type == pa.list_(pa.float32(), DIM)
    assert first["n"].to_pylist() == [*range(50)]
    assert len(read) <= 5 * 4 * (2 * 32 // 50 + 2) + 5
    assert [row for batch in found for row in batch["n"].to_pylist()] == [*range(50, 4000)]
    again = embed_batches(batches(), model, part_rows=50)
    next(again)
    again.close()  # what was under way is cancelled
    assert len(read) < 800


def test_batches_are_checked_before_anything_is_sent(fake_server: FakeServer):
    serve(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    text, other = (pa.record_batch({name: ["a"]}) for name in ("text", "other"))
    with pytest.raises(ConfigurationError, match="There is no column 'text'"):
        next(embed_batches([other], model))
    with pytest.raises(ConfigurationError, match=r"A later batch has other columns \(other\)"):
        next(embed_batches([text, other], model))
    with pytest.raises(ConfigurationError, match="part_rows=0 has to be"):
        embed_batches([text], model, part_rows=0)
    with pytest.raises(ConfigurationError, match="dtype='int8' is neither"):
        embed_batches([text], model, dtype="int8")
    assert list(embed_batches([], model)) == list(embed_batches([text.slice(1)], model)) == []
    assert fake_server.requests == []


def empty_sources(folder: Path) -> list[object]:
    for name in ("a.jsonl", "a.csv"):
        (folder / name).write_text("")
    (folder / "head.csv").write_text("text,n\n")
    (folder / "a.csv.gz").write_bytes(gzip.compress(b""))
    files = [folder / name for name in ("a.jsonl", "a.csv", "head.csv", "a.csv.gz")]
    return [*files, [], iter([]), pa.table({"text": pa.array([], "string")})]


def test_an_empty_input_has_no_rows(fake_server: FakeServer, tmp_path, target):
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    for number, source in enumerate(empty_sources(tmp_path)):
        assert embed(source, target / str(number), model).rows == 0, source
    assert fake_server.requests == []


def test_no_row_is_passed_over(tmp_path, target):
    """Objects without keys, rows larger than a block, names in capitals, files behind links."""
    (tmp_path / "keys.jsonl").write_text("{}\n" * 3)
    chain = RunnableLambda(lambda row: row.get("n"))
    assert run(tmp_path / "keys.jsonl", target / "1", chain).rows == 3
    rows = [f"{n},{'x' * size}" for n, size in enumerate([400_000] * 3 + [1 << 21, 10])]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "A.CSV.GZ").write_bytes(
        gzip.compress("\n".join(["n,text", *rows]).encode(), 1)
    )
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "input")
    (tmp_path / "input" / "b.JSONL").write_text('{"n": "5"}\n')
    run(tmp_path / "input", target / "2", chain, keep=[])
    assert table_in(target / "2")["answer"].to_pylist() == ["5", *"01234"]


async def test_a_job_runs_where_an_event_loop_does(fake_server: FakeServer, target):
    serve(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert embed(pa.table({"text": texts_of(5)}), target, model).rows == 5
    assert len(list(embed_batches(pa.table({"text": texts_of(5)}).to_batches(), model))) == 1


def test_the_results_may_lie_on_another_file_system(fake_server: FakeServer, tmp_path):
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one file system")
    serve(fake_server)
    folder = memory / f"{tmp_path.name}-{tmp_path.stat().st_ino}"
    try:
        source = source_of("parquet", tmp_path)
        embed(source, folder, EasyLLMEmbeddings(base_url=fake_server.url))
        assert table_in(folder)["text"].to_pylist() == TEXTS
    finally:
        shutil.rmtree(folder)
