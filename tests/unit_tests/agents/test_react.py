"""LangChain's ReAct agents on the offline model, and on models that do not know when to stop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_classic.agents import AgentExecutor, create_react_agent
from langchain_classic.agents.output_parsers import (
    ReActJsonSingleInputOutputParser,
    ReActSingleInputOutputParser,
)
from langchain_core.exceptions import OutputParserException

from demo.tools import TOOLS
from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.agents import agent_prompt
from langchain_easyllm.offline import OfflineServer

from ...support import fake_text_servers as fake

PARSERS = {
    "react": ReActSingleInputOutputParser(),
    "react-json": ReActJsonSingleInputOutputParser(),
}
QUESTION = "Who is Ida Lowell's friend? What is the age of that person raised to the 0.43 power?"
BAKER = "Karim Singh (age 29) is a baker. Karim Singh lives in Stonebridge."
STEPS = [
    ("search", "Ida Lowell's friend", "Ida Lowell's friend is Karim Singh."),
    ("search", "Karim Singh's age", BAKER),
    ("calculator", "29**0.43", f"{29**0.43:.4f}"),
]
ANSWER = f"Ida Lowell's friend is Karim Singh. 29 raised to the 0.43 power is {29**0.43:.4f}."

variants = pytest.mark.parametrize("variant", PARSERS)
models = pytest.mark.parametrize("model", [EasyLLM, EasyLLMChat])


def executor(variant: str, llm: EasyLLM | EasyLLMChat, **fields: Any) -> AgentExecutor:
    agent = create_react_agent(llm, TOOLS, agent_prompt(variant), PARSERS[variant])
    return AgentExecutor(agent=agent, tools=TOOLS, return_intermediate_steps=True, **fields)


def offline(server: OfflineServer, model: type[Any], **fields: Any) -> Any:
    given = {"prompt_builder": "zephyr", "temperature": 0, "max_tokens": 200}
    return model(base_url=server.base_url, **given | fields)


def invoke(agent: AgentExecutor, question: str) -> dict[str, Any]:
    return agent.invoke({"input": question})


def ainvoke(agent: AgentExecutor, question: str) -> dict[str, Any]:
    return asyncio.run(agent.ainvoke({"input": question}))


every_mode = pytest.mark.parametrize("invoke_agent", [invoke, ainvoke])


def steps_of(done: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(action.tool, action.tool_input, seen) for action, seen in done["intermediate_steps"]]


@every_mode
@models
@variants
def test_the_offline_model_uses_its_tools_and_answers(variant, model, invoke_agent, offline_server):
    with offline(offline_server, model) as llm:
        done = invoke_agent(executor(variant, llm), QUESTION)
    assert steps_of(done) == STEPS
    assert done["output"] == ANSWER


@models
@variants
def test_by_the_prompts_names_on_langchains_hub(variant, model, offline_server):
    with offline(offline_server, model) as llm:
        prompt = agent_prompt(f"hwchase17/{variant}")
        agent = create_react_agent(llm, TOOLS, prompt, PARSERS[variant])
        done = invoke(AgentExecutor(agent=agent, tools=TOOLS), QUESTION)
    assert done["output"] == ANSWER


@variants
@pytest.mark.parametrize(
    "fields",
    [
        {"prompt_builder": "llama2"},
        {"prompt_builder": "phi-3"},
        {"prompt_builder": "zephyr", "streaming": False},
        {"prompt_builder": None, "api": "chat"},
    ],
    ids=["llama2", "phi-3", "not-streamed", "chat"],
)
def test_in_each_template_that_it_knows_and_on_the_chat_route(variant, fields, offline_server):
    with offline(offline_server, EasyLLMChat, **fields) as llm:
        done = invoke(executor(variant, llm), QUESTION)
    assert (steps_of(done), done["output"]) == (STEPS, ANSWER)


@variants
@pytest.mark.parametrize(
    ("question", "tools", "parts"),
    [
        ("Who is the mayor of Westbury?", ["search"], ["Sofia Reyes"]),
        (
            "What is the population of Stonebridge divided by 4?",
            ["search", "calculator"],
            ["13085"],
        ),
        (
            "How many years older is Greta Larsen than Omar Dahl?",
            ["search", "search", "calculator"],
            ["29"],
        ),
        (
            "Who is Colin West's wife? How old is that person?",
            ["search", "search"],
            ["Mira Ziegler", "53"],
        ),
        ("Where was Dana Quinn's husband born?", ["search", "search"], ["Westbury"]),
        ("What is 1234 times 56?", ["calculator"], ["69104"]),
        ("What is the capital of Atlantis?", ["search"], ["I don't know"]),
    ],
)
def test_questions_of_other_kinds(variant, question, tools, parts, offline_server):
    with offline(offline_server, EasyLLM) as llm:
        done = invoke(executor(variant, llm), question)
    assert [tool for tool, _, _ in steps_of(done)] == tools
    assert [part for part in parts if part not in done["output"]] == []


@models
@variants
def test_steps_are_streamed_one_by_one(variant, model, offline_server):
    with offline(offline_server, model) as llm:
        chunks = list(executor(variant, llm).stream({"input": QUESTION}))
    kinds = [({"actions", "steps", "output"} & chunk.keys()).pop() for chunk in chunks]
    assert kinds == ["actions", "steps"] * 3 + ["output"]
    assert [chunk["steps"][0].observation for chunk in chunks if "steps" in chunk] == [
        seen for _, _, seen in STEPS
    ]
    assert chunks[-1]["output"] == ANSWER


@models
@variants
async def test_tokens_are_streamed_as_events(variant, model, offline_server):
    texts: list[str] = []
    with offline(offline_server, model) as llm:
        async for event in executor(variant, llm).astream_events({"input": QUESTION}):
            if event["event"] in ("on_llm_start", "on_chat_model_start"):
                texts.append("")
            if event["event"] in ("on_llm_stream", "on_chat_model_stream"):
                chunk = event["data"]["chunk"]
                texts[-1] += chunk if isinstance(chunk, str) else chunk.text
    assert len(texts) == 4
    assert [tool in text for (tool, _, _), text in zip(STEPS, texts, strict=False)] == [True] * 3
    assert texts[-1].endswith(f"\nFinal Answer: {ANSWER}")


@every_mode
@variants
def test_an_answer_out_of_format_is_an_error_or_the_next_observation(
    variant, invoke_agent, offline_server
):
    with offline(offline_server, EasyLLM, max_tokens=6) as llm:  # too few for an action
        with pytest.raises((OutputParserException, ValueError), match="Could not parse LLM output"):
            invoke_agent(executor(variant, llm), QUESTION)
        agent = executor(variant, llm, handle_parsing_errors="Try again.", max_iterations=2)
        done = invoke_agent(agent, QUESTION)
    assert steps_of(done) == [("_Exception", "Try again.", "Try again.")] * 2
    assert done["output"] == "Agent stopped due to iteration limit or time limit."


INVENTED = "\nObservation: 999\nThought: I know the answer.\nFinal Answer: 999"
ACTIONS = {
    "react": ["I need", " a sum.\nAction: calc", "ulator\nAction Input: 1+2"],
    "react-json": [
        "I need a sum.\nAction:\n```json\n",
        '{"action": "calculator", "action_',
        'input": "1+2"}\n```',
    ],
}
FINAL = ["I know the answer.\n", "Final Answer: 3"]


@every_mode
@models
@variants
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("size", [1, 99])
def test_an_invented_observation_never_reaches_the_scratchpad(
    variant, model, invoke_agent, streamed, size, fake_server
):
    """The server ignores `stop`: the model writes on, and its words come in any chunks."""
    fake.serve(fake_server, "tgi")
    said = [*ACTIONS[variant], *(INVENTED[at : at + size] for at in range(0, len(INVENTED), size))]
    answers = (fake.tgi_generate_stream(said), fake.tgi_generate_stream(FINAL))
    if not streamed:
        answers = (fake.tgi_generate("".join(said)), fake.tgi_generate("".join(FINAL)))
    path = "/generate_stream" if streamed else "/generate"
    fake_server.on("POST", path, *answers)
    with model(base_url=fake_server.url, api="generate", prompt_builder="zephyr") as llm:
        done = invoke_agent(executor(variant, llm, stream_runnable=streamed), "What is 1+2?")
    action = "".join(ACTIONS[variant])
    assert [taken.log for taken, _ in done["intermediate_steps"]] == [action]
    assert done["output"] == "3"
    first, second = (r.json for r in fake_server.requests if r.path == path)
    assert first["parameters"]["stop"][0] == "\nObservation"
    assert f"Thought:{action}\nObservation: 3\nThought: </s>" in second["inputs"]
    assert "999" not in second["inputs"]
