"""Field names: the ones this package has, and those that other packages call them by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from pydantic import ValidationError

from .errors import ConfigurationError

__all__ = ["ALIASES", "canonical", "one_sentence"]

ALIASES: Mapping[str, str] = {
    "model_name": "model",
    "repo_id": "model",
    "model_id": "model",
    "endpoint_url": "base_url",
    "inference_server_url": "base_url",
    "api_base": "base_url",
    "api_url": "base_url",
    "token": "api_key",
    "huggingfacehub_api_token": "api_key",
    "max_new_tokens": "max_tokens",
    "max_length": "max_tokens",  # of old examples; it counted the prompt too
    "stop_sequences": "stop",
    "echo": "return_full_text",
    "query_instruction": "query_prompt",
    "embed_instruction": "document_prompt",
    "chunk_size": "batch_size",
}
"""Names of langchain-huggingface, -openai, -community and EasyLLM, and ours for them."""


def canonical(
    values: Mapping[str, object], known: Collection[str], objects: Collection[str] = ()
) -> dict[str, object]:
    """Return keyword arguments under this package's own names.

    Args:
        values: Keyword arguments as the caller wrote them.
        known: The names that exist where they are going.
        objects: The names that exist on the object only, not per call.

    Raises:
        ConfigurationError: For an unknown name, with the nearest right one, and where one thing
            was given under two names.
    """
    result: dict[str, object] = {}
    written: dict[str, str] = {}
    for name, value in values.items():
        own = name if name in known else ALIASES.get(name, name)
        if own in objects and own not in known:
            raise ConfigurationError(
                f"{name} is set on the object, not per call: make another object, or use "
                "configurable_fields."
            )
        if own not in known:
            raise ConfigurationError(_unknown(name, known))
        if own in result and result[own] is not None and value is not None:
            names = f"as {written[own]} and as {name}"
            raise ConfigurationError(f"{own} was given twice, {names}: give it once.")
        if value is not None or own not in result:
            result[own], written[own] = value, name
    return result


def one_sentence(error: ValidationError) -> str:
    """Return pydantic's complaint in one sentence, without the values that were given."""
    parts = []
    for item in error.errors(include_input=False, include_url=False):
        cause = item.get("ctx", {}).get("error")
        place = ".".join(str(part) for part in item["loc"])
        parts.append(str(cause) if isinstance(cause, ValueError) else f"{place}: {item['msg']}")
    return "; ".join(dict.fromkeys(parts))


def _unknown(name: str, known: Collection[str]) -> str:
    names = [*known, *(alias for alias, own in ALIASES.items() if own in known)]
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    hint = (
        f"did you mean {near[0]!r}?" if near else "see the documentation for the names there are."
    )
    return f"There is no field {name!r}: {hint} model_kwargs sends any key to the server as it is."
