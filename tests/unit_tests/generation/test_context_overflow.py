"""A request that does not fit into the context, however the server says so, in each mode."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core import exceptions as core

from langchain_easyllm import EasyLLM, EasyLLMChat, errors

from ...support.cases import each_case
from ...support.fake_server import FakeServer, Received, Reply, sse
from ...support.fake_text_servers import serve
from ...support.invocation_modes import STREAM_MODES, answer, text_of

ROUTES = {EasyLLMChat: "/v1/chat/completions", EasyLLM: "/v1/completions"}
WORDS = {
    "openai": {"message": "Your input exceeds the context window of this model.", "code": None},
    "llama.cpp": {"message": "Context size has been exceeded.", "code": 500},
    "lm studio": "Trying to keep the first 9 tokens when context the overflows.",
}


@each_case(
    ("status", "said"),
    [
        *((200, said) for said in WORDS.values()),
        (400, WORDS["openai"]),
        (413, WORDS["lm studio"]),
        (422, WORDS["lm studio"]),
        (500, WORDS["llama.cpp"]),
    ],
)
@each_case("cls", ROUTES)
def test_middleware_can_catch_it(
    fake_server: FakeServer, cls: type, status: int, said: object, mode: str
) -> None:
    serve(fake_server, "openai")
    body = {"error": said}
    inside = status == 200 and mode in STREAM_MODES
    fake_server.on("POST", ROUTES[cls], sse(body) if inside else Reply(body, status=status))
    model = cls(base_url=fake_server.url, model="tiny", max_tokens=7)
    with pytest.raises(core.ContextOverflowError) as caught:
        answer(mode, model)
    assert isinstance(caught.value, errors.BadRequestError)
    assert "Shorten the messages" in str(caught.value) or status == 413
    assert [request.method for request in fake_server.requests].count("POST") == 1


LIMITED = [("vllm", "completions", "max_tokens"), ("tgi", "generate", "max_new_tokens")]


def limited(server: FakeServer, name: str, api: str, key: str | None) -> list[dict[str, Any]]:
    """Serve a context that a limit under this key exceeds; every request does without a key."""
    serve(server, name)
    bodies: list[dict[str, Any]] = []
    overflow = Reply({"error": WORDS["llama.cpp"]}, status=400)
    routes = ["/generate", "/generate_stream"] if api == "generate" else ["/v1/completions"]
    for path in routes:
        [good] = server._routes["POST", path].answers

        def reply(request: Received, good: Any = good) -> Reply:
            body: Any = request.json
            bodies.append({**body, **body.get("parameters", {})})
            if key is None or key in bodies[-1]:
                return overflow
            found: Reply = good(request) if callable(good) else good
            return found

        server.on("POST", path, reply)
    return bodies


@pytest.mark.parametrize(("name", "api", "key"), LIMITED)
def test_a_limit_of_ours_that_leaves_no_room_is_left_out(
    fake_server: FakeServer, name: str, api: Any, key: str, mode: str
) -> None:
    bodies = limited(fake_server, name, api, key)
    model = EasyLLM(base_url=fake_server.url, model="tiny", api=api, max_retries=0)
    for _ in range(2):  # it is the prompt's, and nothing that is remembered of the server
        assert text_of(answer(mode, model)) == "Hello world"
    assert [body.get(key) for body in bodies] == [1024, None, 1024, None]
    for own in ({"max_tokens": 7}, {"model_kwargs": {key: 7}}):
        del bodies[:]
        with pytest.raises(errors.ContextOverflowError):
            answer(mode, model, **own)
        assert len(bodies) == 1


@pytest.mark.parametrize(("prompt", "count"), [("Hi", 2), ("a" * 9000, 1)])
def test_a_prompt_that_is_too_long_is_sent_twice_at_most(
    fake_server: FakeServer, prompt: str, count: int, mode: str
) -> None:
    bodies = limited(fake_server, "vllm", "completions", None)  # a context of 2048 tokens
    with pytest.raises(errors.ContextOverflowError):
        answer(mode, EasyLLM(base_url=fake_server.url, stop=[*"abcde"]), prompt)
    assert len(bodies) == count


def test_the_answer_so_far_is_kept(fake_server: FakeServer, stream_mode: str) -> None:
    serve(fake_server, "openai")
    chunk = {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}
    fake_server.on("POST", ROUTES[EasyLLMChat], sse(chunk, {"error": WORDS["llama.cpp"]}))
    with pytest.raises(core.ContextOverflowError) as caught:
        answer(stream_mode, EasyLLMChat(base_url=fake_server.url, model="tiny"))
    assert caught.value.partial == "Hel"  # type: ignore[attr-defined]
