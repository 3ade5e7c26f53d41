"""Tools and shapes on real servers: what is sent is understood, and what is forced comes back."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_tests.integration_tests import ChatModelIntegrationTests
from pydantic import BaseModel

from langchain_easyllm import EasyLLMChat

from ..support.real_servers.server_process import RunningServer

GREEDY = {"temperature": 0, "max_tokens": 48}


class Choice(BaseModel):
    """What to do."""

    colour: Literal["red", "green"]
    sure: bool


@tool
def look(where: str) -> str:
    """Look somewhere."""
    return where


@pytest.fixture(params=["transformers_server", "llama_cpp_server"])
def server(request: pytest.FixtureRequest) -> RunningServer:
    return request.getfixturevalue(request.param)


def in_every_mode(runnable: Any, given: Any) -> list[Any]:
    async def streamed() -> Any:
        return [chunk async for chunk in runnable.astream(given)]

    def joined(chunks: list[Any]) -> Any:
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        return whole

    return [
        runnable.invoke(given),
        asyncio.run(runnable.ainvoke(given)),
        joined(list(runnable.stream(given))),
        joined(asyncio.run(streamed())),
    ]


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_a_server_takes_tools(server: RunningServer, choice: str | None) -> None:
    model = EasyLLMChat(base_url=server.base_url, **GREEDY)
    asked = model.bind_tools([look, Choice], tool_choice=choice)
    answers = in_every_mode(asked, "Look around.")
    assert len({answer.text for answer in answers}) == 1
    assert {answer.response_metadata["finish_reason"] for answer in answers} <= {"stop", "length"}


def test_a_server_takes_calls_and_their_answers(server: RunningServer) -> None:
    calls: Any = [
        {"name": "look", "args": {"where": "up"}, "id": "c00000001", "type": "tool_call"},
        {"name": "look", "args": {}, "id": "c00000002", "type": "tool_call"},
    ]
    messages = [
        HumanMessage("Look up."),
        AIMessage("", tool_calls=calls),
        ToolMessage("sky", tool_call_id="c00000001"),
        ToolMessage("no place", tool_call_id="c00000002", status="error"),
    ]
    model = EasyLLMChat(base_url=server.base_url, **GREEDY).bind_tools([look])
    assert len({answer.text for answer in in_every_mode(model, messages)}) == 1


@pytest.mark.parametrize("choice", ["Choice", "any", True])
def test_llama_cpp_python_is_made_to_call(llama_cpp_server: RunningServer, choice: Any) -> None:
    model = EasyLLMChat(base_url=llama_cpp_server.base_url, **GREEDY)
    tools = [Choice] if choice != "Choice" else [look, Choice]
    asked = model.bind_tools(tools, tool_choice=choice)
    for answer in in_every_mode(asked, "Choose."):
        (call,) = answer.tool_calls
        assert call["name"] == "Choice"
        Choice.model_validate(call["args"])
        assert answer.response_metadata["finish_reason"] == "tool_calls"


def test_a_call_that_is_cut_off_is_no_call(llama_cpp_server: RunningServer) -> None:
    model = EasyLLMChat(base_url=llama_cpp_server.base_url, temperature=0, max_tokens=4)
    for answer in in_every_mode(model.bind_tools([Choice], tool_choice="any"), "Choose."):
        assert answer.tool_calls == []
        assert answer.invalid_tool_calls[0]["name"] == "Choice"
        assert answer.response_metadata["finish_reason"] == "length"


@pytest.mark.parametrize("method", [None, "json_schema", "function_calling"])
@pytest.mark.parametrize("schema", [Choice, Choice.model_json_schema()])
def test_llama_cpp_python_is_constrained_to_a_schema(
    llama_cpp_server: RunningServer, method: Any, schema: Any
) -> None:
    model = EasyLLMChat(base_url=llama_cpp_server.base_url, **GREEDY)
    chain = model.with_structured_output(schema, method=method)
    found = [chain.invoke("Choose."), asyncio.run(chain.ainvoke("Choose."))]
    found.append(list(chain.stream("Choose."))[-1])
    assert all(one == found[0] for one in found)
    Choice.model_validate(found[0])


class TestStandardOnTransformersServe(ChatModelIntegrationTests):
    """langchain-tests' suite on `transformers serve`, with a model of random weights.

    Such a model calls nothing and writes no JSON, so the suite leaves tools and shapes out here.
    """

    @pytest.fixture(autouse=True)
    def _served(self, transformers_server: RunningServer) -> None:
        self.url = transformers_server.base_url

    @property
    def chat_model_class(self) -> type[EasyLLMChat]:
        return EasyLLMChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": self.url, **GREEDY}

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False
