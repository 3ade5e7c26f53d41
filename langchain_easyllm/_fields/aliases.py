"""Constructor arguments of langchain-huggingface and langchain-community that are no fields here.

Where a class of theirs has one name for one of our fields, `_names.ALIASES` has it. What is left is
here: arguments that hold several settings, and arguments that choose what needs no choice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from difflib import get_close_matches
from typing import cast

from ..errors import ConfigurationError

__all__ = ["ALIASES", "TEXT_TASKS", "canonical", "fields_in", "without_old_names"]


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


def _unknown(name: str, known: Collection[str]) -> str:
    names = [*known, *(alias for alias, own in ALIASES.items() if own in known)]
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    hint = (
        f"did you mean {near[0]!r}?" if near else "see the documentation for the names there are."
    )
    return f"There is no field {name!r}: {hint} model_kwargs sends any key to the server as it is."


TEXT_TASKS = ("text-generation", "text2text-generation", "conversational")
"""Values of `task` that mean what a text-generating class does anyway."""

# What their `server_kwargs` hands to an HTTP client, and our fields for it.
_SERVER_KWARGS = {
    "api_key": "api_key",
    "base_url": "base_url",
    "model": "model",
    "provider": "provider",
    "timeout": "timeout",
    "token": "api_key",
}
# What the `encode_kwargs` of their local embeddings holds, and our fields for it.
_ENCODE_KWARGS = {
    "batch_size": "batch_size",
    "normalize_embeddings": "normalize",
    "prompt_name": "prompt_name",
    "show_progress_bar": "show_progress",
    "truncate_dim": "dimensions",
}
_CLIENTS = ("client", "async_client", "tokenizer")


def without_old_names(
    values: Mapping[str, object], known: Collection[str], tasks: Collection[str]
) -> dict[str, object]:
    """Return constructor arguments with what other packages' own arguments say as fields.

    `server_kwargs` and `encode_kwargs` become the fields they hold, `additional_headers` and
    `headers` become `default_headers`, and a `task` that the class does anyway, `client=None` and
    `provider="auto"` say nothing.

    Args:
        values: Keyword arguments as the caller wrote them; they are left as they are.
        known: The fields of the class: a name that is one of them is never read as an old one.
        tasks: Values of `task` that need no saying.

    Raises:
        ConfigurationError: For another task, a client object, and a setting that has no meaning
            here.
    """
    result = dict(values)
    if "task" not in known:
        _check_task(result.pop("task", None), tasks)
    for name in _CLIENTS:
        if name not in known and result.pop(name, None) is not None:
            raise ConfigurationError(
                f"{name}=... is another package's own object: leave it out. base_url and api_key "
                "say which server to ask, prompt_builder how its prompts are written."
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
    """Take the fields of a request out of a `model_kwargs`.

    A field that was given beside it stays where it is, and is merged into the body last as ever.

    Args:
        values: Constructor arguments under our own names; `model_kwargs` is replaced by its rest.
        known: The fields of the class.
        neutral: Those that belong to a request.

    Returns:
        The fields, and the name that each was written under.
    """
    given = values.get("model_kwargs")
    if not isinstance(given, Mapping):
        return {}, {}
    written = {
        own: name
        for name in given
        if (own := ALIASES.get(name, name)) in neutral and own in known and values.get(own) is None
    }
    if written:
        names = set(written.values())
        values["model_kwargs"] = {k: v for k, v in given.items() if k not in names}
    return {own: given[name] for own, name in written.items()}, written


def _check_task(task: object, tasks: Collection[str]) -> None:
    if task is not None and task not in tasks:
        raise ConfigurationError(
            f"task={task!r} is not what this class does ({', '.join(tasks)}): leave it out, and "
            "say in the prompt what is to be done."
        )


def _mapping(values: MutableMapping[str, object], name: str) -> Mapping[str, object]:
    found = values.pop(name, None)
    if not isinstance(found, Mapping | None):
        raise ConfigurationError(f"{name} must be a dict, not {type(found).__name__}.")
    return found or {}


def _unpack_server(settings: Mapping[str, object], result: MutableMapping[str, object]) -> None:
    """Put the settings of a `server_kwargs` under the names of our fields."""
    rest = dict(settings)
    _add_headers(_mapping(rest, "headers"), result)
    if cookies := _mapping(rest, "cookies"):
        line = "; ".join(f"{name}={value}" for name, value in cookies.items())
        _add_headers({"Cookie": line}, result)
    if organisation := rest.pop("bill_to", None):
        _add_headers({"X-HF-Bill-To": organisation}, result)
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
        result["default_headers"] = {**headers, **given}
