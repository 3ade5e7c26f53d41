"""`response_format` beside tools, as `create_agent`'s ProviderStrategy sends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from demo.tools import TOOLS
from langchain_easyllm import EasyLLMChat
from langchain_easyllm.errors import (
    BadRequestError,
    ConfigurationError,
    ServerError,
    StructuredOutputError,
)
from langchain_easyllm.offline import OfflineServer

from ...support.agent_invocation import agent_input, ainvoke, every_mode, invoke
from ...support.fake_responses import PROMPT_TOKENS
from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import serve, tgi_generate, tgi_generate_stream
from ...support.fake_tool_calls import Turn, turn_reply
from ...support.invocation_modes import answer
from ...support.text_servers import TEXT_SERVERS


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Sum(BaseModel):
    """A sum."""

    total: int
    steps: int = 0


FORMAT = ProviderStrategy(Sum).to_model_kwargs()["response_format"]
OBJECT = '{"total": 37, "steps": 2}'
CALLS = [
    Turn(["I", " add."], [("add", '{"a": 1, "b": 2}')]),
    Turn(calls=[("add", '{"a": 3, "b": 30}'), ("add", '{"a": 33, "b": 4}')]),
]
WHOLE = Turn([OBJECT[:9], OBJECT[9:]])
FREE = Turn(["It", " is", " 37."])
SERVERS = [name for name, row in TEXT_SERVERS.items() if not row.plain and name != "router"]
every_server = pytest.mark.parametrize("server_name", SERVERS)
Turns = Sequence[Turn | Reply]


def script(
    server: FakeServer,
    server_name: str,
    tools: Turns = (*CALLS, FREE),
    objects: Turns = (WHOLE,),
) -> Callable[[], list[Any]]:
    """Serve turns to requests with tools and turns to those without; return the bodies sent.

    Both in one request are refused, as by TGI, or nothing is called, as on vLLM and llama.cpp.
    """
    serve(server, server_name)
    numbers = {True: count(), False: count()}

    def reply(request: Received) -> Reply:
        body: Any = request.json
        has_tools, has_format = bool(body.get("tools")), "response_format" in body
        if has_tools and has_format and server_name == "tgi":
            said = {"error": "Grammar and tools are mutually exclusive", "error_type": "tool_error"}
            return Reply(said, status=422)
        turns = tools if has_tools and not has_format else objects
        turn = turns[min(next(numbers[turns is tools]), len(turns) - 1)]
        if isinstance(turn, Reply):
            return turn
        return turn_reply(server_name, turn, stream=bool(body.get("stream")))

    server.on("POST", "/v1/chat/completions", reply)
    return lambda: [one.json for one in server.requests if one.path.endswith("/completions")]


def chat(server: FakeServer, **fields: Any) -> EasyLLMChat:
    return EasyLLMChat(base_url=server.url, **fields)


def bound(server: FakeServer, **fields: Any) -> Any:
    return chat(server).bind_tools([add], **{"response_format": FORMAT, **fields})


def kinds(bodies: Sequence[Any]) -> str:
    """One letter a request: with tools, with a format, or with neither."""
    letters = [("t" * ("tools" in b) + "f" * ("response_format" in b)) or "-" for b in bodies]
    return " ".join(letters)


@every_server
@every_mode
def test_an_agent_answers_with_an_object_after_its_calls(
    fake_server: FakeServer, server_name: str, invoke_agent: Any
) -> None:
    bodies = script(fake_server, server_name)
    agent = create_agent(chat(fake_server), [add], response_format=ProviderStrategy(Sum))
    done = invoke_agent(agent, agent_input("Add 1, 2, 30 and 4."))
    assert done["structured_response"] == Sum(total=37, steps=2)
    results = [message.content for message in done["messages"] if isinstance(message, ToolMessage)]
    assert results == ["3", "33", "37"]
    last = done["messages"][-1]
    assert last.content == OBJECT
    constrained = bool(TEXT_SERVERS[server_name].schema)
    assert last.response_metadata["response_format_method"] == "second_request"
    assert last.response_metadata["structured_output_method"] == (
        "json_schema" if constrained else "prompt"
    )
    assert kinds(bodies()) == f"t t t {'f' if constrained else '-'}"
    asked = bodies()[-1]["messages"]
    assert asked[-2]["content"] == "It is 37."
    assert '"total"' in asked[-1]["content"]


@pytest.mark.parametrize("builder", [None, "chatml"])
def test_an_answer_that_was_continued_is_one_answer(
    fake_server: FakeServer, builder: str | None, mode: str
) -> None:
    serve(fake_server, "vllm", [" is", " 37."])
    model = chat(fake_server, prompt_builder=builder).bind_tools([add], response_format=FORMAT)
    talk = [HumanMessage("Add 33 and 4."), AIMessage("It")]
    with suppress(StructuredOutputError):  # the second answer is no object either
        answer(mode, model, talk)
    bodies = [one.json for one in fake_server.requests if one.path.endswith("/completions")]
    if builder:
        assert "assistant\nIt is 37.<|im_end|>\n<|im_start|>user\nWrite" in bodies[1]["prompt"]
        assert bodies[1]["prompt"].endswith("<|im_start|>assistant\n")
        return
    assert bodies[0]["continue_final_message"]
    assert "continue_final_message" not in bodies[1]
    roles = [message["role"] for message in bodies[1]["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert bodies[1]["messages"][1]["content"] == "It is 37."


@pytest.mark.parametrize("server_name", ["tgi", "vllm", "transformers"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_agents_tokens_are_calls_and_the_object(
    fake_server: FakeServer, server_name: str, asynchronous: bool
) -> None:
    script(fake_server, server_name)
    agent = create_agent(chat(fake_server), [add], response_format=ProviderStrategy(Sum))
    given, modes = agent_input("Add 1, 2, 30 and 4."), ["values", "messages"]

    async def listed() -> list[Any]:
        return [item async for item in agent.astream(given, stream_mode=modes)]

    seen: Any = (
        asyncio.run(listed()) if asynchronous else list(agent.stream(given, stream_mode=modes))
    )
    texts = [item[0].text for mode, item in seen if mode == "messages" and item[0].type != "tool"]
    assert "".join(texts) == "I add." + OBJECT
    assert [item for mode, item in seen if mode == "values"][-1]["structured_response"].total == 37


def test_whole_and_streamed_answers_are_the_same(fake_server: FakeServer, mode: str) -> None:
    thought = Turn(FREE.text, message={"reasoning": "Adding."})
    objects = Turn([OBJECT], message={"reasoning": "Writing."})
    script(fake_server, "vllm", [thought], [objects])
    found = answer(mode, bound(fake_server))
    assert found.text == OBJECT
    assert found.additional_kwargs["reasoning_content"] == "Adding.\n\nWriting."
    assert found.response_metadata["finish_reason"] == "stop"
    assert found.response_metadata["reasoning_field"] == "reasoning"
    assert found.response_metadata["response_format_method"] == "second_request"
    counts = found.usage_metadata  # of both requests
    assert counts["input_tokens"] == 2 * PROMPT_TOKENS
    assert counts["total_tokens"] == counts["input_tokens"] + counts["output_tokens"]


def test_a_step_that_calls_is_one_request(fake_server: FakeServer, mode: str) -> None:
    bodies = script(fake_server, "tgi", CALLS)
    found = answer(mode, bound(fake_server))
    assert (found.text, [call["args"] for call in found.tool_calls]) == (
        "I add.",
        [{"a": 1, "b": 2}],
    )
    assert found.response_metadata["response_format_method"] == "tools_first"
    assert kinds(bodies()) == "t"


@pytest.mark.parametrize(
    ("turn", "text"),
    [
        (Turn(["\n{", '"total": 1}', " "]), '{"total": 1}'),
        (Turn(message={"refusal": "No."}), ""),
        (Turn(calls=[("add", '{"a": 1')], finish_reason="length"), ""),
        (Turn(["Hm."], [("search", "{}")]), "Hm."),
    ],
    ids=["it fits already", "a refusal", "a call that was cut", "a call of no tool"],
)
def test_what_needs_no_second_request(
    fake_server: FakeServer, turn: Turn, text: str, mode: str
) -> None:
    bodies = script(fake_server, "vllm", [turn])
    found = answer(mode, bound(fake_server))
    assert (found.text, kinds(bodies())) == (text, "t")
    assert found.response_metadata["response_format_method"] == "tools_first"
    if turn.message:
        assert "No." in json.dumps(found.content)


@pytest.mark.parametrize(
    "turn", [Turn(['{"total": "many"}']), Turn(['{"total": 1}\nDone.']), Turn()]
)
def test_what_does_not_fit_is_asked_for(fake_server: FakeServer, turn: Turn, mode: str) -> None:
    bodies = script(fake_server, "vllm", [turn])
    assert answer(mode, bound(fake_server)).text == OBJECT
    assert kinds(bodies()) == "t f"
    assert len(bodies()[-1]["messages"]) == (3 if turn.text else 1)


@pytest.mark.parametrize(
    ("choice", "way", "sent"),
    [
        ("none", "without_tools", "f"),
        ("any", "tools_first", "t"),
        ("add", "tools_first", "t"),
        ("auto", "tools_first", "t"),
    ],
)
def test_a_tool_choice_decides(
    fake_server: FakeServer, choice: str, way: str, sent: str, mode: str
) -> None:
    bodies = script(fake_server, "tgi", CALLS)
    found = answer(mode, bound(fake_server, tool_choice=choice))
    assert found.response_metadata["response_format_method"] == way
    assert kinds(bodies()) == sent
    assert bool(found.tool_calls) == (choice != "none")
    assert found.text == (OBJECT if choice == "none" else "I add.")


REFUSED = Reply({"error": {"message": "response_format is not supported"}}, status=400)
CALL = Turn(calls=[("Sum", OBJECT)])
FENCED = Turn(["Here it is:\n", f"```json\n{OBJECT}\n```", "\nDone."])


def test_refusals_step_down_and_are_remembered(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "openai")
    numbers = count()

    def reply(request: Received) -> Reply:
        body: Any = request.json
        if "response_format" in body:
            return REFUSED
        names = [one["function"]["name"] for one in body.get("tools", ())]
        turn = {"add": FREE, "Sum": CALL}[names[0]]
        next(numbers)
        return turn_reply("openai", turn, stream=bool(body.get("stream")))

    fake_server.on("POST", "/v1/chat/completions", reply)
    llm = bound(fake_server)
    for sent in (4, 2):  # tools, format (refused), call; then without the refused one
        before = len(fake_server.requests)
        found = answer(mode, llm)
        assert (found.text, found.tool_calls) == (OBJECT, [])
        assert found.response_metadata["structured_output_method"] == "function_calling"
        assert found.response_metadata["finish_reason"] == "stop"
        posts = [one for one in fake_server.requests[before:] if one.method == "POST"]
        assert len(posts) == min(sent, 3)


def test_the_object_is_found_among_other_text(fake_server: FakeServer, mode: str) -> None:
    script(fake_server, "transformers", [FREE], [FENCED])
    found = answer(mode, bound(fake_server))
    assert json.loads(found.text) == json.loads(OBJECT)
    assert found.response_metadata["structured_output_method"] == "prompt"


def test_an_object_that_does_not_fit_is_repaired_once(
    fake_server: FakeServer, whole_mode: str
) -> None:
    bodies = script(fake_server, "transformers", [FREE], [Turn(["37"]), Turn([OBJECT])])
    found = answer(whole_mode, bound(fake_server))
    assert found.text == OBJECT
    assert kinds(bodies()) == "t - -"


def test_an_object_that_was_cut_off_says_so(fake_server: FakeServer, mode: str) -> None:
    bodies = script(fake_server, "vllm", [FREE], [Turn([OBJECT[:12]], finish_reason="length")])
    found = answer(mode, bound(fake_server))
    assert (found.text, found.response_metadata["finish_reason"]) == (OBJECT[:12], "length")
    assert kinds(bodies()) == "t f"


def test_an_error_of_the_second_request_is_raised(fake_server: FakeServer, mode: str) -> None:
    fails = Reply({"error": {"message": "out of memory"}}, status=500)
    script(fake_server, "vllm", [FREE], [fails])
    with pytest.raises(ServerError, match="out of memory"):
        answer(mode, bound(fake_server, max_retries=0))
    script(fake_server, "vllm", [Reply({"error": {"message": "no"}}, status=400)])
    with pytest.raises(BadRequestError):
        answer(mode, bound(fake_server))


class Counted(BaseCallbackHandler):
    def __init__(self) -> None:
        self.started, self.ended = 0, list[Any]()

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self.started += 1

    def on_llm_end(self, response: Any, **_: Any) -> None:
        self.ended.append(response.generations[0][0].message)


def test_callbacks_are_called_once(fake_server: FakeServer, mode: str) -> None:
    script(fake_server, "vllm", [FREE])
    counted = Counted()
    answer(mode, bound(fake_server).with_config(callbacks=[counted]))
    assert (counted.started, [message.text for message in counted.ended]) == (1, [OBJECT])


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"grammar": {"type": "choice", "value": ["yes", "no"]}}, "structured_outputs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": Sum}, "response_format"),
        (
            {
                "response_format": {
                    **FORMAT,
                    "json_schema": {**FORMAT["json_schema"], "strict": True},
                }
            },
            "response_format",
        ),
    ],
    ids=["choice", "any object", "class", "strict"],
)
def test_every_constraint_waits_for_the_answer(
    fake_server: FakeServer, given: Any, key: str, mode: str
) -> None:
    bodies = script(fake_server, "vllm", [FREE], [Turn(['{"total": 1}'])])
    found = answer(mode, chat(fake_server).bind_tools([add], **given))
    assert found.text == '{"total": 1}'
    first, second = bodies()
    assert "tools" in first
    assert key not in first
    assert "tools" not in second
    assert key in second
    if "strict" in str(given):
        assert second["response_format"] == given["response_format"]


def test_free_text_needs_nothing(fake_server: FakeServer) -> None:
    bodies = script(fake_server, "vllm", [FREE], [FREE])
    found = bound(fake_server, response_format={"type": "text"}).invoke("Hi")
    assert found.text == "It is 37."
    assert kinds(bodies()) == "tf"


def test_several_answers(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")

    def reply(request: Received) -> Reply:
        body: Any = request.json
        n = body.get("n", 1)
        texts = ["It is 37.", '{"total": 5}'] if "tools" in body else [OBJECT] * n
        choices = [
            {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for i, text in enumerate(texts[:n])
        ]
        usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
        return Reply({"model": "tiny", "choices": choices, "usage": usage})

    fake_server.on("POST", "/v1/chat/completions", reply)
    fields: Any = {"n": 2, "tools": [add], "response_format": FORMAT}
    [found] = chat(fake_server).generate([[HumanMessage("Hi")]], **fields).generations
    assert [one.text for one in found] == [OBJECT, '{"total": 5}']
    counted = [one.message.usage_metadata for one in found]
    assert (counted[0]["total_tokens"], counted[1]) == (18, None)


def test_tools_in_the_prompt(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    said = ['<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>', "Three."]
    turns = count()

    def reply(request: Received) -> Reply:
        body: Any = request.json
        text = OBJECT if "grammar" in body["parameters"] else said[next(turns)]
        stream = request.path == "/generate_stream"
        return tgi_generate_stream([text]) if stream else tgi_generate(text, tokens=[text])

    for path in ("/generate", "/generate_stream"):
        fake_server.on("POST", path, reply)
    llm = chat(fake_server, prompt_builder="qwen3").bind_tools([add], response_format=FORMAT)
    first = answer(mode, llm)
    assert first.tool_calls[0]["args"] == {"a": 1, "b": 2}
    assert answer(mode, llm).text == OBJECT
    bodies: Any = [one.json for one in fake_server.requests if one.method == "POST"]
    assert ["grammar" in body["parameters"] for body in bodies] == [False, False, True]
    assert '"name": "add"' not in bodies[-1]["inputs"]


def test_a_server_that_refuses_tools_gets_past_calls_as_text(
    fake_server: FakeServer, mode: str
) -> None:
    serve(fake_server, "openai")

    def reply(request: Received) -> Reply:
        body: Any = request.json
        odd = {"tool", "tool_calls"} & {x for m in body["messages"] for x in (m["role"], *m)}
        if "tools" in body or odd:
            return Reply({"error": {"message": "tools are not supported"}}, status=400)
        turn = Turn([OBJECT]) if "response_format" in body else FREE
        return turn_reply("openai", turn, stream=bool(body.get("stream")))

    fake_server.on("POST", "/v1/chat/completions", reply)
    call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "abcdefghi"}
    talk = [
        ("human", "Add."),
        AIMessage("", tool_calls=[call]),
        ToolMessage("3", tool_call_id="abcdefghi"),
    ]
    assert answer(mode, bound(fake_server), talk).text == OBJECT


def test_one_time_limit_for_both_requests(fake_server: FakeServer) -> None:
    busy = Reply({"error": "busy"}, status=503, headers={"retry-after": "0"})
    bodies = script(fake_server, "vllm", [busy, FREE], [busy])
    with pytest.raises(ServerError):
        bound(fake_server, max_retries=2).invoke("Hi")
    assert kinds(bodies()) == "t t f f"  # the retries of the call, not of each request


def test_schema_that_is_not_valid_is_refused_before_anything_is_sent(
    fake_server: FakeServer,
) -> None:
    script(fake_server, "vllm")
    with pytest.raises(ConfigurationError):
        bound(fake_server, response_format={"type": "json_schema"}).invoke("Hi")
    both = bound(fake_server, grammar={"type": "regex", "value": "a"})
    with pytest.raises(ConfigurationError, match="one field"):
        both.invoke("Hi")
    assert not [one for one in fake_server.requests if one.method == "POST"]


@every_mode
def test_a_tool_strategy_stays_as_it_is(fake_server: FakeServer, invoke_agent: Any) -> None:
    bodies = script(fake_server, "vllm", [*CALLS, CALL])
    agent = create_agent(chat(fake_server), [add], response_format=ToolStrategy(Sum))
    done = invoke_agent(agent, agent_input("Add."))
    assert done["structured_response"].total == 37
    assert kinds(bodies()) == "t t t"


class Friend(BaseModel):
    """The result."""

    friend: str
    age: int


QUESTION = "Who is Ida Lowell's friend? What is the age of that person raised to the 0.43 power?"


@pytest.mark.parametrize(("prompt_builder", "invoke_agent"), [(None, ainvoke), ("zephyr", invoke)])
def test_the_offline_model(
    offline_server: OfflineServer, prompt_builder: str | None, invoke_agent: Any
) -> None:
    llm = EasyLLMChat(
        base_url=offline_server.base_url,
        temperature=0,
        max_tokens=200,
        prompt_builder=prompt_builder,
    )
    agent = create_agent(llm, TOOLS, response_format=ProviderStrategy(Friend))
    done = invoke_agent(agent, agent_input(QUESTION))
    assert done["structured_response"] == Friend(friend="Karim Singh", age=29)
    made = [c["name"] for m in done["messages"] if m.type == "ai" for c in m.tool_calls]
    assert made == ["search", "search", "calculator"]
