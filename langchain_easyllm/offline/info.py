"""The server's limits, and the routes that announce them."""

from __future__ import annotations

from .embedding_model import EmbeddingModel
from .language_model import LanguageModel

__all__ = [
    "FINGERPRINT",
    "MAX_BATCH",
    "MAX_BEST_OF",
    "MAX_BODY",
    "MAX_CHARACTERS_PER_TOKEN",
    "MAX_CONCURRENT",
    "MAX_STOPS",
    "MAX_TOP_TOKENS",
    "info",
    "max_total_tokens",
    "models",
]

_VERSION = "3.3.6"  # of TGI, whose behaviour this is
_LABEL = "langchain-easyllm-offline"

FINGERPRINT = f"{_VERSION}-{_LABEL}"
"""`system_fingerprint` of the OpenAI-style answers."""


MAX_BATCH = 32
"""Texts or prompts per request (`max_client_batch_size`)."""

MAX_BEST_OF = 2
"""Answers among which TGI's `best_of` chooses."""

MAX_BODY = 2_000_000
"""Bytes of a request's body."""

MAX_CHARACTERS_PER_TOKEN = 250
"""TEI refuses a text of more characters than this for each token of `max_input_length`."""

MAX_CONCURRENT = 128
"""Requests in flight; TGI's default."""

MAX_STOPS = 4
"""Stop sequences per request."""

MAX_TOP_TOKENS = 5
"""Alternatives reported for each token."""


def max_total_tokens(context: int) -> int:
    """Return what `inputs` tokens and `max_new_tokens` may add up to.

    Twice the context, since clients ask for 1,024 new tokens by default: an answer that reaches
    the end of the context itself ends there, with finish reason `length`.
    """
    return 2 * context


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
