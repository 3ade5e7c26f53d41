"""One agent, asked in each of the ways that agents have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

__all__ = ["ainvoke", "asked", "invoke", "ways"]


def invoke(agent: Any, given: dict[str, Any], config: Any = None) -> Any:
    return agent.invoke(given, config)


def ainvoke(agent: Any, given: dict[str, Any], config: Any = None) -> Any:
    return asyncio.run(agent.ainvoke(given, config))


ways = pytest.mark.parametrize("ask", [invoke, ainvoke])


def asked(text: str) -> dict[str, Any]:
    """What an agent of messages is given."""
    return {"messages": [("human", text)]}
