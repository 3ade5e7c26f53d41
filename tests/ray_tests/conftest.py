"""A cluster on this machine, with a node that tests may add and kill."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ..support.fake_embedding_servers import openai_route, serve_tei
from ..support.fake_server import FakeServer, Received, Reply

ROOT = Path(__file__).parents[2]
KEY_VARIABLE = "EASYLLM_TEST_KEY"
LONGEST = 120
"""Seconds that anything here may take on a busy machine."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """What Ray and Spark warn of is not ours."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What every process of the cluster inherits."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in [*os.environ]:
            if name.lower().endswith("_proxy") or name.startswith(("HF_", "HUGGINGFACE")):
                monkeypatch.delenv(name)
        monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path_factory.mktemp("home") / "no-login"))
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("PYTHONWARNINGS", "ignore")
        monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
        monkeypatch.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        monkeypatch.setenv(KEY_VARIABLE, "secret of the environment")
        yield


@pytest.fixture(scope="session")
def cluster(environment: None) -> Iterator[Any]:
    """A cluster of one node, which this process is connected to."""
    import ray
    from ray.cluster_utils import Cluster

    quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
    found = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 4, "object_store_memory": 200 << 20, "include_dashboard": False,
            "_system_config": quick,
        },
    )  # fmt: skip
    ray.init(address=found.address, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    # Ray 2.60's newer reader was seen to take seconds to list one file, the older one a fraction;
    # the programs that tests start read by the newer one nonetheless.
    ray.data.DataContext.get_current().use_datasource_v2 = False
    try:
        yield found
    finally:
        ray.shutdown()
        found.shutdown()


@pytest.fixture
def ray(cluster: Any) -> Iterator[Any]:
    """Ray, connected, without a checkpoint."""
    import ray

    context = ray.data.DataContext.get_current()
    context.checkpoint_config = None
    yield ray
    context.checkpoint_config = None


class SlotServer:
    """A route that has only so many slots, each taken for some time, and refuses what is more."""

    def __init__(self, slots: int, seconds: float) -> None:
        self.refused = 0
        self._slots = slots
        self._seconds = seconds
        self._ends: list[float] = []

    def __call__(self, _: Received) -> Reply | None:
        now = time.monotonic()
        self._ends = [end for end in self._ends if end > now]
        if len(self._ends) >= self._slots:
            self.refused += 1
            return Reply({"error": "busy"}, status=429)
        self._ends.append(now + self._seconds)
        return None


def serve_vectors(
    server: FakeServer, refuse: Callable[[Received], Reply | None] = lambda _: None
) -> None:
    """Make `server` one of vectors that refuses some requests."""
    serve_tei(server)
    answer = openai_route()
    server.on("POST", "/v1/embeddings", lambda request: refuse(request) or answer(request))


def texts_of(count: int) -> list[str]:
    """So many texts, each its own."""
    return [f"text number {number}" for number in range(count)]


def write_rows(path: Path, texts: Sequence[str | None]) -> str:
    """Write a Parquet file with ids and texts, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": range(len(texts)), "text": texts}), path)
    return str(path)


def rows_in(folder: Path) -> list[dict[str, Any]]:
    """The rows of a folder of Parquet files, in the order of their ids."""
    rows: list[dict[str, Any]] = pq.read_table(folder).to_pylist()
    return sorted(rows, key=lambda row: row["id"])


@pytest.fixture
def java() -> None:
    """Spark needs Java."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, and this machine has none")
