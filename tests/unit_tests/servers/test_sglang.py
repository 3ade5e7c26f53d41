"""SGLang, as its documents describe it: what it has that others have not."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, answer, body_of

REGEX = {"type": "regex", "value": "[0-9]+"}


@pytest.mark.parametrize("name", ["grammar", "response_format"])
@pytest.mark.parametrize("cls", CLASSES)
def test_a_regex_has_a_key_of_its_own(
    fake_server: FakeServer, cls: Any, name: str, mode: str
) -> None:
    serve(fake_server, "sglang")
    answer(mode, cls(base_url=fake_server.url, **{name: REGEX}))
    body = body_of(fake_server)
    assert body["regex"] == "[0-9]+"
    assert "response_format" not in body


@each_case("name", ["truncate", "typical_p", "watermark", "best_of"])
@each_case("cls", CLASSES)
def test_a_field_that_it_ignores_is_an_error(
    fake_server: FakeServer, cls: Any, name: str, mode: str
) -> None:
    serve(fake_server, "sglang")
    value: Any = {"truncate": 5, "typical_p": 0.5, "watermark": True, "best_of": 2}[name]
    with pytest.raises(ConfigurationError, match=rf"{name} cannot be expressed .*sglang"):
        answer(mode, cls(base_url=fake_server.url, **{name: value}))
    assert not [request for request in fake_server.requests if request.method == "POST"]


def test_a_call_is_constrained_where_it_is_required(fake_server: FakeServer) -> None:
    tool = {"name": "add", "description": "Add.", "parameters": {"type": "object"}}
    serve(fake_server, "sglang", ['{"name": "add", "arguments": {}}'])
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="chatml")
    message = model.bind_tools([tool], tool_choice="any").invoke("Hi")
    assert [call["name"] for call in message.tool_calls] == ["add"]
    schema = body_of(fake_server)["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["name"]["enum"] == ["add"]


@pytest.mark.parametrize("server", ["sglang", "ollama"])
@pytest.mark.parametrize("cls", CLASSES)
def test_its_own_generate_route_is_not_tgis(
    fake_server: FakeServer, cls: Any, server: str, mode: str
) -> None:
    serve(fake_server, server)
    assert EasyLLM(base_url=fake_server.url).invoke("Hi") == "Hello world"
    sent = len(fake_server.requests)
    model = cls(base_url=fake_server.url, api="generate", prompt_builder="chatml")
    with pytest.raises(ConfigurationError, match=rf"\({server}\) .*api='chat' or api='compl"):
        answer(mode, model)
    assert len(fake_server.requests) == sent
