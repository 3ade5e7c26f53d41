"""What LangChain's agents, middleware and `init_chat_model` make of a chat model's profile."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain.chat_models import base, init_chat_model
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import ConfigurableField
from pydantic import BaseModel

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.offline import OfflineServer

from ...support.agent_invocation import agent_input, every_mode
from ...support.fake_server import FakeServer, Reply
from ...support.fake_text_servers import chat, models, serve
from ...support.fake_tool_calls import Turn, serve_turns

PAIRS = 4


def offline(server: OfflineServer, **fields: Any) -> EasyLLMChat:
    return EasyLLMChat(base_url=server.base_url, temperature=0, max_tokens=20, **fields)


def summarizing(llm: EasyLLMChat) -> Any:
    middleware = SummarizationMiddleware(
        llm, trigger=("fraction", 0.1), keep=("messages", 2), summary_prompt="Sum up: {messages}"
    )
    return create_agent(llm, middleware=[middleware])


def long_conversation() -> dict[str, Any]:
    pairs = [
        (HumanMessage("The code is 4711. " * 6), AIMessage("Noted. " * 6)) for _ in range(PAIRS)
    ]
    return {"messages": [*chain.from_iterable(pairs), HumanMessage("What is the code?")]}


def assert_summarized(state: Any) -> None:
    # The oldest messages gave way to one; the last two and the answer stay.
    assert len(state["messages"]) == 4
    assert "summary" in state["messages"][0].text.lower()


def test_a_conversation_is_summarized_by_the_context_length_of_the_server(
    offline_server: OfflineServer,
) -> None:
    agent = summarizing(offline(offline_server))
    assert_summarized(agent.invoke(long_conversation()))


def test_the_same_in_a_notebook_where_a_loop_runs(offline_server: OfflineServer) -> None:
    async def cell() -> Any:
        agent = summarizing(offline(offline_server))
        return await agent.ainvoke(long_conversation())

    assert_summarized(asyncio.run(cell()))


def test_a_fraction_of_what_the_caller_says(fake_server: FakeServer) -> None:
    serve(fake_server, "openai")  # which names no length
    with pytest.raises(ValueError, match="profile information is required"):
        summarizing(EasyLLMChat(base_url=fake_server.url))
    summarizing(EasyLLMChat(base_url=fake_server.url, profile={"max_input_tokens": 4096}))


class Sum(BaseModel):
    """A sum."""

    total: int


@every_mode
@pytest.mark.parametrize("profile", [None, {"structured_output": False}])
def test_an_agent_has_the_server_hold_its_answer_to_a_schema(
    fake_server: FakeServer, invoke_agent: Any, profile: Any
) -> None:
    by_schema = profile is None
    turn = Turn(['{"total": 37}']) if by_schema else Turn(calls=[("Sum", '{"total": 37}')])
    serve_turns(fake_server, "vllm", turn)
    llm = EasyLLMChat(base_url=fake_server.url, profile=profile)
    agent = create_agent(llm, response_format=Sum)
    assert invoke_agent(agent, agent_input("Add."))["structured_response"] == Sum(total=37)
    body: Any = fake_server.requests[-1].json
    assert ("response_format" in body) is by_schema
    assert ("tools" in body) is not by_schema


def test_a_string_of_init_chat_model_cannot_name_this_package() -> None:
    with pytest.raises(ValueError, match="easyllm"):
        init_chat_model("easyllm:Qwen/Qwen3-32B")
    with pytest.raises(TypeError, match="use it directly"):
        init_chat_model(EasyLLMChat(model="Qwen/Qwen3-32B"))  # type: ignore[call-overload]


def test_the_line_that_names_it(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `docs/profiles.md` has it."""
    monkeypatch.setattr(base, "_BUILTIN_PROVIDERS", dict(base._BUILTIN_PROVIDERS))
    base._BUILTIN_PROVIDERS["easyllm"] = "langchain_easyllm", "EasyLLMChat", base._call
    llm = init_chat_model("easyllm:Qwen/Qwen3-32B", temperature=0.5)
    assert isinstance(llm, EasyLLMChat)
    assert (llm.model, llm.temperature) == ("Qwen/Qwen3-32B", 0.5)
    fake_server.on("GET", "/v1/models", models("a", "b", owned_by="vllm"))
    fake_server.on("POST", "/v1/chat/completions", chat("Hi"))
    chosen = init_chat_model(
        model_provider="easyllm", base_url=fake_server.url, configurable_fields=["model"]
    )
    assert chosen.invoke("Hello", {"configurable": {"model": "b"}}).text == "Hi"
    assert fake_server.requests[-1].json["model"] == "b"  # type: ignore[index]


def test_a_model_that_is_chosen_by_each_call(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/v1/models", models("a", "b", owned_by="vllm"))
    fake_server.on("POST", "/v1/chat/completions", chat("Hi"))
    llm = EasyLLMChat(base_url=fake_server.url, model="a", profile={"max_input_tokens": 9})
    chosen = llm.configurable_fields(model=ConfigurableField("model"))
    assert chosen.invoke("Hello", {"configurable": {"model": "b"}}).text == "Hi"
    assert fake_server.requests[-1].json["model"] == "b"  # type: ignore[index]


def test_a_server_without_an_answer_costs_an_agent_little(fake_server: FakeServer) -> None:
    """A profile that nobody knows is asked for once, and not at each step."""
    failing = Reply({"error": "loading"}, status=503)
    fake_server.on("GET", "/info", failing)
    fake_server.on("GET", "/v1/models", failing)
    fake_server.on("POST", "/v1/chat/completions", chat("Hi"))
    llm = EasyLLMChat(base_url=fake_server.url, model="a", api="chat")
    for _ in range(5):
        assert llm.profile is None
    assert len(fake_server.received("/info")) == 1
