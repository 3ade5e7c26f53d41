"""Built-in prompts for agents that write their steps as text; nothing is downloaded from the Hub.

The offline model was trained on them. They are short, which helps every small model, and work with
large ones as well. The format is ReAct's (https://arxiv.org/abs/2210.03629), as the output parsers
of `langchain_classic.agents` read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from langchain_core.prompts import PromptTemplate

from ._nearest import did_you_mean
from ._tool_formats.react import REACT_JSON
from .errors import ConfigurationError

__all__ = ["AGENT_PROMPTS", "agent_prompt"]

REACT = """\
Answer the question. You can use these tools:

{tools}

Use this format:
Thought: what to do next
Action: one of {tool_names}
Action Input: the input of the action
Observation: the result of the action
(repeat as needed)
Thought: I know the answer.
Final Answer: the answer

Question: {input}
Thought:{agent_scratchpad}"""

AGENT_PROMPTS: Mapping[str, str] = MappingProxyType({"react": REACT, "react-json": REACT_JSON})
"""The built-in prompts by name, as f-string templates."""

# Prompts of LangChain's Hub that the guides name, and those here for the same agents.
_HUB_NAMES = {f"hwchase17/{name}": name for name in AGENT_PROMPTS}


def agent_prompt(name: str) -> PromptTemplate:
    r"""Return a built-in prompt for `langchain_classic.agents.create_react_agent`.

    Example:
        ```python
        from langchain_classic.agents import AgentExecutor, create_react_agent

        agent = create_react_agent(llm, tools, agent_prompt("react"))
        AgentExecutor(agent=agent, tools=tools).invoke({"input": "What is 17 times 23?"})
        ```

    Args:
        name: `"react"`: an action is two lines of text, `Action:` and `Action Input:`, which
            `create_react_agent` parses by default. `"react-json"`: an action is a JSON object in a
            fence of three backticks; also pass
            `output_parser=ReActJsonSingleInputOutputParser()` to `create_react_agent`. Both need
            the stop sequence `"\nObservation"`, which `create_react_agent` sets. The names of the
            prompts on LangChain's Hub for the same agents, `"hwchase17/react"` and
            `"hwchase17/react-json"`, return these prompts; their words are other ones.

    Returns:
        A prompt with the variables `tools`, `tool_names`, `input` and `agent_scratchpad`.

    Raises:
        ConfigurationError: If there is no prompt of that name; the message names those there are.
    """
    text = AGENT_PROMPTS.get(_HUB_NAMES.get(name, name))
    if text is not None:
        return PromptTemplate.from_template(text)
    names = (*AGENT_PROMPTS, *_HUB_NAMES)
    near = did_you_mean(name, names, cutoff=0.6)
    choices = f"there are {', '.join(names)}."
    hint = f"{near} T{choices[1:]}" if near else choices
    raise ConfigurationError(f"There is no agent prompt named {name!r}; {hint}")
