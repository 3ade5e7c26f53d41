"""The server's limits, and what it calls itself and can be like."""

from __future__ import annotations

LIKE = ("tgi", "vllm", "llama.cpp")
"""The servers that it can be like; the first is the default."""

MODELS = ("bundled", "smollm2")
"""The language models that it can serve; the first is the default."""

VERSION = "3.3.6"  # of TGI, whose behaviour this is
LABEL = "langchain-easyllm-offline"

FINGERPRINT = f"{VERSION}-{LABEL}"  # `system_fingerprint` of the OpenAI-style answers

MAX_BATCH = 32  # texts or prompts per request (`max_client_batch_size`)
MAX_BEST_OF = 2  # answers among which TGI's `best_of` chooses
MAX_BODY = 2_000_000  # bytes of a request's body
MAX_CHARACTERS_PER_TOKEN = 250  # of `max_input_length`: TEI refuses a text of more characters
MAX_CONCURRENT = 128  # requests in flight; TGI's default
MAX_STOPS = 4  # stop sequences per request
MAX_TOP_TOKENS = 5  # alternatives reported for each token


def max_total_tokens(context: int) -> int:
    """Return what `inputs` tokens and `max_new_tokens` may add up to.

    More than a short context, since clients ask for 1,024 new tokens by default: an answer that
    reaches the end of the context itself ends there, with finish reason `length`.
    """
    return max(context, 2048)
