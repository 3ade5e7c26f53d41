"""What the server says of itself."""

from __future__ import annotations

from .embedding_model import EmbeddingModel
from .language_model import LanguageModel
from .limits import MAX_BATCH, MAX_BEST_OF, MAX_CONCURRENT, MAX_STOPS, max_total_tokens

__all__ = ["FINGERPRINT", "info", "models"]

_VERSION = "3.3.6"  # of TGI, whose behaviour this is
_LABEL = "langchain-easyllm-offline"

FINGERPRINT = f"{_VERSION}-{_LABEL}"
"""`system_fingerprint` of the OpenAI-style answers."""


def info(language: LanguageModel, embeddings: EmbeddingModel) -> dict[str, object]:
    """Return the union of TGI's and TEI's `/info`: one address serves both kinds of client."""
    return {
        "model_id": language.name,
        "model_sha": None,
        "model_pipeline_tag": "text-generation",
        "max_concurrent_requests": MAX_CONCURRENT,
        "max_best_of": MAX_BEST_OF,
        "max_stop_sequences": MAX_STOPS,
        "max_input_tokens": language.context - 1,
        "max_total_tokens": max_total_tokens(language.context),
        "validation_workers": 1,
        "max_client_batch_size": MAX_BATCH,
        "router": "text-generation-router",
        "version": _VERSION,
        "sha": None,
        "docker_label": _LABEL,
        "model_dtype": "float32",
        "served_model_name": embeddings.name,
        "model_type": {"embedding": {"pooling": "mean"}},
        "max_input_length": embeddings.max_input_length,
        "max_batch_tokens": MAX_BATCH * embeddings.max_input_length,
        "max_batch_requests": None,
        "auto_truncate": False,
        "tokenization_workers": 1,
    }


def models(language: LanguageModel) -> dict[str, object]:
    """Return the list of models as TGI has it: the language model, which owns itself."""
    model = {"id": language.name, "object": "model", "created": 0, "owned_by": language.name}
    return {"object": "list", "data": [model]}
