"""How objects are shown: in a notebook, printed, and as parts of chains."""

from __future__ import annotations

import pytest
from langchain_core.prompts import ChatPromptTemplate

from langchain_easyllm import (
    EasyLLM,
    EasyLLMChat,
    EasyLLMCrossEncoder,
    EasyLLMEmbeddings,
    EasyLLMRerank,
    EasyLLMSparseEmbeddings,
)

URL = "http://localhost:8080"
CLASSES = (
    EasyLLM,
    EasyLLMChat,
    EasyLLMCrossEncoder,
    EasyLLMEmbeddings,
    EasyLLMRerank,
    EasyLLMSparseEmbeddings,
)


@pytest.mark.parametrize("cls", CLASSES)
def test_what_was_given_is_shown_and_nothing_else(cls: type) -> None:
    made = cls(base_url=URL, timeout=5, model_kwargs={})
    name = cls.__name__
    assert repr(made) == str(made) == f"{name}(base_url='{URL}', timeout=5.0)"
    assert repr(cls(base_url=URL, model_kwargs={"a": 1})) == (
        f"{name}(base_url='{URL}', model_kwargs={{'a': 1}})"
    )
    secret = cls(base_url=URL, api_key="hf_topsecret", default_headers={"X-Key": "topsecret"})
    assert "topsecret" not in repr(secret) + str(secret)
    assert "api_key=" in repr(secret)
    several = cls(base_url=[f"{URL}?key=topsecret", "http://localhost:8081"])
    assert f"base_url=('{URL}?***', 'http://localhost:8081')" in repr(several)


def test_metadata_shows_what_was_given_of_it() -> None:
    shown = "EasyLLMChat(metadata={'team': 'a'}, base_url="
    assert repr(EasyLLMChat(base_url=URL, metadata={"team": "a"})).startswith(shown)


def test_chains_show_it_so() -> None:
    model = EasyLLMChat(base_url=URL, temperature=0.5)
    schema = {"title": "Point", "type": "object", "properties": {"x": {"type": "integer"}}}
    chains = (
        ChatPromptTemplate.from_messages([("user", "{x}")]) | model,
        model.bind_tools([schema]),
        model.with_structured_output(schema),
        model.with_retry(),
    )
    for chain in chains:
        assert f"EasyLLMChat(base_url='{URL}', temperature=0.5)" in repr(chain)
        assert "pipeline_kwargs" not in repr(chain)
    structured = repr(chains[2])
    assert "OutputSchema(name='Point', method=None, strict=None)" in structured
