"""The table of ChatOpenAI's parameters: what the constructor here makes of each."""

from __future__ import annotations

from typing import Any

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.errors import ConfigurationError

__all__ = ["parameter_table"]

URL = "http://localhost:8080"

# Each constructor parameter of langchain-openai 1.7's ChatOpenAI that is not every LangChain
# model's (`name`, `cache`, `tags`, ...), under each of its names, and a value as code.
PARAMETERS: list[tuple[str, str]] = [
    ("model", '"Qwen/Qwen3-8B"'),
    ("model_name", '"Qwen/Qwen3-8B"'),
    ("base_url", f'"{URL}"'),
    ("openai_api_base", f'"{URL}"'),
    ("api_key", '"my-key"'),
    ("openai_api_key", '"my-key"'),
    ("temperature", "0.5"),
    ("top_p", "0.9"),
    ("max_tokens", "256"),
    ("max_completion_tokens", "256"),
    ("stop", '["END"]'),
    ("stop_sequences", '["END"]'),
    ("n", "2"),
    ("seed", "7"),
    ("presence_penalty", "0.5"),
    ("frequency_penalty", "0.5"),
    ("logit_bias", "{15043: -100}"),
    ("logprobs", "True"),
    ("top_logprobs", "2"),
    ("streaming", "True"),
    ("stream_usage", "False"),
    ("timeout", "30"),
    ("request_timeout", "30"),
    ("max_retries", "5"),
    ("reasoning_effort", '"low"'),
    ("reasoning", '{"effort": "low"}'),
    ("service_tier", '"flex"'),
    ("user", '"user-1"'),
    ("default_headers", '{"X-Team": "search"}'),
    ("extra_body", '{"top_k": 5}'),
    ("model_kwargs", '{"chat_template_kwargs": {}}'),
    ("include_response_headers", "True"),
    ("http_client", "httpx.Client()"),
    ("http_async_client", "httpx.AsyncClient()"),
    ("use_responses_api", "False"),
    ("disabled_params", "{}"),
    ("organization", '"org-1"'),
    ("openai_organization", '"org-1"'),
    ("openai_proxy", '"http://proxy:3128"'),
    ("default_query", '{"key": "value"}'),
    ("tiktoken_model_name", '"gpt-4o"'),
    ("stream_chunk_timeout", "30"),
    ("http_socket_options", "[]"),
    ("root_client", "OpenAI()"),
    ("verbosity", '"low"'),
    ("store", "True"),
    ("prompt_cache_options", '{"ttl": "1h"}'),
    ("truncation", '"auto"'),
    ("include", '["file_search_call.results"]'),
    ("context_management", '[{"type": "compaction"}]'),
    ("use_previous_response_id", "True"),
]


def _value(code: str) -> Any:
    import httpx

    names = {"httpx": httpx, "OpenAI": object}
    return eval(code, names)


def _result(name: str, code: str) -> str:
    """What becomes of one parameter: a field, nothing, or the error's sentence."""
    bare = EasyLLMChat(base_url=URL)
    others = {} if name in ("base_url", "openai_api_base") else {"base_url": URL}
    try:
        made = EasyLLMChat(**others, **{name: _value(code)})
    except ConfigurationError as error:
        return "error: " + str(error).replace("|", r"\|")
    fields = [
        field
        for field in type(made).model_fields
        if field in made.model_fields_set - bare.model_fields_set or field == "base_url" != bare
        if field != "base_url" or not others
    ]
    return (
        ", ".join(f"`{field}`" for field in sorted(fields))
        or "left out: that is what happens anyway"
    )


def parameter_table() -> str:
    """The rows of the page: names with the same result share one."""
    rows: dict[str, list[str]] = {}
    for name, code in PARAMETERS:
        result = _result(name, code)
        shown = f"`{name}={code}`" if result.startswith(("error", "left")) else f"`{name}`"
        rows.setdefault(result, []).append(shown)
    lines = ["| ChatOpenAI | EasyLLMChat |", "| --- | --- |"]
    lines += [f"| {', '.join(names)} | {result} |" for result, names in rows.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(parameter_table())
