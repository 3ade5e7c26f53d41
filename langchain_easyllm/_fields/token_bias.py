"""`logit_bias` as a field: a dict of token ids and numbers, in whichever form it was given."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping

from ..errors import ConfigurationError

MOST = 100
"""The largest bias, up or down, that servers accept."""


def token_biases(value: object) -> dict[str, float] | None:
    """Return a `logit_bias` as OpenAI has it in JSON, with ids as texts; None if it is empty.

    llama.cpp's list of pairs is taken, too.

    Raises:
        ConfigurationError: If a key is no token id, a bias is out of bounds, or an id has two.
    """
    found: dict[str, float] = {}
    for token, bias in _pairs(value):
        key, number = _token_id(token), _bias(token, bias)
        if found.setdefault(key, number) != number:
            raise ConfigurationError(
                f"logit_bias gives token {key} two biases, {found[key]:g} and {number:g}: give it "
                "one."
            )
    return found or None


def _pairs(value: object) -> Iterable[tuple[object, object]]:
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in value
    ):
        return [(token, bias) for token, bias in value]
    raise ConfigurationError(
        f"logit_bias is a dict of token ids and numbers, {{15043: -100}} say, not {value!r:.50}."
    )


def _token_id(token: object) -> str:
    if isinstance(token, str) and not (token.isascii() and token.isdigit()):
        raise ConfigurationError(
            f"logit_bias has token ids as keys, and {token!r:.50} is a text: give the ids that "
            "get_token_ids finds for it, or, on a server that takes texts, model_kwargs."
        )
    try:
        number = int(token) if isinstance(token, str) else operator.index(token)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1
    if number < 0 or isinstance(token, bool):
        raise ConfigurationError(
            f"logit_bias has token ids as keys, numbers from 0 on, not {token!r:.50}."
        )
    return str(number)


def _bias(token: object, bias: object) -> float:
    if bias is False:
        raise ConfigurationError(
            f"logit_bias has numbers as values, and that of token {token} is False: -{MOST} bans a "
            "token."
        )
    try:
        number = math.nan if isinstance(bias, bool | str) else float(bias)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not -MOST <= number <= MOST:
        raise ConfigurationError(
            f"logit_bias has numbers from -{MOST} (never) to {MOST} (always) as values, and that "
            f"of token {token} is {bias!r:.50}."
        )
    return number
