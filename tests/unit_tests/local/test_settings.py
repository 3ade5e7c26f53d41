"""What is wrong with a local model is said before anything is loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm._local.settings import check_libraries, check_model
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.invocation_modes import CLASSES, answer
from ...support.spelling_model import Pipeline


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text("{}")
    return str(tmp_path)


@each_case("cls", CLASSES)
@each_case(
    ("fields", "words"),
    [
        ({}, "api='local' runs a model in this process: set model"),
        ({"model": "http://localhost:8080"}, "api='local' runs a model in this process: set model"),
        ({"model": "/no/such/folder"}, "There is no folder /no/such/folder"),
        ({"model": "./folder"}, r"There is no folder \./folder"),
        ({"model": "~/folder"}, "There is no folder ~/folder"),
        ({"model": "a/b/c"}, "There is no folder a/b/c"),
        ({"model": __file__}, "There is no folder"),
        ({"model": str(Path(__file__).parent)}, "holds no config.json"),
        ({"model": "a/b", "base_url": "http://localhost:9"}, "base_url names a server"),
        ({"model": "a/b", "provider": "together"}, "provider names a server"),
        ({"model": "a/b", "device": 0, "device_map": "auto"}, "device and device_map"),
        ({"pipeline": Pipeline("summarization")}, "The pipeline's task is 'summarization'"),
        ({"pipeline": Pipeline("text-generation", None)}, "has no tokenizer"),
        ({"pipeline": print}, "pipeline is of type builtin_function_or_method"),
        ({"model": "a/b", "batch_size": 0}, "batch_size"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_what_cannot_work(cls: type, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        cls(api="local", **fields)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("name", ["torch", "transformers"])
def test_a_missing_extra_names_the_command(
    monkeypatch: pytest.MonkeyPatch, cls: type, folder: str, name: str
) -> None:
    for library in ("torch", "transformers"):  # whether or not they are installed here
        monkeypatch.setitem(sys.modules, library, sys if library != name else None)
    with pytest.raises(ConfigurationError) as caught:
        cls(api="local", model=folder)
    assert str(caught.value) == (
        f"A local model needs {name}, which is not installed: run "
        'pip install "langchain-easyllm[local]".'
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "api='local' runs a model in this process: set model"),
        ({"model": "/no/such/folder"}, "There is no folder /no/such/folder"),
        ({"model": str(Path(__file__).parent)}, "holds no modules.json or config.json"),
        ({"model": "a/b", "base_url": "http://localhost:9"}, "base_url names a server"),
    ],
    ids=str,
)
def test_embeddings_that_cannot_work(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        EasyLLMEmbeddings(api="local", **fields)


def test_embeddings_name_what_they_lack(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigurationError, match="needs sentence_transformers"):
        EasyLLMEmbeddings(api="local", model=folder)
    with pytest.raises(ConfigurationError, match="device is for a local model"):
        EasyLLMEmbeddings(base_url="http://localhost:9", device="cpu")


def test_a_pipeline_makes_a_model_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUGGINGFACE_API_BASE", "http://localhost:9")
    pipeline = Pipeline("text-generation")
    for model in (EasyLLM(pipeline=pipeline), EasyLLMChat(pipeline=pipeline, model="name")):
        assert (model.api, model.base_url, model.pipeline) == ("local", None, pipeline)
    with pytest.raises(ConfigurationError, match="pipeline is for a local model"):
        EasyLLM(pipeline=pipeline, api="generate", base_url="http://localhost:9")


@pytest.mark.parametrize("name", ["device", "device_map", "pipeline_kwargs"])
def test_a_local_models_fields_beside_a_server(name: str) -> None:
    value: object = {"a": 1} if name == "pipeline_kwargs" else "cpu"
    with pytest.raises(ConfigurationError, match=f"{name} is for a local model"):
        EasyLLM(base_url="http://localhost:9", **{name: value})


def test_folders_and_repositories_are_models(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_model("org/name") == "org/name"
    assert check_model("gpt2") == "gpt2"
    assert check_model(folder) == folder
    monkeypatch.setenv("HOME", folder)
    assert check_model("~") == folder
    check_libraries("json", "asyncio")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "org/other"}, "is another model than the local one"),
        ({"watermark": True}, "watermark cannot be expressed"),
        ({"best_of": 2}, "best_of cannot be expressed"),
        ({"thinking": False}, "thinking cannot be expressed"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_a_call_cannot_ask_for(given: dict[str, Any], words: str, mode: str) -> None:

    llm = EasyLLM(pipeline=Pipeline("text-generation"), model="org/name")
    with pytest.raises(ConfigurationError, match=words):
        answer(mode, llm, "Hi", **given)
