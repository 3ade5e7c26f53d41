"""LiteLLM's proxy, in front of servers of any kind. Source: its source code, version 1.104.

What is not OpenAI's it hands on to the server behind it. Its list of models names every one of
them as OpenAI's, created at one moment; `/health/liveliness` is open to all, and its name its own.
"""

from __future__ import annotations

from .profile import EmbeddingProfile, ServerProfile, VersionRoute

LITELLM = ServerProfile(
    name="litellm",
    generate=None,
    version_route=VersionRoute("/health/readiness", "litellm_version"),
    embedding=EmbeddingProfile("litellm"),
)
