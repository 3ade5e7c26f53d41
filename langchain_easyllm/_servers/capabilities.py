"""What requests have taught about a server."""

from __future__ import annotations

from dataclasses import dataclass, field

from .profile import GenerationApi

__all__ = ["ServerCapabilities"]


@dataclass(slots=True)
class ServerCapabilities:
    """What a server turned out to do and to refuse; another one at its address begins anew.

    Attributes:
        root_route: Whether the root route answers in place of a missing `/generate`.
        without_tools: Models for which the server said that it has no tools.
        reasoning_models: Models that were seen reasoning.
        api_by_model: Protocols that a model turned out to be served by ("Supported task: ...").
        refused_methods: Methods of structured output that were refused, by model and schema: what
            one schema is refused for, another may not be.
        unsupported: Protocols and formats of embeddings that it turned out not to have.
    """

    root_route: bool = False
    without_tools: set[str] = field(default_factory=set)
    reasoning_models: set[str] = field(default_factory=set)
    api_by_model: dict[str | None, GenerationApi] = field(default_factory=dict)
    refused_methods: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    unsupported: set[str] = field(default_factory=set)
