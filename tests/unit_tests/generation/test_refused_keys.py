"""Keys that this package adds, and that a server refuses: the answer comes without them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat, errors, huggingface
from langchain_easyllm._generation.prepare import prepare_request
from langchain_easyllm._generation.refusals import RefusedKeys
from langchain_easyllm._generation.request import GenerationRequest
from langchain_easyllm._http.models import RetryPolicy
from langchain_easyllm._servers.profile import GenerationApi
from langchain_easyllm._servers.session import ServerSession
from langchain_easyllm._servers.urls import parse_server_url
from langchain_easyllm.errors import BadRequestError

from ...support.fake_server import FakeServer, Pause, Received, Reply, Stall, sse
from ...support.fake_text_servers import serve
from ...support.invocation_modes import STREAM_MODES, answer, text_of
from ...support.on_the_clock import ON_THE_CLOCK

if TYPE_CHECKING:
    from langchain_easyllm._http.client import Transport

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
ROUTES = {EasyLLMChat: CHAT, EasyLLM: TEXT}
Bodies = list[dict[str, Any]]
Refuse = Callable[[str], Reply]


def openai(message: str, status: int = 400, **fields: object) -> Reply:
    return Reply({"error": {"message": message, "type": "invalid_request_error", **fields}}, status)


def forbidden(key: str, more: object = None) -> dict[str, object]:
    kind, said = "extra_forbidden", "Extra inputs are not permitted"
    return {"type": kind, "loc": ["body", key, "include_usage"], "msg": said, "input": more}


WORDINGS: dict[str, Refuse] = {
    "openai": lambda key: openai(f"Unrecognized request argument supplied: {key}"),
    "openai, newer": lambda key: openai(f"Unknown parameter: '{key}'.", param=key),
    "a model": lambda key: openai(
        f"Unsupported parameter: '{key}' is not supported with this model."
    ),
    "param alone": lambda key: openai("Unsupported parameter.", param=key),
    "details": lambda key: Reply(
        {"error": {"message": "Validation error", "details": [{"path": key, "code": "unknown"}]}},
        status=422,
    ),
    "inner error": lambda key: openai(
        "Parameter not supported", innererror={"code": "unsupported", "param": key}
    ),
    "include_usage": lambda _: openai("include_usage is not supported"),
    "go, its name": lambda _: openai("json: unknown field StreamOptions"),
    "pointer": lambda key: Reply(
        {"errors": [{"pointer": f"/{key}", "detail": "unknown"}]}, status=422
    ),
    "fields": lambda key: Reply({"detail": {"error": "invalid", "fields": [key]}}, status=400),
    "many": lambda key: openai(f"Unsupported parameter(s): `{key}`"),
    "fastapi": lambda key: Reply({"detail": [forbidden(key)]}, status=422),
    "mistral": lambda key: Reply(
        {"object": "error", "message": {"detail": [forbidden(key, True)]}, "code": None}, status=422
    ),
    "vllm": lambda key: openai(
        f"[{{'type': 'extra_forbidden', 'loc': ('body', '{key}'), 'msg': 'Extra inputs are not "
        "permitted', 'input': {'include_usage': True}}]"
    ),
    "anthropic": lambda key: openai(f"{key}: Extra inputs are not permitted"),
    "azure": lambda key: openai(f"Validation error at #/{key}: Extra inputs are not permitted"),
    "azure, models": lambda key: Reply(
        {"detail": f"Extra parameters ['{key}'] are not allowed when extra-parameters is not set."},
        status=400,
    ),
    "groq": lambda key: openai(f"property '{key}' is unsupported, did you mean 'stream'?"),
    "serde": lambda key: Reply(f"unknown field `{key}`, expected `model`", status=422),
    "go": lambda key: Reply({"error": f'json: unknown field "{key}"'}, status=400),
    "schema": lambda key: Reply({"message": f"{key}: property not allowed"}, status=400),
    "valid": lambda key: Reply({"error": f"'{key}' is not a valid parameter"}, status=400),
    "only with": lambda key: openai(
        f"Validation: The value of '{key}' only be set when stream is true"
    ),
    "toolkit": lambda key: Reply(
        {"error": f"The following `model_kwargs` are not used by the model: ['{key}']"}, status=400
    ),
}


def refusing(
    server: FakeServer,
    *keys: str,
    refuse: Refuse = WORDINGS["openai"],
    name: str = "openai",
    route: str = CHAT,
) -> Bodies:
    """Refuse requests with these keys, one key at a time; return the bodies that came."""
    serve(server, name)
    bodies: Bodies = []
    [good] = server._routes["POST", route].answers

    def reply(request: Received) -> Reply:
        body: Any = request.json
        bodies.append(body)
        sent = {**body, **body.get("parameters", {})}
        found = next((key for key in keys if key in sent), None)
        if found:
            return refuse(found)
        return good(request) if callable(good) else good

    server.on("POST", route, reply)
    return bodies


@pytest.mark.parametrize("refuse", WORDINGS.values(), ids=WORDINGS)
def test_any_words_will_do(fake_server: FakeServer, refuse: Refuse) -> None:
    bodies = refusing(fake_server, "stream_options", refuse=refuse)
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", max_retries=0)
    for asked in (2, 3):
        assert text_of(answer("stream", model)) == "Hello world"
        assert len(bodies) == asked


@pytest.mark.parametrize("wording", ["openai", "fastapi"])
@pytest.mark.parametrize("cls", ROUTES)
def test_an_answer_comes_without_token_counts_and_that_is_remembered(
    fake_server: FakeServer, cls: type, wording: str, stream_mode: str
) -> None:
    refuse = WORDINGS[wording]
    bodies = refusing(fake_server, "stream_options", refuse=refuse, route=ROUTES[cls])
    model = cls(base_url=fake_server.url, model="tiny", max_retries=0)
    for asked in (2, 3):
        said = answer(stream_mode, model)
        assert text_of(said) == "Hello world"
        assert len(bodies) == asked
    assert ["stream_options" in body for body in bodies] == [True, False, False]
    assert all(body["stream"] for body in bodies)
    # An object made anew finds what is known of the server; another model is asked by itself.
    answer(stream_mode, cls(base_url=fake_server.url, model="tiny"))
    assert len(bodies) == 4
    answer(stream_mode, cls(base_url=fake_server.url, model="other"))
    assert len(bodies) == 6


def test_a_key_of_the_callers_own_stays_an_error(fake_server: FakeServer, stream_mode: str) -> None:
    bodies = refusing(fake_server, "stream_options")
    own = {"stream_options": {"include_usage": True, "chunk_size": 1}}
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", model_kwargs=own)
    with pytest.raises(BadRequestError, match="stream_options"):
        answer(stream_mode, model)
    assert len(bodies) == 1


NEWER = "Unsupported parameter: 'max_tokens' is not supported with this model. Use {} instead."


@pytest.mark.parametrize("more", [{}, {"stop": ["1", "2", "3", "4", "5"]}])
def test_max_tokens_goes_by_its_newer_name(
    fake_server: FakeServer, more: dict[str, Any], mode: str
) -> None:
    words = NEWER.format("'max_completion_tokens'")
    bodies = refusing(
        fake_server,
        "max_tokens",
        refuse=lambda key: openai(words, param=key, code="unsupported_parameter"),
    )
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", max_tokens=7, max_retries=0, **more)
    for asked in (2, 3):
        assert text_of(answer(mode, model)) == "Hello world"
        assert len(bodies) == asked
        assert "max_tokens" not in bodies[-1]
        assert bodies[-1]["max_completion_tokens"] == 7
    answer(mode, model, max_tokens=5)
    assert bodies[-1]["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_tokens": 7}, "max_tokens is not permitted"),
        ({"temperature": 0.5}, "'temperature' does not support 0.5 with this model."),
    ],
)
def test_what_the_caller_gave_is_not_dropped(
    fake_server: FakeServer, fields: dict[str, Any], words: str, mode: str
) -> None:
    bodies = refusing(fake_server, "max_tokens", "temperature", refuse=lambda _: openai(words))
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", **fields)
    with pytest.raises(BadRequestError):
        answer(mode, model)
    assert len(bodies) == 1


@pytest.mark.parametrize("more", [{}, {"stop": ["1", "2", "3", "4", "5"]}])
def test_a_default_limit_goes_by_the_newer_name(
    fake_server: FakeServer, more: dict[str, Any], mode: str
) -> None:
    words = NEWER.format("'max_completion_tokens'")
    bodies = refusing(fake_server, "max_tokens", refuse=lambda key: openai(words), route=TEXT)
    model = EasyLLM(base_url=fake_server.url, model="tiny", api="completions", **more)
    for asked in (2, 3):
        assert text_of(answer(mode, model)) == "Hello world"
        assert len(bodies) == asked
        assert bodies[-1]["max_completion_tokens"] == 1024
        assert "max_tokens" not in bodies[-1]
    with pytest.raises(BadRequestError):  # the caller's own key, and no limit of ours beside it
        answer(mode, model, model_kwargs={"max_tokens": 5})
    assert "max_completion_tokens" not in bodies[-1]


OWN: list[tuple[type, str, dict[str, Any]]] = [
    (EasyLLM, "details", {"api": "generate", "logprobs": True}),
    (EasyLLM, "details", {"api": "generate", "model_kwargs": {"details": True}}),
    (EasyLLMChat, "max_tokens", {"max_tokens": 5, "model_kwargs": {"max_tokens": 5}}),
]


@pytest.mark.parametrize(("cls", "key", "fields"), OWN)
def test_a_key_that_the_callers_own_field_writes_stays_an_error(
    fake_server: FakeServer, cls: type, key: str, fields: dict[str, Any], mode: str
) -> None:
    generate = "/generate_stream" if mode in STREAM_MODES else "/generate"
    generates = "api" in fields
    words = NEWER.format("'max_completion_tokens'") if key == "max_tokens" else f"'{key}' is wrong"
    bodies = refusing(
        fake_server,
        key,
        refuse=lambda _: openai(words),
        name="tgi" if generates else "openai",
        route=generate if generates else CHAT,
    )
    with pytest.raises(BadRequestError):
        answer(mode, cls(base_url=fake_server.url, model="tiny", **fields))
    assert len(bodies) == 1


@pytest.mark.parametrize("cls", ROUTES)
def test_a_key_that_is_always_refused_is_sent_twice_at_most(
    fake_server: FakeServer, cls: type, mode: str
) -> None:
    words = NEWER.format("'max_completion_tokens'")
    bodies = refusing(
        fake_server, "model", refuse=lambda _: openai(f"stream_options? {words}"), route=ROUTES[cls]
    )
    with pytest.raises(BadRequestError):
        answer(mode, cls(base_url=fake_server.url, model="tiny", max_tokens=7))
    assert len(bodies) == 2


SCHEMA = {"title": "Person", "type": "object", "properties": {"name": {"type": "string"}}}
CALL = {"index": 0, "id": "c", "function": {"name": "Person", "arguments": '{"name": "Ida"}'}}


def test_parallel_calls_are_ours_in_structured_output(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "openai")
    bodies: Bodies = []

    def reply(request: Received) -> Reply:
        body: Any = request.json
        bodies.append(body)
        for key in ("response_format", "parallel_tool_calls"):
            if key in body:
                return WORDINGS["a model"](key)
        choice = {"index": 0, "finish_reason": "tool_calls"}
        message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        if body.get("stream"):
            return sse({"choices": [{**choice, "delta": message}]}, "[DONE]")
        return Reply({"choices": [{**choice, "message": message}]})

    fake_server.on("POST", CHAT, reply)
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", max_retries=0)
    chain = model.with_structured_output(SCHEMA, include_raw=True)
    for asked in (3, 4):  # a method, a key, the answer; then the answer at once
        found = answer(mode, chain)
        assert found["parsed"] == {"name": "Ida"}
        assert found["raw"].response_metadata["structured_output_method"] == "function_calling"
        assert len(bodies) == asked
    bound = model.bind_tools([SCHEMA], parallel_tool_calls=False)
    with pytest.raises(BadRequestError, match="parallel_tool_calls"):
        answer(mode, bound)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_defaults_of_the_clients_are_dropped(
    fake_server: FakeServer, streamed: bool, asynchronous: bool
) -> None:
    bodies = refusing(
        fake_server, "temperature", "top_k", "stream_options", refuse=WORDINGS["a model"]
    )
    given: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Hi"}],
        "model": "tiny",
        "api_base": fake_server.url,
        "stream": streamed,
        "max_retries": 0,
    }

    async def collect() -> list[Any]:
        result = await huggingface.ChatCompletion.acreate(**given)
        return [chunk async for chunk in result] if streamed else [result]

    def ask() -> str:
        if asynchronous:
            found = asyncio.run(collect())
        else:
            result = huggingface.ChatCompletion.create(**given)
            found = list(result) if streamed else [result]
        part = "delta" if streamed else "message"
        return "".join(each["choices"][0][part].get("content") or "" for each in found)

    refused = 3 if streamed else 2
    assert ask() == "Hello world"
    assert len(bodies) == refused + 1  # more than a call may have of other substitutes
    assert ask() == "Hello world"
    assert len(bodies) == refused + 2
    assert bodies[-1]["top_p"] == 0.6  # what was not refused is sent
    given |= {"temperature": 0.3}
    with pytest.raises(BadRequestError, match="temperature"):
        ask()


def test_a_text_generation_server_without_details(fake_server: FakeServer, mode: str) -> None:
    path = "/generate_stream" if mode in STREAM_MODES else "/generate"
    bodies = refusing(fake_server, "details", refuse=WORDINGS["toolkit"], name="tgi", route=path)
    model = EasyLLM(base_url=fake_server.url, model="tiny", api="generate", max_retries=0)
    for asked in (2, 3):
        assert text_of(answer(mode, model)) == "Hello world"
        assert len(bodies) == asked
    assert "details" not in bodies[-1]["parameters"]


@pytest.mark.parametrize(
    "refusal",
    [
        sse({"error": {"message": "Unrecognized request argument supplied: stream_options"}}),
        sse({"error": {"message": "unknown", "param": "stream_options", "code": 400}}),
    ],
)
def test_a_refusal_inside_a_stream(
    fake_server: FakeServer, refusal: Reply, stream_mode: str
) -> None:
    bodies = refusing(fake_server, "stream_options", refuse=lambda _: refusal)
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", max_retries=0)
    for asked in (2, 3):
        assert text_of(answer(stream_mode, model)) == "Hello world"
        assert len(bodies) == asked


def test_a_refusal_inside_an_answer(fake_server: FakeServer, whole_mode: str) -> None:
    words = NEWER.format("'max_completion_tokens'")
    bodies = refusing(
        fake_server, "max_tokens", refuse=lambda _: Reply({"error": {"message": words}})
    )
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", max_tokens=7, max_retries=0)
    for asked in (2, 3):
        assert text_of(answer(whole_mode, model)) == "Hello world"
        assert len(bodies) == asked


ECHOES: Mapping[str, object] = {
    "pydantic": {
        "detail": [
            {
                "type": "value_error",
                "loc": ["body", "messages", 0],
                "msg": "wrong",
                "input": {"content": "What does stream_options do, and max_completion_tokens?"},
            }
        ]
    },
    "words": {"error": {"message": "Cannot read 'stream_options or max_completion_tokens?'"}},
    "names": {"error": "Unknown key foo. Known are max_tokens, max_completion_tokens, stream."},
    "long": {"error": {"message": "Cannot parse " + "max_tokens max_completion_tokens " * 200}},
}


@pytest.mark.parametrize("more", [{}, {"stop": ["1", "2", "3", "4", "5"]}])
@pytest.mark.parametrize("body", ECHOES.values(), ids=ECHOES)
def test_a_failure_that_quotes_a_key_is_repeated_once_at_most(
    fake_server: FakeServer, body: object, more: dict[str, Any], mode: str
) -> None:
    bodies = refusing(fake_server, "messages", refuse=lambda _: Reply(body, status=400))
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", max_tokens=7, **more)
    with pytest.raises(BadRequestError):
        answer(mode, model)
    assert len(bodies) <= 2
    refusing(fake_server)
    answer("stream", model)  # and nothing is learned from it
    sent: Any = fake_server.requests[-1].json
    assert sent["stream_options"] == {"include_usage": True}
    assert sent["max_tokens"] == 7


def test_an_overflow_that_names_the_key_is_an_overflow(fake_server: FakeServer, mode: str) -> None:
    words = "'max_tokens' or 'max_completion_tokens' is too large, maximum context length is 4."
    bodies = refusing(fake_server, "max_tokens", refuse=lambda _: openai(words))
    with pytest.raises(errors.ContextOverflowError):
        answer(mode, EasyLLMChat(base_url=fake_server.url, model="tiny", max_tokens=7))
    assert len(bodies) == 1


def test_the_retries_of_a_call_remain(fake_server: FakeServer, stream_mode: str) -> None:
    serve(fake_server, "openai")
    [good] = fake_server._routes["POST", CHAT].answers
    busy = Reply("busy", status=503, headers={"retry-after": "0"})
    refusal = WORDINGS["openai"]("stream_options")
    fake_server.on("POST", CHAT, refusal, busy, busy, good)
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", max_retries=2)
    assert text_of(answer(stream_mode, model)) == "Hello world"
    assert [request.method for request in fake_server.requests].count("POST") == 4


def test_a_refusal_after_an_overload_inside_a_stream(
    fake_server: FakeServer, stream_mode: str
) -> None:
    serve(fake_server, "openai")
    [good] = fake_server._routes["POST", CHAT].answers
    error = {"message": "overloaded", "type": "overloaded", "code": 503, "retry_after": 0}
    refusal = WORDINGS["openai"]("stream_options")
    fake_server.on("POST", CHAT, sse({"error": error}), refusal, good)
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", max_retries=1)
    assert text_of(answer(stream_mode, model)) == "Hello world"


def test_what_is_not_proven_is_not_remembered(fake_server: FakeServer, stream_mode: str) -> None:
    serve(fake_server, "openai")
    [good] = fake_server._routes["POST", CHAT].answers
    refusal = WORDINGS["openai"]("stream_options")
    fake_server.on("POST", CHAT, refusal, Reply("busy", status=503), good)
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", max_retries=0)
    with pytest.raises(errors.ServerError):
        answer(stream_mode, model)
    assert text_of(answer(stream_mode, model)) == "Hello world"
    sent: list[Any] = [request.json for request in fake_server.requests if request.body]
    assert ["stream_options" in body for body in sent] == [True, False, True]


def test_answers_side_by_side_remember_all_their_keys() -> None:
    session = ServerSession(parse_server_url("http://localhost:1"), cast("Transport", None))
    policy = RetryPolicy()
    named = "tiny", GenerationApi.CHAT
    calls = []
    for key in ("stream_options", "max_tokens"):
        request = GenerationRequest("Hi", policy, api=GenerationApi.CHAT, model="tiny")
        refused = RefusedKeys(replace(request, params={"max_tokens": 7}), session)
        prepared = prepare_request(
            refused.request, session.url, None, session.capabilities, stream=True
        )
        words = f"not {key}" + (", max_completion_tokens" if key == "max_tokens" else "")
        assert refused.learn(prepared, BadRequestError(words), policy)
        assert not refused.learn(prepared, BadRequestError(words), policy)
        calls.append((refused, prepared))
    assert not session.capabilities.refused_keys
    for refused, prepared in calls:
        refused.remember(prepared)
    assert session.capabilities.refused_keys == {named: {"stream_options", "max_tokens"}}


@ON_THE_CLOCK
@pytest.mark.parametrize("mode", ["invoke", "astream"])
def test_the_timeout_is_the_calls(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "openai")
    words = NEWER.format("'max_completion_tokens'")
    late = replace(openai(words), before=[Pause(0.6)])
    fake_server.on("POST", CHAT, late, Reply(before=[Stall()]))
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", max_tokens=7, timeout=1.0)
    begun = time.monotonic()
    with pytest.raises(errors.TimeoutError):
        answer(mode, model)
    assert time.monotonic() - begun < 1.55  # two timeouts of its own would be 1.6 s
    assert [request.method for request in fake_server.requests].count("POST") == 2


def test_a_refusal_after_the_time_is_up_is_final() -> None:
    budget = RetryPolicy(timeout=0.0).begin().call_budget()
    refusal = BadRequestError("no")
    with pytest.raises(BadRequestError):
        budget.replace(refusal)
