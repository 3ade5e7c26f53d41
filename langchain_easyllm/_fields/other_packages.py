"""Arguments of langchain-openai's and -ollama's classes that are no fields: what to write instead.

Those that are a field under another name stand in `aliases.ALIASES`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from ..errors import ConfigurationError

_OF_RESPONSES_API = (
    "belongs to OpenAI's Responses API, which this package does not use: requests go to the "
    "chat completions API of every server. Leave it out."
)
_OF_AZURE = (
    "is a setting of Azure OpenAI: write the whole address into base_url, as in "
    "'https://NAME.openai.azure.com/openai/deployments/DEPLOYMENT?api-version=2024-06-01', and "
    "the key into default_headers={'api-key': ...}."
)
_OF_ORGANISATION = (
    "is OpenAI's organization: send it with default_headers={'OpenAI-Organization': ...}. The Hub "
    "organization that pays for Inference Providers is bill_to."
)
_OF_RETRIES = (
    "has no equivalent: max_retries is the number of retries, and the time between them is chosen "
    "by backoff and by the server's Retry-After."
)
_OF_OLLAMA = (
    "is an option that llama.cpp and Ollama's own routes read: model_kwargs={{{name!r}: ...}} "
    "sends it there. Ollama's chat route does not read it: set PARAMETER {name} in a Modelfile."
)
_OF_HTTP_CLIENT = (
    "are settings of Ollama's client: default_headers has headers, timeout the timeout, and "
    "http_client takes an httpx.Client for the rest."
)
_OF_TOOLS = "is chosen with the tools: llm.bind_tools(tools, "

ADVICE: Final[Mapping[str, str]] = {
    "organization": _OF_ORGANISATION,
    "openai_organization": _OF_ORGANISATION,
    "openai_proxy": "is set in the environment (HTTPS_PROXY, NO_PROXY), or by "
    "http_client=httpx.Client(proxy=...) and http_async_client.",
    "openai_api_type": _OF_AZURE,
    "openai_api_version": _OF_AZURE,
    "api_version": _OF_AZURE,
    "azure_endpoint": _OF_AZURE,
    "azure_deployment": _OF_AZURE,
    "default_query": "is written into base_url, and sent with every request: "
    "'https://example.com/v1?key=value'.",
    "root_client": "is an object of OpenAI's client: http_client takes an httpx.Client.",
    "root_async_client": "is an object of OpenAI's client: http_async_client takes an "
    "httpx.AsyncClient.",
    "http_socket_options": "is set on a client of yours: "
    "http_client=httpx.Client(transport=httpx.HTTPTransport(socket_options=...)).",
    "stream_chunk_timeout": "is timeout here, which limits each silence of a stream.",
    "tiktoken_model_name": "is not needed: tokens are counted by the server or by the model's own "
    "tokenizer. custom_get_token_ids takes a tokenizer of yours.",
    "disabled_params": "is not needed, leave it out: no server is sent a field that its protocol "
    "does not have.",
    "use_responses_api": _OF_RESPONSES_API,
    "use_previous_response_id": _OF_RESPONSES_API,
    "include": _OF_RESPONSES_API,
    "context_management": _OF_RESPONSES_API,
    "truncation": "belongs to OpenAI's Responses API. truncate=2048 cuts prompts to that number of "
    "tokens, on servers that can.",
    "stream_options": "is stream_usage here: True, the default, has a stream end with its token "
    "counts.",
    "functions": "is the older name of tools: use llm.bind_tools(tools).",
    "function_call": "is the older name of tool_choice: use llm.bind_tools(tools, tool_choice=...)"
    ".",
    "embedding_ctx_length": "is not needed: texts are sent as they are. truncate=True has the "
    "server cut those that are too long.",
    "retry_min_seconds": _OF_RETRIES,
    "retry_max_seconds": _OF_RETRIES,
    "skip_empty": "has no equivalent: leave empty texts out of the list.",
    "tiktoken_enabled": "is not needed: texts are sent as they are. Leave it out.",
    "check_embedding_ctx_length": "is not needed: texts are sent as they are. Leave it out, or set "
    "truncate=True to have the server cut those that are too long.",
    "client_kwargs": _OF_HTTP_CLIENT,
    "async_client_kwargs": _OF_HTTP_CLIENT.replace("http_client", "http_async_client").replace(
        "httpx.Client", "httpx.AsyncClient"
    ),
    "sync_client_kwargs": _OF_HTTP_CLIENT,
    "validate_model_on_init": "has no equivalent, as building an object sends nothing: read "
    "llm.model_id to send a first request.",
    **{
        name: _OF_OLLAMA.format(name=name)
        for name in ("mirostat", "mirostat_eta", "mirostat_tau", "repeat_last_n", "tfs_z")
    },
    "tools": f"{_OF_TOOLS}...).",
    "tool_choice": f"{_OF_TOOLS}tool_choice=...).",
    "parallel_tool_calls": f"{_OF_TOOLS}parallel_tool_calls=...).",
    "strict": f"{_OF_TOOLS}strict=...), or llm.with_structured_output(schema, strict=...).",
}
"""The sentence of the error for each name, behind the name."""

# Keys of OpenAI's request body that few other servers read.
_KEYS = frozenset(
    {
        *("verbosity", "store", "prompt_cache_key", "prompt_cache_options", "safety_identifier"),
        *("modalities", "audio", "prediction", "web_search_options"),
    }
)
# Values that change nothing here: the names may be left in place.
_NEUTRAL: Mapping[str, object] = {
    "use_responses_api": False,
    "use_previous_response_id": False,
    "store": False,
    "disabled_params": {},
    "skip_empty": False,
    "tiktoken_enabled": False,
    "check_embedding_ctx_length": False,
    "show_progress_bar": False,
    "client_kwargs": {},
    "async_client_kwargs": {},
    "sync_client_kwargs": {},
    "validate_model_on_init": False,
}
NAMES = frozenset({*ADVICE, *_KEYS, *_NEUTRAL, "reasoning"})
"""The names that `without_foreign` handles."""


def without_foreign(values: Mapping[str, object], known: Collection[str]) -> dict[str, object]:
    """Return keyword arguments of which none is another package's alone; fields are `known`.

    Raises:
        ConfigurationError: If one has no equivalent; the message says what to write instead.
    """
    rest = dict(values)
    for name in NAMES.intersection(values).difference(known):
        value = values[name]
        if value is None or (name in _NEUTRAL and value == _NEUTRAL[name]):
            del rest[name]
        elif name in _KEYS:
            raise ConfigurationError(
                f"{name} is a key of OpenAI's requests, which few servers read, and no field: "
                f"model_kwargs={{{name!r}: {value!r:.80}}} sends it as it is."
            )
        elif name in ADVICE:
            raise ConfigurationError(f"{name} {ADVICE[name]}")
    if rest.get("reasoning") is not None and "thinking" in known and "reasoning" not in known:
        _set_reasoning(rest)
    return rest


def _set_reasoning(values: dict[str, object]) -> None:
    """Put ChatOpenAI's `reasoning={"effort": ...}` or ChatOllama's `reasoning`, under our name."""
    given = values.pop("reasoning")
    if isinstance(given, Mapping):
        more = [key for key, value in given.items() if key != "effort" and value is not None]
        if more:
            raise ConfigurationError(
                f"reasoning holds {more[0]!r}, which has no equivalent: only its 'effort' has, "
                "which is reasoning_effort here."
            )
        own, value = "reasoning_effort", given.get("effort")
    elif isinstance(given, bool):
        own, value = "thinking", given
    elif isinstance(given, str):
        own, value = "reasoning_effort", given or None
    else:
        raise ConfigurationError(
            "reasoning must be a dict with an 'effort', an effort, True or False, not "
            f"{type(given).__name__}: the fields here are reasoning_effort and thinking."
        )
    if None not in (values.get(own), value) and values[own] != value:
        raise ConfigurationError(f"{own} was given twice, as reasoning and as {own}: give it once.")
    if value is not None:
        values[own] = value
