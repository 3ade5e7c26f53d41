"""The built-in prompts are what LangChain's ReAct agents take."""

from __future__ import annotations

import pickle
import re

import pytest
from langchain_classic.agents import AgentExecutor, create_react_agent
from langchain_classic.agents.output_parsers import (
    ReActJsonSingleInputOutputParser,
    ReActSingleInputOutputParser,
)
from langchain_core.agents import AgentAction, AgentFinish
from langchain_core.tools import tool

from langchain_easyllm import EasyLLM
from langchain_easyllm.agents import AGENT_PROMPTS, agent_prompt
from langchain_easyllm.errors import ConfigurationError

from ...support import fake_text_servers

PARSERS = {
    "react": ReActSingleInputOutputParser(),
    "react-json": ReActJsonSingleInputOutputParser(),
}
ACTIONS = {
    "react": "I need to add.\nAction: add\nAction Input: 1+2",
    "react-json": (
        'I need to add.\nAction:\n```json\n{"action": "add", "action_input": "1+2"}\n```'
    ),
}


@tool
def add(expression: str) -> str:
    """Add numbers."""
    return str(sum(map(int, expression.split("+"))))


@pytest.mark.parametrize("name", AGENT_PROMPTS)
def test_the_variables_are_those_of_create_react_agent(name):
    prompt = agent_prompt(name)
    assert set(prompt.input_variables) == {"tools", "tool_names", "input", "agent_scratchpad"}
    assert pickle.loads(pickle.dumps(prompt)) == prompt


@pytest.mark.parametrize("name", AGENT_PROMPTS)
def test_the_format_that_is_asked_for_is_the_one_that_is_read(name):
    # The format's own example, filled in: what a model writes that keeps to it.
    text = agent_prompt(name).format(
        tools="add(expression: str) -> str - Add.",
        tool_names='"add"',
        input="What is 1+2?",
        agent_scratchpad="",
    )
    step, final = text.split("Use this format:\n")[1].split("Observation: ")
    step = step.replace("one of", "").replace("the input}", '"1+2"}')
    action = PARSERS[name].parse(step)
    assert isinstance(action, AgentAction)
    assert action.tool.strip('"') == "add"
    finish = PARSERS[name].parse(final.split("\n\nQuestion")[0])
    assert isinstance(finish, AgentFinish)
    assert finish.return_values == {"output": "the answer"}
    assert text.endswith("\n\nQuestion: What is 1+2?\nThought:")


@pytest.mark.parametrize("name", AGENT_PROMPTS)
def test_an_agent_sends_the_filled_prompt_and_its_steps(name, fake_server):
    fake_text_servers.serve(fake_server, "tgi", [ACTIONS[name]])
    with EasyLLM(base_url=fake_server.url, api="generate") as llm:
        agent = create_react_agent(llm, [add], agent_prompt(name), PARSERS[name])
        executor = AgentExecutor(agent=agent, tools=[add], max_iterations=2)
        executor.invoke({"input": "What is 1+2?"})
    first, second = (r.json["inputs"] for r in fake_server.requests if "generate" in r.path)
    assert " - Add numbers.\n\nUse this format:\n" in first
    assert first.endswith("\n\nQuestion: What is 1+2?\nThought:")
    assert second == f"{first}{ACTIONS[name]}\nObservation: 3\nThought: "


@pytest.mark.parametrize("name", AGENT_PROMPTS)
def test_the_hubs_names_are_names_of_these(name):
    assert agent_prompt(f"hwchase17/{name}") == agent_prompt(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("React", "did you mean 'react'"),
        ("react_json", "did you mean 'react-json'"),
        ("hwchase17/reactjson", "did you mean 'hwchase17/react-json'? There are react, react-json"),
        ("", "there are react, react-json, hwchase17/react, hwchase17/react-json."),
        ("self-ask", "there are react, react-json, hwchase17/react, hwchase17/react-json."),
    ],
)
def test_the_error_of_an_unknown_name_gives_the_right_one(name, hint):
    with pytest.raises(ConfigurationError, match=re.escape(f"{name!r}; {hint}")):
        agent_prompt(name)
