"""Record `tests/support/recorded_conversations.py` with a real server, as cassettes.

    make record                          # every server that can be started here
    make record ONLY="llama-server vllm"            # some of them
    make record BASE_URL=http://localhost:8080 NAME=tgi            # a server of your own
    make record BASE_URL=https://router.huggingface.co NAME=router MODEL=... HF_TOKEN=...

`ONLY` takes the names of `real_servers/programs.py`, and `tiny`: the tests' own model. A
conversation that the server cannot have is named, and leaves no cassette.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from langchain_easyllm._servers.session import SESSIONS

from .support.real_servers.kept import kept
from .support.real_servers.llama_cpp_serve import has_llama_cpp, llama_cpp_serve
from .support.real_servers.models import MODEL, make_models
from .support.real_servers.programs import KEY, PROGRAMS, Program
from .support.real_servers.transformers_serve import transformers_serve
from .support.recorded_conversations import CONSTRAINED, CONVERSATIONS, VECTORS, Target
from .support.recording import cassettes

TESTS = Path(__file__).parent
CASSETTES = TESTS / "cassettes"
MODEL_NAME = "tiny-llama"


def tiny_servers(python: str) -> Iterator[tuple[str, Target]]:
    """Yield the servers that can be started here, with the tests' tiny model, while they run."""
    licence = TESTS.parent / "langchain_easyllm" / "offline" / "models" / "embeddings" / "LICENSE"
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / MODEL_NAME
        make(python, "make_model.py", directory, licence)
        with transformers_serve(python, directory) as server:
            yield "transformers", Target(server.base_url, server.model)
        if has_llama_cpp(python):
            gguf = directory.with_suffix(".gguf")
            make(python, "make_gguf.py", directory, gguf)
            with llama_cpp_serve(python, gguf) as server:
                yield "llama-cpp-python", Target(server.base_url, server.model)


def own_servers() -> Iterator[int]:
    """Record what can be started here, or what ONLY names; yield the numbers of recordings."""
    python = os.environ.get("EASYLLM_SERVERS_PYTHON", sys.executable)
    wanted = os.environ.get("ONLY", "").split() or ["tiny", *PROGRAMS]
    if "tiny" in wanted:
        yield from (record(name, target) for name, target in tiny_servers(python))
    models = make_models(python)
    for program in (PROGRAMS[name] for name in wanted if name != "tiny"):
        if reason := program.left_out():
            print(f"{program.name} is left out: {reason}")
            continue
        with program.start(models) as server:
            key = KEY if "key" in program.has else None
            target = Target(server.base_url, server.model, key)
            hide = {
                str(models.smollm2): MODEL,
                str(models.minilm): "all-minilm-l6-v2",
                str(models.gguf.parent): "models",
                str(kept()): "models",
            }
            yield record(program.name, target, conversations_with(program), hide)


def conversations_with(program: Program) -> dict[str, Callable[[Target], None]]:
    """What can be said to a program."""
    if not program.generates:
        names = {"embeddings": "embedded", "rerank": "reranked"}
        return {name: VECTORS[name] for what, name in names.items() if what in program.has}
    return {**CONVERSATIONS, **(CONSTRAINED if "constraints" in program.has else {})}


def make(python: str, script: str, *arguments: Path) -> None:
    """Run one of the scripts that make a model."""
    command = [python, TESTS / "support" / "real_servers" / script, *arguments]
    subprocess.run(command, check=True, capture_output=True)


def record(
    name: str,
    target: Target,
    conversations: Mapping[str, Callable[[Target], None]] = CONVERSATIONS,
    hide: Mapping[str, str] | None = None,
) -> int:
    """Have every conversation with one target; return how many were recorded.

    `hide` has texts that no cassette shall hold, and what stands in their place.
    """
    recorded = 0
    hide = {**(hide or {})}
    if target.model and Path(target.model).is_absolute():
        hide.setdefault(target.model, MODEL_NAME)
    for title, conversation in conversations.items():
        SESSIONS.forget()
        target = replace(target, client=httpx.Client())  # and so a session of its own
        path = CASSETTES / name / f"{title}.yaml"
        path.unlink(missing_ok=True)
        try:
            with cassettes(hide).use_cassette(str(path), record_mode="all"), target:
                conversation(target)
        except (Exception, pytest.fail.Exception):
            path.unlink(missing_ok=True)
            print(f"{name}/{title}: not recorded\n{traceback.format_exc(limit=-2)}")
        else:
            recorded += 1
            print(f"{name}/{title}: recorded")
    return recorded


def main() -> int:
    """Record what the environment names; return the exit status: 0 if anything was recorded."""
    base_url, name = os.environ.get("BASE_URL"), os.environ.get("NAME")
    if not base_url:
        return sum(own_servers()) == 0
    if not name:
        print("Set NAME=... to what the cassettes' folder shall be called (tgi, router, ...).")
        return 2
    token = os.environ.get("HF_TOKEN") or None
    return record(name, Target(base_url, os.environ.get("MODEL") or None, token)) == 0


if __name__ == "__main__":
    sys.exit(main())
