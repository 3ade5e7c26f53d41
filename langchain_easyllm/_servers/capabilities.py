"""What requests have taught about a server."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..errors import BadRequestError, EasyLLMError
from .profile import GenerationApi


class TokenCounts:
    """Token counts by what was counted, the least recently used one forgotten first. Thread-safe.

    The keys are digests, so that no text is kept.
    """

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> int | None:
        with self._lock:
            count = self._counts.get(key)
            if count is not None:
                self._counts.move_to_end(key)
            return count

    def put(self, key: bytes, count: int) -> None:
        with self._lock:
            self._counts[key] = count
            self._counts.move_to_end(key)
            if len(self._counts) > self._size:
                self._counts.popitem(last=False)


@dataclass(frozen=True, slots=True)
class ModelThinking:
    """What the chat template of a model lets a request choose."""

    template: str  # the template, for errors
    switch: bool = False  # whether thinking can be switched
    efforts: Collection[str] = ()  # the values of `reasoning_effort`; none if it reads none
    thinks: bool | None = None  # what the model does without a switch; None if unknown


@dataclass(slots=True)
class ServerCapabilities:
    """What a server turned out to do and to refuse; another one at its address begins anew."""

    root_route: bool = False  # whether the root route answers in place of a missing `/generate`
    max_stops: int | None = None  # stop sequences in a request, where a refusal named the number
    without_tools: set[str] = field(default_factory=set)
    # what the server publishes of its models, their chat templates among it
    published: dict[str, Mapping[str, object]] = field(default_factory=dict)
    # names that the server gave itself in answers, beside the one that it lists
    answered_names: set[str] = field(default_factory=set)
    # tools, by model and names, whose schemas were refused with `strict`
    loose_tools: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)
    reasoning_models: set[str] = field(default_factory=set)  # models that were seen reasoning
    # those of them that only closed their reasoning, for their template opens it
    unopened_reasoning: set[str] = field(default_factory=set)
    # protocols that a model turned out to be served by ("Supported task: ...")
    api_by_model: dict[str | None, GenerationApi] = field(default_factory=dict)
    # methods of structured output that were refused, by model and schema: what one schema is
    # refused for, another may not be
    refused_methods: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    # what the template that the server publishes lets a request choose of thinking, by model; None
    # where it publishes none that can be read
    thinking: dict[str, ModelThinking | None] = field(default_factory=dict)
    # keys of a body that were refused and need not be sent, by model and protocol
    refused_keys: dict[tuple[str, GenerationApi], set[str]] = field(default_factory=dict)
    unsupported: set[str] = field(default_factory=set)  # of embeddings: APIs and formats
    # routes that are missing, by model: some servers say of an unknown model what they say of one
    missing_routes: set[tuple[str, str | None]] = field(default_factory=set)
    without_template: set[str] = field(default_factory=set)  # models that publish no chat template
    # models whose chats were counted by a route, more of which is then worth knowing
    counted: set[str] = field(default_factory=set)
    # which of the renderings made here the server's is, by model and shape of the conversation;
    # None for neither
    rendered_alike: dict[tuple[object, ...], int | None] = field(default_factory=dict)
    token_counts: TokenCounts = field(default_factory=TokenCounts)
    # the models of Inference Providers by name in lower case; None while they were not listed
    router_models: Mapping[str, Mapping[str, object]] | None = None
    # when the server was last asked in vain what a model can do, by model (`time.monotonic`)
    asked_in_vain: dict[str, float] = field(default_factory=dict)


_UNKNOWN_MODEL = re.compile(
    r"model\b[^.;\n]{0,120}?\b(?:(?:does )?not (?:exist|found|loaded|served|available)|unknown)"
    r"|(?:invalid|unknown|no such) model|model_not_found",
    re.IGNORECASE,
)


def refuses_model(error: EasyLLMError) -> bool:
    """Whether a refusal that is no 404 says that there is no such model."""
    return isinstance(error, BadRequestError) and bool(
        _UNKNOWN_MODEL.search(error.body or error.message)
    )
