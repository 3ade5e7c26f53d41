"""What can be found wrong with a local model before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ..errors import ConfigurationError

__all__ = ["check_libraries", "check_model", "check_pipeline"]

TASK = "text-generation"


def check_libraries(*names: str) -> None:
    """Check that libraries are installed, without importing them.

    Raises:
        ConfigurationError: If one is not, with the command that installs it.
    """
    for name in names:
        if find_spec(name) is None:
            raise ConfigurationError(
                f"A local model needs {name}, which is not installed: run "
                'pip install "langchain-easyllm[local]".'
            )


def check_model(model: str, files: Sequence[str] = ("config.json",)) -> str:
    """Check that a model's folder is one; a Hub repository is looked for when it is loaded.

    Args:
        model: A folder, or the id of a repository on the Hub.
        files: Files of which the folder has to hold one.

    Returns:
        The folder's path, `~` expanded, or the id.

    Raises:
        ConfigurationError: If a path leads nowhere, or to something else than a model's folder.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        if not any((path / file).is_file() for file in files):
            raise ConfigurationError(
                f"{model} holds no {' or '.join(files)}: give the folder that save_pretrained "
                "wrote."
            )
        return str(path)
    if path.exists() or _is_path(model):
        raise ConfigurationError(
            f"There is no folder {model}: give a model's folder, or its repository id on the Hub."
        )
    return model


def check_pipeline(pipeline: object) -> None:
    """Check that an object is a `transformers` pipeline that generates text.

    Raises:
        ConfigurationError: If it is not.
    """
    task = getattr(pipeline, "task", None)
    if not callable(pipeline) or task is None:
        raise ConfigurationError(
            f"pipeline is of type {type(pipeline).__name__}: give what "
            f"transformers.pipeline({TASK!r}, ...) returns."
        )
    if task != TASK:
        raise ConfigurationError(
            f"The pipeline's task is {task!r}, and this class generates text: make it with "
            f"transformers.pipeline({TASK!r}, ...)."
        )
    if getattr(pipeline, "tokenizer", None) is None:
        raise ConfigurationError("The pipeline has no tokenizer: make it with tokenizer=...")


def _is_path(model: str) -> bool:
    """Whether a name can only be a path: repository ids have one slash at most."""
    start = (".", "~", "/", os.sep)
    return model.startswith(start) or model.count("/") > 1 or (os.sep != "/" and os.sep in model)
