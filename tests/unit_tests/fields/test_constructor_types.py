"""What type checkers know of constructors, and what constructors take."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest

import langchain_easyllm
from langchain_easyllm._fields.aliases import ALIASES
from langchain_easyllm.errors import ConfigurationError

from ...typing import constructors

CLASSES = [
    getattr(langchain_easyllm, name)
    for name in langchain_easyllm.__all__
    if name.startswith("EasyLLM")
]
ARGUMENTS = {"additional_headers", "server_kwargs", "task", "client", "async_client", "tokenizer"}


def declared(cls: type) -> set[str]:
    """The names that a class and its bases declare for type checkers only."""
    names = set()
    for base in cls.__mro__:
        if base.__module__.startswith("langchain_easyllm"):
            (node,) = ast.parse(inspect.getsource(base).lstrip()).body
            assert isinstance(node, ast.ClassDef)
            names |= {
                line.target.id
                for block in node.body
                if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
                for line in block.body
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
            }
    return names


@pytest.mark.parametrize("cls", CLASSES)
def test_checkers_know_each_name_that_a_class_takes(cls: Any) -> None:
    aliases = {name for name, own in ALIASES.items() if own in cls.model_fields}
    more = {
        "EasyLLM": {"format", "reasoning"},
        "EasyLLMChat": {"llm", "format", "reasoning"},
        "EasyLLMEmbeddings": {"encode_kwargs"},
    }
    assert declared(cls) == aliases | ARGUMENTS | more.get(cls.__name__, set())
    assert not declared(cls) & cls.model_fields.keys()


@pytest.mark.parametrize("cls", CLASSES)
def test_what_checkers_know_is_taken(cls: Any) -> None:
    for name in declared(cls):
        cls(model="org/name", **{name: None})
    with pytest.raises(ConfigurationError, match="There is no field 'model_nam'"):
        cls(model_nam="org/name")


def test_what_checkers_accept_works() -> None:
    constructors.accepted()
    constructors.read()


def test_what_checkers_refuse_does_not_work() -> None:
    lines = inspect.getsource(constructors.refused).splitlines()
    calls = [line.partition("#")[0].strip() for line in lines if "type: ignore" in line]
    assert len(calls) > 10
    for call in calls:
        with pytest.raises((ConfigurationError, TypeError)):
            eval(call, vars(constructors))
