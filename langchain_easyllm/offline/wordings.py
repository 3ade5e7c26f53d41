"""The words in which the bundled model was trained to be told of tools and schemas.

`training/wordings.py` takes them from here: a small model knows no others.
"""

from __future__ import annotations

__all__ = ["CALL_END", "CALL_START", "SCHEMA", "TOOLS", "TOOL_RESPONSE"]

TOOLS = """\
You can use these tools:
<tools>
{tools}
</tools>
To use one, answer only with:
<tool_call>
{{"name": tool name, "arguments": {{argument: value}}}}
</tool_call>"""
"""Stands in the system turn, after a system message of the caller's own."""

TOOL_RESPONSE = "<tool_response>\n{result}\n</tool_response>"
"""A tool's result, as a user turn."""

SCHEMA = """\
Answer only with a JSON object that fits this schema:
{schema}"""
"""Stands in the system turn."""

CALL_START = "<tool_call>\n"
"""What an answer that uses a tool begins with."""

CALL_END = "\n</tool_call>"
"""What a call ends with."""
