"""invoke, ainvoke, stream and astream agree, whatever a model says and however it is cut up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_easyllm import EasyLLM, EasyLLMChat

from ...support.fake_server import FakeServer, Received, Reply, sse
from ...support.fake_text_servers import (
    chat,
    chat_events,
    completions,
    completions_events,
    serve,
    tgi_generate,
    tgi_generate_stream,
)
from ...support.invocation_modes import MODES, answer, text_of

PIECES = [
    "a",
    "b",
    " ",
    "\n",
    "<",
    "</",
    "think",
    "ST",
    "OP",
    "STOP",
    "</s>",
    "é",
    "\n\n",
    ">",
    "S",
]
STOPS = ["STOP", "</s>", "\n\n", "ab", "OP", "</", "think", "a b"]
THOUGHT = [["<think>"], ["<th", "ink>"], ["\n", "<think>\n"]]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def ignore_stops(server: FakeServer, server_name: str, tokens: list[str]) -> None:
    """Answer all of the tokens on every route, whatever stops are asked for."""
    text = "".join(tokens)

    def reply(request: Received) -> Reply:
        body: Any = request.json
        if "messages" in body:
            events, whole = chat_events(tokens, server_name), chat(text, server_name=server_name)
        else:
            events, whole = (
                completions_events(tokens, server_name),
                completions(text, server_name=server_name),
            )
        return sse(*events) if body.get("stream") else whole

    for path in ("/v1/chat/completions", "/v1/completions"):
        server.on("POST", path, reply)
    server.on("POST", "/generate", tgi_generate(text, tokens=tokens, details=True))
    server.on("POST", "/generate_stream", tgi_generate_stream(tokens))


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tokens=st.lists(st.sampled_from(PIECES), max_size=9),
    thought=st.one_of(st.just([]), st.sampled_from(THOUGHT)),
    closing=st.booleans(),
    stops=st.lists(st.sampled_from(STOPS), max_size=3, unique=True),
    cls=st.sampled_from([EasyLLMChat, EasyLLM]),
    server_name=st.sampled_from(["vllm", "tgi", "llamacpp", "transformers"]),
    honest=st.booleans(),
)
def test_all_modes_agree(
    server: FakeServer,
    tokens: list[str],
    thought: list[str],
    closing: bool,
    stops: list[str],
    cls: Any,
    server_name: str,
    honest: bool,
) -> None:
    if thought:
        tokens = [*thought, "hm", *(["</think>"] if closing else []), *tokens]
    serve(server, server_name, tokens)
    if not honest:
        ignore_stops(server, server_name, tokens)
    answers = set()
    for mode in MODES:
        # A new name each time: nothing that one way learned of the model helps the next.
        model = cls(base_url=f"{server.url}?mode={mode}", timeout=20)
        given = answer(mode, model, stop=stops) if stops else answer(mode, model)
        answers.add(text_of(given))
    [text] = answers
    assert not any(stop in text for stop in stops)
