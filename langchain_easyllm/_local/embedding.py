"""A sentence-transformers model in this process, asked as Text Embeddings Inference is."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypedDict, cast

from ..errors import ConfigurationError, ContextOverflowError, NotFoundError
from .forking import renew_in_children
from .requests import Row
from .settings import LocalSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["EmbeddingModel"]


class _Body(TypedDict, total=False):
    """What a request to TEI's `/embed` holds."""

    inputs: list[str]
    normalize: bool
    truncate: bool
    truncation_direction: str
    prompt_name: str
    dimensions: int


class EmbeddingModel:
    """A model in this process, which answers TEI's `/embed`, one request at a time.

    Args:
        settings: What it is loaded with.
    """

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        renew_in_children(self)
        self._model: SentenceTransformer | None = None

    def renew(self) -> None:
        """Take a lock that nobody holds."""
        self._lock = threading.Lock()

    def look_up(self, route: str, body: Mapping[str, object]) -> object:
        """Return the vectors of a request's texts, a row of an array each.

        Raises:
            EasyLLMError: If the model cannot be loaded or refuses the request.
        """
        if route != "/embed":
            raise NotFoundError(f"A local embedding model has no {route}.")
        with self._lock:
            return _vectors(self._loaded(), cast("_Body", body))

    def run(self, rows: Sequence[Row]) -> None:  # noqa: ARG002 - there is no way to
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
                words = str(error).strip().partition("\n")[0] or type(error).__name__
                raise ConfigurationError(f"{settings.model} cannot be loaded: {words}") from error
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
    with _cutting(model, body.get("truncation_direction")):
        return model.encode(texts, **options)


def _check_lengths(model: SentenceTransformer, texts: Sequence[str]) -> None:
    most = model.get_max_seq_length()
    for ids in model.tokenizer(texts, truncation=False)["input_ids"]:
        if most is not None and len(ids) > most:
            raise ContextOverflowError(
                f"`inputs` must have less than {most} tokens. Given: {len(ids)}", status_code=413
            )


@contextmanager
def _cutting(model: SentenceTransformer, direction: str | None) -> Iterator[None]:
    """Cut texts that are too long on this side, if one is named."""
    usual = model.tokenizer.truncation_side
    try:
        model.tokenizer.truncation_side = direction.lower() if direction else usual
        yield
    finally:
        model.tokenizer.truncation_side = usual
