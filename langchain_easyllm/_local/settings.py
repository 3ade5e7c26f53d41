"""What can be found wrong with a local model before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from transformers import TextGenerationPipeline

__all__ = [
    "DEFAULT_LIMIT",
    "Limits",
    "LocalSettings",
    "check_libraries",
    "check_model",
    "check_pipeline",
    "limits_of",
]


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """What makes two objects use the same model.

    Attributes:
        model: A folder, or a repository id on the Hub; a pipeline's name.
        pipeline: A pipeline that the caller made, or None.
        device: Where the model goes, as `transformers.pipeline` takes it.
        device_map: How it is spread over devices, as `from_pretrained` takes it.
        model_kwargs: Further arguments of `from_pretrained`.
        pipeline_kwargs: Further arguments of `transformers.pipeline`.
        batch_size: Most prompts that go through the model together.
        token: A Hugging Face token, to download it with.
    """

    model: str | None = None
    pipeline: Callable[..., object] | None = None
    device: object = None
    device_map: object = None
    model_kwargs: Mapping[str, object] = field(default_factory=dict)
    pipeline_kwargs: Mapping[str, object] = field(default_factory=dict)
    batch_size: int = 8
    token: str | None = field(default=None, repr=False)

    @property
    def key(self) -> object:
        """What the registry knows the model by."""
        if self.pipeline is not None:
            return id(self.pipeline), self.batch_size
        settings = (self.device, self.device_map, self.model_kwargs, self.pipeline_kwargs)
        return self.model, repr(settings), self.batch_size


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


DEFAULT_LIMIT = 1024
"""Most new tokens where neither the caller nor the model says it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model's configuration says of lengths and ends.

    Attributes:
        new_tokens: Most new tokens; None where nothing says it.
        context: Most tokens of prompt and answer; None if unknown.
        ends: Ids of the tokens that end an answer.
    """

    new_tokens: int | None
    context: int | None
    ends: frozenset[int]


def limits_of(pipeline: TextGenerationPipeline, options: Mapping[str, object]) -> Limits:
    """Return a pipeline's limits.

    Args:
        pipeline: The pipeline; what it was made with goes before the model's own.
        options: Options of one call, which go before both.
    """
    config = pipeline.model.generation_config.to_diff_dict()
    made_with = getattr(pipeline, "_generate_kwargs", {})
    said = {**config, **made_with, **options}
    ends = said.get("eos_token_id")
    listed = ends if isinstance(ends, list) else [ends]
    new = said.get("max_new_tokens")
    context = getattr(pipeline.model.config, "max_position_embeddings", None)
    return Limits(
        new_tokens=new if isinstance(new, int) else None,
        context=context if isinstance(context, int) else None,
        ends=frozenset(end for end in listed if isinstance(end, int)),
    )
