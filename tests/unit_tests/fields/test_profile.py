"""`profile`: what a chat model says of itself, from where, and what reading it costs."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumps
from langchain_core.runnables import ConfigurableField

from langchain_easyllm import EasyLLMChat
from langchain_easyllm._fields import profile as profile_module
from langchain_easyllm._generation.hub_models import HUB_MODELS, hub_facts
from langchain_easyllm._servers.model_facts import read_router_models
from langchain_easyllm.errors import ConfigurationError, ConnectionError
from langchain_easyllm.http import Request, Response

from ...support.fake_server import FakeServer, Reply, Stall
from ...support.fake_text_servers import error, info_tgi, models, serve

CASSETTES = Path(__file__).parents[2] / "cassettes"
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
TABLE = {
    "max_input_tokens": 131_072,
    "image_inputs": False,
    "video_inputs": False,
    "tool_calling": True,
}
PROPS = {
    "default_generation_settings": {"n_ctx": 4096},
    "modalities": {"vision": True, "audio": False},
    "chat_template": "{% if tools %}{{ tools }}{% endif %}",
}


def recorded(server: str, route: str) -> Reply:
    """What a real server answered to a GET."""
    tape = yaml.safe_load((CASSETTES / server / "completed.yaml").read_text("utf-8"))
    for one in tape["interactions"]:
        if one["request"]["method"] == "GET" and one["request"]["uri"].endswith(route):
            status = one["response"]["status"]["code"]
            return Reply(one["response"]["body"]["string"].encode(), status=status)
    raise AssertionError(route)


def owned(by: str, **keys: object) -> Reply:
    return models("tiny", owned_by=by, **keys)


def asked(server: FakeServer) -> list[str]:
    return [request.path for request in server.requests]


SHAPES: dict[str, tuple[dict[str, Reply], dict[str, object], dict[str, object]]] = {
    "tgi": (
        {"/info": info_tgi(max_input_tokens=1024, max_total_tokens=2048)},
        {},
        {"max_input_tokens": 1024, "structured_output": True},
    ),
    "an old tgi": (
        {"/info": Reply({"model_id": "tiny", "max_input_length": 7, "max_total_tokens": 9})},
        {},
        {"max_input_tokens": 7, "structured_output": True},
    ),
    "tgi's completions, which ignore a schema": (
        {"/info": info_tgi()},
        {"api": "completions"},
        {"max_input_tokens": 1024, "structured_output": False},
    ),
    "vllm": (
        {"/info": recorded("vllm", "/info"), "/v1/models": recorded("vllm", "/v1/models")},
        {},
        {"max_input_tokens": 2048, "structured_output": True},
    ),
    "sglang": (
        {"/v1/models": owned("sglang", max_model_len=512)},
        {},
        {"max_input_tokens": 512, "structured_output": True},
    ),
    "llama-server": (
        {
            "/info": recorded("llama-server", "/info"),
            "/v1/models": recorded("llama-server", "/v1/models"),
        },
        {},
        {"max_input_tokens": 2048, "structured_output": True},
    ),
    "llama-server with eyes": (
        {"/v1/models": owned("llamacpp"), "/props": Reply(PROPS)},
        {},
        {
            "max_input_tokens": 4096,
            "image_inputs": True,
            "audio_inputs": False,
            "structured_output": True,
        },
    ),
    "llama-server without tools": (
        {"/v1/models": owned("llamacpp"), "/props": Reply({"chat_template": "plain"})},
        {},
        {"tool_calling": False, "structured_output": True},
    ),
    "openrouter's keys": (
        {"/v1/models": owned("somebody", context_length=999)},
        {},
        {"max_input_tokens": 999},
    ),
    "a name that the server takes for its own": (
        {"/v1/models": owned("vllm", max_model_len=512)},
        {"model": "an-adapter"},
        {"max_input_tokens": 512, "structured_output": True},
    ),
    "odd limits, and a model of the table": (
        {"/v1/models": models(LLAMA, owned_by="vllm", max_model_len="many", meta=[3])},
        {},
        {**TABLE, "structured_output": True},
    ),
    "nobody known": ({"/v1/models": owned("somebody")}, {}, None),
    "another than the first of several": (
        {
            "/v1/models": Reply(
                {"data": [{"id": "a", "context_length": 3}, {"id": "b", "context_length": 4}]}
            )
        },
        {"model": "b"},
        {"max_input_tokens": 4},
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_servers_own_word(fake_server: FakeServer, shape: str) -> None:
    replies, fields, profile = SHAPES[shape]
    for route in ("/info", "/v1/models", "/props"):
        fake_server.on("GET", route, replies.get(route, error("fastapi-not-found")))
    llm = EasyLLMChat(base_url=fake_server.url, **fields)
    assert asked(fake_server) == []
    assert llm.profile == profile
    before = asked(fake_server)
    assert llm.profile == profile
    assert asyncio.run(llm.aload_profile()) == profile
    assert asked(fake_server) == before
    again = EasyLLMChat(base_url=fake_server.url, **fields)
    assert (
        asyncio.run(again.aload_profile()) == profile
    )  # what the process knows is not asked again
    assert asked(fake_server) == before


ROUTER_LIST = {
    "object": "list",
    "data": [
        {"id": "odd"},
        "no entry",
        {
            "id": LLAMA,
            "object": "model",
            "created": 1721692800,
            "owned_by": "meta-llama",
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
            "providers": [
                {
                    "provider": "sambanova",
                    "status": "live",
                    "context_length": 16_384,
                    "supports_tools": True,
                    "supports_structured_output": False,
                },
                {
                    "provider": "nebius",
                    "status": "live",
                    "context_length": 131_072,
                    "pricing": {"input": 0.02, "output": 0.06},
                    "supports_tools": True,
                    "supports_structured_output": True,
                },
                {"provider": "asleep", "status": "error", "context_length": 5},
                {"provider": "mute", "status": "live"},
            ],
        },
        {
            "id": "org/sees",
            "architecture": {"input_modalities": ["text", "image"]},
            "providers": [{"provider": "one", "status": "live", "supports_tools": True}],
        },
    ],
}
TEXT_ONLY = {"image_inputs": False, "video_inputs": False, "audio_inputs": False}
ANY = {**TEXT_ONLY, "max_input_tokens": 16_384, "tool_calling": True, "structured_output": False}
NEBIUS = {**TABLE, "audio_inputs": False, "structured_output": True}


class Router:
    """In place of Inference Providers: answers with the list of models, or as told."""

    def __init__(self, answer: Callable[[Request], Response] | None = None) -> None:
        self.urls: list[str] = []
        self.answer = answer

    def send(self, request: Request) -> Response:
        self.urls.append(request.url)
        if self.answer:
            return self.answer(request)
        return Response(200, {}, json.dumps(ROUTER_LIST).encode())

    async def asend(self, request: Request) -> Response:
        return self.send(request)

    def open(self, request: Request) -> Response:
        raise NotImplementedError(request.url)

    async def aopen(self, request: Request) -> Response:
        return self.open(request)

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(
    ("fields", "profile"),
    [
        ({"model": LLAMA}, {**TABLE, **ANY}),
        ({"model": LLAMA.lower()}, {**TABLE, **ANY}),
        ({"model": f"{LLAMA}:fastest"}, {**TABLE, **ANY}),
        ({"model": LLAMA, "provider": "nebius"}, NEBIUS),
        ({"model": f"{LLAMA}:nebius"}, NEBIUS),
        ({"model": LLAMA, "provider": "mute"}, {**TABLE, **TEXT_ONLY}),
        ({"model": LLAMA, "provider": "not listed"}, {**TABLE, **TEXT_ONLY}),
        ({"model": "org/sees"}, {**TEXT_ONLY, "image_inputs": True, "tool_calling": True}),
        ({"model": "odd"}, None),
        ({"model": "org/nowhere"}, None),
        ({"model": "org/nowhere-thinking"}, {"reasoning_output": True}),
    ],
    ids=str,
)
def test_the_word_of_inference_providers(
    fields: dict[str, Any], profile: Mapping[str, object] | None
) -> None:
    router = Router()
    llm = EasyLLMChat(**fields, http_client=router, http_async_client=router)
    assert llm.profile == profile
    assert llm.profile == profile
    assert router.urls == ["https://router.huggingface.co/v1/models"]
    other = EasyLLMChat(**fields, http_client=Router(), http_async_client=(there := Router()))
    assert asyncio.run(other.aload_profile()) == profile
    assert len(there.urls) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data": {}}', b'"x"', b"\xff"])
def test_a_list_that_is_none(body: bytes) -> None:
    assert read_router_models(body) is None
    router = Router(lambda _: Response(200, {}, body))
    llm = EasyLLMChat(model=LLAMA, http_client=router)
    assert llm.profile == TABLE
    assert llm.profile == TABLE
    assert len(router.urls) == 1  # and not once more within a minute


def test_the_callers_keys_come_first_and_the_rest_is_found(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/info", info_tgi(model_id=LLAMA))
    llm = EasyLLMChat(base_url=fake_server.url, profile={"max_input_tokens": 5, "name": "Mine"})
    found = {**TABLE, "max_input_tokens": 5, "structured_output": True, "name": "Mine"}
    assert llm.profile == found
    llm.profile = {"tool_calling": False}
    assert llm.profile == {
        **TABLE,
        "max_input_tokens": 1024,
        "structured_output": True,
        "tool_calling": False,
    }
    other = llm.model_copy(update={"profile": {"max_input_tokens": 6}})
    assert other.profile is not None
    assert other.profile["max_input_tokens"] == 6
    llm.profile = None
    assert llm.profile == {**TABLE, "max_input_tokens": 1024, "structured_output": True}


def test_nothing_is_asked_where_the_caller_says_what_only_a_server_can(
    fake_server: FakeServer,
) -> None:
    own = {"max_input_tokens": 5, "structured_output": False}
    llm = EasyLLMChat(base_url=fake_server.url, model=LLAMA, profile=own)
    assert llm.profile == {**TABLE, **own}
    assert asked(fake_server) == []


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("8k", "profile must be a dict .* and not of type str"),
        (8192, "profile must be a dict .* and not of type int"),
        ([("max_input_tokens", 8)], "profile must be a dict .* and not of type list"),
        ({"max_input_tokens": "many"}, "profile.max_input_tokens: .*integer"),
        ({"max_input_tokens": 0}, "max_input_tokens must be a number of tokens"),
        ({"max_output_tokens": True}, "max_output_tokens must be a number of tokens"),
        ({"tool_calling": "perhaps"}, "profile.tool_calling: .*boolean"),
    ],
)
def test_a_profile_of_the_wrong_type(profile: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        EasyLLMChat(model=LLAMA, profile=profile)
    if not isinstance(profile, dict):
        llm = EasyLLMChat(model=LLAMA)
        llm.profile = profile
        with pytest.raises(ConfigurationError, match=words):
            llm.profile  # noqa: B018 - it is read


def test_unknown_keys_are_kept_with_a_warning() -> None:
    own = {"max_input_tokns": 5, "max_input_tokens": 6, "structured_output": True}
    with pytest.warns(UserWarning, match="did you mean 'max_input_tokens'"):
        llm = EasyLLMChat(model="org/nowhere", profile=own)
    assert llm.profile == own


def test_nothing_but_reading_it_asks(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/info", info_tgi())
    llm = EasyLLMChat(base_url=fake_server.url, profile={"max_input_tokens": 5}, cache=False)
    key = llm._get_llm_string(stop=["x"])
    texts = [repr(llm), str(llm), dumps(llm), repr(llm.model_dump()), llm.model_dump_json()]
    parts = [dict(llm), llm._identifying_params, llm.__repr_args__(), llm.to_json()]
    for made in (copy.copy(llm), copy.deepcopy(llm), llm.model_copy(), llm.bind(stop=["a"])):
        assert made is not llm
    pickle.loads(pickle.dumps(llm))
    llm.configurable_fields(temperature=ConfigurableField("t"))
    llm.bind_tools([]).with_retry().with_config(tags=["a"])
    assert all(texts + parts)
    assert asked(fake_server) == []
    twin = EasyLLMChat(base_url=fake_server.url, profile={"max_input_tokens": 5}, cache=False)
    assert llm == twin
    assert llm.profile == {"max_input_tokens": 5, "structured_output": True}
    assert llm == twin
    assert twin == llm
    assert key == llm._get_llm_string(stop=["x"])
    assert texts == [repr(llm), str(llm), dumps(llm), repr(llm.model_dump()), llm.model_dump_json()]
    # As for every model of langchain-core.
    assert "profile" not in json.loads(texts[2])["kwargs"]
    assert "profile" not in llm.model_dump()


def test_answers_stay_in_the_cache(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    llm = EasyLLMChat(base_url=fake_server.url, cache=InMemoryCache())
    llm.invoke("Hello")
    assert llm.profile
    llm.invoke("Hello")
    assert sum(request.method == "POST" for request in fake_server.requests) == 1


def test_copies_keep_it(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/info", info_tgi())
    llm = EasyLLMChat(base_url=fake_server.url)
    profile = llm.profile
    assert profile == {"max_input_tokens": 1024, "structured_output": True}
    before = asked(fake_server)
    kept = [copy.copy(llm), copy.deepcopy(llm), llm.model_copy(), pickle.loads(pickle.dumps(llm))]
    kept.append(llm.bind(stop=["a"]).bound)  # type: ignore[attr-defined]
    kept.append(llm.model_copy(update={"temperature": 0.5}))
    assert [one.profile for one in kept] == [profile] * 6
    fake_server.on("GET", "/info", info_tgi(max_input_tokens=3))
    assert [one.profile for one in kept] == [profile] * 6
    assert asked(fake_server) == before


class Sub(EasyLLMChat):
    """A user's own."""

    tenant: str = "acme"

    def _resolve_model_profile(self) -> Any:
        return {"name": "Mine", "max_input_tokens": 3}


def test_a_subclass_has_it_too(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/info", info_tgi())
    found = {"name": "Mine", "max_input_tokens": 1024, "structured_output": True}
    assert Sub(base_url=fake_server.url).profile == found
    assert Sub.model_fields["profile"].default is None
    with pytest.raises(AttributeError):
        Sub.profile  # noqa: B018 - as every field of a class


def test_it_stays_while_the_server_changes_and_goes_with_the_fields(
    fake_server: FakeServer,
) -> None:
    fake_server.on("GET", "/v1/models", owned("vllm", max_model_len=1000))
    llm = EasyLLMChat(base_url=fake_server.url)
    assert llm.profile == {"max_input_tokens": 1000, "structured_output": True}
    fake_server.on("GET", "/v1/models", owned("vllm", max_model_len=2000))
    llm._connect().session.recheck()
    llm._connect().session.detect(llm._retry_policy())
    assert llm.profile == {"max_input_tokens": 1000, "structured_output": True}
    assert EasyLLMChat(base_url=fake_server.url).profile != llm.profile
    with FakeServer() as other:
        other.on("GET", "/info", info_tgi(max_input_tokens=77))
        llm.base_url = other.url
        assert llm.profile == {"max_input_tokens": 77, "structured_output": True}


def test_a_server_out_of_reach_is_asked_once_a_minute_until_a_call_finds_it(
    fake_server: FakeServer,
) -> None:
    serve(fake_server, "vllm", model=LLAMA)
    up = fake_server.url
    refusing = Reply({"error": "starting"}, status=503)
    fake_server.on("GET", "/info", refusing)
    fake_server.on("GET", "/v1/models", refusing)
    llm = EasyLLMChat(base_url=up, model=LLAMA)
    assert llm.profile == TABLE
    first = len(asked(fake_server))
    assert first > 0
    assert llm.profile == TABLE
    assert EasyLLMChat(base_url=up, model=LLAMA).profile == TABLE
    assert len(asked(fake_server)) == first
    fake_server.on("GET", "/info", error("fastapi-not-found"))
    fake_server.on("GET", "/v1/models", models(LLAMA, owned_by="vllm", max_model_len=4096))
    llm.invoke("Hello")  # which asks anew: the profile's question was in vain, and not the call's
    known = {**TABLE, "max_input_tokens": 4096, "structured_output": True}
    assert llm.profile == known
    assert asyncio.run(llm.aload_profile()) == known


def test_reading_raises_nothing() -> None:
    def refuse(request: Request) -> Response:
        raise ConnectionError("no network", url=request.url)

    assert EasyLLMChat(model=LLAMA, http_client=Router(refuse)).profile == TABLE
    # A client of the caller's for asynchronous calls only: nothing can be asked from here.
    llm = EasyLLMChat(model=LLAMA, http_async_client=Router())
    assert llm.profile == TABLE
    assert asyncio.run(llm.aload_profile()) == {**TABLE, **ANY}
    assert llm.profile == {**TABLE, **ANY}


def test_in_a_running_loop_it_is_asked_beside_it(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/info", info_tgi())
    threads = threading.active_count()

    async def main() -> list[object]:
        llm = EasyLLMChat(base_url=fake_server.url)
        return [llm.profile, llm.profile, await llm.aload_profile()]

    assert asyncio.run(main()) == [{"max_input_tokens": 1024, "structured_output": True}] * 3
    assert asked(fake_server) == ["/info"]
    assert threading.active_count() <= threads


def test_a_silent_server_holds_a_loop_up_once_and_shortly(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile_module, "LOOP_TIMEOUT", 0.05)
    fake_server.on("GET", "/info", Reply(before=[Stall()]))
    llm = EasyLLMChat(base_url=fake_server.url, model=LLAMA)

    async def main() -> None:
        started = time.monotonic()
        assert llm.profile == TABLE
        assert time.monotonic() - started < 1.5
        asking = [one for one in threading.enumerate() if one.name == "easyllm-ask"]
        assert llm.profile == TABLE
        assert [one for one in threading.enumerate() if one.name == "easyllm-ask"] in ([], asking)
        for thread in asking:
            await asyncio.to_thread(thread.join)
        for _ in range(20):
            assert llm.profile == TABLE

    asyncio.run(main())
    assert len(asked(fake_server)) == 1


def test_a_server_on_the_same_loop_can_be_asked_by_await() -> None:
    body = json.dumps({"router": "text-generation-router", "max_input_tokens": 31}).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            llm = EasyLLMChat(base_url=f"http://{host}:{port}")
            known = {"max_input_tokens": 31, "structured_output": True}
            assert await llm.aload_profile() == known
            assert llm.profile == known
            await llm.aclose()

    asyncio.run(main())


def test_each_row_of_the_table_is_met() -> None:
    """No pattern stands behind one that takes all its names."""
    names = {
        row.pattern: row.pattern.replace("[12]", "1").replace("[123]", "1") for row in HUB_MODELS
    }
    for row in HUB_MODELS:
        name = (
            names[row.pattern]
            .replace("[56]", "5")
            .replace("[67]", "6")
            .replace("[0-9]", "8")
            .replace("*", "8")
        )
        assert hub_facts(name)["max_input_tokens"] == row.context, name
        assert row.pattern == row.pattern.lower()


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (LLAMA, TABLE),
        ("meta-llama/Llama-3.3-70B-Instruct:groq", TABLE),
        (
            "meta-llama/Meta-Llama-3-8B-Instruct",
            {**TABLE, "max_input_tokens": 8192, "tool_calling": False},
        ),
        ("Qwen/Qwen3-32B", {**TABLE, "max_input_tokens": 40_960, "reasoning_output": True}),
        ("Qwen/Qwen3-4B-Instruct-2507", {**TABLE, "max_input_tokens": 262_144}),
        ("Qwen/Qwen2.5-Coder-32B-Instruct", {**TABLE, "max_input_tokens": 32_768}),
        ("Qwen/Qwen3-Embedding-8B", {}),
        ("openai/gpt-oss-20b", {**TABLE, "reasoning_output": True}),
        ("me/Llama-3.1-8B-Instruct", {}),
        (None, {}),
    ],
)
def test_the_table_of_hub_models(name: str | None, facts: Mapping[str, object]) -> None:
    assert hub_facts(name) == facts
