"""CPU seconds and memory of bulk jobs: `python -m benchmarks.bulk [--rows N] [--memory]`.

Each run is a process of its own, beside a loopback server that costs next to nothing: `by hand` is
`iter_embeddings` in a loop that writes Parquet, without what a job is for (errors in their rows,
resuming, waiting for a server); `bulk` is `langchain_easyllm.bulk.embed`.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from .driver import serving
from .jobs import child_command, job_options
from .results import keep_job
from .vectors import SENTENCE

READ = 4096


def write_input(path: Path, rows: int) -> None:
    """Write a Parquet file of short texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, 100_000):
            numbers = range(start, min(start + 100_000, rows))
            writer.write_table(pa.table({"text": [f"{n}. {SENTENCE}" for n in numbers]}))


def by_hand(url: str, source: str, target: str) -> None:
    """Embed a file as one would without `bulk`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from langchain_easyllm import EasyLLMEmbeddings

    def read(batches: list[pa.Array]):
        for batch in pq.ParquetFile(source).iter_batches(READ, columns=["text"]):
            texts = batch.column(0).to_pylist()
            batches.extend(texts)
            yield from texts

    texts: list[str] = []
    writer = None
    for array in EasyLLMEmbeddings(base_url=url).iter_embeddings(read(texts)):
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
        table = pa.table({"text": texts[: len(array)], "embedding": vectors})
        del texts[: len(array)]
        writer = writer or pq.ParquetWriter(target, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def by_bulk(url: str, source: str, target: str) -> None:
    """Embed a file by a job."""
    from langchain_easyllm import EasyLLMEmbeddings
    from langchain_easyllm.bulk import embed

    embed(source, target, EasyLLMEmbeddings(base_url=url))


RUNS = {"by hand": by_hand, "bulk": by_bulk}


def measure(name: str, url: str, source: Path, target: Path) -> tuple[float, float]:
    """Return the CPU seconds of a run, and its peak memory in MB."""
    child = subprocess.Popen(child_command("benchmarks.bulk", name, url, source, target))
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{name} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Print the figures."""
    memory = "a job of ten times as many rows"
    options = job_options("benchmarks.bulk", __doc__, RUNS, memory=memory)
    with serving() as ports, tempfile.TemporaryDirectory() as folder:
        url = f"http://127.0.0.1:{ports['384']}"
        source = Path(folder) / "texts.parquet"
        write_input(source, options.rows)
        found = {name: [] for name in RUNS}
        for number in range(options.rounds):
            for name in RUNS:
                target = Path(folder) / f"{name}-{number}"
                found[name].append(measure(name, url, source, target))
        for name, values in found.items():
            seconds, memory = (min(column) for column in zip(*values, strict=True))
            print(f"{name:10} {seconds:6.2f} CPU s  {memory:6.0f} MB  ({options.rows:,} rows)")
        best = {name: min(values)[0] for name, values in found.items()}
        if options.keep:
            memory = {name: min(one for _, one in values) for name, values in found.items()}
            keep_job("bulk", {"rows": options.rows, "seconds": best, "memory": memory})
        print(f"bulk / by hand: {best['bulk'] / best['by hand']:.2f}")
        if options.memory:
            many = Path(folder) / "many.parquet"
            write_input(many, 10 * options.rows)
            _, memory = measure("bulk", url, many, Path(folder) / "many")
            few = median(one for _, one in found["bulk"])
            print(f"{10 * options.rows:,} rows: {memory:.0f} MB, {memory / few:.2f} times")


if __name__ == "__main__":
    main()
