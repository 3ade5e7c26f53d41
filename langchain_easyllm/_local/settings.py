"""Settings of a local model, checked before anything is loaded; and its limits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from transformers import TextGenerationPipeline

    from .._http.user_functions import UserFunction


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Objects with equal settings share one model."""

    model: str | None = None  # a folder or a repository id on the Hub; a pipeline's name
    pipeline: Callable[..., object] | None = None
    device: object = None
    device_map: object = None
    model_kwargs: Mapping[str, object] = field(default_factory=dict)
    pipeline_kwargs: Mapping[str, object] = field(default_factory=dict)
    batch_size: int = 8
    token: str | UserFunction | None = field(default=None, repr=False)

    @property
    def key(self) -> object:
        if self.pipeline is not None:
            return id(self.pipeline), self.batch_size
        settings = (self.device, self.device_map, self.model_kwargs, self.pipeline_kwargs)
        return self.model, repr(settings), self.batch_size


TASK = "text-generation"


def check_libraries(*names: str) -> None:
    """Check that libraries are installed, without importing them."""
    for name in names:
        if find_spec(name) is None:
            raise ConfigurationError(
                f"A local model needs {name}, which is not installed: run "
                'pip install "langchain-easyllm[local]".'
            )


def check_model(model: str, files: Sequence[str] = ("config.json",)) -> str:
    """Check that a folder has one of a model's files, and return its path with `~` expanded.

    The id of a repository on the Hub is returned as it is, and checked when the model is loaded.
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


@contextmanager
def explained_loading(model: str | None) -> Iterator[None]:
    """Raise whatever loading a model may raise as an error with its first line."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigurationError(f"{model} cannot be loaded: {reason}") from error


def check_pipeline(pipeline: object) -> None:
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
    """Return whether a name can only be a path: repository ids have one slash at most."""
    start = (".", "~", "/", os.sep)
    return model.startswith(start) or model.count("/") > 1 or (os.sep != "/" and os.sep in model)


DEFAULT_LIMIT = 1024  # new tokens at most, where neither the caller nor the model sets it


@dataclass(frozen=True, slots=True)
class Limits:
    """A model's limits as its configuration has them, each None if unknown."""

    new_tokens: int | None
    context: int | None  # tokens of prompt and answer together
    ends: frozenset[int]  # ids of the tokens that end an answer


def limits_of(pipeline: TextGenerationPipeline, options: Mapping[str, object]) -> Limits:
    """Return a call's limits: its options override the pipeline's, which override the model's."""
    config = pipeline.model.generation_config.to_diff_dict()
    made_with = getattr(pipeline, "_generate_kwargs", {})
    merged = {**config, **made_with, **options}
    ends = merged.get("eos_token_id")
    listed = ends if isinstance(ends, list) else [ends]
    new = merged.get("max_new_tokens")
    context = getattr(pipeline.model.config, "max_position_embeddings", None)
    return Limits(
        new_tokens=new if isinstance(new, int) else None,
        context=context if isinstance(context, int) else None,
        ends=frozenset(end for end in listed if isinstance(end, int)),
    )
