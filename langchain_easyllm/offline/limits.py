"""The limits that the server announces on `/info` and enforces."""

from __future__ import annotations

__all__ = [
    "MAX_BATCH",
    "MAX_BEST_OF",
    "MAX_BODY",
    "MAX_CHARACTERS_PER_TOKEN",
    "MAX_CONCURRENT",
    "MAX_STOPS",
    "MAX_TOP_TOKENS",
    "max_total_tokens",
]

MAX_BATCH = 32
"""Texts or prompts per request (`max_client_batch_size`)."""

MAX_BEST_OF = 2
"""Answers among which TGI's `best_of` chooses."""

MAX_BODY = 2_000_000
"""Bytes of a request's body."""

MAX_CHARACTERS_PER_TOKEN = 250
"""TEI refuses a text of more characters than this for each token of `max_input_length`."""

MAX_CONCURRENT = 128
"""Requests in flight; TGI's default."""

MAX_STOPS = 4
"""Stop sequences per request."""

MAX_TOP_TOKENS = 5
"""Alternatives reported for each token."""


def max_total_tokens(context: int) -> int:
    """Return what `inputs` tokens and `max_new_tokens` may add up to.

    Twice the context, since clients ask for 1,024 new tokens by default: an answer that reaches
    the end of the context itself ends there, with finish reason `length`.

    Args:
        context: The model's context length in tokens.
    """
    return 2 * context
