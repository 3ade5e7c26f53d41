"""How servers and gateways say that a request does not fit into the model's context.

Each has words of its own, few send a code for it, and the words change with versions. A new wording
is a row below and a body in the tests.
"""

from __future__ import annotations

import re
from functools import cache

_CODES = frozenset(
    {
        "context_length_exceeded",  # OpenAI, Groq, Cerebras, llama-cpp-python
        "contextwindowexceedederror",  # LiteLLM
        "exceed_context_size_error",  # llama.cpp
        "model_max_prompt_tokens_exceeded",  # GitHub Models
    }
)

_N = r"[\d,.]{1,20}"
_CONTEXT = (
    r"(?:(?:the|this|your|model|model's|max|maximum|available|input) ){0,4}"
    r"context (?:length|limit|size|window)"
)
# No pattern begins with a repetition, and none has one of unbounded length.
_WORDINGS: dict[str, tuple[str, ...]] = {
    # OpenAI, vLLM, SGLang, Ollama, LiteLLM, Groq, Fireworks, Mistral, Anthropic and others
    "several": (
        r"maximum context length.{0,40}\d",
        r"\d maximum context length",
        rf"(?:exceed(?:s|ed)?|(?:greater|larger|longer) than|too (?:large|long) for) {_CONTEXT}",
        r"context (?:length|limit|size|window) (?:has been |is |was )?exceed(?:s|ed)",
        rf"context (?:length|limit|size|window) (?:is|of) {_N} tokens",
        r"context length (?:is|of) only",
        r"reduce the length of the (?:input|message|prompt)",
        r"\bprompt (?:is )?too long\b",
        rf"maximum (?:input|prompt) length is {_N} (?:but|tokens)",
        # DeepInfra, Baseten, TensorRT-LLM
        r"exceeds (?:the )?maximum (?:allowed )?(?:input|sequence) length"
        r"(?!.{0,30}(?: char|bytes|\d ?[km]i?b\b))",
    ),
    # Chat completions and embeddings. A limit of the answer alone does not count.
    "openai": (
        r"context_length_exceeded",
        r"input tokens exceed the configured limit",
    ),
    # Its renderer's and processor's checks, vllm/renderers/params.py; older: serving_engine.py.
    "vllm": (
        r"longer than the maximum model length",
        r"\bmax_(?:completion_)?tokens.{0,25} cannot be greater than max_",
        r"\(parameter=input_(?:text|tokens)\b",
    ),
    # router/src/validation.rs, and TEI's core/src/tokenization.rs.
    "tgi": (
        r"max_new_tokens`? must be <= ",
        r"\binputs?`? must have less than \d{1,12} (?:characters|tokens)",
    ),
    # tools/server/server-context.cpp
    "llama.cpp": (
        r"exceed_context_size",
        r"larger than the max context size",
        r"context shift is disabled",
        r"\binput (?:\(\d{1,12} tokens\) )?is too large to process",
    ),
    "llama-cpp-python": (r"exceed context window of",),
    "lm studio": (
        r"when (?:the )?context (?:the )?overflows",
        r"initial prompt is greater than the context length",
    ),
    # tensorrt_llm/llmapi/llm.py, and the engine's own check
    "tensorrt-llm": (
        r"(?:should not exceed|less than(?: or equal to)?|greater than) "
        r"`?max_(?:input_len|num_tokens|seq_len)",
        r"\bdefault_max_tokens`? \(-\d{1,12}\) must be greater than 0",
    ),
    # srt/managers/tokenizer_manager.py
    "sglang": (
        r"longer than the model's context length",
        r"requested token count exceeds",
        rf"\binput length \({_N}(?: tokens)?\) exceeds",
    ),
    "transformers": (
        r"exceeds? the model's (?:predefined )?maximum length",
        r"input length of input_ids is \d{1,12}, but",
    ),
    "litellm": (r"contextwindowexceedederror",),
    "bedrock": (r"\binput is too long for (?:the )?requested model",),
    "cohere": (r"\btoo many tokens: (?:total number of tokens|size limit)",),
    "dashscope": (r"range of input length should be",),
    "github models": (rf"prompt token count of {_N} exceeds the limit",),
    "google": (r"exceeds the maximum number of tokens allowed",),
    "moonshot": (r"exceeded model token limit",),
    "sambanova": (r"maximum supported sequence length is",),
    "ds4": (r"but the configured context size is",),
}

# Limits of tokens in a time use some of these words.
_RATE_LIMIT = r"rate[ _-]?limit|\btokens per (?:day|hour|min|second)|throttl|please wait|\btpm\b"

# What a server quotes of the request says nothing of the failure: pydantic's input, as JSON or as
# Python prints it, jsonschema's instance, or the body itself.
_QUOTES_REQUEST = (
    r"['\"](?:body|content|inputs?|messages|prompt)\\{0,7}['\"]\s{0,9}:|\binput_value="
)
_QUOTES_INSTANCE = r"['\"\]}] is not (?:of type|one of|valid under)"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # Most processes never meet such an error. The text is in lower case: ignoring case costs more.
    return re.compile(pattern, re.DOTALL)


def own_words(text: str) -> str:
    """Return a message in lower case, up to where it quotes the request."""
    text = text.lower()
    found = _compiled(_QUOTES_REQUEST).search(text)
    return text[: found.start()] if found else text


def reports_overflow(text: str, labels: tuple[str, ...]) -> bool:
    """Whether a refusal says that the request is longer than the model's context.

    `labels` are its type and code, in lower case.
    """
    if not _CODES.isdisjoint(labels):
        return True
    text = own_words(text)
    if _compiled(_RATE_LIMIT).search(" ".join((text, *labels))):
        return False
    if _compiled(_QUOTES_INSTANCE).search(text):
        return False
    return bool(_compiled("|".join(sum(_WORDINGS.values(), ()))).search(text))
