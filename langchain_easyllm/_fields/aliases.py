"""Other packages' names of fields, and their arguments that are no fields here.

A name of theirs for one of our fields stands in `ALIASES`. The rest are arguments that hold several
settings, and arguments for what needs no choice here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from typing import cast

from .._nearest import did_you_mean
from ..errors import ConfigurationError
from .other_packages import NAMES as _FOREIGN_NAMES
from .other_packages import without_foreign

ALIASES: Mapping[str, str] = {
    "model_name": "model",
    "repo_id": "model",
    "model_id": "model",
    "endpoint_url": "base_url",
    "inference_server_url": "base_url",
    "api_base": "base_url",
    "api_url": "base_url",
    "openai_api_base": "base_url",
    "token": "api_key",
    "huggingfacehub_api_token": "api_key",
    "openai_api_key": "api_key",
    "request_timeout": "timeout",
    "extra_body": "model_kwargs",
    "max_new_tokens": "max_tokens",
    "min_new_tokens": "min_tokens",
    "max_completion_tokens": "max_tokens",
    "num_predict": "max_tokens",
    "repeat_penalty": "repetition_penalty",
    "max_length": "max_tokens",  # of old examples; it counted the prompt too
    "stop_sequences": "stop",
    "echo": "return_full_text",
    "query_instruction": "query_prompt",
    "embed_instruction": "document_prompt",
    "chunk_size": "batch_size",
    "show_progress_bar": "show_progress",
}
"""Names of langchain-huggingface, -openai, -ollama, -community and EasyLLM, and ours."""

# In model_kwargs these are sent as they are: OpenAI's newest models accept the first only, and of
# the others there are more values than the fields take (`"max"`, `{"type": "disabled"}`, texts).
_SENT_AS_GIVEN = frozenset({"max_completion_tokens", "reasoning_effort", "thinking", "logit_bias"})

# What an Ollama server takes on its own routes only, and where it is set instead.
_OLLAMA_SETTINGS = {
    "num_ctx": "start the server with OLLAMA_CONTEXT_LENGTH=8192, or make a model from a Modelfile "
    "with PARAMETER num_ctx 8192",
    "keep_alive": "start the server with OLLAMA_KEEP_ALIVE=10m",
    "num_gpu": "make a model from a Modelfile with PARAMETER num_gpu 1",
    "num_thread": "make a model from a Modelfile with PARAMETER num_thread 8",
}
_OLLAMA_NAMES = frozenset({*_OLLAMA_SETTINGS, "num_predict", "format"})


def canonical(
    values: Mapping[str, object], known: Collection[str], objects: Collection[str] = ()
) -> dict[str, object]:
    """Return keyword arguments under this package's own names, those in `known`.

    A name in `objects` only is a field of the object, which a call cannot set.
    """
    result: dict[str, object] = {}
    given_as: dict[str, str] = {}
    if not _OLLAMA_NAMES.isdisjoint(values):
        values = _without_ollamas(values, known)
    if not _FOREIGN_NAMES.isdisjoint(values):
        values = without_foreign(values, known)
    for name, value in values.items():
        own = name if name in known else ALIASES.get(name, name)
        if own in objects and own not in known:
            raise ConfigurationError(
                f"{name} is set on the object, not per call: make another object, or use "
                "configurable_fields."
            )
        if own not in known:
            raise _unknown(name, known)
        if own in result and None not in (result[own], value) and result[own] != value:
            names = f"as {given_as[own]} and as {name}"
            raise ConfigurationError(f"{own} was given twice, {names}: give it once.")
        if value is not None or own not in result:
            result[own], given_as[own] = value, name
    return result


def _without_ollamas(values: Mapping[str, object], known: Collection[str]) -> Mapping[str, object]:
    """Return keyword arguments of which none has a meaning only for ChatOllama."""
    rest = dict(values)
    for name, instead in _OLLAMA_SETTINGS.items():
        if name not in known and rest.pop(name, None) is not None:
            raise ConfigurationError(
                f"{name} is a setting of the Ollama server, which requests of its OpenAI-style "
                f"routes cannot change: {instead}."
            )
    if "max_tokens" in known and rest.get("num_predict") in (-1, -2):
        raise ConfigurationError(
            f"num_predict={rest['num_predict']} means no number of tokens for Ollama (-1: no "
            "limit, -2: until the context is full): leave it out, and the server's own limit holds."
        )
    if "response_format" in known and "format" not in known:
        wanted = rest.pop("format", None)
        if wanted == "json":
            wanted = {"type": "json_object"}
        if wanted not in (None, ""):
            _set_format(rest, wanted)
    return rest


def _set_format(values: MutableMapping[str, object], wanted: object) -> None:
    if not isinstance(wanted, Mapping):
        raise ConfigurationError(
            f"format must be 'json' or a JSON schema, not {wanted!r:.50}: response_format takes "
            "other formats."
        )
    if values.get("response_format") not in (None, wanted):
        raise ConfigurationError(
            "response_format was given twice, as format and as response_format: give it once."
        )
    values["response_format"] = wanted


def _unknown(name: str, known: Collection[str]) -> ConfigurationError:
    names = [*known, *(alias for alias, own in ALIASES.items() if own in known)]
    hint = did_you_mean(name, names, "see the documentation for the names there are.")
    return ConfigurationError(
        f"There is no field {name!r}: {hint} model_kwargs sends any key to the server as it is."
    )


TEXT_TASKS = ("text-generation", "text2text-generation", "conversational")
"""Values of `task` that a text-generating class does not need."""

# Keys of their `server_kwargs`, and our fields.
_SERVER_KWARGS = {
    **{name: name for name in ("api_key", "base_url", "model", "provider", "timeout")},
    "token": "api_key",
}
# Keys of the `encode_kwargs` of their local embeddings, and our fields.
_ENCODE_KWARGS = {
    "batch_size": "batch_size",
    "normalize_embeddings": "normalize",
    "prompt_name": "prompt_name",
    "show_progress_bar": "show_progress",
    "truncate_dim": "dimensions",
}
_CLIENTS = ("client", "async_client", "tokenizer")


def without_legacy_kwargs(
    values: Mapping[str, object], known: Collection[str], tasks: Collection[str]
) -> dict[str, object]:
    """Return constructor arguments with the fields that other packages' own arguments stand for.

    `server_kwargs` and `encode_kwargs` become the fields they hold, `additional_headers` and
    `headers` become `default_headers`; `client=None`, `provider="auto"` and a `task` that needs no
    choice (one of `tasks`) are left out. Fields of the class (`known`) are never replaced.
    """
    result = dict(values)
    task = result.pop("task", None) if "task" not in known else None
    if task is not None and task not in tasks:
        raise ConfigurationError(
            f"task={task!r} is not what this class does ({', '.join(tasks)}): leave it out, and "
            "describe the task in the prompt."
        )
    for name in _CLIENTS:
        if name not in known and result.pop(name, None) is not None:
            raise ConfigurationError(
                f"{name}=... is another package's own object: leave it out. base_url and api_key "
                "choose the server, prompt_builder the template of its prompts."
            )
    if result.get("provider") == "auto":  # any that has the model, as without it
        del result["provider"]
    if "server_kwargs" not in known:
        _unpack_server(_mapping(result, "server_kwargs"), result)
    if "additional_headers" not in known:
        _add_headers(_mapping(result, "additional_headers"), result)
    if "normalize" in known:
        _unpack("encode_kwargs", _ENCODE_KWARGS, _mapping(result, "encode_kwargs"), result)
    return result


def fields_in(
    values: MutableMapping[str, object], known: Collection[str], neutral: Collection[str]
) -> tuple[dict[str, object], dict[str, str]]:
    """Take the fields of a request out of `model_kwargs`; return them, and the name of each there.

    A field that was also given as an argument stays in `model_kwargs`, which is merged last.
    """
    given = values.get("model_kwargs")
    if not isinstance(given, Mapping):
        return {}, {}
    written = {
        own: name
        for name in given
        if (own := ALIASES.get(name, name)) in neutral and own in known and values.get(own) is None
        if name not in _SENT_AS_GIVEN
    }
    if written:
        names = set(written.values())
        values["model_kwargs"] = {k: v for k, v in given.items() if k not in names}
    return {own: given[name] for own, name in written.items()}, written


def _mapping(values: MutableMapping[str, object], name: str) -> Mapping[str, object]:
    found = values.pop(name, None)
    if not isinstance(found, Mapping | None):
        raise ConfigurationError(f"{name} must be a dict, not {type(found).__name__}.")
    return found or {}


def _unpack_server(settings: Mapping[str, object], result: MutableMapping[str, object]) -> None:
    rest = dict(settings)
    _add_headers(_mapping(rest, "headers"), result)
    if cookies := _mapping(rest, "cookies"):
        line = "; ".join(f"{name}={value}" for name, value in cookies.items())
        _add_headers({"Cookie": line}, result)
    if organisation := rest.pop("bill_to", None):
        result.setdefault("bill_to", organisation)
    _unpack("server_kwargs", _SERVER_KWARGS, rest, result)


def _unpack(
    holder: str,
    names: Mapping[str, str],
    settings: Mapping[str, object],
    result: MutableMapping[str, object],
) -> None:
    for name, value in settings.items():
        own = names.get(name)
        if own is None:
            raise ConfigurationError(
                f"{holder} holds {name!r}, which has no meaning here: it may hold "
                f"{', '.join(names)}{', headers, cookies, bill_to' * (names is _SERVER_KWARGS)}."
            )
        result.setdefault(own, value)


def _add_headers(headers: Mapping[str, object], result: MutableMapping[str, object]) -> None:
    if headers:
        given = cast("Mapping[str, object]", result.get("default_headers") or {})
        own = {str(name).lower() for name in given}
        more = {name: value for name, value in headers.items() if str(name).lower() not in own}
        result["default_headers"] = {**more, **given}
