"""A server of which nothing is known but that it follows OpenAI's API reference."""

from __future__ import annotations

from .profile import Continuation, ServerProfile

OPENAI_COMPATIBLE = ServerProfile(name="openai", continuation=Continuation(sure=False))
