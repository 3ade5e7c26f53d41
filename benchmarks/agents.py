"""What an agent's step takes: `create_agent` with forty tools, of which the model calls one.

A step is a request with all the tools, and what LangChain does around it. The server answers at
once: with a call first, and with text to the tool's result.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from .server import CALLED, SHORT_ANSWER

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from .scenarios import Bench, Scenario


def tools(count: int) -> list[BaseTool]:
    """Return tools with three parameters each, as they stand in an application."""
    from langchain_core.tools import StructuredTool

    def look_up(place: str, days: int = 3, unit: str = "celsius") -> str:
        return f"{place}: 12 {unit}, {days} days"

    first = StructuredTool.from_function(look_up, name=CALLED, description="Look up the weather.")
    return [
        first,
        *(
            StructuredTool.from_function(
                look_up, name=f"look_up_{number}", description=f"Look up the number {number}."
            )
            for number in range(1, count)
        ),
    ]


def agent(count: int) -> Scenario:
    """Time an agent's step: half of a run of two, of which the first calls a tool."""

    def run(bench: Bench, reps: int) -> list[float]:
        from langchain.agents import create_agent

        graph = create_agent(bench.model("chat", "agent"), tools(count))
        given = {"messages": [("user", "What is the weather in Oslo?")]}
        times = []
        for _ in range(reps + 1):
            start = perf_counter()
            messages = graph.invoke(given)["messages"]
            times.append((perf_counter() - start) / 2)
            kinds = [message.type for message in messages]
            if kinds != ["human", "ai", "tool", "ai"] or messages[-1].content != SHORT_ANSWER:
                msg = f"the agent's run has the messages {kinds}"
                raise AssertionError(msg)
        return times[1:]

    return run
