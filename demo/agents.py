"""Agents with a search tool and a calculator: ReAct as text and as JSON, and tool calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from langchain_classic.agents import (
    AgentExecutor,
    create_react_agent,
    create_tool_calling_agent,
)
from langchain_classic.agents.output_parsers import (
    ReActJsonSingleInputOutputParser,
    ReActSingleInputOutputParser,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.agents import agent_prompt
from langchain_easyllm.prompts import get_prompt

from .place import Place
from .screen import Screen
from .show import Show
from .tools import found_something, tools

__all__ = ["react_agent", "tool_calling_agent"]

PARSERS = {
    "react": ReActSingleInputOutputParser(),
    "react-json": ReActJsonSingleInputOutputParser(),
}
# The offline model calls tools by the description of the tools alone.
CALLING = ChatPromptTemplate.from_messages(
    [("human", "{input}"), ("placeholder", "{agent_scratchpad}")]
)

STOPPED = "Agent stopped due to"
"""What LangChain's answer begins with where there is none."""

Model = EasyLLM | EasyLLMChat
Maker = Callable[[Model, Sequence[BaseTool]], Runnable]


def react_agent(
    place: Place, screen: Screen, question: str, *, variant: str, model: type[Model]
) -> bool:
    """Let a ReAct agent answer, showing each step.

    Args:
        place: Whom to ask.
        screen: Where to show it.
        question: The question.
        variant: `"react"` or `"react-json"`.
        model: The class of the model object: any will do.

    Returns:
        Whether the tools were of use, or were not needed.
    """

    def make(llm: Model, tools: Sequence[BaseTool]) -> Runnable:
        return create_react_agent(llm, tools, agent_prompt(variant), PARSERS[variant])

    render = get_prompt(place.template).render if place.template else None
    with model(**place.agent, temperature=0, max_tokens=256) as llm:
        return _run(screen, question, make, llm, Show(screen, render))


def tool_calling_agent(place: Place, screen: Screen, question: str) -> bool:
    """Let an agent answer by the server's tool calls, showing each step, as `react_agent` does."""

    def make(llm: Model, tools: Sequence[BaseTool]) -> Runnable:
        return create_tool_calling_agent(llm, tools, CALLING)

    with EasyLLMChat(**place.chat, temperature=0, max_tokens=256) as llm:
        return _run(screen, question, make, llm, Show(screen))


def _run(screen: Screen, question: str, make: Maker, llm: Model, show: Show) -> bool:
    start, say = time.perf_counter(), screen.language
    own = tools(say)
    executor = AgentExecutor(
        agent=make(llm, own),
        tools=own,
        max_iterations=8,
        handle_parsing_errors=say.off_format,
        return_intermediate_steps=True,
    )
    done = executor.invoke({"input": question}, {"callbacks": [show]})
    results = [str(result) for _, result in done["intermediate_steps"]]
    calls = say.calls.format(count=len(results), seconds=time.perf_counter() - start)
    answer = say.stopped if done["output"].startswith(STOPPED) else done["output"]
    screen.line(f"\n   {say.answer.format(answer=answer)}", "answer")
    screen.line(f"   {calls}", "note")
    return not results or any(found_something(result, say) for result in results)
