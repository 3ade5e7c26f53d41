"""The words in which the bundled model was trained to be told of tools and schemas.

`training/wordings.py` takes them from here: a small model knows no others.
"""

from __future__ import annotations

from ..prompts.tool_use import TOOL_RESPONSE, TOOLS

__all__ = ["CALL_END", "CALL_START", "SCHEMA", "TOOLS", "TOOL_RESPONSE"]

SCHEMA = """\
Answer only with a JSON object that fits this schema:
{schema}"""
"""Stands in the system turn."""

CALL_START = "<tool_call>\n"
"""What an answer that uses a tool begins with."""

CALL_END = "\n</tool_call>"
"""What a call ends with."""
