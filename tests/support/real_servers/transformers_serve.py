"""`transformers serve` with a model directory of this machine."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from .server_process import RunningServer, free_port, running


def transformers_serve(python: str, directory: Path) -> AbstractContextManager[RunningServer]:
    """Serve the model in `directory` with the transformers that `python` has installed.

    Args:
        python: The interpreter; its environment has torch and `transformers[serving]`.
        directory: What `make_model.py` wrote.
    """
    port = free_port()
    command = [str(Path(python).parent / "transformers"), "serve", str(directory)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    offline = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    return running(command + options, port=port, model=str(directory), env=offline)
