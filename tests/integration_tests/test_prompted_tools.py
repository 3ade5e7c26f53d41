"""Calls of real servers' random model: where its decoding is constrained, and in the prompt."""

from __future__ import annotations

from typing import Literal

import pytest
from langchain_core.tools import tool

from langchain_easyllm import EasyLLMChat

MOVES = ("left", "right")


@tool
def move(way: Literal["left", "right"]) -> str:
    """Move."""
    return way


@tool
def turn(way: Literal["left", "right"], fast: bool) -> str:
    """Turn."""
    return way


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("choice", ["required", "turn"])
def test_llama_cpp_python_is_held_to_a_call(llama_cpp_server, choice, streamed):
    with EasyLLMChat(base_url=llama_cpp_server.base_url, max_tokens=200, seed=1) as model:
        bound = model.bind_tools([move, turn], tool_choice=choice)
        if streamed:
            answer = None
            for chunk in bound.stream("Go!"):
                answer = chunk if answer is None else answer + chunk
        else:
            answer = bound.invoke("Go!")
    assert answer.invalid_tool_calls == []
    [call] = answer.tool_calls
    assert call["name"] in ("move", "turn")
    assert call["args"]["way"] in MOVES
    assert answer.content == ""


@pytest.mark.parametrize("choice", ["required", "turn"])
def test_transformers_serve_is_asked_for_a_call(transformers_server, choice):
    with EasyLLMChat(base_url=transformers_server.base_url, max_tokens=8) as model:
        answer = model.bind_tools([move, turn], tool_choice=choice).invoke("Go!")
    assert answer.response_metadata["finish_reason"]


@pytest.mark.parametrize("server", ["transformers_server", "llama_cpp_server"])
def test_a_named_call_is_begun_on_a_text_api(request, server):
    url = request.getfixturevalue(server).base_url
    with EasyLLMChat(base_url=url, prompt_builder="zephyr", max_tokens=8) as model:
        answer = model.bind_tools([move, turn], tool_choice="turn").invoke("Go!")
    made = [*answer.tool_calls, *answer.invalid_tool_calls]
    assert [call["name"] for call in made] == ["turn"]
