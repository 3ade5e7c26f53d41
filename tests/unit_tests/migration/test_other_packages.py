"""Constructor fields of langchain-openai's and -ollama's classes that are no fields here."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.invocation_modes import CLASSES

URL = "http://localhost:9"
ALL = (EasyLLMChat, EasyLLM, EasyLLMEmbeddings)

# Name, value, and what an error has to name. No value is no default of theirs.
ADVICE: list[tuple[str, object, str]] = [
    ("organization", "org-1", r"default_headers=\{'OpenAI-Organization': .*bill_to"),
    ("openai_organization", "org-1", r"default_headers=\{'OpenAI-Organization': .*bill_to"),
    ("openai_proxy", "http://proxy:3128", "HTTPS_PROXY.*http_client"),
    ("openai_api_type", "azure", "base_url"),
    ("openai_api_version", "2024-06-01", r"base_url.*\?api-version="),
    ("api_version", "2024-06-01", r"base_url.*\?api-version="),
    ("azure_endpoint", URL, "base_url"),
    ("azure_deployment", "gpt", "base_url"),
    ("default_query", {"a": "b"}, r"base_url.*\?"),
    ("root_client", object(), "http_client"),
    ("root_async_client", object(), "http_async_client"),
    ("http_socket_options", [(6, 1, 1)], "http_client"),
    ("stream_chunk_timeout", 30, "timeout"),
    ("tiktoken_model_name", "gpt-4o", "custom_get_token_ids"),
    ("disabled_params", {"parallel_tool_calls": None}, "leave it out"),
    ("use_responses_api", True, "Responses API"),
    ("use_previous_response_id", True, "Responses API"),
    ("include", ["message.output_text.logprobs"], "Responses API"),
    ("context_management", [{"type": "compaction"}], "Responses API"),
    ("truncation", "auto", "truncate"),
    ("stream_options", {"include_usage": True}, "stream_usage"),
    ("verbosity", "low", r"model_kwargs=\{'verbosity': 'low'\}"),
    ("store", True, r"model_kwargs=\{'store': True\}"),
    ("prompt_cache_key", "k", r"model_kwargs=\{'prompt_cache_key'"),
    ("prompt_cache_options", {"a": 1}, r"model_kwargs=\{'prompt_cache_options'"),
    ("safety_identifier", "u", r"model_kwargs=\{'safety_identifier'"),
    ("modalities", ["text"], r"model_kwargs=\{'modalities'"),
    ("audio", {"voice": "x"}, r"model_kwargs=\{'audio'"),
    ("prediction", {"type": "content"}, r"model_kwargs=\{'prediction'"),
    ("web_search_options", {"a": 1}, r"model_kwargs=\{'web_search_options'"),
    ("functions", [{"name": "f"}], "bind_tools"),
    ("function_call", "auto", r"bind_tools\(.*tool_choice"),
    ("embedding_ctx_length", 512, "truncate=True"),
    ("retry_min_seconds", 1, "max_retries"),
    ("retry_max_seconds", 9, "max_retries"),
    ("client_kwargs", {"verify": False}, "default_headers.*http_client"),
    ("async_client_kwargs", {"verify": False}, "http_async_client"),
    ("sync_client_kwargs", {"verify": False}, "http_client"),
    ("validate_model_on_init", True, "model_id"),
    ("mirostat", 2, r"model_kwargs=\{'mirostat'.*PARAMETER mirostat"),
    ("repeat_last_n", 64, r"model_kwargs=\{'repeat_last_n'.*PARAMETER"),
    ("tfs_z", 1.5, r"model_kwargs=\{'tfs_z'"),
]
# What asks for nothing that is not done anyway.
NOTHING: list[tuple[str, object]] = [
    ("use_responses_api", False),
    ("use_previous_response_id", False),
    ("store", False),
    ("disabled_params", {}),
    ("skip_empty", False),
    ("tiktoken_enabled", False),
    ("check_embedding_ctx_length", False),
    ("show_progress_bar", False),
    ("client_kwargs", {}),
    ("validate_model_on_init", False),
]


@each_case("cls", ALL)
@each_case(("name", "value", "words"), ADVICE)
def test_a_name_without_a_field_says_what_to_use(
    cls: Any, name: str, value: object, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name} .*{words}"):
        cls(base_url=URL, **{name: value})
    assert cls(base_url=URL, **{name: None}) == cls(base_url=URL)
    if cls in CLASSES and name != "stream_options":
        with pytest.raises(ConfigurationError, match=rf"^{name} .*{words}"):
            cls(base_url=URL).invoke("Hi", **{name: value})


@each_case("cls", ALL)
@each_case(("name", "value"), NOTHING)
def test_a_value_that_asks_for_nothing_is_left_out(cls: Any, name: str, value: object) -> None:
    assert cls(base_url=URL, **{name: value}) == cls(base_url=URL)


@each_case("cls", (EasyLLMChat, EasyLLM))
@each_case(
    ("given", "field", "value"),
    [
        ({"reasoning": {"effort": "low"}}, "reasoning_effort", "low"),
        ({"reasoning": {"effort": "low", "summary": None}}, "reasoning_effort", "low"),
        ({"reasoning": {}}, "reasoning_effort", None),
        ({"reasoning": None}, "reasoning_effort", None),
        ({"reasoning": "high"}, "reasoning_effort", "high"),
        ({"reasoning": True}, "thinking", True),
        ({"reasoning": False}, "thinking", False),
        ({"reasoning": "low", "reasoning_effort": "low"}, "reasoning_effort", "low"),
    ],
)
def test_reasoning_of_openai_and_of_ollama(cls: Any, given: Any, field: str, value: object) -> None:
    assert getattr(cls(base_url=URL, **given), field) == value
    params = cls(base_url=URL)._build_request("Hi", None, given).params
    assert params.get(field) == value


@each_case(
    ("given", "words"),
    [
        ({"reasoning": {"effort": "low", "summary": "auto"}}, "reasoning .*'summary'.*effort"),
        ({"reasoning": {"effort": "lowest"}}, "reasoning_effort"),
        ({"reasoning": 3}, "reasoning .*reasoning_effort"),
        ({"reasoning": "low", "reasoning_effort": "high"}, "given twice.*reasoning"),
        ({"reasoning": True, "thinking": False}, "given twice.*reasoning"),
    ],
)
def test_reasoning_that_cannot_be_read(given: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        EasyLLMChat(base_url=URL, **given)
    with pytest.raises(ConfigurationError, match=words):
        EasyLLMChat(base_url=URL).invoke("Hi", **given)


@each_case("name", ["tools", "tool_choice", "parallel_tool_calls", "strict"])
def test_what_belongs_to_a_call_with_tools(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name} .*bind_tools"):
        EasyLLMChat(base_url=URL, **{name: True})


def test_the_bar_of_embeddings() -> None:
    made = EasyLLMEmbeddings(base_url=URL, show_progress_bar=True)
    assert made.show_progress is True
