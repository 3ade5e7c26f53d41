"""Prompt wordings that the offline model is trained on, short because short prompts help it.

`REACT` and `REACT_JSON` take the variables of `create_react_agent`: `tools`, `tool_names`, `input`
and `agent_scratchpad`. `TOOLS`, `SCHEMA` and `READING` are what a client puts before a question.
"""

from __future__ import annotations

from langchain_easyllm._tool_formats.hermes import TOOL_RESPONSE, TOOLS
from langchain_easyllm.agents import AGENT_PROMPTS
from langchain_easyllm.offline.wordings import READING, READING_KOREAN, SCHEMA

__all__ = [
    "REACT",
    "REACT_JSON",
    "REACT_LANGCHAIN",
    "READING",
    "READING_KOREAN",
    "SCHEMA",
    "TOOLS",
    "TOOL_RESPONSE",
]

REACT = AGENT_PROMPTS["react"]
REACT_JSON = AGENT_PROMPTS["react-json"]

# The wording that LangChain's documentation shows for `create_react_agent`, known too.
REACT_LANGCHAIN = """\
Answer the following questions as best you can. You have access to the following tools:

{tools}

Use the following format:

Question: the input question you must answer
Thought: you should always think about what to do
Action: the action to take, should be one of [{tool_names}]
Action Input: the input to the action
Observation: the result of the action
... (this Thought/Action/Action Input/Observation can repeat N times)
Thought: I now know the final answer
Final Answer: the final answer to the original input question

Begin!

Question: {input}
Thought:{agent_scratchpad}"""
