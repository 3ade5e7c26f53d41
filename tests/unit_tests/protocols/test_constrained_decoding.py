"""JSON schemas in every format, to every server's format; what no format has."""

from __future__ import annotations

import copy

import pytest

from langchain_easyllm._protocols.constraints import to_constraint
from langchain_easyllm._servers.inference_providers import INFERENCE_PROVIDERS
from langchain_easyllm._servers.llama_cpp import LLAMA_CPP
from langchain_easyllm._servers.llama_cpp_python import LLAMA_CPP_PYTHON
from langchain_easyllm._servers.lm_studio import LM_STUDIO
from langchain_easyllm._servers.openai_compatible import OPENAI_COMPATIBLE
from langchain_easyllm._servers.profile import GenerationApi, ServerProfile
from langchain_easyllm._servers.registry import SERVERS
from langchain_easyllm._servers.tensorrt_llm import TENSORRT_LLM
from langchain_easyllm._servers.tgi import TGI
from langchain_easyllm._servers.vllm import VLLM
from langchain_easyllm.errors import ConfigurationError

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
ANY = {"type": "object"}
NAMED = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
# The same constraint in the shapes of OpenAI, TGI, llama.cpp, and as a schema alone.
SAME = [
    SCHEMA,
    NAMED,
    {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}},
    {"type": "json", "value": SCHEMA},
    {"type": "json_object", "value": SCHEMA},
    {"type": "json_object", "schema": SCHEMA},
    {"type": "json_schema", "value": SCHEMA},
    {"type": "json_schema", "value": {"name": "x", "schema": SCHEMA}},
]
CHAT, COMPLETIONS, GENERATE = GenerationApi.CHAT, GenerationApi.COMPLETIONS, GenerationApi.GENERATE
CHAT_SERVERS = [server for server in SERVERS if server.chat and "grammar" in server.chat.fields]


def sent(value: object, server: ServerProfile, api: GenerationApi = CHAT) -> object:
    """Return what is sent of a schema in the field that is sent for it."""
    [constraint] = to_constraint({"grammar": value}, api, server).values() or [None]
    return constraint


@pytest.mark.parametrize("value", SAME, ids=str)
def test_a_schema_in_any_format(value: dict[str, object]) -> None:
    before = copy.deepcopy(value)
    assert sent(value, TGI, GENERATE) == {"type": "json", "value": SCHEMA}
    assert sent(value, TGI) == {"type": "json", "value": SCHEMA}
    assert sent(value, LLAMA_CPP, COMPLETIONS) == SCHEMA
    assert sent(value, LLAMA_CPP_PYTHON) == {
        "type": "json_object",
        "schema": SCHEMA,
    }
    given = value if "json_schema" in value else NAMED
    for profile in (VLLM, LLAMA_CPP):
        assert sent(value, profile) == given
    # Some providers take a schema beside OpenAI's own word: theirs to read as it is.
    own = "schema" in value
    for profile in (OPENAI_COMPATIBLE, INFERENCE_PROVIDERS):
        assert sent(value, profile) == (value if own else given)
    assert value == before


def test_any_object() -> None:
    value = {"type": "json_object"}
    assert sent(value, TGI, GENERATE) == {"type": "json", "value": ANY}
    assert sent(value, LLAMA_CPP, COMPLETIONS) == ANY
    assert sent(value, TENSORRT_LLM) == {"type": "json", "schema": ANY}
    # It refuses `json_object`.
    named = {"type": "json_schema", "json_schema": {"name": "answer", "schema": ANY}}
    assert sent(value, LM_STUDIO) == named
    for profile in set(CHAT_SERVERS) - {TGI, TENSORRT_LLM, LM_STUDIO}:
        assert sent(value, profile) == value


def test_text_constrains_nothing() -> None:
    value = {"type": "text"}
    assert sent(value, TGI, GENERATE) is None
    assert sent(value, LLAMA_CPP, COMPLETIONS) is None
    assert sent(value, TGI) is None
    assert sent(value, VLLM) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"enum": ["a", "b"]},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"$ref": "#/$defs/A", "$defs": {"A": SCHEMA}},
        {"properties": {}},
    ],
    ids=str,
)
def test_a_schema_need_not_be_an_object(schema: dict[str, object]) -> None:
    assert sent(schema, TGI, GENERATE) == {"type": "json", "value": schema}


@pytest.mark.parametrize(
    "bad",
    ["json", 3, [], {}, {"type": "yaml"}, {"type": "regex"}, {"type": "json", "value": "{}"}],
    ids=str,
)
def test_what_is_no_constraint(bad: object) -> None:
    for profile in CHAT_SERVERS:
        with pytest.raises(ConfigurationError, match="response_format"):
            sent(bad, profile)
    with pytest.raises(ConfigurationError, match="response_format"):
        sent(bad, TGI, GENERATE)
