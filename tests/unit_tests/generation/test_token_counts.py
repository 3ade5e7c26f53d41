"""A conversation is counted as the server counts it, in few requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from langchain_core.messages.content import create_image_block

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm._servers.capabilities import TokenCounts
from langchain_easyllm.errors import ConfigurationError, ServerError
from langchain_easyllm.offline import OfflineServer

from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import serve

Json = Mapping[str, Any]


def templated(body: Json) -> str:
    """Render a chat as the servers of these tests do, whose tokens are words."""
    turns = [f"<{m['role']}> {m.get('content') or ''} <end>" for m in body["messages"]]
    tools = ["<tool>" for _ in body.get("tools", ())]
    return " ".join(["<bos>", *tools, *turns, "<answer>"])


def words(text: str) -> list[int]:
    return list(range(len(text.split())))


NO_PROMPT = Reply(
    {
        "object": "error",
        "message": "[{'type': 'missing', 'loc': ('body', 'prompt'), 'msg': 'Field required', "
        "'input': {'messages': [{'role': 'user', 'content': 'Hi'}]}}]",
    },
    status=400,
)


def with_tokenizer(server: FakeServer, server_name: str, check: Any = lambda body: None) -> None:
    """Serve the tokenize routes of a server; `check` may refuse a chat."""
    serve(server, server_name.partition(",")[0])

    def answering(work: Callable[[Json], object]) -> Callable[[Received], Reply]:
        def reply(request: Received) -> Reply:
            body = json.loads(request.body)
            if "older" in server_name and "messages" in body:
                return NO_PROMPT
            return ("messages" in body and check(body)) or Reply(work(body))

        return reply

    def vllm(body: Json) -> object:
        text = templated(body) if "messages" in body else body["prompt"]
        return {"tokens": words(text), "count": len(words(text)), "max_model_len": 9}

    def tgi(text: str) -> list[object]:
        return [{"id": n, "text": "x", "start": 0, "stop": 1} for n in words(text)]

    def llamacpp(body: Json) -> object:
        bos = "<bos> " if body.get("add_special") else ""
        return {"tokens": words(bos + body["content"])}

    routes: dict[str, dict[str, Callable[[Json], object]]] = {
        "tgi": {
            "/chat_tokenize": lambda body: {
                "tokenize_response": tgi(templated(body)),
                "templated_text": templated(body),
            },
            "/tokenize": lambda body: tgi(body["inputs"]),
        },
        "vllm": {"/tokenize": vllm},
        "sglang": {"/v1/tokenize": vllm},
        "sglang, older": {"/v1/tokenize": vllm},
        "llamacpp": {
            "/apply-template": lambda body: {"prompt": templated(body).removeprefix("<bos> ")},
            "/tokenize": llamacpp,
        },
        "llama-cpp-python": {"/extras/tokenize": lambda body: {"tokens": words(body["input"])}},
    }
    for path, work in routes[server_name].items():
        server.on("POST", path, answering(work))


def posts(server: FakeServer) -> list[Received]:
    return [request for request in server.requests if request.method == "POST"]


TALK: list[BaseMessage] = [SystemMessage("Be brief and kind.")]
for number in range(40):
    TALK += [
        HumanMessage(f"Question {number}\n" + "and on " * (number % 7)),
        AIMessage(f"Answer {number}\nwith a second line " + "so " * (number % 5)),
    ]
TALK = TALK[:80]
BY_TEMPLATE = ["tgi", "vllm", "llamacpp", "sglang"]
ALL = [*BY_TEMPLATE, "sglang, older", "llama-cpp-python"]


@pytest.mark.parametrize("server_name", ALL)
@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "last", "include_system": True, "start_on": "human"},
        {"strategy": "last", "include_system": True, "allow_partial": True},
        {"strategy": "first", "allow_partial": True},
        {"strategy": "first", "end_on": "ai"},
    ],
    ids=lambda options: "-".join(options),
)
def test_trimming_80_messages_takes_few_requests(
    fake_server: FakeServer, server_name: str, options: dict[str, Any]
) -> None:
    with_tokenizer(fake_server, server_name)
    model = EasyLLMChat(base_url=fake_server.url)
    trimmed = trim_messages(TALK, max_tokens=300, token_counter=model, **options)
    assert len(posts(fake_server)) <= 20
    assert 10 < len(trimmed) < 60
    assert model.get_num_tokens_from_messages(trimmed) <= 310  # partial ones are counted apart
    before = len(posts(fake_server))
    assert trim_messages(TALK, max_tokens=300, token_counter=model, **options) == trimmed
    assert len(posts(fake_server)) == before


def test_a_rendered_prompt_takes_one_request_each(fake_server: FakeServer) -> None:
    with_tokenizer(fake_server, "tgi")
    for model in (
        EasyLLMChat(
            base_url=fake_server.url, prompt_builder="gemma"
        ),  # users and answers alternate
        EasyLLM(base_url=fake_server.url),
    ):
        before = len(posts(fake_server))
        trim_messages(
            TALK, max_tokens=300, token_counter=model, include_system=True, allow_partial=True
        )
        assert 1 < len(posts(fake_server)) - before <= 14
    assert {request.path for request in posts(fake_server)} == {"/tokenize"}


CALL = {"name": "add", "args": {"a": 1}, "id": "call_1", "type": "tool_call"}
PARTS: list[list[BaseMessage]] = [
    [HumanMessage("Hi there")],
    [SystemMessage("Be brief."), HumanMessage("Hi there"), AIMessage("Yes?"), HumanMessage("So")],
    [
        HumanMessage("Add"),
        AIMessage("", tool_calls=[CALL]),
        ToolMessage("2", tool_call_id="call_1"),
    ],
]


def add(a: int) -> int:
    """Add."""
    return a


@pytest.mark.parametrize("server_name", BY_TEMPLATE)
@pytest.mark.parametrize("messages", PARTS, ids=len)
def test_a_chat_is_counted_through_the_servers_template(
    fake_server: FakeServer, server_name: str, messages: list[BaseMessage]
) -> None:
    with_tokenizer(fake_server, server_name)
    model = EasyLLMChat(base_url=fake_server.url)
    count = model.get_num_tokens_from_messages(messages)
    model.invoke(messages)
    asked, *_ = posts(fake_server)
    sent = json.loads(posts(fake_server)[-1].body)
    assert json.loads(asked.body)["messages"] == sent["messages"]
    assert count == len(words(templated(sent)))
    assert model.get_num_tokens_from_messages(messages, tools=[add]) == count + 1


@pytest.mark.parametrize("server_name", BY_TEMPLATE)
@pytest.mark.parametrize(("status", "asked"), [(400, 2), (500, 5)])
def test_what_the_template_refuses_is_counted_as_text(
    fake_server: FakeServer, server_name: str, status: int, asked: int
) -> None:
    def check(body: Json) -> Reply | None:
        opens = body["messages"][0]["role"]
        error = {"error": {"message": "Conversation roles must alternate"}}
        return Reply(error, status) if opens == "assistant" else None

    with_tokenizer(fake_server, server_name, check)
    model = EasyLLMChat(base_url=fake_server.url)
    for _ in range(2):
        assert model.get_num_tokens_from_messages([AIMessage("Yes or no?")]) == 4
    # The text is counted once; a failure (500) is asked twice each time.
    assert len(posts(fake_server)) == asked
    assert model.get_num_tokens_from_messages([HumanMessage("Yes?")]) == 5
    assert 10 < len(trim_messages(TALK, max_tokens=300, token_counter=model)) < 60


PATHS = {"tgi": "/chat_tokenize", "vllm": "/tokenize", "llamacpp": "/apply-template"}


def failing(server: FakeServer, server_name: str, *statuses: int) -> str:
    """Answer with these statuses before the route for messages works; return its path."""
    with_tokenizer(server, server_name)
    path = PATHS[server_name]
    [good] = server._routes["POST", path].answers
    failures = [Reply("no", status, headers={"retry-after": "0"}) for status in statuses]
    server.on("POST", path, *failures, good)
    return path


@pytest.mark.parametrize("server_name", PATHS)
@pytest.mark.parametrize(
    "statuses", [(500,), (502,), (503,), (504, 503), (500, 503), (429,)], ids=str
)
def test_a_passing_failure_does_not_change_the_count(
    fake_server: FakeServer, server_name: str, statuses: tuple[int, ...]
) -> None:
    path = failing(fake_server, server_name, *statuses)
    model = EasyLLMChat(base_url=fake_server.url)
    assert model.get_num_tokens_from_messages([HumanMessage("Hi there")]) == 6
    assert len(fake_server.received(path)) >= len(statuses) + 1


@pytest.mark.parametrize("server_name", PATHS)
@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_failure_that_lasts_is_an_error(
    fake_server: FakeServer, server_name: str, status: int
) -> None:
    path = failing(fake_server, server_name, *[status] * 3)
    model = EasyLLMChat(base_url=fake_server.url, max_retries=2)
    with pytest.raises(ServerError):
        model.get_num_tokens_from_messages([HumanMessage("Hi there")])
    assert len(fake_server.received(path)) == 3
    assert model.get_num_tokens_from_messages([HumanMessage("Hi there")]) == 6


def test_an_older_route_of_prompts_is_asked_for_messages_once(fake_server: FakeServer) -> None:
    with_tokenizer(fake_server, "sglang, older")
    model = EasyLLMChat(base_url=fake_server.url)
    assert model.get_num_tokens_from_messages([HumanMessage("Hi there")]) == 3
    assert model.get_num_tokens_from_messages([HumanMessage("Hi you there")]) == 4
    assert ["messages" in json.loads(each.body) for each in posts(fake_server)] == [
        *(True, False, False)
    ]


def test_a_refusal_of_one_form_of_a_route_says_nothing_of_the_other(
    fake_server: FakeServer,
) -> None:
    where = ["body", "TokenizeCompletionRequest", "prompt"]  # one of several that vLLM tries
    detail = [{"type": "missing", "loc": where, "msg": "Field required", "input": {}}]
    with_tokenizer(
        fake_server,
        "vllm",
        lambda body: Reply({"detail": detail}, 422) if len(body["messages"]) > 1 else None,
    )
    model = EasyLLMChat(base_url=fake_server.url)
    assert model.get_num_tokens_from_messages([HumanMessage("Hi")] * 2) == 4
    assert model.get_num_tokens_from_messages([HumanMessage("Hi there")]) == 6


@pytest.mark.parametrize("server_name", ["tgi", "llamacpp"])
def test_a_missing_route_is_looked_for_once(fake_server: FakeServer, server_name: str) -> None:
    with_tokenizer(fake_server, server_name)
    path = PATHS[server_name]
    fake_server.on("POST", path, Reply("Not Found", 404))
    model = EasyLLMChat(base_url=fake_server.url)
    assert model.get_num_tokens_from_messages([HumanMessage("Hi there")]) == 3
    assert model.get_num_tokens_from_messages([HumanMessage("Hi you there")]) == 4
    assert len(fake_server.received(path)) == 1


@pytest.mark.parametrize("cls", [EasyLLM, EasyLLMChat])
def test_nothing_is_counted_of_no_messages(fake_server: FakeServer, cls: type) -> None:
    assert cls(base_url=fake_server.url).get_num_tokens_from_messages([]) == 0
    assert not fake_server.requests


def test_empty_messages_and_half_characters_are_counted(fake_server: FakeServer) -> None:
    with_tokenizer(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url)
    assert model.get_num_tokens_from_messages([AIMessage("")]) == 1
    assert model.get_num_tokens("a \ud800") == 2
    assert model.get_num_tokens_from_messages([HumanMessage("a \ud800")]) == 3


def test_a_block_that_cannot_be_sent_is_an_error(fake_server: FakeServer) -> None:
    with_tokenizer(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url)
    with pytest.raises(ConfigurationError, match="Message 0 "):
        model.get_num_tokens_from_messages([HumanMessage([create_image_block(file_id="x")])])


def test_a_text_is_counted_once_by_all_objects(fake_server: FakeServer) -> None:
    with_tokenizer(fake_server, "tgi")
    for cls in (EasyLLMChat, EasyLLM, EasyLLMChat):
        assert cls(base_url=fake_server.url).get_num_tokens("Hi there you") == 3
    assert len(posts(fake_server)) == 1
    assert EasyLLM(base_url=fake_server.url, model="other").get_num_tokens("Hi there you") == 3
    assert len(posts(fake_server)) == 2


def test_an_event_loop_may_count(fake_server: FakeServer) -> None:
    with_tokenizer(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url)

    async def work() -> int:
        await model.ainvoke("Hi")
        return model.get_num_tokens_from_messages([HumanMessage("Hi there")])

    assert asyncio.run(asyncio.wait_for(work(), 30)) == 6


def test_ones_own_tokenizer_counts_messages_too(fake_server: FakeServer) -> None:
    model = EasyLLMChat(base_url=fake_server.url, custom_get_token_ids=lambda text: words(text))
    assert model.get_num_tokens_from_messages(PARTS[1]) == 10
    assert model.get_num_tokens_from_messages(PARTS[1], tools=[add]) > 15
    assert not fake_server.requests


def test_a_models_files_count_where_the_server_has_no_route(
    fake_server: FakeServer, tmp_path: Path
) -> None:
    serve(fake_server, "openai")
    model = {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}
    tokenizer = {"version": "1.0", "added_tokens": [], "model": model}
    for part in ("normalizer", "post_processor", "decoder", "truncation", "padding"):
        tokenizer[part] = None
    tokenizer["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    llm = EasyLLMChat(base_url=fake_server.url, model=str(tmp_path))
    assert llm.get_num_tokens_from_messages([HumanMessage("Hi there")]) == 3  # "user: Hi there"
    template = "<s> {% for m in messages %}{{ m.role }} {{ m.content }} !\n{% endfor %}answer"
    config = {"chat_template": template, "bos_token": "<s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    other = EasyLLMChat(base_url=fake_server.url, model=str(tmp_path), api_key="x")
    assert other.get_num_tokens_from_messages([HumanMessage("Hi there")]) == 6
    assert not posts(fake_server)


OPTIONS: list[dict[str, Any]] = [{}, {"prompt_builder": "zephyr", "api": "completions"}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("messages", PARTS, ids=len)
def test_the_count_is_the_usage(
    offline_server: OfflineServer, options: dict[str, Any], messages: list[BaseMessage]
) -> None:
    model = EasyLLMChat(base_url=offline_server.base_url, max_tokens=1, temperature=0, **options)
    usage = model.invoke(messages).usage_metadata
    assert usage is not None
    assert model.get_num_tokens_from_messages(messages) == usage["input_tokens"]


def test_the_count_with_tools_is_the_usage(offline_server: OfflineServer) -> None:
    model = EasyLLMChat(base_url=offline_server.base_url, max_tokens=1, temperature=0)
    for messages in PARTS:
        answer = model.bind_tools([add]).invoke(messages)
        count = model.get_num_tokens_from_messages(messages, tools=[add])
        assert answer.usage_metadata is not None
        assert count == answer.usage_metadata["input_tokens"]


def test_counts_are_forgotten_beyond_a_number() -> None:
    counts = TokenCounts(2)
    for key in (b"a", b"b"):
        counts.put(key, ord(key))
    assert counts.get(b"a") == 97
    counts.put(b"c", 99)
    assert (counts.get(b"a"), counts.get(b"b"), counts.get(b"c")) == (97, None, 99)
