"""The model's name under other packages' name, and fields that were not named."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from langchain_core.load import dumpd

import langchain_easyllm
from langchain_easyllm.errors import ConfigurationError

CLASSES = [
    getattr(langchain_easyllm, name)
    for name in langchain_easyllm.__all__
    if name.startswith("EasyLLM")
]
CLASS = pytest.mark.parametrize("cls", CLASSES)


@CLASS
def test_model_name_is_the_model(cls: Any) -> None:
    made = cls(model_name="org/name")
    assert (made.model_name, made.model) == ("org/name", "org/name")
    for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again == made
        assert again.model_name == "org/name"
    assert made.model_copy(update={"model": "org/other"}).model_name == "org/other"
    made.model_name = "org/third"
    assert made == cls(model="org/third")
    assert cls(base_url="http://localhost:9").model_name is None


@CLASS
def test_it_is_no_field(cls: Any) -> None:
    made = cls(model="org/name")
    assert "model_name" not in {**cls.model_fields, **made.model_dump()}
    assert "model_name" not in str(dumpd(made))
    assert "model_name=" not in repr(made)


@CLASS
@pytest.mark.parametrize("given", [("org/name",), ("hf_topsecret", "b"), (None,)])
def test_a_field_without_its_name_is_an_error_in_our_words(cls: Any, given: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        cls(*given, temperature=0)
    name = cls.__name__
    assert str(caught.value) == (
        f"{name} takes its fields by name: write {name}(model=...) for a model, "
        f"{name}(base_url=...) for a server."
    )
