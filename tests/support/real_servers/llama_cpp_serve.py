"""`llama-cpp-python`'s OpenAI-style server with a GGUF file of this machine."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

from .server_process import RunningServer, free_port, running

MODEL = "tiny-llama"


def has_llama_cpp(python: str) -> bool:
    """Whether that interpreter can run the server: its package has to be compiled."""
    check = [python, "-c", "import gguf, llama_cpp.server.app"]
    return subprocess.run(check, capture_output=True, check=False).returncode == 0


def llama_cpp_serve(python: str, gguf: Path) -> AbstractContextManager[RunningServer]:
    """Serve a GGUF file with the llama_cpp that `python` has installed.

    Args:
        python: The interpreter; its environment has `llama-cpp-python[server]`.
        gguf: What `make_gguf.py` wrote.
    """
    port = free_port()
    command = [python, "-m", "llama_cpp.server", "--model", str(gguf), "--model_alias", MODEL]
    options = ["--host", "127.0.0.1", "--port", str(port), "--n_ctx", "512", "--n_threads", "2"]
    # Without this option, it cuts a running stream short when another request comes in.
    options += ["--interrupt_requests", "false", "--verbose", "false"]
    return running(command + options, port=port, model=MODEL)
