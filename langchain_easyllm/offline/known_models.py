"""The language models that can be served: the bundled one, and those of other packages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import cast

from .._nearest import did_you_mean
from ..errors import ConfigurationError
from .checkpoint import Checkpoint
from .limits import MODELS
from .llama import Config
from .weights import bundled, read_tensors, read_verified

_ZEPHYR = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + '</s>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def read_checkpoint(model: str) -> Checkpoint:
    """Read a language model by its name."""
    return _READERS[model]()


def check_name(model: str) -> None:
    """Raise a `ConfigurationError` for an unknown model."""
    if not (isinstance(model, str) and model in _READERS):
        known = f"the offline models are {' and '.join(map(repr, _READERS))}."
        hint = did_you_mean(str(model), _READERS, known)
        raise ConfigurationError(f"There is no offline model {model!r:.100}: {hint}")


def _read_bundled() -> Checkpoint:
    files = read_verified(bundled("chat"))
    config = json.loads(files["config.json"])
    return Checkpoint(
        name="langchain-easyllm/offline",
        config=cast("Config", config),
        tensors=read_tensors(files["model.safetensors"]),
        tokenizer=files["tokenizer.json"].decode("utf-8"),
        bos_id=config["bos_token_id"],
        eos_ids=tuple(config["eos_token_id"]),
        prompt="zephyr",
        chat_template=_ZEPHYR,
    )


def _read_smollm2() -> Checkpoint:
    from .smollm2 import read_smollm2  # noqa: PLC0415 - needs an extra of its own

    return read_smollm2()


_READERS: Mapping[str, Callable[[], Checkpoint]] = dict(
    zip(MODELS, (_read_bundled, _read_smollm2), strict=True)
)
