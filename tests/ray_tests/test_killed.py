"""What is killed costs what was under way, and nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.ray import run

from ..support import fake_text_servers
from ..support.fake_embedding_servers import openai_route, serve_tei
from ..support.fake_server import FakeServer, Pause, Received, Reply
from .conftest import LONGEST, ROOT, rows_in, texts_of, write_rows

ROWS = 2000


def sent_texts(server: FakeServer) -> int:
    """How many texts were sent."""
    return sum(len(json.loads(r.body)["input"]) for r in server.received("/v1/embeddings"))


@pytest.mark.usefixtures("ray")
def test_a_driver_that_was_killed_is_gone_on_with(
    cluster: Any, fake_server: FakeServer, tmp_path: Path
):
    serve_tei(fake_server)
    answer = openai_route()

    def slowly(request: Received) -> Reply:
        reply = answer(request)
        body = json.dumps(reply.body).encode()
        return Reply(chunks=[Pause(0.3), body], headers={"content-type": "application/json"})

    fake_server.on("POST", "/v1/embeddings", slowly)
    source, target = write_rows(tmp_path / "in.parquet", texts_of(ROWS)), tmp_path / "out"
    program = [sys.executable, "-m", "tests.ray_tests.driver", cluster.address, fake_server.url]
    command = [*program, source, str(target)]
    with subprocess.Popen(command, cwd=ROOT) as job:
        fake_server.wait_until(lambda: len([*target.glob("*.parquet")]) >= 4, LONGEST)
        job.kill()
    written = len({row["id"] for row in rows_in(target)})
    assert 0 < written < ROWS
    sent = sent_texts(fake_server)
    fake_server.on("POST", "/v1/embeddings", answer)
    subprocess.run(command, cwd=ROOT, check=True, timeout=LONGEST)
    rows = rows_in(target)
    assert [row["id"] for row in rows] == [*range(ROWS)]
    assert [row["error"] for row in rows if row["error"]] == []
    assert sent_texts(fake_server) - sent <= ROWS - written


def test_a_node_that_was_killed_costs_no_row(
    cluster: Any, ray: Any, fake_server: FakeServer, tmp_path: Path
):
    fake_text_servers.serve(fake_server, "tgi", ["Bon", "jour"])
    doomed = cluster.add_node(num_cpus=4)
    seen = tmp_path / "seen"
    seen.mkdir()

    def note_node(text: str) -> str:
        import time

        import ray

        (seen / ray.get_runtime_context().get_node_id()).touch()
        time.sleep(0.1)
        return text

    chain = RunnableLambda(note_node) | EasyLLMChat(base_url=fake_server.url)
    source, target = write_rows(tmp_path / "in.parquet", texts_of(600)), tmp_path / "out"
    answers = run(
        ray.data.read_parquet(source), chain, column="text", max_concurrency=16, actors=3,
        rows_per_block=20, num_cpus=1,
    )  # fmt: skip

    def kill() -> None:
        fake_server.wait_until((seen / doomed.node_id).exists, LONGEST)
        cluster.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    answers.write_parquet(str(target))
    killer.join()
    assert not doomed.any_processes_alive()
    rows = rows_in(target)
    assert [row["id"] for row in rows] == [*range(600)]
    assert {row["answer"] for row in rows} == {"Bonjour"}
