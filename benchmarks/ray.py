"""CPU seconds of a job on Ray with two actors: `python -m benchmarks.ray [--rows N]`.

Each run is a process of its own, beside a loopback server that costs next to nothing, and the
CPU seconds are those of all processes that it starts. A run of few rows shows what a start costs:
the figure for a row is what is beyond that. `by hand` is that of `benchmarks.bulk`.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from .bulk import by_hand, write_input
from .driver import serving
from .jobs import child_command, job_options
from .results import keep_job

FEW = 4096
MARK = "EASYLLM_BENCHMARK"
TICKS = os.sysconf("SC_CLK_TCK")


def by_ray(url: str, source: str, target: str) -> None:
    """Embed a file by a job on Ray."""
    import ray

    from langchain_easyllm import EasyLLMEmbeddings
    from langchain_easyllm.ray import embed

    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    dataset = ray.data.read_parquet(source)
    vectors = embed(dataset, EasyLLMEmbeddings(base_url=url), actors=2)
    vectors.write_parquet(target, use_dictionary=False)  # as docs/ray.md advises


RUNS = {"by hand": by_hand, "ray": by_ray}


def cpu_seconds(mark: str, known: dict[str, bool], used: dict[str, float]) -> None:
    """Note the CPU seconds so far of each process that has a mark in its environment."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError):
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            one = f"{process.name} {stat[19]}"  # with the moment of its start
            if one not in known:
                known[one] = f"{MARK}={mark}".encode() in (process / "environ").read_bytes()
            if known[one]:
                used[one] = (int(stat[11]) + int(stat[12])) / TICKS


def measure(name: str, url: str, source: Path, target: Path) -> tuple[float, float]:
    """Return the CPU seconds of a run with all its processes, and the seconds that it took."""
    mark = target.name
    known: dict[str, bool] = {}
    used: dict[str, float] = {}
    began = time.monotonic()
    with subprocess.Popen(
        child_command("benchmarks.ray", name, url, source, target),
        env={**os.environ, MARK: mark, "RAY_USAGE_STATS_ENABLED": "0"},
    ) as child:
        while child.poll() is None:
            cpu_seconds(mark, known, used)
            time.sleep(0.1)
    if child.returncode:
        raise SystemExit(f"{name} failed")
    return sum(used.values()), time.monotonic() - began


def main() -> None:
    """Print the figures."""
    options = job_options("benchmarks.ray", __doc__, RUNS)
    with serving() as ports, tempfile.TemporaryDirectory() as folder:
        url = f"http://127.0.0.1:{ports['384']}"
        sources = {}
        for rows in (FEW, options.rows):
            sources[rows] = Path(folder) / f"{rows}.parquet"
            write_input(sources[rows], rows)
        a_row = {}
        for name in RUNS:
            best = {}
            for rows, source in sources.items():
                runs = [
                    measure(name, url, source, Path(folder) / f"{name[:3]}-{rows}-{number}")
                    for number in range(options.rounds)
                ]
                best[rows], seconds = min(runs)
                print(f"{name:8} {rows:8,} rows  {best[rows]:6.2f} CPU s  {seconds:6.1f} s")
            a_row[name] = (best[options.rows] - best[FEW]) / (options.rows - FEW)
            print(f"{name:8} {1e6 * a_row[name]:.1f} CPU µs for each further row")
        if options.keep:
            keep_job("ray", {"rows": options.rows, "seconds": a_row})
        print(f"ray / by hand, for a row: {a_row['ray'] / a_row['by hand']:.2f}")


if __name__ == "__main__":
    main()
