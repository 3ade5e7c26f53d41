"""Counts of parts of a conversation are exact, and take few requests."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    trim_messages,
)

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.offline import OfflineServer

from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import serve

TALK: list[BaseMessage] = [
    (HumanMessage if n % 2 == 0 else AIMessage)(f"It is {'really ' * (n % 7)}number {n}.")
    for n in range(80)
]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRATEGIES: tuple[dict[str, Any], ...] = (
    {"strategy": "last"},
    {"strategy": "first"},
    {"strategy": "last", "include_system": True, "allow_partial": True, "start_on": "human"},
)

Tokenizer = Callable[[str], list[str]]


def tokens_of(text: str) -> list[str]:
    """Special tokens, words and white space."""
    return re.findall(r"<\|im_start\|>|<\|im_end\|>|\w+|\s|[^\w\s]", text)


def stripping(text: str) -> list[str]:
    """The same, but that special tokens take in the white space beside them."""
    return tokens_of(re.sub(r"\s*(<\|im_(?:start|end)\|>)\s*", r"\1", text))


def bounded(text: str) -> list[str]:
    """The same between a BOS and an EOS."""
    return ["<s>", *tokens_of(text), "</s>"]


def unaware(text: str) -> list[str]:
    """No special tokens: a turn's tokens depend on its neighbours."""
    return re.findall(r"\w+|\s|[^\w\s]+", text)


def chatml(messages: list[Mapping[str, Any]], *, opened: bool = True) -> str:
    turns = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return turns + "<|im_start|>assistant\n" * opened


def with_tokenizer(server: FakeServer, server_name: str, tokenize: Tokenizer) -> None:
    """Serve the tokenize routes of a server that renders ChatML."""
    serve(server, server_name)

    def prompt_of(body: Mapping[str, Any]) -> str:
        *before, last = body["messages"]
        if last["role"] != "assistant":
            return chatml(body["messages"])
        return f"{chatml(before, opened=True)}{last['content']}"

    def reply(request: Received) -> Reply:
        body = json.loads(request.body)
        if "messages" in body:
            body["prompt"] = prompt_of(body)
        names = tokenize(body.get("prompt") or body.get("inputs") or body.get("content"))
        ids = list(range(len(names)))
        if server_name == "tgi":
            listed = [
                {"id": n, "text": text, "start": 0, "stop": 1} for n, text in enumerate(names)
            ]
            return Reply({"tokenize_response": listed} if "messages" in body else listed)
        if server_name == "vllm":
            named = {"token_strs": names} if body.get("return_token_strs") else {}
            return Reply({"tokens": ids, "count": len(ids), **named})
        pieces = [{"id": n, "piece": text} for n, text in enumerate(names)]
        return Reply({"tokens": pieces if body.get("with_pieces") else ids})

    server.on("POST", "/tokenize", reply)
    server.on("POST", "/chat_tokenize", reply)
    apply = lambda request: Reply({"prompt": prompt_of(json.loads(request.body))})  # noqa: E731
    server.on("POST", "/apply-template", apply)
    server.on("GET", "/props", Reply({"chat_template": TEMPLATE}))


def requests_of(server: FakeServer) -> int:
    routes = ("/tokenize", "/chat_tokenize", "/apply-template", "/props")
    return sum(request.path in routes for request in server.requests)


def parts() -> list[list[BaseMessage]]:
    """Parts of the conversation, as `trim_messages` tries and as it does not."""
    draw = random.Random(7)
    found = []
    for _ in range(25):
        start, end = sorted(draw.sample(range(81), 2))
        part = TALK[start:end]
        found.append(part[:: draw.choice([1, -1])])
    edges: list[list[BaseMessage]] = [
        [SystemMessage("Be brief."), *TALK[:3]],
        [HumanMessage("A line.\n"), AIMessage(" So \n"), HumanMessage("\n")],
        [HumanMessage("a"), AIMessage("b\n")],
        [HumanMessage("a"), HumanMessage("b"), AIMessage("c"), AIMessage("d")],
    ]
    return [*found, *edges]


def expected(messages: list[BaseMessage], tokenize: Tokenizer) -> int:
    roles = {"human": "user", "ai": "assistant", "system": "system"}
    listed = [{"role": roles[m.type], "content": m.text} for m in messages]
    if listed[-1]["role"] == "assistant":
        text = f"{chatml(listed[:-1])}{listed[-1]['content']}"
    else:
        text = chatml(listed)
    return len(tokenize(text))


@pytest.mark.parametrize("tokenize", [tokens_of, stripping, bounded, unaware])
@pytest.mark.parametrize("server_name", ["tgi", "vllm", "llamacpp"])
def test_every_part_is_counted_exactly(
    fake_server: FakeServer, server_name: str, tokenize: Tokenizer
) -> None:
    with_tokenizer(fake_server, server_name, tokenize)
    for options in ({"prompt_builder": "chatml"}, {}):
        model = EasyLLMChat(base_url=fake_server.url, **options)
        model.get_num_tokens_from_messages(TALK)
        for part in parts():
            if server_name == "tgi" and not options and part[-1].text != part[-1].text.strip():
                continue  # it is sent without the white space
            assert model.get_num_tokens_from_messages(part) == expected(part, tokenize)


@pytest.mark.parametrize("server_name", ["tgi", "vllm", "llamacpp"])
def test_trimming_takes_a_handful_of_requests(fake_server: FakeServer, server_name: str) -> None:
    with_tokenizer(fake_server, server_name, tokens_of)
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="chatml")
    for strategy in STRATEGIES:
        before = requests_of(fake_server)
        talk = [SystemMessage(f"Be brief: {strategy}."), *TALK]
        trimmed = trim_messages(talk, max_tokens=500, token_counter=model, **strategy)
        assert 10 < len(trimmed) < 60
        assert requests_of(fake_server) - before <= 5


def test_a_published_template_saves_most_renderings(fake_server: FakeServer) -> None:
    with_tokenizer(fake_server, "llamacpp", tokens_of)
    model = EasyLLMChat(base_url=fake_server.url)
    for strategy in STRATEGIES[:2]:
        before = requests_of(fake_server)
        trimmed = trim_messages(TALK, max_tokens=500, token_counter=model, **strategy)
        assert 10 < len(trimmed) < 60
        assert requests_of(fake_server) - before <= 6
    assert len(fake_server.received("/props")) == 1
    before = requests_of(fake_server)
    part = TALK[6:61]
    assert model.get_num_tokens_from_messages(part) == expected(part, tokens_of)
    assert requests_of(fake_server) == before


@pytest.mark.parametrize(
    "props", [Reply({}), Reply("no", 404), Reply({"chat_template": "{{ 1 }}"})]
)
def test_a_template_that_is_not_the_servers_changes_nothing(
    fake_server: FakeServer, props: Reply
) -> None:
    with_tokenizer(fake_server, "llamacpp", tokens_of)
    fake_server.on("GET", "/props", props)
    model = EasyLLMChat(base_url=fake_server.url)
    for part in (TALK, *parts()):
        assert model.get_num_tokens_from_messages(part) == expected(part, tokens_of)
    assert len(fake_server.received("/props")) == 1


def test_one_conversation_takes_the_routes_own_requests_only(fake_server: FakeServer) -> None:
    with_tokenizer(fake_server, "llamacpp", tokens_of)
    model = EasyLLMChat(base_url=fake_server.url)
    model.get_num_tokens_from_messages(TALK)
    assert requests_of(fake_server) == 2


def test_a_real_tokenizers_pieces_add_up(offline_server: OfflineServer) -> None:
    model = EasyLLMChat(
        base_url=offline_server.base_url, prompt_builder="zephyr", api="completions", max_tokens=1
    )
    model.get_num_tokens_from_messages(TALK[:24])
    for part in (TALK[3:9], TALK[:7], TALK[20:10:-1], TALK[4:5]):
        counted = model.get_num_tokens_from_messages(part)
        usage = model.invoke(part).usage_metadata
        assert usage is not None
        assert usage["input_tokens"] == counted
