"""`from_model_id`, as `HuggingFacePipeline` and `ChatHuggingFace` have it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from langchain_easyllm.errors import ConfigurationError

from ...support.invocation_modes import CLASSES

CLASS = pytest.mark.parametrize("cls", CLASSES)


@pytest.fixture(autouse=True)
def _libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("torch", "transformers"):  # whether or not they are installed here
        monkeypatch.setitem(sys.modules, library, sys)


@CLASS
def test_the_guides_call(cls: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    given = {"max_new_tokens": 10, "top_k": 50, "temperature": 0.1, "framework": "pt"}
    model = cls.from_model_id(
        model_id=str(tmp_path),
        task="text-generation",
        device=0,
        batch_size=2,
        model_kwargs={"revision": "main"},
        pipeline_kwargs=given,
        stop=["\n"],
    )
    expected = {
        "api": "local",
        "model": str(tmp_path),
        "device": 0,
        "batch_size": 2,
        "model_kwargs": {"revision": "main"},
        "pipeline_kwargs": {"framework": "pt"},
        "max_tokens": 10,
        "top_k": 50,
        "temperature": 0.1,
        "stop": ["\n"],
    }
    assert {name: getattr(model, name) for name in expected} == expected
    assert given["max_new_tokens"] == 10  # the caller's own dict is left as it is
    assert type(model) is cls


@CLASS
def test_what_is_left_out(cls: Any) -> None:
    model = cls.from_model_id("gpt2")
    assert (model.api, model.model, model.batch_size, model.device) == ("local", "gpt2", 8, None)
    # -1 is what their examples have beside a map.
    both = cls.from_model_id("gpt2", "text-generation", "default", -1, "auto")
    assert (both.device, both.device_map) == (None, "auto")


@CLASS
@pytest.mark.parametrize("backend", ["endpoint", "text-gen"])
def test_a_server_instead(cls: Any, backend: str) -> None:
    given = {"task": "text-generation", "model_kwargs": {"lora": "a"}, "max_new_tokens": 5}
    model = cls.from_model_id("org/name", backend=backend, base_url="http://localhost:9", **given)
    assert (model.api, model.model, model.max_tokens) == ("auto", "org/name", 5)
    assert model.base_url == "http://localhost:9"
    assert model.model_kwargs == {"lora": "a"}


@CLASS
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"task": "text2text-generation"}, "does 'text-generation' only; serve it"),
        ({"task": "image-text-to-text"}, "does 'text-generation' only; serve it"),
        ({"task": "text-genration"}, "did you mean 'text-generation'"),
        ({"backend": "openvino"}, "backend='openvino' is not loaded here"),
        ({"backend": "pipline"}, "did you mean 'pipeline'"),
        ({"backend": "x"}, "use 'default', 'pipeline', 'endpoint', 'text-gen'"),
        ({"backend": "endpoint", "device": 0}, "device is for a model in this process"),
        ({"backend": "endpoint", "task": "summarization"}, "task='summarization' is not what"),
        ({"device": 0, "device_map": "auto"}, "device and device_map"),
        ({"pipeline_kwargs": {"max_new_tokens": 1}, "max_tokens": 2}, "max_tokens was given twice"),
        ({"model_id": "/no/such/folder"}, "There is no folder"),
    ],
)
def test_what_cannot_be_done_is_said(cls: Any, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        cls.from_model_id(**{"model_id": "gpt2", **fields})
