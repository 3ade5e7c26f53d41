"""What servers say of a model: its context length, and what goes in and out.

The facts have the names of LangChain's `ModelProfile`. What a server does not say, or says in
another form, is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias, cast

import orjson

Facts: TypeAlias = Mapping[str, object]
"""Facts by their names in a `ModelProfile`."""

Entry: TypeAlias = Mapping[str, object]
"""One model in a list of models, or a provider in one."""

_LENGTHS = ("max_model_len", "context_length", "context_window", "max_context_length")
_KINDS = ("image", "audio", "video")
_FLAGS = {"tool_calling": "supports_tools", "structured_output": "supports_structured_output"}

# What stands behind a model's colon where no single provider is meant.
_POLICIES = frozenset({"auto", "cheapest", "fastest", "preferred"})


def count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def listed_length(entry: Entry) -> int | None:
    """Return the context length that an entry of `/v1/models` names, llama.cpp's in its `meta`."""
    meta = entry.get("meta")
    values = [*map(entry.get, _LENGTHS), meta.get("n_ctx") if isinstance(meta, Mapping) else None]
    return next((length for value in values if (length := count(value)) and length > 0), None)


def properties_facts(properties: Mapping[str, object]) -> Facts:
    """Read llama.cpp's `/props`."""
    facts: dict[str, object] = {}
    settings = properties.get("default_generation_settings")
    length = count(settings.get("n_ctx")) if isinstance(settings, Mapping) else None
    if length and length > 0:
        facts["max_input_tokens"] = length
    modalities = properties.get("modalities")
    if isinstance(modalities, Mapping):
        names = {"image_inputs": "vision", "audio_inputs": "audio"}
        said = {key: modalities.get(name) for key, name in names.items()}
        facts |= {key: value for key, value in said.items() if isinstance(value, bool)}
    return facts


def read_router_models(body: bytes) -> dict[str, Entry] | None:
    """Read the models of Inference Providers, by their names in lower case; None if it is no list.

    Of each entry, only what is read here is kept.
    """
    try:
        listing = cast("object", orjson.loads(body))
    except orjson.JSONDecodeError:
        return None
    entries = listing.get("data") if isinstance(listing, Mapping) else None
    if not isinstance(entries, list):
        return None
    return {
        name.lower(): {key: entry.get(key) for key in ("architecture", "providers")}
        for entry in entries
        if isinstance(entry, Mapping) and isinstance(name := entry.get("id"), str)
    }


def router_facts(entry: Entry, provider: str | None) -> Facts:
    """Return what holds for the provider, or for each that may answer where none is chosen."""
    facts: dict[str, object] = {}
    providers = _providers(entry, provider)
    lengths = [length for one in providers if (length := listed_length(one))]
    if lengths:
        facts["max_input_tokens"] = min(lengths)
    for key, name in _FLAGS.items():
        said = [one.get(name) for one in providers]
        if False in said:
            facts[key] = False
        elif said and all(value is True for value in said):
            facts[key] = True
    architecture = entry.get("architecture")
    inputs = architecture.get("input_modalities") if isinstance(architecture, Mapping) else None
    if isinstance(inputs, Collection) and inputs and not isinstance(inputs, str):
        facts |= {f"{kind}_inputs": kind in inputs for kind in _KINDS}
    return facts


def _providers(entry: Entry, provider: str | None) -> list[Entry]:
    listed = entry.get("providers")
    known = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    if provider and provider not in _POLICIES:
        return [one for one in known if one.get("provider") == provider]
    return [one for one in known if one.get("status") == "live"] or known
