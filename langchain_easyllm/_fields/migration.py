"""`EasyLLMChat(llm=...)`: the settings of an LLM object, ours or another package's.

Other packages' classes are recognised by their names, so that none of them is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import cast

from pydantic import BaseModel, SecretStr

from .._servers.profile import NEUTRAL_FIELDS, GenerationApi
from .._servers.tgi import TGI
from .._servers.urls import is_url
from ..errors import ConfigurationError
from .aliases import ALIASES
from .generation import AUTO

# Classes whose settings are copied, and the attributes of each that are no settings.
_CLIENTS = frozenset({"client", "async_client", "task"})
_OURS = "langchain_easyllm", "EasyLLM"
_TGI = "langchain_community", "HuggingFaceTextGenInference"
_KNOWN: Mapping[tuple[str, str], frozenset[str]] = {
    _OURS: frozenset(),
    # It declares an `inference_server_url`, but uses `model`.
    ("langchain_huggingface", "HuggingFaceEndpoint"): _CLIENTS | {"inference_server_url"},
    ("langchain_community", "HuggingFaceEndpoint"): _CLIENTS | {"inference_server_url"},
    _TGI: _CLIENTS,
    ("langchain_community", "HuggingFaceHub"): _CLIENTS,
    ("langchain_huggingface", "HuggingFacePipeline"): _CLIENTS,
    ("langchain_community", "HuggingFacePipeline"): _CLIENTS,
}
_HUB_TOKEN = "huggingfacehub_api_token"  # noqa: S105 - a field's name


def fields_of_llm(
    values: Mapping[str, object],
    own: Callable[[Mapping[str, object]], dict[str, object]],
    known: Collection[str],
) -> dict[str, object]:
    """Return constructor arguments from `llm` among the values, and from those given beside it.

    `own` puts arguments under our own names; `known` are the fields of the chat model.
    """
    given = own({name: value for name, value in values.items() if name != "llm"})
    copied = own(_settings_of(values["llm"], known))
    inner = cast("Mapping[str, object]", copied.get("model_kwargs") or {})
    kept = {key: value for key, value in inner.items() if ALIASES.get(key, key) not in given}
    if not given.keys() & {"api", "prompt_builder"} and _needs_template(values["llm"], copied):
        copied["prompt_builder"] = AUTO
    return {**copied, "model_kwargs": kept, **given}


def _needs_template(llm: object, copied: Mapping[str, object]) -> bool:
    """Whether the copied settings need a text protocol, for which nobody chose a template."""
    if _name_of(llm) == _OURS:
        text = copied.get("api") in (GenerationApi.GENERATE, GenerationApi.COMPLETIONS)
        return text and copied.get("prompt_builder") is None
    chat = {*TGI.api(GenerationApi.CHAT).fields, "do_sample"}
    return _name_of(llm) == _TGI and bool(copied.keys() & set(NEUTRAL_FIELDS) - chat)


def _name_of(llm: object) -> tuple[str, str] | None:
    """Return the package and name of the known class of an object."""
    bases = ((base.__module__.partition(".")[0], base.__name__) for base in type(llm).__mro__)
    return next((base for base in bases if base in _KNOWN), None)


def _settings_of(llm: object, known: Collection[str]) -> dict[str, object]:
    """Return the settings that an LLM object was given, under the names of its class."""
    found = _name_of(llm)
    if found is None or not isinstance(llm, BaseModel):
        raise ConfigurationError(
            f"llm is of type {type(llm).__name__}: give an EasyLLM, HuggingFaceEndpoint, "
            "HuggingFacePipeline, HuggingFaceTextGenInference or HuggingFaceHub."
        )
    if found[1] == "HuggingFacePipeline":  # its settings are in the pipeline itself
        kept = {"pipeline": "pipeline", "model": "model_id", "batch_size": "batch_size"}
        return {name: getattr(llm, theirs) for name, theirs in kept.items()}
    given = {name: getattr(llm, name) for name in _given(llm) - _KNOWN[found]}
    if found == _OURS:
        return _ours(llm, {name: value for name, value in given.items() if name in known})
    return _foreign(given)


def _given(llm: BaseModel) -> set[str]:
    """Return the fields that were given to an object.

    langchain-community fills in every default before pydantic sees the values. There, a value that
    differs from the default was given, and perhaps also `max_new_tokens`, whose default is the
    value of every example.
    """
    given, fields = llm.model_fields_set, type(llm).model_fields
    if len(given) < len(fields):
        return set(given)
    changed = {
        name
        for name, field in fields.items()
        if field.is_required() or getattr(llm, name) != field.get_default(call_default_factory=True)
    }
    return changed | ({"max_new_tokens"} & given)


def _ours(llm: BaseModel, given: dict[str, object]) -> dict[str, object]:
    """Put back into `model_kwargs` what came from there."""
    names = cast("Mapping[str, str]", getattr(llm, "_unchecked", {}))
    own = cast("Mapping[str, object]", given.get("model_kwargs") or {})
    moved = {key: given.pop(name) for name, key in names.items() if name in given}
    return {**given, "model_kwargs": {**moved, **own}} if moved or own else given


def _foreign(given: dict[str, object]) -> dict[str, object]:
    model = given.get("model")
    if model in (given.get("endpoint_url"), given.get("repo_id")):
        given.pop("model", None)  # what it made of them itself
    elif isinstance(model, str) and is_url(model):
        given["endpoint_url"] = given.pop("model")
    metadata = cast("Mapping[str, object]", given.get("metadata") or {})
    # langchain-core's note of the package, which is another one here.
    given["metadata"] = {k: v for k, v in metadata.items() if k != "lc_versions"} or None
    token = given.get(_HUB_TOKEN)
    plain = token.get_secret_value() if isinstance(token, SecretStr) else token
    if plain is None or plain == os.environ.get("HUGGINGFACEHUB_API_TOKEN"):
        given.pop(_HUB_TOKEN, None)  # the environment's, which is found again
    return {name: value for name, value in given.items() if value is not None}
