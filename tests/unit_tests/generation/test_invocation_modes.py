"""invoke, ainvoke, stream and astream agree, whatever a model says and however it is cut up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_easyllm import EasyLLM, EasyLLMChat

from ...support.fake_server import Received, Reply, WireServer, sse
from ...support.fake_text_servers import (
    chat,
    chat_events,
    completions,
    completions_events,
    serve,
    tgi_generate,
    tgi_generate_stream,
)
from ...support.invocation_modes import WAYS, answer, text_of

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
def server() -> Iterator[WireServer]:
    with WireServer() as running:
        yield running


def ignore_stops(server: WireServer, dialect: str, tokens: list[str]) -> None:
    """Answer all of the tokens on every route, whatever stops are asked for."""
    text = "".join(tokens)

    def reply(request: Received) -> Reply:
        body: Any = request.json
        if "messages" in body:
            events, whole = chat_events(tokens, dialect), chat(text, dialect=dialect)
        else:
            events, whole = completions_events(tokens, dialect), completions(text, dialect=dialect)
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
    dialect=st.sampled_from(["vllm", "tgi", "llamacpp", "transformers"]),
    honest=st.booleans(),
)
def test_all_ways_agree(
    server: WireServer,
    tokens: list[str],
    thought: list[str],
    closing: bool,
    stops: list[str],
    cls: Any,
    dialect: str,
    honest: bool,
) -> None:
    if thought:
        tokens = [*thought, "hm", *(["</think>"] if closing else []), *tokens]
    serve(server, dialect, tokens)
    if not honest:
        ignore_stops(server, dialect, tokens)
    answers = set()
    for way in WAYS:
        # A new name each time: nothing that one way learned of the model helps the next.
        model = cls(base_url=f"{server.url}?way={way}", timeout=20)
        given = answer(way, model, stop=stops) if stops else answer(way, model)
        answers.add(text_of(given))
    [text] = answers
    assert not any(stop in text for stop in stops)
