"""Inference Providers: Hugging Face's router in front of many providers.

Sources: recorded traffic; huggingface_hub's feature-extraction task.
"""

from __future__ import annotations

from .profile import EMBEDDING_FIELDS, EmbeddingProfile, GenerationApi, ServerProfile, same

# A provider's own root below the router's may have completions; the router itself has none.
INFERENCE_PROVIDERS = ServerProfile(name="router", suggested_apis=(GenerationApi.CHAT,))

# `normalize` is sent and applied in this process too, as not every model's server obeys.
HUB_EMBEDDINGS = EmbeddingProfile("hub", {"feature-extraction": same(*EMBEDDING_FIELDS)})
"""Hugging Face's own provider, and dedicated endpoints with sentence-transformers."""
