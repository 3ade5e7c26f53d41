"""Real server programs with real models: how each is started, what it has, why one is left out.

The generators have SmolLM2-135M-Instruct, the others all-MiniLM-L6-v2 or a cross-encoder of its
body. Each computes on one core: threads of theirs that spin would keep the others from working.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from .kept import llama_server, why_left_out
from .models import MODEL, Models
from .server_process import RunningServer, free_port, running

__all__ = ["DEFAULT", "KEY", "MODELS", "PROGRAMS", "Program"]

KEY = f"sk-{secrets.token_urlsafe(32)}"
"""The key of the servers that have one."""

MODELS = "EASYLLM_SERVERS_PYTHON"
"""Names the interpreter of the environment that has the models, and what converts them."""

CONTEXT = 2048
"""Tokens of a prompt and its answer, where a server can be told: few, to be overflowed."""

_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


Start = Callable[[Models], AbstractContextManager[RunningServer]]


@dataclass(frozen=True)
class Program:
    """A server program with a model.

    Attributes:
        name: What it is called in tests and cassettes.
        profile: What the package recognises it as.
        start: Starts it.
        left_out: Why it cannot be run here; None where it can.
        has: What tests ask for: `"key"` (it wants one), `"lists"` (it lists its model),
            `"tokenize"`, `"overflow"` (it refuses what is longer than its context),
            `"constraints"`, `"text constraints"` (those on its text protocol), `"regex"`,
            `"tools"` (it reads them), `"busy"` (it tells what it is working on),
            `"embeddings"`, `"rerank"`.
        names_model: Whether requests have to name the model.
    """

    name: str
    profile: str
    start: Start
    left_out: Callable[[], str | None]
    has: frozenset[str]
    names_model: bool = False

    @property
    def generates(self) -> bool:
        """Whether it has the language model."""
        return not self.has & {"embeddings", "rerank"}


def environment_left_out(variable: str) -> str | None:
    """Why a server's environment, or that of the models, is not there; None if both are.

    Args:
        variable: Names the interpreter of the server's environment.
    """
    return _left_out(MODELS) or (None if variable == MODELS else _left_out(variable))


def _left_out(variable: str) -> str | None:
    python = os.environ.get(variable)
    if not python:
        return f"{variable} is not set: run these tests by make, which makes that environment"
    said = Path(python).parents[1] / "left-out"
    if said.exists():
        return f"it could not be installed here: {said.read_text('utf-8').strip()}"
    return None if Path(python).exists() else f"{Path(python).parents[1]} has not been made"


def llama_server_left_out() -> str | None:
    """Why llama-server is not there; None if it is."""
    program = llama_server()
    if program.exists():
        return environment_left_out(MODELS)
    said = why_left_out(program)
    reason = said.read_text("utf-8") if said.exists() else "`make llama-server` has not built it"
    return f"llama-server is not built: {reason}"


def _program(variable: str, name: str) -> str:
    """A console script of the environment whose interpreter a variable names."""
    return str(Path(os.environ[variable]).parent / name)


def llama_cpp(
    models: Models, *, gguf: Path | None = None, mode: tuple[str, ...] = ()
) -> AbstractContextManager[RunningServer]:
    """Start llama.cpp's llama-server."""
    port = free_port()
    file = models.gguf if gguf is None else gguf
    command = [str(llama_server()), "--model", str(file), "--alias", MODEL, "--threads", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--api-key", KEY, "--no-webui"]
    command += mode or ("--ctx-size", str(4 * CONTEXT), "--parallel", "4", "--jinja", "--slots")
    return running(command, port=port, model=MODEL, first=("/health", None))


def llama_cpp_embeddings(models: Models) -> AbstractContextManager[RunningServer]:
    """Start llama-server with an embedding model."""
    mode = ("--embeddings", "--ctx-size", "1024", "--parallel", "2")
    return llama_cpp(models, gguf=models.minilm_gguf(), mode=mode)


def llama_cpp_rerank(models: Models) -> AbstractContextManager[RunningServer]:
    """Start llama-server with a cross-encoder."""
    mode = ("--rerank", "--ctx-size", "1024", "--parallel", "2")
    return llama_cpp(models, gguf=models.reranker_gguf(), mode=mode)


def transformers(models: Models) -> AbstractContextManager[RunningServer]:
    """Start `transformers serve`."""
    port = free_port()
    command = [_program("EASYLLM_SERVERS_PYTHON", "transformers"), "serve", str(models.smollm2)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    return running(command, port=port, model=str(models.smollm2), env=_ENVIRONMENT)


def infinity(
    models: Models, *, prefix: bool = True, rerank: bool = False
) -> AbstractContextManager[RunningServer]:
    """Start Infinity."""
    port = free_port()
    directory = models.reranker if rerank else models.minilm
    name = "reranker" if rerank else "all-minilm-l6-v2"
    command = [_program("EASYLLM_INFINITY_PYTHON", "infinity_emb"), "v2"]
    command += ["--model-id", str(directory), "--engine", "torch", "--device", "cpu"]
    command += ["--served-model-name", name, "--no-bettertransformer"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--api-key", KEY]
    command += ["--url-prefix", "/v1"] if prefix else []
    first = ("/health", None)
    return running(command, port=port, model=name, env=_ENVIRONMENT, first=first)


def vllm(
    models: Models, *, directory: Path | None = None, mode: tuple[str, ...] = ()
) -> AbstractContextManager[RunningServer]:
    """Start vLLM on its CPU backend."""
    port = free_port()
    path = str(directory or models.smollm2)
    served = MODEL if directory is None else "all-minilm-l6-v2"
    command = [_program("EASYLLM_VLLM_PYTHON", "vllm"), "serve", path]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # Its folder, too, is a name of it: a template is read from there.
    command += ["--served-model-name", served, path]
    command += ["--dtype", "float32", "--enforce-eager", "--api-key", KEY]
    command += mode or (
        *("--max-model-len", str(CONTEXT), "--enable-auto-tool-choice"),
        *("--tool-call-parser", "hermes"),
    )
    one_core = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "0"}
    telemetry = {"VLLM_NO_USAGE_STATS": "1"}
    env = {**_ENVIRONMENT, **one_core, **telemetry}
    first = ("/version", None)
    return running(command, port=port, model=served, env=env, first=first)


def vllm_pooling(models: Models) -> AbstractContextManager[RunningServer]:
    """Start vLLM with an embedding model."""
    mode = ("--runner", "pooling", "--max-model-len", "256")
    return vllm(models, directory=models.minilm, mode=mode)


@contextmanager
def litellm(models: Models) -> Iterator[RunningServer]:
    """Start LiteLLM's proxy in front of llama-server, with a second model beside its own."""
    with llama_cpp(models) as upstream, tempfile.TemporaryDirectory() as folder:
        behind = {"api_base": f"{upstream.base_url}/v1", "api_key": KEY}
        named = [MODEL, "another"]
        offered = [
            {"model_name": name, "litellm_params": {"model": f"openai/{name}", **behind}}
            for name in named
        ]
        config = Path(folder) / "config.yaml"  # JSON is YAML
        settings = {"master_key": KEY}
        config.write_text(json.dumps({"model_list": offered, "general_settings": settings}))
        port = free_port()
        command = [_program("EASYLLM_LITELLM_PYTHON", "litellm"), "--config", str(config)]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        local = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}
        env = {**_ENVIRONMENT, **local}
        first = ("/health/liveliness", None)
        with running(command, port=port, model=MODEL, env=env, first=first) as server:
            yield replace(server, behind=upstream)


_LLAMA_CPP = partial(Program, profile="llama.cpp", left_out=llama_server_left_out)
_TRANSFORMERS = partial(
    Program,
    profile="transformers serve",
    left_out=partial(environment_left_out, MODELS),
)
_INFINITY = partial(
    Program, profile="openai", left_out=partial(environment_left_out, "EASYLLM_INFINITY_PYTHON")
)
_VLLM = partial(
    Program, profile="vllm", left_out=partial(environment_left_out, "EASYLLM_VLLM_PYTHON")
)


def litellm_left_out() -> str | None:
    """Why LiteLLM cannot be run here: it, or the server behind it."""
    return environment_left_out("EASYLLM_LITELLM_PYTHON") or llama_server_left_out()


_PROGRAMS = (
    _LLAMA_CPP(
        name="llama-server",
        start=llama_cpp,
        has=frozenset(
            {
                *("key", "lists", "tokenize", "overflow", "constraints", "text constraints"),
                *("regex", "busy"),
            }
        ),
    ),
    _TRANSFORMERS(name="transformers-serve", start=transformers, has=frozenset()),
    _VLLM(
        name="vllm",
        start=vllm,
        has=frozenset(
            {
                *("key", "lists", "tokenize", "overflow", "constraints", "text constraints"),
                *("regex", "tools", "busy"),
            }
        ),
    ),
    Program(
        name="litellm",
        profile="litellm",
        start=litellm,
        left_out=litellm_left_out,
        has=frozenset({"key", "overflow", "constraints"}),
        names_model=True,
    ),
    _INFINITY(name="infinity", start=infinity, has=frozenset({"key", "embeddings"})),
    _INFINITY(
        name="infinity-rerank",
        start=partial(infinity, rerank=True),
        has=frozenset({"key", "rerank"}),
    ),
    _LLAMA_CPP(
        name="llama-server-embeddings",
        start=llama_cpp_embeddings,
        has=frozenset({"key", "embeddings"}),
    ),
    _LLAMA_CPP(
        name="llama-server-rerank", start=llama_cpp_rerank, has=frozenset({"key", "rerank"})
    ),
    _VLLM(name="vllm-pooling", start=vllm_pooling, has=frozenset({"key", "embeddings", "rerank"})),
)
PROGRAMS = {program.name: program for program in _PROGRAMS}
"""Every program by its name."""

DEFAULT = (
    "llama-server llama-server-embeddings llama-server-rerank transformers-serve infinity "
    "infinity-rerank"
)
"""Those that `make integration-servers` runs."""
