"""ReAct agents with a search tool and a calculator, actions written as text and as JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping

from langchain_classic.agents import AgentExecutor, AgentOutputParser, create_react_agent
from langchain_classic.agents.output_parsers import (
    ReActJsonSingleInputOutputParser,
    ReActSingleInputOutputParser,
)

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.agents import agent_prompt
from langchain_easyllm.prompts import get_prompt

from .place import Place
from .show import Show
from .tools import ERROR, TOOLS, found_something

__all__ = ["agent"]

PARSERS: Mapping[str, AgentOutputParser] = {
    "react": ReActSingleInputOutputParser(),
    "react-json": ReActJsonSingleInputOutputParser(),
}
OFF_FORMAT = f"{ERROR} that was not in the format."
"""What is sent to a model that did not keep to the format."""


def agent(place: Place, question: str, *, variant: str, model: type[EasyLLM | EasyLLMChat]) -> bool:
    """Let an agent answer, showing each step.

    Args:
        place: Whom to ask.
        question: The question.
        variant: `"react"` or `"react-json"`.
        model: The class of the model object: any will do.

    Returns:
        Whether the tools were of use, or were not needed.
    """
    start = time.perf_counter()
    render = get_prompt(place.template).render if place.template else None
    with model(**place.agent, temperature=0, max_tokens=256) as llm:
        executor = AgentExecutor(
            agent=create_react_agent(llm, TOOLS, agent_prompt(variant), PARSERS[variant]),
            tools=TOOLS,
            max_iterations=8,
            handle_parsing_errors=OFF_FORMAT,
            return_intermediate_steps=True,
        )
        done = executor.invoke({"input": question}, {"callbacks": [Show(render)]})
    results = [str(result) for _, result in done["intermediate_steps"]]
    took = time.perf_counter() - start
    print(f"\n   Answer: {done['output']}\n   [tool calls: {len(results)}; in all {took:.2f} s]")
    return not results or any(map(found_something, results))
