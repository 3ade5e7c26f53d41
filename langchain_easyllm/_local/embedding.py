"""A sentence-transformers model in this process, which answers as TEI does."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypedDict, cast

from ..errors import ConfigurationError, ContextOverflowError, NotFoundError
from .forking import renew_in_children
from .requests import LocalSequence
from .settings import LocalSettings

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
        """Take a lock that nobody holds."""
        self._lock = threading.Lock()

    def look_up(self, route: str, body: Mapping[str, object]) -> object:
        """Return the vectors of a request's texts, as the rows of an array."""
        if route != "/embed":
            raise NotFoundError(f"A local embedding model has no {route}.")
        with self._lock:
            return _vectors(self._loaded(), cast("_Body", body))

    def run(self, sequences: Sequence[LocalSequence]) -> None:  # noqa: ARG002 - it cannot
        """Refuse to generate text."""
        raise NotFoundError("An embedding model generates no text.")

    def _loaded(self) -> SentenceTransformer:
        if self._model is None:
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - heavy

            settings = self._settings
            given = {"device": settings.device, "token": settings.token, **settings.model_kwargs}
            try:
                self._model = SentenceTransformer(settings.model, **given)
            except Exception as error:
                reason = str(error).strip().partition("\n")[0] or type(error).__name__
                raise ConfigurationError(f"{settings.model} cannot be loaded: {reason}") from error
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
    with _truncation_side(model, body.get("truncation_direction")):
        return model.encode(texts, **options)


def _check_lengths(model: SentenceTransformer, texts: Sequence[str]) -> None:
    limit = model.get_max_seq_length()
    for ids in model.tokenizer(texts, truncation=False)["input_ids"]:
        if limit is not None and len(ids) > limit:
            raise ContextOverflowError(
                f"`inputs` must have less than {limit} tokens. Given: {len(ids)}", status_code=413
            )


@contextmanager
def _truncation_side(model: SentenceTransformer, direction: str | None) -> Iterator[None]:
    """Set the side on which texts that are too long are cut."""
    usual = model.tokenizer.truncation_side
    try:
        model.tokenizer.truncation_side = direction.lower() if direction else usual
        yield
    finally:
        model.tokenizer.truncation_side = usual
