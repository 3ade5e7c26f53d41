"""LangChain's agents with tools described in the prompt: on the offline model, and on bytes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_classic.agents import (
    AgentExecutor,
    create_structured_chat_agent,
    create_tool_calling_agent,
)
from langchain_core.messages import AIMessageChunk
from langchain_core.prompts import ChatPromptTemplate
from langgraph.checkpoint.memory import InMemorySaver

from demo.tools import TOOLS
from langchain_easyllm import EasyLLMChat
from langchain_easyllm.offline import OfflineServer

from ...support.agent_invocation import agent_input, every_mode
from ...support.fake_responses import tgi_generate, tgi_generate_stream
from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import serve

QUESTION = "Who is Ida Lowell's friend? What is the age of that person raised to the 0.43 power?"
ANSWER = f"Ida Lowell's friend is Karim Singh. 29 raised to the 0.43 power is {29**0.43:.4f}."
CALLS = [
    ("search", {"query": "Ida Lowell's friend"}),
    ("search", {"query": "Karim Singh's age"}),
    ("calculator", {"expression": "29**0.43"}),
]
SEARCH = 'Action:\n```json\n{"action": "search", "action_input": "Ida Lowell\'s friend"}\n```'
FINAL = "I know the answer.\nFinal Answer: Karim Singh."
HERMES = '<tool_call>\n{{"name": "{}", "arguments": {{"{}": "{}"}}}}\n</tool_call>'

builders = pytest.mark.parametrize("builder", ["zephyr", "llama2", "phi-3"])
formats = pytest.mark.parametrize("tool_format", [None, "hermes"])


def offline(server: OfflineServer, builder: str, tool_format: Any = None) -> EasyLLMChat:
    return EasyLLMChat(
        base_url=server.base_url,
        prompt_builder=builder,
        parse_tool_calls=tool_format,
        temperature=0,
        max_tokens=200,
    )


def scripted(server: FakeServer, builder: str, *said: str) -> EasyLLMChat:
    """A model that says one thing after the other."""
    serve(server, "tgi")
    left = list(said)

    def route(request: Received) -> Reply:
        text = left.pop(0)
        chunks = [text[at : at + 3] for at in range(0, len(text), 3)]
        if request.path == "/generate_stream":
            return tgi_generate_stream(chunks)
        return tgi_generate(text, tokens=chunks, details=True)

    for path in ("/generate", "/generate_stream"):
        server.on("POST", path, route)
    return EasyLLMChat(base_url=server.url, prompt_builder=builder)


@every_mode
@formats
@builders
def test_create_agent_on_the_offline_model(
    offline_server: OfflineServer, builder: str, tool_format: str | None, invoke_agent: Any
) -> None:
    agent = create_agent(offline(offline_server, builder, tool_format), TOOLS)
    messages = invoke_agent(agent, agent_input(QUESTION))["messages"]
    made = [call for message in messages for call in getattr(message, "tool_calls", ())]
    assert [(call["name"], call["args"]) for call in made] == CALLS
    assert messages[-1].content.strip() == ANSWER


@every_mode
@builders
def test_a_tool_calling_agent_on_the_offline_model(
    offline_server: OfflineServer, builder: str, invoke_agent: Any
) -> None:
    prompt = ChatPromptTemplate.from_messages(
        [("human", "{input}"), ("placeholder", "{agent_scratchpad}")]
    )
    agent = create_tool_calling_agent(offline(offline_server, builder), TOOLS, prompt)
    done = invoke_agent(AgentExecutor(agent=agent, tools=TOOLS), {"input": QUESTION})
    assert done["output"].strip() == ANSWER


@every_mode
def test_an_agent_with_a_memory_on_the_offline_model(
    offline_server: OfflineServer, invoke_agent: Any
) -> None:
    agent = create_agent(offline(offline_server, "zephyr"), TOOLS, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    said = []
    for question in ("Who founded Stonebridge?", "What is 1234 times 56?"):
        said.append(invoke_agent(agent, agent_input(question), config)["messages"][-1].content)
    assert said == ["Adam Thorne.", "1234 times 56 is 69104."]
    assert b"Final Answer: Adam Thorne." in offline_server.requests[-1].body


@pytest.mark.parametrize("streamed", ["sync", "async"])
def test_steps_and_tokens_of_an_agent_stream(offline_server: OfflineServer, streamed: str) -> None:
    agent = create_agent(offline(offline_server, "zephyr"), TOOLS)
    modes = ["updates", "messages"]

    async def list_all() -> list[Any]:
        return [item async for item in agent.astream(agent_input(QUESTION), stream_mode=modes)]

    if streamed == "sync":
        seen = list(agent.stream(agent_input(QUESTION), stream_mode=modes))
    else:
        seen = asyncio.run(list_all())
    nodes = [next(iter(item)) for mode, item in seen if mode == "updates"]
    assert nodes == ["model", "tools"] * len(CALLS) + ["model"]
    chunks = [item[0] for mode, item in seen if mode == "messages"]
    last = [chunk for chunk in chunks if isinstance(chunk, AIMessageChunk)][-1].id
    words = [chunk.content for chunk in chunks if chunk.id == last and chunk.content]
    assert "".join(words).strip() == ANSWER
    assert len(words) > 10
    assert not any("Action" in str(chunk.content) for chunk in chunks)


@every_mode
@pytest.mark.parametrize("builder", ["zephyr", "chatml"])
def test_what_a_model_invents_after_a_call_is_never_sent_again(
    fake_server: FakeServer, builder: str, invoke_agent: Any
) -> None:
    invented = {
        "zephyr": f"I look.\n{SEARCH}\nObservation: It is Bob.\nThought: Bob.\nFinal Answer: Bob",
        "chatml": HERMES.format("search", "query", "Ida Lowell's friend")
        + "\n<tool_response>\nIt is Bob.\n</tool_response>\nBob",
    }[builder]
    final = {"zephyr": FINAL, "chatml": "Karim Singh."}[builder]
    llm = scripted(fake_server, builder, invented, final)
    messages = invoke_agent(create_agent(llm, TOOLS), agent_input("Who?"))["messages"]
    assert messages[-1].content == "Karim Singh."
    assert "Karim Singh" in messages[-2].content
    assert not any("Bob" in str(message) for message in messages)
    sent = fake_server.requests[-1].body.decode()
    assert "Karim Singh" in sent
    assert "Bob" not in sent


@every_mode
def test_calls_in_parallel(fake_server: FakeServer, invoke_agent: Any) -> None:
    both = "\n".join(
        [
            HERMES.format("search", "query", "Ida Lowell's friend"),
            HERMES.format("calculator", "expression", "3*4"),
        ]
    )
    llm = scripted(fake_server, "qwen2.5", both, "Karim Singh, and 12.")
    messages = invoke_agent(create_agent(llm, TOOLS), agent_input("Who, and how much?"))["messages"]
    assert [m.content for m in messages[2:]] == [
        "Ida Lowell's friend is Karim Singh.",
        "12",
        "Karim Singh, and 12.",
    ]
    assert {m.tool_call_id for m in messages[2:4]} == {c["id"] for c in messages[1].tool_calls}


@every_mode
def test_a_tool_that_does_not_exist_is_not_called(
    fake_server: FakeServer, invoke_agent: Any
) -> None:
    wrong = HERMES.format("delete", "query", "x")
    llm = scripted(fake_server, "chatml", wrong)
    last = invoke_agent(create_agent(llm, TOOLS), agent_input("Who?"))["messages"][-1]
    assert last.tool_calls == []
    assert [call["name"] for call in last.invalid_tool_calls] == ["delete"]


STRUCTURED = ChatPromptTemplate.from_messages(
    [
        ("system", "Use these tools: {tools}. Answer with JSON, action one of {tool_names}."),
        ("human", "{input}\n\n{agent_scratchpad}"),
    ]
)


@every_mode
def test_a_structured_chat_agent(fake_server: FakeServer, invoke_agent: Any) -> None:
    llm = scripted(
        fake_server,
        "llama2",
        f"{SEARCH}\nObservation: It is Bob.",
        'Action:\n```json\n{"action": "Final Answer", "action_input": "Karim Singh."}\n```',
    )
    agent = create_structured_chat_agent(llm, TOOLS, STRUCTURED)
    executor = AgentExecutor(agent=agent, tools=TOOLS, return_intermediate_steps=True)
    done = invoke_agent(executor, {"input": "Who is Ida Lowell's friend?"})
    assert done["output"] == "Karim Singh."
    [(action, result)] = done["intermediate_steps"]
    assert (action.tool, result) == ("search", "Ida Lowell's friend is Karim Singh.")
    assert "Bob" not in fake_server.requests[-1].body.decode()
