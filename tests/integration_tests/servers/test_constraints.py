"""Shapes, tools and agents on real servers, with a model that is too small to be trusted.

Where decoding is constrained, what comes back fits whatever the model would have said; elsewhere,
it fits, or it is an error that says so.
"""

from __future__ import annotations

import asyncio
from functools import reduce
from operator import add
from typing import Any, Literal

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain.agents.structured_output import ProviderStrategy
from langchain_classic.agents import AgentExecutor, create_react_agent
from langchain_classic.agents.output_parsers import JSONAgentOutputParser
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from pydantic import BaseModel, Field

from langchain_easyllm.agents import agent_prompt
from langchain_easyllm.errors import ConfigurationError, StructuredOutputError

QUESTION = "Is the traffic light red or green?"


class Light(BaseModel):
    """A traffic light."""

    colour: Literal["red", "green"]
    lit: bool


@tool
def look(where: Literal["up", "down"]) -> str:
    """Look somewhere."""
    return f"the sky, looking {where}"


@tool
def wait(minutes: Literal["one", "two"]) -> str:
    """Wait."""
    return f"waited {minutes}"


def asked_by(mode: str, chain: Any, given: str) -> Any:
    if mode == "invoke":
        return chain.invoke(given)
    if mode == "ainvoke":
        return asyncio.run(chain.ainvoke(given))
    return list(chain.stream(given))[-1]


@pytest.mark.parametrize(
    ("method", "mode"),
    [
        *((None, mode) for mode in ("invoke", "ainvoke", "stream")),
        ("json_schema", "invoke"),
        ("function_calling", "stream"),
        ("json_mode", "invoke"),
    ],
)
def test_an_answer_fits_its_schema_or_is_an_error(server, method, mode):
    chat = server.chat(max_tokens=60 if "constraints" in server.has else 20)
    chain = chat.with_structured_output(Light, **({"method": method} if method else {}))
    question = QUESTION + " Answer as JSON with the keys colour and lit."
    certain = "constraints" in server.has and method != "json_mode"
    if method == "function_calling":
        certain = certain and server.name != "litellm"
    try:
        found = asked_by(mode, chain, question)
    except (ConfigurationError, StructuredOutputError):
        assert not certain
    else:
        assert isinstance(found, Light)


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_tools_are_taken_and_nothing_is_forced(server, choice):
    chat = server.chat(max_tokens=8).bind_tools([look, wait], tool_choice=choice)
    whole, streamed = chat.invoke(QUESTION), reduce(add, chat.stream(QUESTION))
    assert (whole.text, len(whole.tool_calls)) == (streamed.text, len(streamed.tool_calls))
    if choice == "none":
        assert not whole.tool_calls
    for call in whole.tool_calls:
        assert call["name"] in ("look", "wait")
    assert whole.response_metadata["finish_reason"] in ("stop", "length", "tool_calls")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("choice", ["any", "wait"])
def test_a_call_is_forced(server, choice, streamed):
    if "constraints" not in server.has or server.name == "litellm":
        pytest.skip("nothing holds the model to a call there")
    chat = server.chat(max_tokens=60).bind_tools([look, wait], tool_choice=choice)
    said = reduce(add, chat.stream(QUESTION)) if streamed else chat.invoke(QUESTION)
    check_call(said, ["look", "wait"] if choice == "any" else [choice])


def check_call(said: Any, names: list[str]) -> None:
    assert said.invalid_tool_calls == []
    assert len({call["id"] for call in said.tool_calls}) == len(said.tool_calls) > 0
    for call in said.tool_calls:
        assert call["name"] in names
        {"look": look, "wait": wait}[call["name"]].args_schema.model_validate(call["args"])
    assert said.response_metadata["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("choice", ["any", "wait"])
def test_a_call_that_is_described_in_the_prompt(server, choice, streamed):
    most = 60 if "text constraints" in server.has else 16
    chat = server.chat(prompt_builder="smollm2", max_tokens=most)
    bound = chat.bind_tools([look, wait], tool_choice=choice)
    said = reduce(add, bound.stream(QUESTION)) if streamed else bound.invoke(QUESTION)
    names = ["look", "wait"] if choice == "any" else [choice]
    if "text constraints" in server.has:
        check_call(said, names)
        return
    for call in said.tool_calls:
        assert call["name"] in names
    if choice == "wait":  # it was begun for the model
        assert [call["name"] for call in (*said.tool_calls, *said.invalid_tool_calls)] == ["wait"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_agent_calls_a_tool_and_comes_to_its_end(server, asynchronous):
    """`create_agent` with tools in the prompt: held to a call first, and then to a text."""

    class Held(BaseModel):
        calls: list[str] = Field(default_factory=list)

    held = Held()
    if "text constraints" not in server.has:
        pytest.skip("nothing holds the model to a call there")

    def force(request: Any) -> Any:
        called = any(message.type == "tool" for message in request.messages)
        held.calls.append("none" if called else "look")
        return request.override(tool_choice=held.calls[-1])

    @wrap_model_call
    async def first_a_call_async(request: Any, handler: Any) -> Any:
        return await handler(force(request))

    @wrap_model_call
    def first_a_call(request: Any, handler: Any) -> Any:
        return handler(force(request))

    chat = server.chat(prompt_builder="smollm2", max_tokens=40)
    middleware = [first_a_call_async if asynchronous else first_a_call]
    agent = create_agent(chat, [look, wait], middleware=middleware)
    given: Any = {"messages": [("human", "Look up, and say what you see.")]}
    done = asyncio.run(agent.ainvoke(given)) if asynchronous else agent.invoke(given)
    kinds = [message.type for message in done["messages"]]
    assert kinds[:3] == ["human", "ai", "tool"]
    assert kinds[-1] == "ai"
    assert done["messages"][2].content.startswith("the sky, looking ")
    assert done["messages"][-1].text
    assert held.calls == ["look", "none"]


class Report(BaseModel):
    """What was seen."""

    place: Literal["up", "down"]
    bright: bool


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("prompt_builder", [None, "smollm2"])
def test_tools_and_a_schema_in_one_call(server, prompt_builder, streamed):
    """Calls where they are forced, and the object where the model ends without one."""
    asked = server.chat(max_tokens=60, prompt_builder=prompt_builder)

    def said(choice: str | None, talk: Any) -> Any:
        bound = asked.bind_tools([look, wait], tool_choice=choice, response_format=Report)
        return reduce(add, bound.stream(talk)) if streamed else bound.invoke(talk)

    talk: list[Any] = [("human", "Look up, then look down. Is it bright?")]
    held = "constraints" if prompt_builder is None else "text constraints"
    certain = held in server.has
    if certain and server.name != "litellm":
        for name in ("look", "wait"):
            called = said(name, talk)
            check_call(called, [name])
            assert called.response_metadata["response_format_method"] == "tools_first"
            tool_named = {"look": look, "wait": wait}[name]
            talk += [called, *(tool_named.invoke(call) for call in called.tool_calls)]
    for choice, way in ((None, "second_request"), ("none", "without_tools")):
        try:
            ended = said(choice, talk)
        except ConfigurationError:  # it has no field for a constraint
            assert not certain
            continue
        if ended.tool_calls or ended.invalid_tool_calls:
            assert choice is None
            continue
        assert ended.response_metadata["response_format_method"] == way
        if certain:
            assert ended.usage_metadata["output_tokens"] > 0
            assert isinstance(Report.model_validate_json(ended.text), Report)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_agent_answers_with_an_object_after_two_calls(server, asynchronous):
    if "constraints" not in server.has or server.name == "litellm":
        pytest.skip("nothing holds the model to a call there")
    choices = iter(["look", "wait", "none"])

    @wrap_model_call
    async def in_turn_async(request: Any, handler: Any) -> Any:
        return await handler(request.override(model_settings={"tool_choice": next(choices)}))

    @wrap_model_call
    def in_turn(request: Any, handler: Any) -> Any:
        return handler(request.override(model_settings={"tool_choice": next(choices)}))

    middleware = [in_turn_async if asynchronous else in_turn]
    form = ProviderStrategy(Report)
    agent = create_agent(
        server.chat(max_tokens=60), [look, wait], middleware=middleware, response_format=form
    )
    given: Any = {"messages": [("human", "Look up, wait, and say what you see.")]}
    done = asyncio.run(agent.ainvoke(given)) if asynchronous else agent.invoke(given)
    results = [message.name for message in done["messages"] if message.type == "tool"]
    assert results == ["look", "wait"]
    assert isinstance(done["structured_response"], Report)


def test_an_agent_of_texts_comes_to_its_end(server):
    """A ReAct agent with a model that cannot: it ends nonetheless, and nothing is made up."""
    agent = create_react_agent(server.llm(max_tokens=16), [look, wait], agent_prompt("react"))
    executor = AgentExecutor(
        agent=agent,
        tools=[look, wait],
        max_iterations=2,
        handle_parsing_errors=True,
        return_intermediate_steps=True,
    )
    done = executor.invoke({"input": QUESTION})
    assert done["output"]
    for action, _ in done["intermediate_steps"]:
        assert "\nObservation" not in action.log


ACTION = {
    "type": "object",
    "properties": {"action": {"enum": ["look"]}, "action_input": {"enum": ["up", "down"]}},
    "required": ["action", "action_input"],
    "additionalProperties": False,
}
ANSWER = {
    "type": "object",
    "properties": {
        "action": {"enum": ["Final Answer"]},
        "action_input": {"type": "string", "maxLength": 12},
    },
    "required": ["action", "action_input"],
    "additionalProperties": False,
}


def test_an_agent_that_is_held_to_its_format_looks_and_answers(server):
    """`AgentExecutor`: an action first, and the answer once it has been observed."""
    if "text constraints" not in server.has:
        pytest.skip("nothing holds the model to a format there")
    llm = server.llm(max_tokens=60)

    def step(prompt: Any) -> Any:
        seen = "the sky" in prompt.to_string()
        return llm.bind(grammar={"type": "json", "value": ANSWER if seen else ACTION})

    prompt = PromptTemplate.from_template("{tools} {tool_names}\n{input}\n{agent_scratchpad}")
    agent = create_react_agent(
        RunnableLambda(step), [look], prompt, JSONAgentOutputParser(), stop_sequence=False
    )
    executor = AgentExecutor(agent=agent, tools=[look], return_intermediate_steps=True)
    done = executor.invoke({"input": QUESTION})
    [(action, seen)] = done["intermediate_steps"]
    assert (action.tool, seen) == ("look", f"the sky, looking {action.tool_input}")
    assert isinstance(done["output"], str)
