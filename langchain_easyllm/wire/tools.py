"""Tools on the chat protocol: how a request offers them."""

from __future__ import annotations

from .call import Call

__all__ = ["to_tool_fields"]


def to_tool_fields(call: Call) -> dict[str, object]:
    """Return the keys of a chat request that offer its tools."""
    fields: dict[str, object] = {"tools": list(call.tools)}
    if call.tool_choice is not None:
        fields["tool_choice"] = call.tool_choice
    if call.parallel_tool_calls is not None:
        fields["parallel_tool_calls"] = call.parallel_tool_calls
    return fields
