"""all-MiniLM-L6-v2 behind a server that speaks as Text Embeddings Inference does."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from .server_process import RunningServer, free_port, running

PROGRAM = Path(__file__).with_name("minilm.py")


def minilm_serve(python: str, directory: Path) -> AbstractContextManager[RunningServer]:
    """Serve the model in `directory` with the sentence-transformers that `python` has installed.

    Args:
        python: The interpreter.
        directory: A sentence-transformers model.
    """
    port = free_port()
    command = [python, str(PROGRAM), str(directory), str(port)]
    offline = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    return running(command, port=port, model="all-MiniLM-L6-v2", env=offline, first=("/info", None))
