"""The examples of docs/ray.md run, Spark's among them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ..support import fake_text_servers
from ..support.documentation import code_blocks, run
from ..support.fake_embedding_servers import vector_of
from ..support.fake_server import FakeServer
from .conftest import ROOT, rows_in, serve_vectors, texts_of, write_rows

BLOCKS = code_blocks("python", (ROOT / "docs" / "ray.md").read_text("utf-8"))


@pytest.mark.usefixtures("ray")
def test_the_examples_for_ray(fake_server: FakeServer, tmp_path: Path, capsys):
    serve_vectors(fake_server)
    write_rows(tmp_path / "documents" / "a.parquet", texts_of(100))
    with FakeServer() as chat:
        fake_text_servers.serve(chat, "tgi", ["Bon", "jour"])
        places = {
            "http://localhost:8080": fake_server.url,
            "http://localhost:8081": chat.url,
            "/shared": str(tmp_path),
        }
        run(BLOCKS[:3], places)
    assert len(rows_in(tmp_path / "vectors")) == 100
    said = capsys.readouterr().out
    assert "Bonjour\n" in said
    assert "answered 404 Not Found" in said


@pytest.mark.usefixtures("environment", "java")
def test_the_example_for_spark(fake_server: FakeServer, tmp_path: Path):
    from pyspark.sql import SparkSession

    serve_vectors(fake_server)
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.warehouse.dir", str(tmp_path / "warehouse")).getOrCreate()
    try:
        rows = [(n, text) for n, text in enumerate([*texts_of(200), ""])]
        documents = spark.createDataFrame(rows, "id long, text string").repartition(2)
        names = {"documents": documents}
        run(BLOCKS[3:], {"http://localhost:8080": fake_server.url}, names)
        names["vectors"].write.parquet(str(tmp_path / "vectors"))
    finally:
        spark.stop()
    found = rows_in(tmp_path / "vectors")
    assert [row["embedding"] for row in found] == [*map(vector_of, texts_of(200)), None]
    assert "empty" in found[200]["error"]
    assert pq.read_table(tmp_path / "vectors").num_rows == 201
