"""What a language model is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ._extra import needs_extra
from .llama import Config

with needs_extra():
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A language model's files, read."""

    name: str  # as a server calls it
    config: Config
    tensors: Mapping[str, NDArray[np.floating]]  # by transformers' names
    tokenizer: str  # what `tokenizer.json` holds
    bos_id: int  # begins a sequence, if the tokenizer adds any token at all
    eos_ids: tuple[int, ...]  # end an answer; the first is the model's own
    prompt: str  # the prompt template of a chat, by its name in `PROMPT_MAPPING`
    chat_template: str  # the same in Jinja, as a server publishes it: it has no tools
