"""`--engine ray`: files in, files out, and the same command goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from langchain_easyllm.bulk.__main__ import main

from ..support.fake_server import FakeServer, Reply
from .conftest import KEY_VARIABLE, rows_in, serve_vectors, texts_of, write_rows


def said(arguments: list[object], capsys) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_embed(ray, fake_server: FakeServer, tmp_path: Path, capsys):
    serve_vectors(fake_server)
    write_rows(tmp_path / "in" / "a.parquet", [*texts_of(300), ""])
    target = tmp_path / "out"
    given = ["embed", tmp_path / "in", target, "--engine", "ray", "--base-url", fake_server.url]
    more = ["--id-column", "id", "--dtype", "float16", "--api-key-env", KEY_VARIABLE]
    command = [*given, *more, "--part-rows", "50", "--actors", "1"]
    code, out, _ = said(command, capsys)
    assert code == 3
    assert f"301 rows in {target}.\n1 rows failed:\n        1  ConfigurationError" in out
    assert [row["id"] for row in rows_in(target)] == [*range(301)]
    sent = fake_server.received("/v1/embeddings")
    assert {request.headers["authorization"] for request in sent} == {
        "Bearer secret of the environment"
    }
    assert said(command, capsys)[0] == 3
    assert len(fake_server.received("/v1/embeddings")) == len(sent)
    assert len(rows_in(target)) == 301
    ray.data.DataContext.get_current().checkpoint_config = None
    code, _, err = said(given, capsys)
    assert code == 2
    assert f"{target} is not empty, and there is no checkpoint of what is in it" in err


def test_run(ray, tmp_path: Path, capsys):
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"id": n, "text": "a" * n}) + "\n" for n in range(1, 9)))
    chain = ["--chain", "tests.ray_tests.chains:shout", "--column", "text"]
    chain += ["--engine", "ray", "--actors", "1"]
    given = ["run", source, tmp_path / "out", *chain]
    assert said(given, capsys)[0] == 0
    assert [row["answer"] for row in rows_in(tmp_path / "out")] == ["A" * n for n in range(1, 9)]
    table = tmp_path / "in.csv"
    table.write_text("id,text\n1,007\n2,008\n")
    assert said(["run", table, tmp_path / "out2", *chain], capsys)[0] == 0
    assert [row["answer"] for row in rows_in(tmp_path / "out2")] == ["007", "008"]


def test_errors_are_sentences(ray, fake_server: FakeServer, tmp_path: Path, capsys):
    serve_vectors(fake_server, lambda _: Reply({"error": "no"}, status=401))
    fake_server.on("POST", "/embed", Reply({"error": "no"}, status=401))
    source = write_rows(tmp_path / "in" / "a.parquet", texts_of(3))
    given = ["embed", source, tmp_path / "out", "--engine", "ray", "--base-url", fake_server.url]
    code, _, err = said(given, capsys)
    assert code == 2
    assert "answered 401" in err.splitlines()[-1]
    code, _, err = said([*given, "--retry-errors"], capsys)
    assert (code, err.startswith("--engine ray has no --retry-errors")) == (2, True)
    (tmp_path / "in" / "b.csv").write_text("id,text\n")
    given[1] = tmp_path / "in"
    code, _, err = said(given, capsys)
    assert (code, "holds files of several kinds (.csv, .parquet)" in err) == (2, True)
    assert sys.modules["ray"] is ray
