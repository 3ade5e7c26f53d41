"""A sentence-transformers model in this process, which answers as TEI does."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict, cast

from .._http.user_functions import ask_token
from ..errors import ContextOverflowError, NotFoundError
from .forking import renew_in_children
from .requests import LocalSequence
from .settings import LocalSettings, explained_loading

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class _Body(TypedDict, total=False):
    """A request to TEI's `/embed`."""

    inputs: list[str]
    normalize: bool
    truncate: bool
    truncation_direction: str
    prompt_name: str
    dimensions: int


class EmbeddingModel:
    """A model in this process, which answers TEI's `/embed`, one request at a time."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        renew_in_children(self)
        self._model: SentenceTransformer | None = None

    def renew(self) -> None:
        self._lock = threading.Lock()

    def look_up(self, route: str, body: Mapping[str, object]) -> object:
        """Return the vectors of a request's texts, as the rows of an array."""
        if route != "/embed":
            raise NotFoundError(f"A local embedding model has no {route}.")
        with self._lock:
            return _vectors(self._loaded(), cast("_Body", body))

    def run(self, sequences: Sequence[LocalSequence]) -> None:  # noqa: ARG002 - it cannot
        raise NotFoundError("An embedding model generates no text.")

    def _loaded(self) -> SentenceTransformer:
        if self._model is None:
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - heavy

            settings = self._settings
            token = ask_token(settings.token)
            given = {"device": settings.device, "token": token, **settings.model_kwargs}
            with explained_loading(settings.model):
                self._model = SentenceTransformer(settings.model, **given)
        return self._model


def _vectors(model: SentenceTransformer, body: _Body) -> object:
    texts = body["inputs"]
    if body.get("truncate") is False:
        _check_lengths(model, texts)
    options: dict[str, object] = {
        "batch_size": len(texts),
        "normalize_embeddings": bool(body.get("normalize")),
        "show_progress_bar": False,
    }
    options |= {"prompt_name": body["prompt_name"]} if "prompt_name" in body else {}
    options |= {"truncate_dim": body["dimensions"]} if "dimensions" in body else {}
    direction, usual = body.get("truncation_direction"), model.tokenizer.truncation_side
    try:
        model.tokenizer.truncation_side = direction.lower() if direction else usual
        return model.encode(texts, **options)
    finally:
        model.tokenizer.truncation_side = usual


def _check_lengths(model: SentenceTransformer, texts: Sequence[str]) -> None:
    limit = model.get_max_seq_length()
    for ids in model.tokenizer(texts, truncation=False)["input_ids"]:
        if limit is not None and len(ids) > limit:
            raise ContextOverflowError(
                f"`inputs` must have less than {limit} tokens. Given: {len(ids)}", status_code=413
            )
