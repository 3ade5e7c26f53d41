"""The tables of docs/benchmarks.md, made of what `results` kept: `python -m benchmarks.published`.

`plots` draws the same values, and `make tables` writes these tables with all others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from . import results
from .report import value_text

TARGETS = {
    "ours": "langchain-easyllm",
    "huggingface": "langchain-huggingface",
    "openai": "langchain-openai",
    "raw": "raw client",
    "floor": "floor",
}
PEERS = ("huggingface", "openai")
TEXT = (
    *("chat_stream", "achat_stream", "llm_stream", "allm_stream"),
    *("chat_invoke", "llm_invoke", "chat_ainvoke", "ainvoke_1000", "astream_100x200"),
    *("batch_chat", "batch_chain", "batch_llm", "first_piece", "afirst_piece"),
    *("load_1", "load_10", "load_100", "load_1000", "agent_40"),
)
EMBEDDINGS = (
    *("embed_2048_384", "embed_2048_384wait20", "embed_2048_1024"),
    *("embed_20000_384", "embed_20000_1024wait20", "aembed_2048_384", "aembed_2048_384wait20"),
    *("array_2048_384", "array_20000_384"),
)
MEMORY = ("peak_chat", "peak_achat", "peak_llm", "peak_allm", "open_chat", "open_llm", "peak_embed")
START = ("import", "construct_chat", "construct_llm")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text_of(value: float, unit: str) -> str:
    """Return a value as a reader sees it."""
    if unit == "B" and value >= 2**20:
        return f"{value / 2**20:.3g} MiB"
    return value_text(value, unit).replace(" us", " µs")


def medians(name: str, kind: str = "figures") -> dict[str, float]:
    """Return a figure's medians; where only what is added counts, without the raw client's time."""
    figure = results.load()[kind][name]
    values = dict(figure["medians"])
    if "less raw" in figure["label"]:
        return {target: value - values["raw"] for target, value in values.items()}
    return values


def times(values: dict[str, float]) -> float | None:
    """Return how many times as much as ours the best peer takes."""
    peers = [values[name] for name in PEERS if name in values]
    return min(peers) / values["ours"] if peers else None


def load_of(run: dict[str, object]) -> str:
    """Return the load of the machine in a run; one that was not noted was high."""
    return f"{run['load'][0]:.1f}" if run["load"] else "high"


def _label(figure: dict[str, object]) -> str:
    label = figure["label"].replace(" (added: less raw)", ": what the client adds")
    return label.replace("|", r"\|")


def _ratio(name: str, kind: str) -> str:
    """Return the best peer's value over ours."""
    ratio = times(medians(name, kind)) if name in results.load()[kind] else None
    return f"{ratio:.1f}" if ratio else ""


def figures(names: Sequence[str], *, targets: Sequence[str] = tuple(TARGETS)) -> str:
    """Return the table of some figures; those that nobody measured are left out."""
    kept = results.load()
    rows, with_busy = [], bool(kept["busy"].keys() & names)
    for name in names:
        if not (figure := kept["figures"].get(name)):
            continue
        values, unit = medians(name), figure["unit"]
        ratios = [_ratio(name, "figures")]
        ratios += [_ratio(name, "busy")] if with_busy else []
        cells = [text_of(values[one], unit) if values.get(one) else "" for one in targets]
        rows.append([_label(figure), *ratios, *cells, load_of(kept["runs"][figure["run"]])])
    return table(["", "times", *["busy"] * with_busy, *targets, "load"], rows)


def servers() -> str:
    """Return the rows a second by the number of servers."""
    kept = results.load()
    rows = []
    for job, more in (("replicas", ""), ("replicas, servers refuse", ", servers refuse")):
        if entry := kept["jobs"].get(job):
            for name, rates in entry["rates"].items():
                cells = [f"{rates[count]:,.0f}" for count in ("1", "2", "4")]
                growth = f"{rates['4'] / rates['1']:.1f}"
                rows.append(
                    [
                        f"`{name.replace(' of ', '` of ')}{more}"
                        if " of " in name
                        else f"`{name}`{more}",
                        *cells,
                        growth,
                        load_of(kept["runs"][entry["run"]]),
                    ]
                )
    return table(["rows a second", "1 server", "2 servers", "4 servers", "times", "load"], rows)


def jobs() -> str:
    """Return what a row of a job costs, beside a loop that is written by hand."""
    kept = results.load()
    rows = []
    for job, name in (("bulk", "bulk job"), ("ray", "job on Ray, two actors")):
        if entry := kept["jobs"].get(job):
            seconds = entry["seconds"]
            rows_of = entry["rows"] if job == "bulk" else 1
            own, loop = (1e6 * seconds[key] / rows_of for key in (job, "by hand"))
            memory = entry.get("memory")
            held = [f"{memory[key]:.0f} MB" if memory else "" for key in ("bulk", "by hand")]
            cells = [f"{own:.0f} µs", f"{loop:.0f} µs", f"{own / loop:.2f}", *held]
            rows.append([name, *cells, load_of(kept["runs"][entry["run"]])])
    head = ["", "CPU time of a row", "of a loop", "over the loop", "memory", "of a loop", "load"]
    return table(head, rows)


def runs() -> str:
    """Return what each run ran on."""
    kept = results.load()
    rows = {}
    for run in kept["runs"].values():
        versions = run["versions"]
        shown = ("langchain-core", *(TARGETS[name] for name in PEERS), "langchain", "openai")
        named = ", ".join(f"{name} {versions[name]}" for name in shown if versions.get(name))
        cores = str(run.get("cores") or run["cpus"])
        rows[load_of(run)] = [load_of(run), run["python"], cores, named]
    return table(["load", "Python", "cores", "versions"], [rows[load] for load in sorted(rows)])


TABLES = {
    "text": lambda: figures(TEXT),
    "embeddings": lambda: figures(EMBEDDINGS),
    "memory": lambda: figures(MEMORY, targets=("ours", "huggingface", "openai", "raw")),
    "start": lambda: figures(START, targets=("ours", "huggingface", "openai", "floor")),
    "servers": servers,
    "jobs": jobs,
    "runs": runs,
}
"""The tables of the page, by the names of their places."""


def main() -> None:
    """Write the tables into the page, in both languages."""
    for name in ("benchmarks.md", "benchmarks.ko.md"):
        page = Path(__file__).parents[1] / "docs" / name
        text = page.read_text(encoding="utf-8")
        for place, made in TABLES.items():
            around = re.compile(
                rf"(<!-- table: {place} -->\n).*?(<!-- end of table -->)", re.DOTALL
            )
            body = made()
            text = around.sub(lambda found, body=body: f"{found[1]}{body}\n{found[2]}", text)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
