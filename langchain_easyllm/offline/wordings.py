"""The wordings of contexts, tools and schemas with which the bundled model was trained.

`training/wordings.py` takes them from here: a small model knows no others.
"""

from __future__ import annotations

from .._tool_formats.hermes import TOOL_RESPONSE, TOOLS

__all__ = ["CALL_END", "CALL_START", "READING", "SCHEMA", "TOOLS", "TOOL_RESPONSE"]

READING = """\
Answer from the context only. If it does not say, answer: I don't know.

Context: {context}

Question: {question}"""
"""A user message that asks about a text."""

SCHEMA = """\
Answer only with a JSON object that fits this schema:
{schema}"""
"""Part of the system message."""

CALL_START = "<tool_call>\n"
"""The beginning of an answer that calls a tool."""

CALL_END = "\n</tool_call>"
"""The end of a call."""
