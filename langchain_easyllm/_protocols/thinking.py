"""`thinking` and `reasoning_effort`: one choice, in the words of a template and of a server.

A server passes both on to the model's chat template, and a template that does not read them ignores
them without a word. Where it is known what the template reads, the choice is put in its words, left
out where the model does so anyway, and refused where it would do nothing. That is known of a
template that is rendered here, of one that the server publishes, and of a few models by name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from .._nearest import did_you_mean, nearest_effort
from .._servers.capabilities import ModelThinking
from .._servers.profile import REASONING_EFFORTS, TEMPLATE_KWARGS, ApiProfile, ServerProfile
from ..errors import ConfigurationError

THINKING_FIELDS = frozenset({"thinking", "reasoning_effort"})

Params = Mapping[str, object]

# Models by their names on the Hub; the templates of their repositories.
_KNOWN = (
    (r"gpt-oss", ("low", "medium", "high"), True),
    (
        r"deepseek-r1|\bqwq-|qwen3-\w+(-a\w+)?-thinking-2507|qwen3-next-\w+-\w+-thinking"
        r"|minimax-m2|kimi-k2-thinking",
        (),
        True,
    ),
    (r"qwen3-\w+(-a\w+)?-instruct-2507|qwen3-next-\w+-\w+-instruct|qwen3-coder", (), False),
)


@lru_cache(maxsize=256)
def model_thinking(name: str, profile: ServerProfile) -> ModelThinking | None:
    """Return what is known of a model on a server by its name alone.

    A server that has templates of its own, or other means, is believed to have a switch; but nobody
    stops gpt-oss, which chooses how much it reasons.
    """
    for pattern, efforts, thinks in _KNOWN:
        if re.search(pattern, name, re.IGNORECASE):
            if not (efforts or profile.renders_own_template):
                return None
            switch = thinks and not efforts and profile.closes_reasoning
            return ModelThinking(f"the chat template of {name}", switch, efforts, thinks)
    return None


def check_effort(value: object) -> None:
    """Refuse what is no effort on any server."""
    if value is not None and value not in REASONING_EFFORTS:
        hint = did_you_mean(value, REASONING_EFFORTS, "model_kwargs sends any other as it is.")
        raise ConfigurationError(
            f"reasoning_effort is {_either(REASONING_EFFORTS)}, not {value!r:.50}: {hint}"
        )


def check_agreement(thinking: object, effort: object) -> None:
    """Refuse two fields that contradict each other."""
    if None not in (thinking, effort) and bool(thinking) is (effort == "none"):
        raise ConfigurationError(
            f"thinking={thinking} and reasoning_effort={effort!r} contradict each other: give one "
            "of them, and None for the other."
        )


def expressed(params: Params, model: ModelThinking | None) -> Params:
    """Return the fields of a request, with the choice in the words that a model's template has."""
    thinking, effort = params.get("thinking"), params.get("reasoning_effort")
    check_agreement(thinking, effort)
    if model is None or (thinking is None and effort is None):
        return params
    rest = {name: value for name, value in params.items() if name not in THINKING_FIELDS}
    if effort is not None and effort in model.efforts:
        # The effort says all, but for a template that has a switch as well.
        return {**rest, "reasoning_effort": effort, **_switched(model, effort != "none")}
    if effort not in (None, "none"):
        raise ConfigurationError(_no_effort(model, str(effort)))
    wanted = effort is None and bool(thinking)
    if model.switch:
        return {**rest, "thinking": wanted}
    if model.thinks is wanted:
        return rest
    choice = f"thinking={thinking}" if effort is None else "reasoning_effort='none'"
    raise ConfigurationError(_no_switch(model, choice))


def _switched(model: ModelThinking, thinking: bool) -> Params:
    return {"thinking": thinking} if model.switch else {}


def _no_effort(model: ModelThinking, effort: str) -> str:
    choice = f"reasoning_effort={effort!r}"
    if model.efforts:
        near = nearest_effort(effort, model.efforts)
        return f"{choice} is unknown to {model.template}, which has {_either(model.efforts)}{near}"
    other = (
        "which can only switch thinking on and off: use thinking=True or thinking=False."
        if model.switch
        else "which does not read it: leave it out."
    )
    return f"{choice} would do nothing in {model.template}, {other}"


def _no_switch(model: ModelThinking, choice: str) -> str:
    if model.efforts:
        least = min(model.efforts, key=REASONING_EFFORTS.index)
        return (
            f"{choice} would do nothing in {model.template}, which can only choose the effort: use "
            f"reasoning_effort={least!r}, or another of {_either(model.efforts)}."
        )
    return (
        f"{choice} would do nothing in {model.template}, which has no switch for it: leave it out."
    )


def keys_of(
    name: str, params: Params, protocol: ApiProfile, profile: ServerProfile
) -> dict[str, object]:
    """Return the keys of the body that hold one of the two fields."""
    key, effort = protocol.fields[name], params.get("reasoning_effort")
    if name == "thinking":
        one_key = effort is not None and protocol.fields.get("reasoning_effort") == key
        if one_key and key != TEMPLATE_KWARGS:
            return {}  # the effort says it
        return {key: profile.thinking[bool(params[name])]}
    off = effort == "none" and profile.renders_own_template
    if effort not in profile.efforts and not off:
        raise ConfigurationError(
            f"reasoning_effort={effort!r} is unknown to this server ({profile.name}), which has "
            f"{_either(profile.efforts)}{nearest_effort(effort, profile.efforts)}"
        )
    keys: dict[str, object] = {}
    if effort in profile.efforts:
        keys[key] = {name: effort} if key == TEMPLATE_KWARGS else effort
    if off and "thinking" in protocol.fields:
        # Few templates know the word, and more have the switch.
        merge(keys, {protocol.fields["thinking"]: profile.thinking[False]})
    return keys


def merge(body: dict[str, object], keys: Mapping[str, object]) -> None:
    """Add keys to a body; what a template is passed stands in one object."""
    for key, value in keys.items():
        before = body.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            body[key] = {**before, **value}
        else:
            body[key] = value


def _either(values: Collection[str]) -> str:
    *most, last = [repr(value) for value in values]
    return f"{', '.join(most)} or {last}" if most else last
