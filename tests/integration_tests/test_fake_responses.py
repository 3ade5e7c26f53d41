"""The fake servers of the unit tests answer with the keys of the real programs."""

from __future__ import annotations

import json
import urllib.request

import pytest

from ..support.fake_server import FakeServer
from ..support.fake_text_servers import RESPONSE_SHAPES, end_at_stop, serve
from ..support.real_servers.server_process import RunningServer

FIXTURES = {"transformers": "transformers_server", "llama-cpp-python": "llama_cpp_server"}
BODIES = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]},
    "/v1/completions": {"prompt": "Hi"},
}


def ask(base_url: str, path: str, body: dict[str, object]) -> str:
    request = urllib.request.Request(
        base_url + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read().decode()


def structure(value: object) -> object:
    """What is left of an answer without its particulars: the keys, and the kinds of the values."""
    if isinstance(value, dict):
        return {key: structure(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [structure(item) for item in value]
    return type(value).__name__


def events(stream: str) -> list[str]:
    """The structures of a stream's events, equal neighbours once."""
    data = [line for line in stream.split("\n") if line]
    shapes = [
        line if line.endswith("[DONE]") else repr(structure(json.loads(line.removeprefix("data:"))))
        for line in data
    ]
    return [one for one, before in zip(shapes, [None, *shapes], strict=False) if one != before]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("server_name", FIXTURES)
def test_whole_and_streamed_answers_have_the_same_keys(
    request: pytest.FixtureRequest, fake_server: FakeServer, server_name: str, path: str
) -> None:
    real: RunningServer = request.getfixturevalue(FIXTURES[server_name])
    serve(fake_server, server_name, ["a", "b", "c"], model=real.model, finish_reason="length")
    body = {"model": real.model, "max_tokens": 12, "temperature": 0, **BODIES[path]}
    canned, answered = (ask(url, path, body) for url in (fake_server.url, real.base_url))
    assert structure(json.loads(canned)) == structure(json.loads(answered))
    body["stream"] = True
    canned, answered = (ask(url, path, body) for url in (fake_server.url, real.base_url))
    assert events(canned) == events(answered)


@pytest.mark.parametrize("server_name", FIXTURES)
def test_a_stop_sequence_ends_the_text_in_the_same_place(
    request: pytest.FixtureRequest, server_name: str
) -> None:
    real: RunningServer = request.getfixturevalue(FIXTURES[server_name])
    path = "/v1/completions"
    body = {"model": real.model, "max_tokens": 24, "temperature": 0, **BODIES[path]}
    stream = ask(real.base_url, path, {**body, "stream": True})
    chunks = [json.loads(line[5:]) for line in stream.split("\n") if line.startswith("data: {")]
    tokens = [chunk["choices"][0]["text"] for chunk in chunks]
    text = "".join(tokens)
    stop = next(part for at in range(8, len(text)) if (part := text[at : at + 3]).isalpha())
    said, stopped = end_at_stop(tokens, [stop], RESPONSE_SHAPES[server_name].stop)
    choice = json.loads(ask(real.base_url, path, {**body, "stop": [stop]}))["choices"][0]
    assert (choice["text"], choice["finish_reason"] == "stop") == ("".join(said), stopped)
