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

from ...support.agent_invocation import agent_input, every_mode
from ...support.fake_server import FakeServer
from ...support.fake_tool_calls import Turn, serve_turns

QUESTION = "Who is Ida Lowell's friend? What is the age of that person raised to the 0.43 power?"
AGED = f"{29**0.43:.4f}"
SERVER_NAMES = ["vllm", "tgi", "llama-cpp-python", "transformers", "idless"]
every_server = pytest.mark.parametrize("server_name", SERVER_NAMES)


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


def served(server: FakeServer, server_name: str, *turns: Turn) -> EasyLLMChat:
    serve_turns(server, server_name, *turns)
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


@every_server
@every_mode
def test_every_call_meets_its_answer(
    fake_server: FakeServer, server_name: str, invoke_agent: Any
) -> None:
    agent = create_agent(served(fake_server, server_name, FIRST, THEN, LAST), [add])
    messages = invoke_agent(agent, agent_input("Add 1, 2, 30 and 4."))["messages"]
    results = [message.content for message in messages if isinstance(message, ToolMessage)]
    assert results == ["3", "34", "37"]
    assert messages[-1].content == "It is 37."
    bodies = [request.json for request in fake_server.requests if request.body]
    sent = pairs_of(bodies)
    assert [len(calls) for calls, _ in sent] == [0, 2, 3]
    assert all(calls == answers and len(set(calls)) == len(calls) for calls, answers in sent)


@every_server
@every_mode
def test_the_executor_runs_every_call(
    fake_server: FakeServer, server_name: str, invoke_agent: Any
) -> None:
    done = invoke_agent(
        executor(served(fake_server, server_name, FIRST, THEN, LAST), [add]), {"input": "Add."}
    )
    assert done["output"] == "It is 37."
    assert [step[1] for step in done["intermediate_steps"]] == [3, 34, 37]
    bodies = [request.json for request in fake_server.requests if request.body]
    assert all(calls == answers for calls, answers in pairs_of(bodies))


@every_server
@pytest.mark.parametrize("streamed", ["sync", "async"])
def test_steps_and_tokens_stream(fake_server: FakeServer, server_name: str, streamed: str) -> None:
    agent = create_agent(served(fake_server, server_name, FIRST, THEN, LAST), [add])
    modes: Any = ["updates", "messages"]

    async def list_all() -> list[Any]:
        return [item async for item in agent.astream(agent_input("Add."), stream_mode=modes)]

    if streamed == "sync":
        seen = list(agent.stream(agent_input("Add."), stream_mode=modes))
    else:
        seen = asyncio.run(list_all())
    nodes = [next(iter(item)) for mode, item in seen if mode == "updates"]
    assert nodes == ["model", "tools", "tools", "model", "tools", "model"]
    chunks = [item[0] for mode, item in seen if mode == "messages"]
    words = [c.content for c in chunks if isinstance(c, AIMessageChunk) and c.content]
    assert words == ["Let me", " add.", "It", " is", " 37."]
    assert any(c.tool_call_chunks for c in chunks if isinstance(c, AIMessageChunk))


@pytest.mark.parametrize("version", ["v2"])
async def test_events_show_tokens_and_tools(fake_server: FakeServer, version: Any) -> None:
    agent = executor(served(fake_server, "vllm", FIRST, THEN, LAST), [add])
    events = [event async for event in agent.astream_events({"input": "Add."}, version=version)]
    tools = [e["data"]["output"] for e in events if e["event"] == "on_tool_end"]
    assert [int(str(getattr(one, "content", one))) for one in tools] == [3, 34, 37]
    chunks = [e["data"]["chunk"] for e in events if e["event"] == "on_chat_model_stream"]
    assert "".join(chunk.text for chunk in chunks).endswith("It is 37.")


@every_server
@every_mode
def test_a_memory_is_sent_to_the_model(
    fake_server: FakeServer, server_name: str, invoke_agent: Any
) -> None:
    turns = [THEN, LAST, Turn(calls=[("add", '{"a": 1, "b": 1}')]), Turn(["Two."])]
    llm = served(fake_server, server_name, *turns)
    agent = create_agent(llm, [add], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    for question in ("Add 3 and 34.", "And 1 and 1?"):
        messages = invoke_agent(agent, agent_input(question), config)["messages"]
    assert messages[-1].content == "Two."
    calls, answers = pairs_of([fake_server.requests[-1].json])[0]
    assert calls == answers
    assert len(set(calls)) == 2


@every_mode
def test_a_tools_failure_reaches_the_model(fake_server: FakeServer, invoke_agent: Any) -> None:
    failing = fail.model_copy(update={"handle_tool_error": True})
    turn = Turn(calls=[("fail", '{"why": "no network"}'), ("add", '{"a": "x", "b": 1}')])
    agent = create_agent(served(fake_server, "vllm", turn, LAST), [add, failing])
    with pytest.raises(ValueError, match="no network"):
        invoke_agent(agent, agent_input("Go."))
    agent = create_agent(served(fake_server, "vllm", Turn(calls=turn.calls[1:]), LAST), [add])
    messages = invoke_agent(agent, agent_input("Go."))["messages"]
    assert messages[-1].content == "It is 37."
    body: Any = fake_server.requests[-1].json
    assert "error" in body["messages"][-1]["content"].lower()


@every_mode
def test_a_call_of_no_tool_ends_without_a_crash(fake_server: FakeServer, invoke_agent: Any) -> None:
    turn = Turn(["Hm."], [("search", '{"q": "x"}')])
    messages = invoke_agent(
        create_agent(served(fake_server, "tgi", turn), [add]), agent_input("Go.")
    )["messages"]
    assert messages[-1].content == "Hm."
    assert messages[-1].invalid_tool_calls[0]["name"] == "search"
    done = invoke_agent(executor(served(fake_server, "tgi", turn), [add]), {"input": "Go."})
    assert done["output"] == "Hm."


class Sum(BaseModel):
    """A sum."""

    total: int


@every_server
@every_mode
def test_an_agent_answers_with_an_object(
    fake_server: FakeServer, server_name: str, invoke_agent: Any
) -> None:
    if (
        server_name == "transformers"
    ):  # which cannot be made to call something: the prompt asks it to
        said = Turn(['<tool_call>\n{"name": "Sum", "arguments": {"total": 37}}\n</tool_call>'])
        turns = [said]
    else:
        turns = [THEN, Turn(calls=[("Sum", '{"total": 37}')])]
    llm = served(fake_server, server_name, *turns)
    llm.profile = {"structured_output": False}  # the agent offers the schema as one more tool
    agent = create_agent(llm, [add], response_format=Sum)
    assert invoke_agent(agent, agent_input("Add 3 and 34."))["structured_response"] == Sum(total=37)


@every_mode
def test_create_agent_on_the_offline_model(
    offline_server: OfflineServer, invoke_agent: Any
) -> None:
    messages = invoke_agent(create_agent(offline(offline_server), TOOLS), agent_input(QUESTION))[
        "messages"
    ]
    made = [c["name"] for m in messages if isinstance(m, AIMessage) for c in m.tool_calls]
    assert made[:2] == ["search", "search"]
    assert AGED in messages[-1].content


@every_mode
def test_the_executor_on_the_offline_model(
    offline_server: OfflineServer, invoke_agent: Any
) -> None:
    done = invoke_agent(executor(offline(offline_server), TOOLS), {"input": QUESTION})
    assert AGED in done["output"]
    assert len(done["intermediate_steps"]) == 3
