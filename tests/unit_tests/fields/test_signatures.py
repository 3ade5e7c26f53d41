"""What a notebook shows of a class before its first object is made."""

from __future__ import annotations

import inspect
import pydoc
from typing import Any

import pytest

import langchain_easyllm

from ...support.subprocess_scripts import assert_silent

NAMES = [name for name in langchain_easyllm.__all__ if name.startswith("EasyLLM")]
SCRIPT = """
import inspect
import langchain_easyllm
for name in NAMES:
    cls = getattr(langchain_easyllm, name)
    assert not cls.__pydantic_complete__, "an import builds nothing"
    shown = inspect.signature(cls).parameters
    assert set(shown) == set(cls.model_fields) >= {"model", "base_url", "api_key"}
    assert shown["timeout"].default == 120
"""


def test_all_fields_are_shown_before_the_first_object() -> None:
    assert_silent(SCRIPT.replace("NAMES", repr(NAMES)))


@pytest.fixture(params=NAMES)
def cls(request: pytest.FixtureRequest) -> Any:
    """A class that nobody has made an object of."""
    base = getattr(langchain_easyllm, request.param)
    base(model="org/name")  # its own signature is built

    class Own(base):
        mine: int = 1

    assert not Own.__pydantic_complete__
    return Own


def shown(cls: Any) -> set[str]:
    return set(inspect.signature(cls).parameters)


def test_a_subclass_shows_its_own(cls: Any) -> None:
    assert shown(cls) == set(cls.model_fields) > {"mine", "model", "base_url"}
    assert shown(cls) == shown(inspect.unwrap(cls)) == set(cls.__signature__.parameters)
    assert shown(cls.__bases__[0]) == set(cls.model_fields) - {"mine"}


def test_help_shows_all(cls: Any) -> None:
    words = pydoc.render_doc(cls, renderer=pydoc.plaintext).partition("Method resolution")[0]
    assert [name for name in cls.model_fields if f"{name}: " not in words] == []


def test_an_object_has_none(cls: Any) -> None:
    shown(cls)
    assert not hasattr(cls(model="org/name"), "__signature__")
    assert shown(cls) == set(cls.model_fields)


def test_a_class_that_is_built_at_once_shows_its_own(cls: Any) -> None:
    class Built(cls):
        model_config = {"defer_build": False}  # noqa: RUF012 - pydantic's
        later: int = 1

    assert Built.__pydantic_complete__
    assert shown(Built) == {*cls.model_fields, "later"}


def test_a_class_that_cannot_be_built_yet_shows_no_other_ones(cls: Any) -> None:
    class Early(cls):
        later: Later | None = None

    assert shown(Early) == {"args", "values"}  # of Python itself

    class Later:
        pass

    assert Early.model_rebuild()
    assert shown(Early) == {*cls.model_fields, "later"}
