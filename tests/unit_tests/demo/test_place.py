"""Where the demo asks."""

from __future__ import annotations

import os

import httpx
import pytest

from demo.languages import ENGLISH
from demo.place import find_place

from ...support.tiny_gguf import instead_of_smollm2


@pytest.fixture(autouse=True)
def no_login(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING", "BASE_URL"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path))


def test_smollm2_is_served_here(monkeypatch, tmp_path):
    monkeypatch.setenv("MODEL", "smollm2")
    monkeypatch.setenv("HF_TOKEN", "hf_none")  # a token is no reason to go elsewhere
    with instead_of_smollm2(tmp_path), find_place(ENGLISH) as place:
        models = httpx.get(f"{place.fields['base_url']}/v1/models").json()
        assert [model["id"] for model in models["data"]] == ["HuggingFaceTB/SmolLM2-135M-Instruct"]
        assert place.agent["prompt_builder"] == "smollm2"


def test_another_model_is_asked_at_inference_providers(monkeypatch):
    monkeypatch.setenv("MODEL", "org/other")
    with find_place(ENGLISH) as place:
        assert place.fields == {"model": "org/other"}
