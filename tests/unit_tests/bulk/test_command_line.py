"""The command line, the progress, answers of chains, and wrong input: one sentence each."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from langchain_easyllm import EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm.bulk import embed, progress, run, run_batches
from langchain_easyllm.bulk.__main__ import main
from langchain_easyllm.bulk.engine import JobProgress
from langchain_easyllm.errors import ConfigurationError

from ...support import fake_text_servers
from ...support.fake_server import FakeServer
from .conftest import serve, table_in, texts_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    rows = [{"id": n, "text": text, "list": [1]} for n, text in enumerate(texts_of(5))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def chains(tmp_path: Path, monkeypatch) -> None:
    """A module with chains in the current folder."""
    code = """
    from langchain_core.runnables import RunnableLambda
    shout = RunnableLambda(lambda row: row["text"].upper())
    class Inner:
        length = RunnableLambda(len)
    picky = RunnableLambda(lambda text: 1 / (text != "text number 3"))
    function = str.upper
    leaver = RunnableLambda(lambda row: exit(0))
    """
    lines = [line.removeprefix("    ") for line in code.splitlines()]
    (tmp_path / "my_chains.py").write_text("\n".join(lines))
    (tmp_path / "my_broken.py").write_text("import no_such_module")
    (tmp_path / "my_program.py").write_text("raise SystemExit(0)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("my_chains", "my_broken", "my_program"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def said(arguments: list[object], capsys) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_embed(fake_server: FakeServer, source, target, capsys, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    serve(fake_server)
    where = ["--base-url", fake_server.url, "--api-key-env", "MY_KEY"]
    more = ["--dtype", "float16", "--option", "normalize=true", "--option", "pooling=cls"]
    columns = ["--into", "v", "--keep", "id", "--id-column", "id"]
    code, out, err = said(["embed", source, target, *where, *more, *columns], capsys)
    assert (code, err) == (0, "")
    assert out.startswith(f"5 rows in {target}, 5 of them by this run in ")
    assert table_in(target).column_names[:2] == ["id", "v"]
    sent = fake_server.received("/v1/embeddings") or fake_server.received("/embed")
    assert sent[0].headers["authorization"] == "Bearer secret"
    code, _, err = said(["embed", source, target, *where[:2], "--option", "x"], capsys)
    assert (code, err) == (2, "--option 'x' has to be NAME=VALUE.\n")
    code, _, err = said(["embed", source, target, "--api-key-env", "NO_KEY"], capsys)
    assert (code, err) == (2, "The environment variable NO_KEY is not set.\n")


def test_several_servers_are_given_as_a_list(source, target, monkeypatch, capsys):
    given = []
    monkeypatch.setattr(
        "langchain_easyllm.embeddings.EasyLLMEmbeddings",
        lambda **fields: given.append(fields) or 1 / 0,
    )
    for urls in (["http://a"], ["http://a", "http://b"]):
        with pytest.raises(ZeroDivisionError):
            main(["embed", str(source), str(target), *(x for u in urls for x in ("--base-url", u))])
    assert [fields["base_url"] for fields in given] == ["http://a", ["http://a", "http://b"]]


@pytest.mark.usefixtures("chains")
def test_run(source, target, capsys):
    code, out, _ = said(["run", source, target, "--chain", "my_chains:shout"], capsys)
    assert (code, out[:9]) == (0, "5 rows in")
    assert table_in(target)["answer"].to_pylist() == [text.upper() for text in texts_of(5)]
    inner = ["--chain", "my_chains:Inner.length", "--column", "list"]
    assert said(["run", source, target.with_name("2"), *inner], capsys)[0] == 0
    picky = ["run", source, target.with_name("3"), "--chain", "my_chains:picky", "--column", "text"]
    code, out, _ = said(picky, capsys)
    assert code == 3
    assert "1 rows failed:\n        1  ZeroDivisionError: division by zero\n" in out
    assert said([*picky, "--retry-errors"], capsys)[0] == 3
    leaver = ["run", source, target.with_name("4"), "--chain", "my_chains:leaver"]
    assert said(leaver, capsys) == (2, "", "The chain has ended the program (SystemExit: 0).\n")


@pytest.mark.usefixtures("chains")
@pytest.mark.parametrize(
    ("chain", "words"),
    [
        ("my_chains", "--chain 'my_chains' has to be my_module:my_chain."),
        ("my_nowhere:chain", "--chain: my_nowhere cannot be imported (ModuleNotFoundError: "),
        ("my_broken:chain", "--chain: my_broken cannot be imported (ModuleNotFoundError: "),
        ("my_program:chain", "--chain: my_program cannot be imported (SystemExit: 0)."),
        ("my_chains:chain", "--chain: my_chains has no chain."),
        ("my_chains:function", "--chain: my_chains:function is no runnable but method_descriptor"),
    ],
)
def test_a_chain_that_cannot_be_imported(chain, words, source, target, capsys):
    code, _, err = said(["run", source, target, "--chain", chain], capsys)
    assert code == 2
    assert err.startswith(words)
    assert err.count("\n") == 1
    assert not target.exists()


class Person(BaseModel):
    name: str


def test_answers_are_written_as_text_or_json():
    call = {"name": "f", "args": {"x": 1}, "id": "1", "type": "tool_call"}
    answers = [
        ("text", "text"),
        (AIMessage([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "ab"),
        (AIMessage("", tool_calls=[call]), json.dumps({"text": "", "tool_calls": [call]})),
        (Person(name="Ida"), '{"name": "Ida"}'),
        ({"person": Person(name="Ida"), "n": 1.5}, '{"person": {"name": "Ida"}, "n": 1.5}'),
        ([1, "é"], '[1, "é"]'),
        (True, "true"),
        (None, None),
        ("\ud83d\ude00 \ud83d", "\U0001f600 \ufffd"),
    ]
    table = pa.table({"n": range(len(answers))})
    chain = RunnableLambda(lambda row: answers[row["n"]][0])
    [batch] = run_batches(table.to_batches(), chain)
    found = batch["answer"].to_pylist()
    for answer, (_, expected) in zip(found, answers, strict=True):
        parsed = expected is None or expected[0] not in '{["t' or expected == "text"
        assert answer == expected or (not parsed and json.loads(answer) == json.loads(expected))
    [batch] = run_batches(table.to_batches(), RunnableLambda(lambda row: object()))
    assert batch["error"][0].as_py().startswith("TypeError: ")


def test_a_row_that_is_cancelled_by_its_own_chain_has_an_error():
    async def chain(row: dict[str, int]) -> str:
        if row["n"] == 1:
            raise asyncio.CancelledError
        return "answer"

    [batch] = run_batches(pa.table({"n": range(3)}).to_batches(), RunnableLambda(chain))
    assert batch["answer"].to_pylist() == ["answer", None, "answer"]
    assert batch["error"].to_pylist() == [None, "CancelledError", None]


def test_the_tokens_of_each_row_are_those_of_all_its_calls(fake_server: FakeServer):
    fake_text_servers.serve(fake_server, "vllm", ["a", "b", "c"])
    model = EasyLLMChat(base_url=fake_server.url)
    chain = model | (lambda message: message.text) | model | (lambda message: message.text)
    [batch] = run_batches(pa.table({"q": ["Hi"] * 3}).to_batches(), chain, column="q")
    assert batch["answer"].to_pylist() == ["abc"] * 3
    assert batch["output_tokens"].to_pylist() == [6] * 3
    assert all(count > 0 for count in batch["input_tokens"].to_pylist())


def wrong_inputs(folder: Path) -> dict[str, tuple[str, dict[str, object]]]:
    table = pa.table({"id": [1, 2, 1], "text": ["a", "b", "c"], "n": [1, 2, None]})
    good, broken = folder / "good.parquet", folder / "broken.parquet"
    pq.write_table(table, good)
    broken.write_bytes(b"PAR1 and no more")
    (folder / "odd.txt").write_text("a")
    (folder / "lines.jsonl").write_text('{"text": "a"}\n{"text": ')
    (folder / "values.jsonl").write_text('{"text": "a"}\n[1]\n')
    (folder / "types.jsonl").write_text('{"text": "a"}\n{"text": 1}\n')
    (folder / "none").mkdir()
    (folder / "large.jsonl").write_text(
        '{"text": "a", "n": -1}\n{"text": "b", "n": 1%s}\n' % ("0" * 19)
    )
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}')[:-9])
    (folder / "twice.csv").write_text("text,n,n\na,1,2\n")
    (folder / "mixed").mkdir()
    (folder / "mixed" / "a.csv").write_text("text,n\na,1\n")
    (folder / "mixed" / "b.jsonl").write_text('{"text": "a", "n": 1}\n')
    (folder / "linked").mkdir()
    (folder / "linked" / "gone.jsonl").symlink_to("nowhere")
    odd = pa.table({"text": ["a"], "s": pa.array([{}], pa.struct([])), "l": [[1]]})
    doubled = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"])
    return {
        r"large.jsonl: the column 'n' has values of several": (folder / "large.jsonl", {}),
        r"cut.jsonl.gz cannot be read": (folder / "cut.jsonl.gz", {}),
        r"twice.csv has several columns named 'n'": (folder / "twice.csv", {}),
        r"mixed do not fit together: .* int64 vs string|string vs int64": (folder / "mixed", {}),
        r"gone.jsonl cannot be read: No such file": (folder / "linked", {}),
        r"'s' holds struct<>, which Parquet files cannot": (odd, {}),
        r"'l' holds list<.*>, which cannot be ids": (odd, {"keep": ["text"], "id_column": "l"}),
        r"The input has several columns named 'text'": (doubled, {}),
        r"keep='text' has to be a list": (good, {"keep": "text"}),
        r"patience=nan has to be a number of seconds": (good, {"patience": float("nan")}),
        r"There is no column 'body': the input has 'id', 'text', 'n'": (good, {"column": "body"}),
        r"The column 'n' holds int64, not texts": (good, {"column": "n"}),
        r"There is no column 'x'": (good, {"keep": ["x"]}),
        r"The id 1 \(id\) is there twice, in rows 0 and 2": (good, {"id_column": "id"}),
        r"The id of row 2 \(n\) is null": (good, {"id_column": "n"}),
        r"a column that the results have as well \(text\)": (good, {"into": "text"}),
        r"into='error' is the name of another": (good, {"into": "error"}),
        r"part_rows=0 has to be a whole number of at least 1": (good, {"part_rows": 0}),
        r"max_errors=5 has to be a share from 0 to 1": (good, {"max_errors": 5}),
        r"is neither 'float32' nor 'float16'": (good, {"dtype": "int8"}),
        r"broken.parquet cannot be read": (broken, {}),
        r"is neither .parquet, .jsonl": (folder / "odd.txt", {}),
        r"lines.jsonl, line 2, is not JSON": (folder / "lines.jsonl", {}),
        r"line 2, is list: each line has to be an object": (folder / "values.jsonl", {}),
        r"the column 'text' has values of several types": (folder / "types.jsonl", {}),
        r"There is no file or folder": (folder / "nowhere", {}),
        r"none holds no .parquet": (folder / "none", {}),
        r"A path, or batches and tables": (5, {}),
        r"Batches and tables of Arrow are wanted, not dict": ([{"text": "a"}], {}),
    }


def test_wrong_input_is_one_sentence_before_anything_is_sent(fake_server, tmp_path, target):
    serve(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    for words, (given, options) in wrong_inputs(tmp_path).items():
        with pytest.raises(ConfigurationError, match=words) as caught:
            embed(given, target, model, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="would lie among the input"):
        embed(tmp_path, tmp_path / "results", model)
    with pytest.raises(ConfigurationError, match="The target 's3://bucket/vectors' is a URL"):
        embed(pa.table({"text": ["a"]}), "s3://bucket/vectors", model)
    with pytest.raises(ConfigurationError, match="The source 'hf://datasets/x' is a URL"):
        embed("hf://datasets/x", target, model)
    assert not Path("s3:").exists()
    table = pa.table({"n": [1]})
    with pytest.raises(ConfigurationError, match=r"A runnable .* is wanted, not str"):
        run(table, target, "a chain")
    with pytest.raises(ConfigurationError, match="EasyLLMEmbeddings are wanted, not str"):
        embed(table, target, fake_server.url)
    with pytest.raises(ConfigurationError, match="max_concurrency=0 has to be a whole number"):
        run(table, target, RunnableLambda(str), max_concurrency=0)
    with pytest.raises(ConfigurationError, match="holds no job whose rows have failed"):
        run(table, target, RunnableLambda(str), retry_errors=True)
    with pytest.raises(TypeError, match="no argument 'max_error'"):
        run(table, target, RunnableLambda(str), max_error=0.1)
    assert fake_server.requests == []
    assert not target.exists()


def test_ids_of_what_is_read_once_are_compared_as_they_come(fake_server: FakeServer, target):
    serve(fake_server)
    tables = [pa.table({"id": [n, n + 1], "text": ["a", "b"]}) for n in (0, 2, 3)]
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    options = {"id_column": "id", "part_rows": 2}
    with pytest.raises(
        ConfigurationError, match=r"The id 3 \(id\) is there twice, in rows 3 and 4"
    ):
        embed(tables, target, model, **options)
    assert fake_server.requests == []
    with pytest.raises(ConfigurationError, match="The id of row 4 is 3, which is there twice"):
        embed(iter(tables), target, model, **options)


def test_the_progress(monkeypatch):
    clock = iter([100.0, 110.0, 111.0, 112.0])
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    monkeypatch.setattr(progress, "traffic", lambda: (7, 3))
    seen = JobProgress(total=10_000)
    line = progress.Line(seen)
    seen.done, seen.failed, seen.input_tokens = 1000, 2, 5000
    assert line.text() == (
        "1,000/10,000 rows · 100/s · 90 s left · 7 in flight · 0 refused · 2 errors · 5,000 tokens"
    )
    seen.failure = lambda: ConnectionError("gone")
    assert "/s · waiting for the server: ConnectionError: gone · 7 in" in line.text()


@pytest.mark.parametrize("rich", [True, False])
def test_the_progress_is_shown_on_a_terminal_only(rich: bool, monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "30")
    seen = JobProgress(total=3, done=2)
    with progress.shown(seen, None):
        seen.done = 3
    assert "3/3 rows" in stream.getvalue()
    if not rich:  # a line that wraps could not be written over
        assert max(map(len, stream.getvalue().strip().split("\r"))) == 29
    before = stream.getvalue()
    stream.isatty = lambda: False
    with progress.shown(seen, None):
        pass
    assert stream.getvalue() == before


def test_arrow_is_loaded_at_first_use_and_named_where_it_is_missing():
    code = """
    import sys
    from langchain_easyllm import bulk
    assert not {"pyarrow", "numpy"} & {*sys.modules}, "loaded too early"
    sys.modules["pyarrow"] = None
    from langchain_easyllm.bulk.__main__ import main
    sys.exit(main(["embed", "a", "b", "--base-url", "http://localhost:1"]))
    """
    program = "\n".join(line.strip() for line in code.splitlines())
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "Bulk jobs need pyarrow, which is not installed: run "
        'pip install "langchain-easyllm[bulk]".\n'
    )


def test_the_ray_engine_names_what_installs_it(fake_server, source, target, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in [name for name in sys.modules if name.startswith("langchain_easyllm.ray")]:
        monkeypatch.delitem(sys.modules, name)
    serve(fake_server)
    given = ["embed", source, target, "--engine", "ray", "--base-url", fake_server.url]
    code, _, err = said(given, capsys)
    assert code == 2
    assert err == (
        "Bulk jobs on Ray need ray, which is not installed: run "
        'pip install "langchain-easyllm[ray]".\n'
    )
    assert fake_server.requests == []
