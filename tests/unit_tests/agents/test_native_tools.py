"""LangChain's agents with a server's own tool calls: on the offline model, and on bytes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_classic.agents import AgentExecutor, create_tool_calling_agent
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from demo.tools import TOOLS
from langchain_easyllm import EasyLLMChat
from langchain_easyllm.offline import OfflineServer

from ...support.agent_invocation import asked, ways
from ...support.fake_server import WireServer
from ...support.fake_tool_calls import Turn, serve_turns

QUESTION = "Who is Ida Lowell's friend? What is the age of that person raised to the 0.43 power?"
AGED = f"{29**0.43:.4f}"
CALLERS = ["vllm", "tgi", "llama-cpp-python", "transformers", "idless"]
callers = pytest.mark.parametrize("caller", CALLERS)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def fail(why: str) -> str:
    """Fail."""
    raise ValueError(why)


FIRST = Turn(["Let me", " add."], [("add", '{"a": 1, "b": 2}'), ("add", '{"a": 30, "b": 4}')])
THEN = Turn(calls=[("add", '{"a": 3, "b": 34}')])
LAST = Turn(["It", " is", " 37."])


def served(server: WireServer, caller: str, *turns: Turn) -> EasyLLMChat:
    serve_turns(server, caller, *turns)
    return EasyLLMChat(base_url=server.url)


def offline(server: OfflineServer) -> EasyLLMChat:
    return EasyLLMChat(base_url=server.base_url, temperature=0, max_tokens=200)


def executor(llm: EasyLLMChat, tools: Any) -> AgentExecutor:
    prompt = ChatPromptTemplate.from_messages(
        [("human", "{input}"), ("placeholder", "{agent_scratchpad}")]
    )
    agent = create_tool_calling_agent(llm, tools, prompt)
    return AgentExecutor(agent=agent, tools=tools, return_intermediate_steps=True)


def pairs_of(bodies: Any) -> list[tuple[list[str], list[str]]]:
    """The ids of calls, and of their answers, in each request's messages."""
    return [
        (
            [call["id"] for m in body["messages"] for call in m.get("tool_calls") or ()],
            [m["tool_call_id"] for m in body["messages"] if m["role"] == "tool"],
        )
        for body in bodies
    ]


@callers
@ways
def test_every_call_meets_its_answer(wire_server: WireServer, caller: str, ask: Any) -> None:
    agent = create_agent(served(wire_server, caller, FIRST, THEN, LAST), [add])
    messages = ask(agent, asked("Add 1, 2, 30 and 4."))["messages"]
    results = [message.content for message in messages if isinstance(message, ToolMessage)]
    assert results == ["3", "34", "37"]
    assert messages[-1].content == "It is 37."
    bodies = [request.json for request in wire_server.requests if request.body]
    sent = pairs_of(bodies)
    assert [len(calls) for calls, _ in sent] == [0, 2, 3]
    assert all(calls == answers and len(set(calls)) == len(calls) for calls, answers in sent)


@callers
@ways
def test_the_executor_runs_every_call(wire_server: WireServer, caller: str, ask: Any) -> None:
    done = ask(executor(served(wire_server, caller, FIRST, THEN, LAST), [add]), {"input": "Add."})
    assert done["output"] == "It is 37."
    assert [step[1] for step in done["intermediate_steps"]] == [3, 34, 37]
    bodies = [request.json for request in wire_server.requests if request.body]
    assert all(calls == answers for calls, answers in pairs_of(bodies))


@callers
@pytest.mark.parametrize("streamed", ["sync", "async"])
def test_steps_and_tokens_stream(wire_server: WireServer, caller: str, streamed: str) -> None:
    agent = create_agent(served(wire_server, caller, FIRST, THEN, LAST), [add])
    modes: Any = ["updates", "messages"]

    async def list_all() -> list[Any]:
        return [item async for item in agent.astream(asked("Add."), stream_mode=modes)]

    if streamed == "sync":
        seen = list(agent.stream(asked("Add."), stream_mode=modes))
    else:
        seen = asyncio.run(list_all())
    nodes = [next(iter(item)) for mode, item in seen if mode == "updates"]
    assert nodes == ["model", "tools", "tools", "model", "tools", "model"]
    chunks = [item[0] for mode, item in seen if mode == "messages"]
    words = [c.content for c in chunks if isinstance(c, AIMessageChunk) and c.content]
    assert words == ["Let me", " add.", "It", " is", " 37."]
    assert any(c.tool_call_chunks for c in chunks if isinstance(c, AIMessageChunk))


@pytest.mark.parametrize("version", ["v2"])
async def test_events_show_tokens_and_tools(wire_server: WireServer, version: Any) -> None:
    agent = executor(served(wire_server, "vllm", FIRST, THEN, LAST), [add])
    events = [event async for event in agent.astream_events({"input": "Add."}, version=version)]
    tools = [e["data"]["output"] for e in events if e["event"] == "on_tool_end"]
    assert [int(str(getattr(one, "content", one))) for one in tools] == [3, 34, 37]
    chunks = [e["data"]["chunk"] for e in events if e["event"] == "on_chat_model_stream"]
    assert "".join(chunk.text for chunk in chunks).endswith("It is 37.")


@callers
@ways
def test_a_memory_is_told_to_the_model(wire_server: WireServer, caller: str, ask: Any) -> None:
    turns = [THEN, LAST, Turn(calls=[("add", '{"a": 1, "b": 1}')]), Turn(["Two."])]
    llm = served(wire_server, caller, *turns)
    agent = create_agent(llm, [add], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    for question in ("Add 3 and 34.", "And 1 and 1?"):
        messages = ask(agent, asked(question), config)["messages"]
    assert messages[-1].content == "Two."
    calls, answers = pairs_of([wire_server.requests[-1].json])[0]
    assert calls == answers
    assert len(set(calls)) == 2


@ways
def test_a_tool_that_fails_is_told(wire_server: WireServer, ask: Any) -> None:
    failing = fail.model_copy(update={"handle_tool_error": True})
    turn = Turn(calls=[("fail", '{"why": "no network"}'), ("add", '{"a": "x", "b": 1}')])
    agent = create_agent(served(wire_server, "vllm", turn, LAST), [add, failing])
    with pytest.raises(ValueError, match="no network"):
        ask(agent, asked("Go."))
    agent = create_agent(served(wire_server, "vllm", Turn(calls=turn.calls[1:]), LAST), [add])
    messages = ask(agent, asked("Go."))["messages"]
    assert messages[-1].content == "It is 37."
    told: Any = wire_server.requests[-1].json
    assert "error" in told["messages"][-1]["content"].lower()


@ways
def test_a_call_of_no_tool_ends_without_a_crash(wire_server: WireServer, ask: Any) -> None:
    turn = Turn(["Hm."], [("search", '{"q": "x"}')])
    messages = ask(create_agent(served(wire_server, "tgi", turn), [add]), asked("Go."))["messages"]
    assert messages[-1].content == "Hm."
    assert messages[-1].invalid_tool_calls[0]["name"] == "search"
    done = ask(executor(served(wire_server, "tgi", turn), [add]), {"input": "Go."})
    assert done["output"] == "Hm."


class Sum(BaseModel):
    """A sum."""

    total: int


@callers
@ways
def test_an_agent_answers_with_an_object(wire_server: WireServer, caller: str, ask: Any) -> None:
    if caller == "transformers":  # which cannot be told to call something: it is asked in words
        said = Turn(['<tool_call>\n{"name": "Sum", "arguments": {"total": 37}}\n</tool_call>'])
        turns = [said]
    else:
        turns = [THEN, Turn(calls=[("Sum", '{"total": 37}')])]
    agent = create_agent(served(wire_server, caller, *turns), [add], response_format=Sum)
    assert ask(agent, asked("Add 3 and 34."))["structured_response"] == Sum(total=37)


@ways
def test_create_agent_on_the_offline_model(offline_server: OfflineServer, ask: Any) -> None:
    messages = ask(create_agent(offline(offline_server), TOOLS), asked(QUESTION))["messages"]
    made = [c["name"] for m in messages if isinstance(m, AIMessage) for c in m.tool_calls]
    assert made[:2] == ["search", "search"]
    assert AGED in messages[-1].content


@ways
def test_the_executor_on_the_offline_model(offline_server: OfflineServer, ask: Any) -> None:
    done = ask(executor(offline(offline_server), TOOLS), {"input": QUESTION})
    assert AGED in done["output"]
    assert len(done["intermediate_steps"]) == 3
