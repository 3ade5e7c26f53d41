"""Record the conversations of `tests/conversations.py` with a real server, as cassettes.

    make record                                                    # transformers serve
    make record BASE_URL=http://localhost:8080 NAME=tgi            # a server of your own
    make record BASE_URL=https://router.huggingface.co NAME=router MODEL=... HF_TOKEN=...

A conversation that the server cannot have is named, and leaves no cassette.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from langchain_easyllm import _connection
from langchain_easyllm.wire import parse_address

from .conversations import CONVERSATIONS, Place
from .recording import Recorder
from .servers.transformers_serve import transformers_serve

TESTS = Path(__file__).parent
CASSETTES = TESTS / "cassettes"
MODEL_NAME = "tiny-llama"


@contextmanager
def transformers() -> Iterator[Place]:
    """`transformers serve` with the tests' tiny model."""
    python = os.environ.get("EASYLLM_SERVERS_PYTHON", sys.executable)
    licence = TESTS.parent / "langchain_easyllm" / "offline" / "models" / "embeddings" / "LICENSE"
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / MODEL_NAME
        made = [python, TESTS / "servers" / "make_model.py", directory, licence]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        with transformers_serve(python, directory) as server:
            yield Place(server.base_url, server.model)


def record(name: str, place: Place) -> int:
    """Have every conversation in one place; return how many failed."""
    failed = 0
    hide = {place.model: MODEL_NAME} if place.model and Path(place.model).is_absolute() else {}
    for title, talk in CONVERSATIONS.items():
        _connection.forget_connections()
        with Recorder(parse_address(place.base_url).root, hide) as recorder:
            try:
                talk(replace(place, base_url=recorder.url))
            except Exception:
                failed += 1
                print(f"{title}: not recorded\n{traceback.format_exc(limit=-2)}")
            else:
                recorder.save(CASSETTES / name / f"{title}.yaml")
                print(f"{title}: recorded")
    return failed


def main() -> int:
    """Record what the environment names; return the exit status."""
    base_url, name = os.environ.get("BASE_URL"), os.environ.get("NAME")
    if not base_url:
        with transformers() as place:
            return record("transformers", place) > 0
    if not name:
        print("Set NAME=... to what the cassettes' folder shall be called (tgi, router, ...).")
        return 2
    token = os.environ.get("HF_TOKEN") or None
    return record(name, Place(base_url, os.environ.get("MODEL") or None, token)) > 0


if __name__ == "__main__":
    sys.exit(main())
