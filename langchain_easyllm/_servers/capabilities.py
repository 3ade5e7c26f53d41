"""What requests have taught about a server."""

from __future__ import annotations

from dataclasses import dataclass, field

from .profile import GenerationApi


@dataclass(slots=True)
class ServerCapabilities:
    """What a server turned out to do and to refuse; another one at its address begins anew."""

    root_route: bool = False  # whether the root route answers in place of a missing `/generate`
    without_tools: set[str] = field(default_factory=set)
    reasoning_models: set[str] = field(default_factory=set)  # models that were seen reasoning
    # protocols that a model turned out to be served by ("Supported task: ...")
    api_by_model: dict[str | None, GenerationApi] = field(default_factory=dict)
    # methods of structured output that were refused, by model and schema: what one schema is
    # refused for, another may not be
    refused_methods: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    unsupported: set[str] = field(default_factory=set)  # of embeddings: APIs and formats
