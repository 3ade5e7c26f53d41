"""The words in which the bundled model knows contexts, tools and schemas from its training.

`training/wordings.py` takes them from here: a small model knows no others.
"""

from __future__ import annotations

from .._tool_formats.hermes import TOOL_RESPONSE, TOOLS

__all__ = ["CALL_END", "CALL_START", "READING", "SCHEMA", "TOOLS", "TOOL_RESPONSE"]

READING = """\
Answer from the context only. If it does not say, answer: I don't know.

Context: {context}

Question: {question}"""
"""A user turn that asks about a text."""

SCHEMA = """\
Answer only with a JSON object that fits this schema:
{schema}"""
"""Stands in the system turn."""

CALL_START = "<tool_call>\n"
"""What an answer that uses a tool begins with."""

CALL_END = "\n</tool_call>"
"""What a call ends with."""
