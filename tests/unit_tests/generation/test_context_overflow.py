"""A request that does not fit into the context, however the server says so, in each mode."""

from __future__ import annotations

import pytest
from langchain_core import exceptions as core

from langchain_easyllm import EasyLLM, EasyLLMChat, errors

from ...support.fake_server import FakeServer, Reply, sse
from ...support.fake_text_servers import serve
from ...support.invocation_modes import STREAM_MODES, answer

ROUTES = {EasyLLMChat: "/v1/chat/completions", EasyLLM: "/v1/completions"}
WORDS = {
    "openai": {"message": "Your input exceeds the context window of this model.", "code": None},
    "llama.cpp": {"message": "Context size has been exceeded.", "code": 500},
    "lm studio": "Trying to keep the first 9 tokens when context the overflows.",
}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        *((200, said) for said in WORDS.values()),
        (400, WORDS["openai"]),
        (413, WORDS["lm studio"]),
        (422, WORDS["lm studio"]),
        (500, WORDS["llama.cpp"]),
    ],
)
@pytest.mark.parametrize("cls", ROUTES)
def test_middleware_can_catch_it(
    fake_server: FakeServer, cls: type, status: int, said: object, mode: str
) -> None:
    serve(fake_server, "openai")
    body = {"error": said}
    inside = status == 200 and mode in STREAM_MODES
    fake_server.on("POST", ROUTES[cls], sse(body) if inside else Reply(body, status=status))
    model = cls(base_url=fake_server.url, model="tiny")
    with pytest.raises(core.ContextOverflowError) as caught:
        answer(mode, model)
    assert isinstance(caught.value, errors.BadRequestError)
    assert "Shorten the messages" in str(caught.value) or status == 413
    assert [request.method for request in fake_server.requests].count("POST") == 1


def test_the_answer_so_far_is_kept(fake_server: FakeServer, stream_mode: str) -> None:
    serve(fake_server, "openai")
    chunk = {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}
    fake_server.on("POST", ROUTES[EasyLLMChat], sse(chunk, {"error": WORDS["llama.cpp"]}))
    with pytest.raises(core.ContextOverflowError) as caught:
        answer(stream_mode, EasyLLMChat(base_url=fake_server.url, model="tiny"))
    assert caught.value.partial == "Hel"  # type: ignore[attr-defined]
