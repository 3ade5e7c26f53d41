"""How many requests are in flight, in which order answers come, and whose failure is whose."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import BadRequestError, EasyLLMError

from ...support.fake_server import Barrier, FakeServer, Pause, Received, Reply
from ...support.fake_text_servers import chat, completions, error, serve
from ...support.invocation_modes import CLASSES, text_of
from ...support.on_the_clock import ON_THE_CLOCK

CLASS = pytest.mark.parametrize("cls", CLASSES)
ROUTES = {EasyLLMChat: "/v1/chat/completions", EasyLLM: "/v1/completions"}
MANY = [f"number {i}" for i in range(200)]


def echoing(server: FakeServer, pause: float = 0.25, crowd: int = 1) -> None:
    """A vLLM that repeats its input, and refuses "bad" inputs.

    It holds its answers until `crowd` requests have come, for longer than a busy machine needs to
    start so many threads; then each takes its pause, in which one too many would show.
    """
    before = [Barrier(crowd, seconds=20), Pause(pause)]
    serve(server, "vllm")

    def reply(request: Received) -> Reply:
        body: Any = request.json
        said = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        if "bad" in said:
            return error("vllm-too-long")
        good = (chat if "messages" in body else completions)(said, server_name="vllm")
        return Reply(good.body, before=before)

    for path in ROUTES.values():
        server.on("POST", path, reply)


def chain_of(model: Any) -> Any:
    return PromptTemplate.from_template("{x}") | model | StrOutputParser()


@CLASS
@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize("mode", ["batch", "abatch"])
def test_a_batch_keeps_128_in_flight(
    fake_server: FakeServer, cls: type, chained: bool, mode: str
) -> None:
    echoing(fake_server, 0.05, crowd=128)
    model = cls(base_url=fake_server.url)
    asked = chain_of(model) if chained else model
    inputs = [{"x": text} for text in MANY] if chained else MANY
    answers = asked.batch(inputs) if mode == "batch" else asyncio.run(asked.abatch(inputs))
    assert [text_of(one) for one in answers] == MANY
    assert fake_server.max_in_flight == 128


@CLASS
@pytest.mark.parametrize("mode", ["generate", "agenerate"])
def test_generate_of_many_keeps_128_in_flight(
    fake_server: FakeServer, cls: type, mode: str
) -> None:
    echoing(fake_server, 0.05, crowd=128)
    model = cls(base_url=fake_server.url)
    prompts: list[Any] = MANY if cls is EasyLLM else [[HumanMessage(text)] for text in MANY]
    call = model.generate if mode == "generate" else lambda p: asyncio.run(model.agenerate(p))
    result = call(prompts)
    assert [group[0].text for group in result.generations] == MANY
    assert fake_server.max_in_flight == 128


@CLASS
@pytest.mark.parametrize("mode", ["batch", "abatch"])
@pytest.mark.parametrize("chained", [False, True])
def test_a_configs_limit_lowers_it_and_never_raises_it(
    fake_server: FakeServer, cls: type, chained: bool, mode: str
) -> None:
    model = cls(base_url=fake_server.url, max_concurrency=8)
    asked = chain_of(model) if chained else model
    inputs: list[Any] = [{"x": text} for text in MANY[:24]] if chained else MANY[:24]

    def run(limit: int) -> int:
        echoing(fake_server, 0.02, crowd=min(limit, 8))
        fake_server.max_in_flight = 0
        config = {"max_concurrency": limit}
        if mode == "batch":
            asked.batch(inputs, config)
        else:
            asyncio.run(asked.abatch(inputs, config))
        return fake_server.max_in_flight

    assert run(3) == 3
    assert run(100) == 8


@CLASS
@pytest.mark.parametrize("mode", ["batch_as_completed", "abatch_as_completed"])
def test_as_completed_is_limited_and_numbers_its_answers(
    fake_server: FakeServer, cls: type, mode: str
) -> None:
    echoing(fake_server, 0.02, crowd=5)
    model = cls(base_url=fake_server.url, max_concurrency=5)

    async def run() -> list[Any]:
        return [pair async for pair in model.abatch_as_completed(MANY[:20])]

    if mode == "batch_as_completed":
        pairs = list(model.batch_as_completed(MANY[:20]))
    else:
        pairs = asyncio.run(run())
    assert sorted(number for number, _ in pairs) == list(range(20))
    assert all(text_of(text) == MANY[number] for number, text in pairs)
    assert fake_server.max_in_flight == 5


@CLASS
@pytest.mark.parametrize("mode", ["batch", "abatch"])
def test_one_failure_is_its_own(fake_server: FakeServer, cls: type, mode: str) -> None:
    echoing(fake_server, 0.01)
    model = cls(base_url=fake_server.url, max_retries=0)
    nothing: Any = "" if cls is EasyLLM else []
    inputs = ["one", "bad", "three", nothing, "five"]
    if mode == "batch":
        answers = model.batch(inputs, return_exceptions=True)
    else:
        answers = asyncio.run(model.abatch(inputs, return_exceptions=True))
    assert isinstance(answers[1], BadRequestError)
    assert isinstance(answers[3], ValueError)
    assert [text_of(answers[i]) for i in (0, 2, 4)] == ["one", "three", "five"]
    with pytest.raises(EasyLLMError):
        model.batch(inputs[:3])


@CLASS
def test_no_inputs_no_requests(fake_server: FakeServer, cls: type) -> None:
    echoing(fake_server)
    model = cls(base_url=fake_server.url)
    assert model.batch([]) == []
    assert asyncio.run(model.abatch([])) == []
    assert list(model.batch_as_completed([])) == []
    assert model.generate([]).generations == []
    assert asyncio.run(model.agenerate([])).generations == []
    assert not fake_server.requests


@ON_THE_CLOCK
@CLASS
def test_a_slow_input_does_not_hold_up_the_next(fake_server: FakeServer, cls: type) -> None:
    """Never in waves: with two at a time, one slow input leaves the other place to the rest."""
    serve(fake_server, "vllm")

    def reply(request: Received) -> Reply:
        body: Any = request.json
        said = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        good = (chat if "messages" in body else completions)(said, server_name="vllm")
        return Reply(good.body, before=[Pause(0.4 if said == "slow" else 0.02)])

    fake_server.on("POST", ROUTES[cls], reply)
    model = cls(base_url=fake_server.url, max_concurrency=2)
    order = [number for number, _ in model.batch_as_completed(["slow", *MANY[:6]])]
    assert order[-1] == 0
    model.batch(["slow", *MANY[:6]])

    async def aorder() -> list[int]:
        return [i async for i, _ in model.abatch_as_completed(["slow", *MANY[:6]])]

    assert asyncio.run(aorder())[-1] == 0


@CLASS
def test_a_batch_has_each_inputs_own_config(fake_server: FakeServer, cls: type) -> None:
    echoing(fake_server, 0)
    model = cls(base_url=fake_server.url)
    configs = [{"tags": [str(i)], "max_concurrency": 2} for i in range(4)]
    assert [text_of(a) for a in model.batch(MANY[:4], configs)] == MANY[:4]
    assert [text_of(a) for a in asyncio.run(model.abatch(MANY[:4], configs))] == MANY[:4]


@CLASS
def test_threads_share_an_object(fake_server: FakeServer, cls: type) -> None:
    echoing(fake_server, 0.005)
    model = cls(base_url=fake_server.url)
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(model.invoke, MANY))
    assert [text_of(one) for one in answers] == MANY
    assert len(fake_server.received("/info")) == 1


@CLASS
def test_threads_with_loops_of_their_own_share_an_object(
    fake_server: FakeServer, cls: type
) -> None:
    echoing(fake_server, 0.005)
    model = cls(base_url=fake_server.url)

    async def some(start: int) -> list[str]:
        asked = (model.ainvoke(text) for text in MANY[start : start + 10])
        return [text_of(one) for one in await asyncio.gather(*asked)]

    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(lambda start: asyncio.run(some(start)), range(0, 200, 10)))
    assert [text for part in parts for text in part] == MANY
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


@CLASS
def test_many_runs_leave_no_connection_behind(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url)

    async def stream() -> str:
        return "".join([text_of(chunk) async for chunk in model.astream("Hi")])

    for number in range(30):
        if number % 2:
            assert asyncio.run(stream()) == "Hello world"
        else:
            assert text_of(asyncio.run(model.ainvoke("Hi"))) == "Hello world"
    assert threading.active_count() < 20
    fake_server.wait_until(lambda: fake_server.open_connections == 0)
    assert len(fake_server.received("/info")) == 1


@CLASS
async def test_async_calls_reuse_connections(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm")
    async with cls(base_url=fake_server.url) as model:
        for _ in range(20):
            await model.ainvoke("Hi")
            async for _ in model.astream("Hi"):
                pass
        assert fake_server.connections == 1
    await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.open_connections == 0)
    assert text_of(await model.ainvoke("Hi")) == "Hello world"
    await model.aclose()


@CLASS
def test_sync_calls_reuse_connections(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm")
    with cls(base_url=fake_server.url) as model:
        for _ in range(20):
            model.invoke("Hi")
            for _ in model.stream("Hi"):
                pass
        assert fake_server.connections == 1
    fake_server.wait_until(lambda: fake_server.open_connections == 0)
    assert text_of(model.invoke("Hi")) == "Hello world"


def test_closing_one_object_leaves_the_others_alone(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    one, two = EasyLLMChat(base_url=fake_server.url), EasyLLM(base_url=fake_server.url)
    one.invoke("Hi")
    two.invoke("Hi")
    one.close()
    one.close()
    assert fake_server.open_connections == 1
    assert two.invoke("Hi") == "Hello world"
    two.close()
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


@CLASS
def test_an_object_that_is_gone_leaves_nothing_open(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url)
    model.invoke("Hi")
    model.close()
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


async def test_sync_calls_inside_a_loop_work(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    for cls in CLASSES:
        model = cls(base_url=fake_server.url)
        assert text_of(model.invoke("Hi")) == "Hello world"
        assert "".join(text_of(chunk) for chunk in model.stream("Hi")) == "Hello world"
        assert text_of(await model.ainvoke("Hi")) == "Hello world"
        assert [text_of(one) for one in model.batch(["a", "b"])] == ["Hello world"] * 2


async def test_a_thousand_at_once(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url)
    answers = await asyncio.gather(*(model.ainvoke("Hi") for _ in range(1000)))
    assert all(one.text == "Hello world" for one in answers)
    assert len(fake_server.received("/info")) == 1
