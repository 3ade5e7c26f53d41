"""Objects of the caller's own: a TLS context, a function that builds prompts."""

from __future__ import annotations

import copy
import pickle
import ssl
from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from langchain_easyllm.errors import ConfigurationError

from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, answer, body_of

CLASS = pytest.mark.parametrize("cls", CLASSES)


@CLASS
def test_a_tls_context_is_shared_by_copies(cls: Any) -> None:
    context = ssl.create_default_context()
    model = cls(base_url="https://localhost:9", verify=context)
    for again in (copy.copy(model), copy.deepcopy(model), model.model_copy(deep=True)):
        assert again.verify is context
    with pytest.raises((ConfigurationError, TypeError), match="SSLContext"):
        pickle.dumps(model)


@CLASS
def test_a_callable_is_given_messages(fake_server: FakeServer, cls: type, mode: str) -> None:
    serve(fake_server, "tgi")
    given: list[Any] = []

    def builder(messages: list[BaseMessage]) -> str:
        given.extend(messages)
        return f"Q: {messages[-1].content}\nA:"

    answer(mode, cls(base_url=fake_server.url, prompt_builder=builder))
    assert all(isinstance(message, BaseMessage) for message in given)
    assert body_of(fake_server)["inputs"] == "Q: Hi\nA:"
