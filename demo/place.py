"""Which server the demo asks: one of its own, the account's, or any other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from langchain_easyllm._http.auth import Credentials
from langchain_easyllm.offline.limits import MODELS

from .languages import Language

__all__ = ["Place", "find_place"]

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
"""Asked of Inference Providers where MODEL names no other."""

EMBEDDER = "sentence-transformers/all-MiniLM-L6-v2"
"""Embeds texts at Inference Providers."""

TEMPLATE = "zephyr"
"""The prompt template for the offline model, which knows llama2 and phi-3 as well."""

TEMPLATES = {"smollm2": "smollm2"}
"""Those for other models that the offline server has."""


@dataclass(frozen=True)
class Place:
    """Whom to ask, and how.

    Attributes:
        name: The place in words.
        fields: Fields of a model object that asks there.
        embeddings: Fields of an embeddings object; None where nothing there embeds texts.
        template: The prompt template that agents use; None leaves it to the server's chat route.
        passages: How many passages the model is given to answer from.
    """

    name: str
    fields: Mapping[str, Any]
    embeddings: Mapping[str, Any] | None
    template: str | None = None
    passages: int = 4

    @property
    def chat(self) -> dict[str, Any]:
        """Fields of a chat model that leaves the template to the server."""
        return {**self.fields, "api": "chat"}

    @property
    def agent(self) -> dict[str, Any]:
        """Fields of a model object for an agent."""
        return {**self.fields, "prompt_builder": self.template} if self.template else self.chat


@contextmanager
def find_place(say: Language) -> Iterator[Place]:
    """Yield the place that the environment names; where it names none, one of this process's own.

    The names of places are in the language `say`.

    BASE_URL is the address of a server of language models, which embeds no texts. Without it MODEL,
    or a token, means Inference Providers, unless MODEL is one of the offline server's.
    """
    base_url = _environment("BASE_URL") or _environment("HUGGINGFACE_API_BASE")
    model = _environment("MODEL")
    if base_url:
        fields = {"base_url": base_url, "model": model}
        name = say.other_model.format(model=model or say.unnamed_model, address=base_url)
        yield Place(name, fields, embeddings=None)
    elif model not in MODELS and (
        model or Credentials().header_for("https://router.huggingface.co")
    ):
        model = model or MODEL
        name = say.provided_model.format(model=model)
        yield Place(name, {"model": model}, {"model": EMBEDDER})
    else:
        from langchain_easyllm.offline import offline_server  # needs an extra

        with offline_server(model=model or MODELS[0]) as server:
            name = say.offline_model.format(address=server.base_url)
            fields = {"base_url": server.base_url}
            # The small model reads one short passage well, and is confused by several.
            yield Place(name, fields, fields, TEMPLATES.get(model, TEMPLATE), passages=1)


def _environment(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None
