"""A generation request as a value, and its fields in a server's own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import orjson

from .._servers.profile import (
    DEFAULT_MAX_TOKENS,
    EXTENSIONS,
    GENERATION_CONFIG,
    ApiProfile,
    GenerationApi,
    PromptRoute,
    ServerInfo,
)
from .._servers.registry import SERVERS
from ..errors import ConfigurationError
from .answer_length import LENGTH_FIELDS, check_length
from .constraints import CONSTRAINT_FIELDS, to_constraint
from .thinking import THINKING_FIELDS, keys_of, merge

Message = Mapping[str, object]
"""One chat message in OpenAI's format: `role`, `content` and what belongs to them."""

Tool = Mapping[str, object]
"""One tool in OpenAI's format: `{"type": "function", "function": {"name": ..., ...}}`."""

ToolChoice = str | Mapping[str, object]
"""`"auto"`, `"none"`, `"required"`, or `{"type": "function", "function": {"name": ...}}`."""


@dataclass(slots=True)
class ProtocolRequest:
    api: GenerationApi
    params: Mapping[str, object] = field(default_factory=dict)
    stops: tuple[str, ...] = ()  # stop sequences that end the answer, the caller's first
    model: str | None = None
    prompt: str | None = None
    messages: Sequence[Message] | None = None
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    prompted_tools: bool = False  # whether the tools are in the prompt, and not sent
    loose_tools: bool = False  # whether the server refused these tools with `strict`
    prompt_route: PromptRoute = PromptRoute.OPENAI  # of completions
    stream: bool = False
    usage: bool = True  # whether a stream should end with token counts
    details: bool = True  # whether TGI should say more than the text
    # the key of the limit that is sent where the caller has none; None to leave it to the server
    default_limit: str | None = "max_tokens"
    # the caller's own keys, merged into the body last
    extra: Mapping[str, object] = field(default_factory=dict)


# Fields that change nothing at these values: sent where there is a name, dropped where not.
_OFF: Mapping[str, tuple[object, ...]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "top_p": (1,),
    "typical_p": (0, 1),
    "top_k": (0, -1),
    "n": (1,),
    "best_of": (1,),
    "watermark": (False,),
    "return_full_text": (False,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "min_p": (0,),
    "min_tokens": (0,),
    "ignore_eos": (False,),
}
# What only matters while sampling; a greedy request leaves it out.
_SAMPLING = frozenset({"temperature", "top_p", "top_k", "typical_p", "min_p", "do_sample"})


def to_fields(
    api: GenerationApi, server: ServerInfo, params: Mapping[str, object]
) -> dict[str, object]:
    protocol = server.profile.api(api)
    greedy = params.get("do_sample") is False or params.get("temperature") == 0
    out: dict[str, object] = {}
    for name, value in params.items():
        if value is None or _is_moot(name, params, api, protocol, greedy=greedy):
            continue
        key = protocol.fields.get(name)
        if key is None:
            if value not in _OFF.get(name, ()):
                raise ConfigurationError(_inexpressible(name, api, server))
            continue
        if name in CONSTRAINT_FIELDS:
            out |= to_constraint(params, api, server.profile)
            continue
        if name in THINKING_FIELDS:
            merge(out, keys_of(name, params, protocol, server.profile))
            continue
        translated = _to_value(name, value, api, protocol)
        if translated is not None and out.setdefault(key, translated) != translated:
            raise ConfigurationError(_twice(name, key, protocol.fields, params))
    if greedy:
        out.update(protocol.greedy)
    elif api is GenerationApi.GENERATE and "temperature" in out:
        out.setdefault("do_sample", True)  # TGI takes a temperature of 1 for greedy otherwise
    if api is GenerationApi.CHAT and "top_logprobs" in out:
        out["logprobs"] = True
    if protocol.samples_by_config:
        _put_into_config(out, params, greedy=greedy)
    _check_together(params, api, server)
    if protocol.min_top_logprobs and out.get("logprobs"):
        out["top_logprobs"] = out.get("top_logprobs") or protocol.min_top_logprobs
    return out


def _put_into_config(out: dict[str, object], params: Mapping[str, object], *, greedy: bool) -> None:
    """Put what a server reads of a `generation_config` into one."""
    inside = [key for key in out if key.startswith(GENERATION_CONFIG)]
    config = {key.removeprefix(GENERATION_CONFIG): out.pop(key) for key in inside}
    wanted = {name: params[name] for name in _SAMPLING if params.get(name) is not None}
    if not greedy and any(value not in _OFF.get(name, ()) for name, value in wanted.items()):
        config["do_sample"] = True
    if isinstance(biases := config.get("sequence_bias"), Mapping):
        config["sequence_bias"] = [[[int(token)], bias] for token, bias in biases.items()]
    if config:
        if "max_tokens" not in out:  # its own default is lost with the model's config
            config["max_new_tokens"] = DEFAULT_MAX_TOKENS
        out["generation_config"] = orjson.dumps(config).decode()


def _check_together(params: Mapping[str, object], api: GenerationApi, server: ServerInfo) -> None:
    """Refuse fields that exclude each other, in any request or on this server."""
    if not LENGTH_FIELDS.isdisjoint(params):
        check_length(params)
    alone = [name for name in server.profile.api(api).alone if params.get(name)]
    if len(alone) > 1:
        raise ConfigurationError(
            f"This server ({server.profile.name}) obeys none of {' and '.join(alone)} if it is "
            "sent more than one: give one of them."
        )


def _is_moot(
    name: str,
    params: Mapping[str, object],
    api: GenerationApi,
    protocol: ApiProfile,
    *,
    greedy: bool,
) -> bool:
    if greedy and name in _SAMPLING:
        return True
    if name == "do_sample":  # sampling is what most other protocols do anyway
        return api is not GenerationApi.GENERATE and not protocol.samples_by_config
    top = params.get("top_logprobs")
    if name == "top_logprobs":
        return not top and not params.get("logprobs")
    # Completions have one number for both fields.
    return name == "logprobs" and api is GenerationApi.COMPLETIONS and bool(top)


def _to_value(name: str, value: object, api: GenerationApi, protocol: ApiProfile) -> object:
    """Return the value to send; None leaves the field out."""
    if name == "logprobs" and api is GenerationApi.COMPLETIONS:
        return 1 if value else None
    if name == "top_logprobs" and api is not GenerationApi.CHAT:
        return value or None
    return None if value in protocol.omitted.get(name, ()) else value


def _twice(name: str, key: str, table: Mapping[str, str], params: Mapping[str, object]) -> str:
    other = next(other for other in params if other != name and table.get(other) == key)
    return f"{other} and {name} are one field ({key}) on this server: set one of them."


def _inexpressible(name: str, api: GenerationApi, server: ServerInfo) -> str:
    ways = [
        f"api={other.value!r}"
        + ("" if other is GenerationApi.CHAT else " (with a prompt_builder for chat)")
        for other, protocol in server.profile.apis.items()
        if other is not api and other in server.profile.suggested_apis and name in protocol.fields
    ]
    instead = f"use {' or '.join(ways)}, or drop it" if ways else "drop it"
    return (
        f"{name} cannot be expressed on the {api.value} api of this server "
        f"({server.profile.name}): {instead}. model_kwargs sends any key as it is."
    )


def needs_server(
    api: GenerationApi, params: Mapping[str, object], stops: Sequence[str], *, tools: bool = False
) -> bool:
    """Whether a request depends on which server will answer it."""
    if len(stops) > _FEWEST_STOPS:
        return True
    if api is not GenerationApi.CHAT:
        # One server has a route of its own for completions, and others stop after 16 tokens.
        return api is GenerationApi.COMPLETIONS
    return tools or any(_depends(name, value) for name, value in params.items())


_FEWEST_STOPS = min(server.max_stops for server in SERVERS if server.max_stops is not None)

# Fields with one name everywhere that some servers want expressed in another way at these values.
_SPECIAL: Mapping[str, tuple[object, ...]] = {
    "temperature": (0,),
    "do_sample": (False,),
    "top_p": (0, 1),
}


def _depends(name: str, value: object) -> bool:
    if value is None:
        return False
    if name in _SPECIAL:
        return value in _SPECIAL[name]
    if name in CONSTRAINT_FIELDS:
        return True
    if name not in EXTENSIONS and value in _OFF.get(name, ()):
        return False  # every server takes OpenAI's own fields where they say nothing
    return _names_differ(name)


@cache
def _names_differ(name: str) -> bool:
    rows = (server.chat.fields for server in SERVERS if server.chat is not None)
    return len({row.get(name) for row in rows}) > 1
