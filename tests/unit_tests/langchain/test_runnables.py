"""What LangChain does with a model: bind, configure, retry, fall back, cache, limit, chain."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnablePassthrough

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError, ProtocolError, ServerError

from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import chat, completions, error, serve
from ...support.invocation_modes import CLASSES, answer, body_of, text_of

ROUTES = {EasyLLMChat: "/v1/chat/completions", EasyLLM: "/v1/completions"}
CLASS = pytest.mark.parametrize("cls", CLASSES)


def posts(server: FakeServer) -> list[Received]:
    return [request for request in server.requests if request.method == "POST"]


@CLASS
def test_bind_and_call_override_the_object(
    fake_server: FakeServer, cls: type, any_mode: str
) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url, temperature=0.5, max_tokens=5, top_p=0.9)
    bound = model.bind(temperature=0.2, max_new_tokens=7)
    answer(any_mode, bound, top_p=None, seed=0)
    sent = body_of(fake_server)
    assert (sent["temperature"], sent["max_tokens"], sent["seed"]) == (0.2, 7, 0)
    assert "top_p" not in sent
    answer(any_mode, bound, temperature=0)
    assert body_of(fake_server)["temperature"] == 0
    answer(any_mode, model)
    assert body_of(fake_server)["temperature"] == 0.5


@CLASS
def test_configurable_fields(fake_server: FakeServer, cls: type, any_mode: str) -> None:
    serve(fake_server, "openai")
    model = cls(base_url=fake_server.url, model="one", max_tokens=9).configurable_fields(
        model=ConfigurableField("name"),
        temperature=ConfigurableField("heat"),
        stop=ConfigurableField("stop"),
    )
    answer(any_mode, model)
    assert body_of(fake_server)["model"] == "one"
    answer(any_mode, model.with_config(configurable={"name": "two", "heat": 0.3, "stop": ["x"]}))
    sent = body_of(fake_server)
    assert (sent["model"], sent["temperature"], sent["stop"]) == ("two", 0.3, ["x"])
    assert sent["max_tokens"] == 9


def test_configured_models_share_the_detection_and_the_sockets(fake_server: FakeServer) -> None:
    serve(fake_server, "openai")
    model = EasyLLMChat(base_url=fake_server.url).configurable_fields(
        temperature=ConfigurableField("heat")
    )
    for number in range(5):
        model.invoke("Hi", {"configurable": {"heat": number / 10}})
    assert len(fake_server.received("/info")) == 1
    assert fake_server.connections == 1


@CLASS
def test_configurable_alternatives(fake_server: FakeServer, cls: type, any_mode: str) -> None:
    serve(fake_server, "openai")
    model = cls(base_url=fake_server.url, model="one").configurable_alternatives(
        ConfigurableField("which"), other=cls(base_url=fake_server.url, model="two")
    )
    answer(any_mode, model.with_config(configurable={"which": "other"}))
    assert body_of(fake_server)["model"] == "two"


@CLASS
@pytest.mark.parametrize("whole_mode", ["invoke", "ainvoke", "batch", "abatch"])
def test_with_retry(fake_server: FakeServer, cls: type, whole_mode: str) -> None:
    serve(fake_server, "vllm")
    good = (chat if cls is EasyLLMChat else completions)("fine", server_name="vllm")
    fake_server.on("POST", ROUTES[cls], error("fastapi-internal"), good)
    model = cls(base_url=fake_server.url, max_retries=0)
    patient = model.with_retry(
        retry_if_exception_type=(ServerError,), wait_exponential_jitter=False
    )
    assert text_of(answer(whole_mode, patient)) == "fine"
    assert len(posts(fake_server)) == 2


@CLASS
def test_with_fallbacks(fake_server: FakeServer, cls: type, any_mode: str) -> None:
    serve(fake_server, "vllm")
    down = cls(base_url="http://127.0.0.1:9", max_retries=0)
    model = down.with_fallbacks([cls(base_url=fake_server.url)])
    if "as_completed" in any_mode:
        any_mode = "invoke"
    assert text_of(answer(any_mode, model)) == "Hello world"


@CLASS
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "batch", "abatch"])
def test_a_cache_answers_the_second_time(fake_server: FakeServer, cls: type, mode: str) -> None:
    serve(fake_server, "vllm")
    cache = InMemoryCache()

    def asked(**fields: object) -> int:
        before = len(posts(fake_server))
        kwargs = fields.pop("call", {})
        model = cls(**{"base_url": fake_server.url, "cache": cache, **fields})
        assert text_of(answer(mode, model, **kwargs)) == "Hello world"
        return len(posts(fake_server)) - before

    assert [asked(), asked()] == [1, 0]
    for number, change in enumerate(
        [
            {"model": "tiny"},
            {"temperature": 0.5},
            {"stop": ["never"]},
            {"model_kwargs": {"min_p": 0.1}},
            {"top_k": 3},
            {"base_url": fake_server.url.replace("127.0.0.1", "localhost")},
            {"api": "chat"},
            {"call": {"temperature": 0.7}},
            {"call": {"stop": ["also never"]}},
        ]
    ):
        assert [asked(**change), asked(**change)] == [1, 0], (number, change)
    assert asked() == 0


def test_a_cached_prompt_of_another_template_is_another(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    cache = InMemoryCache()
    for builder in ("zephyr", "chatml", lambda messages: messages[0].content):
        for expected in (1, 0):
            before = len(posts(fake_server))
            model = EasyLLMChat(base_url=fake_server.url, prompt_builder=builder, cache=cache)
            model.invoke("Hi")
            assert len(posts(fake_server)) - before == expected


def test_two_callables_are_two_templates_to_a_cache(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    cache = InMemoryCache()
    for prefix in "ab":
        builder = lambda messages, prefix=prefix: prefix + messages[0].content  # noqa: E731
        model = EasyLLMChat(base_url=fake_server.url, prompt_builder=builder, cache=cache)
        model.invoke("Hi")
        assert body_of(fake_server)["prompt"] == prefix + "Hi"


def test_a_cache_holds_no_secret(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    cache = InMemoryCache()
    secret = {
        "api_key": "hf_topsecret",
        "default_headers": {"Authorization": "Bearer hf_topsecret"},
    }
    for cls in CLASSES:
        cls(base_url=fake_server.url, cache=cache, **secret).invoke("Hi")
    assert len(cache._cache) == 2
    assert "hf_topsecret" not in repr(cache._cache)


class Counter(BaseRateLimiter):
    """Lets everyone pass and counts them."""

    def __init__(self) -> None:
        self.asked = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.asked += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.asked += 1
        return True


@CLASS
@pytest.mark.parametrize("streaming", [None, True])
def test_a_rate_limiter_is_asked_once_for_each_request(
    fake_server: FakeServer, cls: type, streaming: bool | None, any_mode: str
) -> None:
    serve(fake_server, "vllm")
    counter = Counter()
    answer(any_mode, cls(base_url=fake_server.url, rate_limiter=counter, streaming=streaming))
    assert counter.asked == 1


async def test_a_rate_limiter_is_asked_for_every_prompt(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    counter = Counter()
    model = EasyLLM(base_url=fake_server.url, rate_limiter=counter)
    model.generate(["a", "b", "c"])
    await model.agenerate(["a", "b"])
    assert counter.asked == 5


def test_a_chat_chain(fake_server: FakeServer, any_mode: str) -> None:
    serve(fake_server, "tgi", ["Hel", "lo"])
    prompt = ChatPromptTemplate.from_messages([("system", "Be {how}."), ("user", "{what}")])
    chain = prompt | EasyLLMChat(base_url=fake_server.url) | StrOutputParser()
    assert answer(any_mode, chain, {"how": "brief", "what": "Hi"}) == "Hello"
    assert [message["content"] for message in body_of(fake_server)["messages"]] == [
        "Be brief.",
        "Hi",
    ]


def test_an_llm_chain(fake_server: FakeServer, any_mode: str) -> None:
    serve(fake_server, "tgi", ["Hel", "lo"])
    chain = PromptTemplate.from_template("Say {what}.") | EasyLLM(base_url=fake_server.url)
    assert answer(any_mode, chain, {"what": "hello"}) == "Hello"
    assert body_of(fake_server)["inputs"] == "Say hello."


@pytest.mark.parametrize("cls", CLASSES)
def test_chains_stream_through(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "tgi", list("abcdef"))
    chain = (
        {"what": RunnablePassthrough()}
        | PromptTemplate.from_template("Say {what}.")
        | cls(base_url=fake_server.url)
        | StrOutputParser()
    )

    async def run() -> list[str]:
        return [chunk async for chunk in chain.astream("it")]

    assert [chunk for chunk in chain.stream("it") if chunk] == list("abcdef")
    assert [chunk for chunk in asyncio.run(run()) if chunk] == list("abcdef")


@pytest.mark.parametrize("cls", CLASSES)
async def test_events_v2_report_every_chunk(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm", list("abc"))
    chain = PromptTemplate.from_template("{x}") | cls(base_url=fake_server.url)
    kind = "on_chat_model" if cls is EasyLLMChat else "on_llm"
    events = [event async for event in chain.astream_events({"x": "Hi"}, version="v2")]
    chunks = [e["data"]["chunk"] for e in events if e["event"] == f"{kind}_stream"]
    assert [text for chunk in chunks if (text := text_of(chunk))] == list("abc")
    assert sum(e["event"] == f"{kind}_start" for e in events) == 1
    [end] = [e for e in events if e["event"] == f"{kind}_end"]
    assert end["data"]["output"]
    start = next(e for e in events if e["event"] == f"{kind}_start")
    assert start["metadata"]["ls_provider"] == "huggingface"


async def test_events_report_an_invoke_too(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm", list("abc"))
    model = EasyLLMChat(base_url=fake_server.url)

    async def inside(text: str) -> str:
        return (await model.ainvoke(text)).text

    events = [e async for e in RunnableLambda(inside).astream_events("Hi", version="v2")]
    chunks = [e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream"]
    assert "".join(chunks) == "abc"


@CLASS
def test_unknown_names_in_bind_are_found_at_the_call(
    fake_server: FakeServer, cls: type, mode: str
) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url).bind(temprature=0)
    with pytest.raises(ConfigurationError, match="did you mean 'temperature'"):
        answer(mode, model)
    assert not posts(fake_server)


def test_n_answers(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    numbers = count()

    def reply(request: Received) -> Reply:
        assert body_of(fake_server)["n"] == 3
        reply = chat("x", server_name="vllm").body
        text = "message" if "chat" in request.path else "text"
        choices = [
            {
                "index": next(numbers),
                "finish_reason": "stop",
                text: {"content": f"answer {i}"} if text == "message" else f"answer {i}",
            }
            for i in range(3)
        ]
        return Reply({**reply, "choices": choices})

    for path in ROUTES.values():
        fake_server.on("POST", path, reply)
    result = EasyLLMChat(base_url=fake_server.url, n=3).generate([[HumanMessage("Hi")]])
    assert [one.text for one in result.generations[0]] == ["answer 0", "answer 1", "answer 2"]
    whole = EasyLLM(base_url=fake_server.url, n=3).generate(["Hi"])
    assert [one.text for one in whole.generations[0]] == ["answer 0", "answer 1", "answer 2"]
    counted = [one.message.usage_metadata for one in result.generations[0]]
    assert counted[0]["total_tokens"] == 9
    assert counted[1:] == [None, None]


def test_a_server_that_ignores_n_is_an_error(fake_server: FakeServer, whole_mode: str) -> None:
    serve(fake_server, "vllm")
    with pytest.raises(ProtocolError, match="n=2"):
        answer(whole_mode, EasyLLMChat(base_url=fake_server.url, n=2))
