"""`http_client` and `http_async_client`: what may be given, and where it goes along."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest
import requests
from langchain_core.documents import Document
from langchain_core.load import dumps
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.http import Request, Response

from ...support.cases import each_case
from ...support.fake_server import FakeServer, Reply
from ...support.fake_text_servers import serve

ALL = (EasyLLMChat, EasyLLM, EasyLLMEmbeddings, EasyLLMRerank)
EVERY = each_case("cls", ALL)
URL = "http://localhost:9"


class Sync:
    """The methods of a synchronous client."""

    def send(self, request: Request) -> Response:
        return Response(200, {}, b"{}")

    open = send


class Async:
    """The methods of an asynchronous client."""

    async def asend(self, request: Request) -> Response:
        return Response(200, {}, b"{}")

    aopen = asend


class Half:
    def send(self, request: Request) -> Response:
        return Response(200, {}, b"{}")


class Misnamed:
    """Asynchronous methods under the names of synchronous ones."""

    async def send(self, request: Request) -> Response:
        return Response(200, {}, b"{}")

    open = send


@EVERY
@pytest.mark.parametrize("sync", [httpx.Client, httpx2.Client, Sync, HTTPTransport])
def test_what_may_be_given(cls: Any, sync: Callable[[], Any]) -> None:
    given = sync()
    assert cls(base_url=URL, http_client=given).http_client is given


@EVERY
@pytest.mark.parametrize("kind", [httpx.AsyncClient, httpx2.AsyncClient, Async, HTTPTransport])
def test_what_may_be_given_for_asynchronous_calls(cls: Any, kind: Callable[[], Any]) -> None:
    given = kind()
    assert cls(base_url=URL, http_async_client=given).http_async_client is given


WRONG = {
    "text": ("http_client", "text", "no method send and no open"),
    "session": ("http_client", requests.Session(), "Session, which has no method open"),
    "half": ("http_client", Half(), "no method open"),
    "class": ("http_client", httpx.Client, "is the class Client"),
    "async as sync": ("http_client", httpx.AsyncClient(), "belongs in http_async_client"),
    "sync as async": ("http_async_client", httpx.Client(), "belongs in http_client"),
    "async 2 as sync": ("http_client", httpx2.AsyncClient(), "belongs in http_async_client"),
    "async object as sync": ("http_client", Async(), "belongs in http_async_client"),
    "sync object as async": ("http_async_client", Sync(), "belongs in http_client"),
    "misnamed": ("http_client", Misnamed(), "whose methods are asynchronous"),
    "transport": ("http_client", httpx.HTTPTransport(), "no method send and no open"),
    "number": ("http_async_client", 5, "no method asend and no aopen"),
}


@EVERY
@each_case("case", WRONG)
def test_what_may_not_be_given_is_named(cls: Any, case: str) -> None:
    field, given, words = WRONG[case]
    with pytest.raises(ConfigurationError, match=words) as caught:
        cls(base_url=URL, **{field: given})
    message = str(caught.value)
    assert message.startswith(f"{field} is ")
    assert message.endswith(".")
    assert "\n" not in message


@EVERY
@pytest.mark.parametrize(
    "verify", [False, "ca.pem", ssl.create_default_context()], ids=["off", "file", "context"]
)
def test_verify_beside_a_client_is_an_error(cls: Any, verify: object) -> None:
    for clients in ({"http_client": Sync()}, {"http_async_client": Async()}):
        with pytest.raises(ConfigurationError, match="leave verify out"):
            cls(base_url=URL, verify=verify, **clients)
    cls(base_url=URL, verify=True, http_client=Sync())  # the default, as copies are given it


def test_a_setting_that_is_assigned_later_is_looked_at_too() -> None:
    model = EasyLLMChat(base_url=URL, http_client=Sync())
    model.verify = False
    with pytest.raises(ConfigurationError, match="leave verify out"):
        model.invoke("Hi")
    model = EasyLLMChat(base_url=URL)
    model.http_client = httpx.AsyncClient()
    with pytest.raises(ConfigurationError, match="belongs in http_async_client"):
        model.invoke("Hi")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_client", Sync()),
        ("http_async_client", Async()),
        ("request_hook", lambda request: None),
        ("bill_to", "my-org"),
    ],
)
def test_a_local_model_has_no_use_for_what_is_sent(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"api='local' .* {name} is for requests"):
        EasyLLMChat(api="local", pipeline=lambda *_: None, **{name: value})


# A call whose client was not given


async def _each(stream: Any) -> None:
    async for _ in stream:
        pass


ASYNC_CALLS = {
    "ainvoke": lambda m: m["chat"].ainvoke("Hi"),
    "astream": lambda m: _each(m["chat"].astream("Hi")),
    "abatch": lambda m: m["chat"].abatch(["Hi", "Ho"]),
    "agenerate": lambda m: m["chat"].agenerate([[HumanMessage("Hi")]]),
    "events": lambda m: _each(m["chat"].astream_events("Hi", version="v2")),
    "llm": lambda m: m["llm"].ainvoke("Hi"),
    "template": lambda m: m["templated"].ainvoke("Hi"),
    "aembed_query": lambda m: m["embeddings"].aembed_query("Hi"),
    "aembed_documents": lambda m: m["embeddings"].aembed_documents(["Hi"] * 40),
    "array": lambda m: m["embeddings"].aembed_documents_array(["Hi"]),
    "aiter": lambda m: _each(m["embeddings"].aiter_embeddings(["Hi"])),
    "arerank": lambda m: m["rerank"].acompress_documents([Document("Hi")], "q"),
}
SYNC_CALLS = {
    "invoke": lambda m: m["chat"].invoke("Hi"),
    "stream": lambda m: list(m["chat"].stream("Hi")),
    "batch": lambda m: m["chat"].batch(["Hi", "Ho"]),
    "llm": lambda m: m["llm"].invoke("Hi"),
    "tokens": lambda m: m["chat"].get_num_tokens("Hi"),
    "embed_query": lambda m: m["embeddings"].embed_query("Hi"),
    "embed_documents": lambda m: m["embeddings"].embed_documents(["Hi"] * 40),
    "embed_documents named": lambda m: m["named"].embed_documents(["Hi"] * 40),
    "iter": lambda m: list(m["embeddings"].iter_embeddings(["Hi"])),
    "rerank": lambda m: m["rerank"].compress_documents([Document("Hi")], "q"),
}


def models(url: str, **fields: Any) -> dict[str, Any]:
    return {
        "chat": EasyLLMChat(base_url=url, **fields),
        "llm": EasyLLM(base_url=url, **fields),
        "templated": EasyLLM(base_url=url, prompt_builder="auto", **fields),
        "embeddings": EasyLLMEmbeddings(base_url=url, **fields),
        "named": EasyLLMEmbeddings(base_url=url, api="embed", batch_size=1, **fields),
        "rerank": EasyLLMRerank(base_url=url, **fields),
    }


@pytest.mark.parametrize("call", ASYNC_CALLS)
def test_an_asynchronous_call_needs_its_own_client(fake_server: FakeServer, call: str) -> None:
    serve(fake_server, "vllm")
    with httpx.Client(verify=False) as client:
        given = models(fake_server.url, http_client=client)
        with pytest.raises(ConfigurationError, match=r"only http_client .* give http_async_client"):
            asyncio.run(ASYNC_CALLS[call](given))
    assert fake_server.requests == []


@pytest.mark.parametrize("call", SYNC_CALLS)
def test_a_synchronous_call_needs_its_own_client(fake_server: FakeServer, call: str) -> None:
    serve(fake_server, "vllm")
    given = models(fake_server.url, http_async_client=httpx.AsyncClient(verify=False))
    with pytest.raises(ConfigurationError, match=r"only http_async_client .* give http_client"):
        SYNC_CALLS[call](given)
    assert fake_server.requests == []


def test_an_asynchronous_call_loads_a_template_with_its_client(fake_server: FakeServer) -> None:
    """A template is loaded in a thread, whose requests are the event loop's nonetheless."""
    serve(fake_server, "llamacpp")
    template = "{% for m in messages %}<{{ m.content }}>{% endfor %}"
    fake_server.on("GET", "/props", Reply({"chat_template": template}))

    async def ask() -> str:
        async with httpx.AsyncClient(verify=False, headers={"x-mine": "1"}) as client:
            llm = EasyLLM(base_url=fake_server.url, prompt_builder="auto", http_async_client=client)
            return await llm.ainvoke("Hi")

    assert asyncio.run(ask()) == "Hello world"
    assert {r.headers.get("x-mine") for r in fake_server.requests} == {"1"}
    assert "<Hi>" in fake_server.requests[-1].body.decode()


# Whose it is


def test_it_is_the_callers_to_close(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    with httpx.Client(verify=False) as client:
        for _ in range(2):
            with EasyLLMChat(base_url=fake_server.url, http_client=client) as model:
                model.invoke("Hi")
            model.close()
        assert not client.is_closed


def test_a_closed_client_is_one_sentence(fake_server: FakeServer) -> None:
    client = httpx.Client(verify=False)
    client.close()
    model = EasyLLMChat(base_url=fake_server.url, http_client=client)
    with pytest.raises(ConfigurationError, match="http_client has been closed"):
        model.invoke("Hi")


def test_objects_with_and_without_a_client_share_no_connections(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")

    def seen(model: Any) -> str:
        model.invoke("Hi")
        return fake_server.requests[-1].headers.get("x-client", "own")

    with (
        httpx.Client(verify=False, headers={"x-client": "one"}) as one,
        httpx.Client(verify=False, headers={"x-client": "two"}) as two,
    ):
        first = EasyLLMChat(base_url=fake_server.url, http_client=one)
        again = EasyLLMChat(base_url=fake_server.url, http_client=one)
        second = EasyLLMChat(base_url=fake_server.url, http_client=two)
        plain = EasyLLMChat(base_url=fake_server.url)
        assert [seen(m) for m in (first, plain, second, again, first)] == [
            "one",
            "own",
            "two",
            "one",
            "one",
        ]
        assert first._connect().session is again._connect().session
        first.http_client = two
        assert seen(first) == "two"
        first.http_client = None
        assert seen(first) == "own"


def test_copies_and_bindings_keep_it(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    with httpx.Client(verify=False, headers={"x-client": "mine"}) as client:
        model = EasyLLMChat(base_url=fake_server.url, http_client=client)
        configurable = model.configurable_fields(temperature=ConfigurableField("temperature"))
        runnables = {
            "copy": copy.copy(model),
            "deepcopy": copy.deepcopy(model),
            "model_copy": model.model_copy(),
            "deep model_copy": model.model_copy(deep=True),
            "bind": model.bind(temperature=0.5),
            "with_config": model.with_config(tags=["a"]),
            "configurable": configurable.with_config(configurable={"temperature": 0.5}),
            "of an LLM": EasyLLMChat(llm=EasyLLM(base_url=fake_server.url, http_client=client)),
        }
        for runnable in runnables.values():
            runnable.invoke("Hi")
            assert fake_server.requests[-1].headers["x-client"] == "mine"
        assert copy.deepcopy(model).http_client is client


@EVERY
def test_it_is_shown_and_written_nowhere(cls: Any) -> None:
    with httpx.Client(verify=False, headers={"x-secret": "sekrit-1"}) as client:
        model = cls(base_url=URL, http_client=client)
        shown = [repr(model), str(model), dumps(model), str(model.model_dump())]
        assert not [text for text in shown if "http_client" in text or "sekrit-1" in text]


@EVERY
def test_it_does_not_survive_a_pickle_which_says_so(fake_server: FakeServer, cls: Any) -> None:
    fake_server.on("POST", "/rerank", Reply([{"index": 0, "score": 1}]))
    fake_server.on("POST", "/embed", Reply([[1.0]]))
    serve(fake_server, "vllm")

    def use(model: Any) -> None:
        if cls is EasyLLMRerank:
            model.compress_documents([Document("Hi")], "q")
        elif cls is EasyLLMEmbeddings:
            model.embed_query("Hi")
        else:
            model.invoke("Hi")

    api = {EasyLLMRerank: "tei", EasyLLMEmbeddings: "embed"}.get(cls, "auto")
    fields = {"base_url": fake_server.url, **({} if cls is EasyLLM else {"api": api})}
    with httpx.Client(verify=False, headers={"x-client": "mine"}) as client:
        model = cls(**fields, http_client=client)
        use(model)
        again = pickle.loads(pickle.loads(pickle.dumps(pickle.dumps(model))))
        seen = len(fake_server.requests)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"leaves its http_client behind: assign"):
                use(again)
        assert len(fake_server.requests) == seen
        twice = pickle.loads(pickle.dumps(again))
        with pytest.raises(ConfigurationError, match="http_client"):
            use(twice)
        again.http_client = client
        use(again)
        assert fake_server.requests[-1].headers["x-client"] == "mine"
        twice.http_client = None
        use(twice)
        assert "x-client" not in fake_server.requests[-1].headers
        use(pickle.loads(pickle.dumps(twice)))
        use(model)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_client_of_another_loop_is_understandable(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    client = httpx.AsyncClient(verify=False)
    model = EasyLLMChat(base_url=fake_server.url, http_async_client=client)
    assert asyncio.run(model.ainvoke("Hi")).text == "Hello world"
    with pytest.raises(ConfigurationError, match="another event loop"):
        asyncio.run(model.ainvoke("Hi"))
    del client, model
    gc.collect()  # what the first loop left open is reported here, and ignored
