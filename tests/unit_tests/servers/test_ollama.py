"""Ollama, as its documents describe it: what it has that others have not."""

from __future__ import annotations

import pytest

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.errors import ConfigurationError

from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import chat, models, serve
from ...support.invocation_modes import answer, body_of


@pytest.mark.parametrize(("thinking", "effort"), [(True, "medium"), (False, "none")])
def test_thinking_is_switched_by_the_effort(
    fake_server: FakeServer, thinking: bool, effort: str, mode: str
) -> None:
    serve(fake_server, "ollama")
    answer(mode, EasyLLMChat(base_url=fake_server.url, thinking=thinking))
    body = body_of(fake_server)
    assert body["reasoning_effort"] == effort
    assert "chat_template_kwargs" not in body


def test_a_thought_is_reasoning(fake_server: FakeServer, whole_mode: str) -> None:
    serve(fake_server, "ollama")
    reply = chat("Yes.", server_name="ollama", message={"reasoning": "Let me see."})
    fake_server.on("POST", "/v1/chat/completions", reply)
    message = answer(whole_mode, EasyLLMChat(base_url=fake_server.url))
    assert message.content == "Yes."
    assert message.additional_kwargs["reasoning_content"] == "Let me see."


def test_one_of_its_models_has_to_be_named(fake_server: FakeServer, mode: str) -> None:
    def respond(request: Received) -> Reply:
        assert isinstance(request.json, dict)
        return chat("Hi.", server_name="ollama", model=request.json["model"])

    serve(fake_server, "ollama")
    fake_server.on("GET", "/v1/models", models("a:1b", "b:2b", owned_by="library"))
    fake_server.on("POST", "/v1/chat/completions", respond)
    with pytest.raises(ConfigurationError, match="set model to one of a:1b, b:2b"):
        answer(mode, EasyLLMChat(base_url=fake_server.url))
    answer("invoke", EasyLLMChat(base_url=fake_server.url, model="b:2b"))
    assert body_of(fake_server)["model"] == "b:2b"
