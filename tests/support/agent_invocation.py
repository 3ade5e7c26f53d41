"""One agent, invoked in each mode that agents have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

__all__ = ["agent_input", "ainvoke", "every_mode", "invoke"]


def invoke(agent: Any, given: dict[str, Any], config: Any = None) -> Any:
    return agent.invoke(given, config)


def ainvoke(agent: Any, given: dict[str, Any], config: Any = None) -> Any:
    return asyncio.run(agent.ainvoke(given, config))


every_mode = pytest.mark.parametrize("invoke_agent", [invoke, ainvoke])


def agent_input(text: str) -> dict[str, Any]:
    """What an agent of messages is given."""
    return {"messages": [("human", text)]}
