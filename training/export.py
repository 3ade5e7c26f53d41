"""Write a run's model as a folder that any Llama reader opens: float16 safetensors and configs.

python training/export.py --run runs/chat --to langchain_easyllm/offline/models/chat
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pathlib
import shutil

import torch
from model import Llama, Shape
from safetensors.torch import save_file
from tokenizer import SPECIAL, STOPS

STOP_IDS = [SPECIAL.index(stop) for stop in STOPS]
FILES = ("model.safetensors", "tokenizer.json", "config.json")


def export(run: pathlib.Path, folder: pathlib.Path) -> None:
    """Write weights, tokenizer, configuration and `SHA256SUMS` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    state = torch.load(run / "checkpoint.pt", weights_only=False)
    shape = Shape(**state["shape"])
    model = Llama(shape)
    model.load_state_dict(state["model"])
    weights = {name: value.half().contiguous() for name, value in model.export_state().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(run / "tokenizer.json", folder / "tokenizer.json")
    config = shape.to_config() | {"bos_token_id": 1, "eos_token_id": STOP_IDS, "pad_token_id": 0}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in FILES]
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n")


def main() -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--to", type=pathlib.Path, required=True)
    options = parser.parse_args()
    export(options.run, options.to)


if __name__ == "__main__":
    main()
