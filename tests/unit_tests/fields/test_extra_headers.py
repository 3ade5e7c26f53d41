"""Headers of one call: they are sent, and their values show nowhere else."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumps
from langchain_core.tracers.schemas import Run
from pydantic import BaseModel, SecretStr

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm.errors import ConfigurationError, EasyLLMError

from ...support.cases import each_case
from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, answer

CLASS = pytest.mark.parametrize("cls", CLASSES)
TOKEN = "tenant-token-1234"
HEADERS = {"X-Tenant": "acme-corp", "Authorization": f"Bearer {TOKEN}", "HOST": "model.test"}


def asked(server: FakeServer) -> list[Received]:
    return [request for request in server.requests if request.method == "POST"]


@CLASS
@pytest.mark.parametrize("bound", [False, True])
def test_they_are_sent(fake_server: FakeServer, cls: type, any_mode: str, bound: bool) -> None:
    serve(fake_server, "vllm")
    model = cls(
        base_url=fake_server.url,
        api_key="hf_of_the_object",
        default_headers={"x-tenant": "nobody", "X-All": "1"},
    )
    if bound:
        answer(any_mode, model.bind(extra_headers=HEADERS))
    else:
        answer(any_mode, model, extra_headers=HEADERS)
    answer(any_mode, model)
    first, second = asked(fake_server)
    sent = {name: first.headers[name] for name in ("x-tenant", "authorization", "host", "x-all")}
    assert sent == {
        "x-tenant": "acme-corp",
        "authorization": f"Bearer {TOKEN}",
        "host": "model.test",
        "x-all": "1",
    }
    assert second.headers["x-tenant"] == "nobody"
    assert second.headers["authorization"] == "Bearer hf_of_the_object"
    assert second.headers["host"] != "model.test"
    # A gateway lets nobody in without them, to find out which server it is neither.
    probes = [request for request in fake_server.requests if request.method == "GET"]
    assert probes
    assert {probe.headers["x-tenant"] for probe in probes} == {"acme-corp"}


class Weather(BaseModel):
    """The weather."""

    degrees: int


def test_tools_and_a_schema_keep_what_was_bound(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm", ["no ", "json"])
    tenant = EasyLLMChat(base_url=fake_server.url).bind(extra_headers={"X-Tenant": "a"})
    answer(mode, tenant.bind_tools([Weather]))
    answer(mode, tenant.bind(stop=["x"]).bind_tools([Weather], extra_headers={"X-Tenant": "b"}))
    shaped = tenant.with_structured_output(Weather, include_raw=True)
    (asyncio.run(shaped.ainvoke("Hi")) if mode.startswith("a") else shaped.invoke("Hi"))
    seen = [request.headers.get("x-tenant") for request in asked(fake_server)]
    assert seen[:2] == ["a", "b"]
    assert set(seen[2:]) == {"a"}
    assert pickle.loads(pickle.dumps(tenant)).kwargs == tenant.kwargs


def test_chains_send_them_with_every_request(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm", ["no ", "json"])
    model = EasyLLMChat(base_url=fake_server.url)
    tools = model.bind_tools([Weather], extra_headers={"X-Tenant": "a"})
    answer(mode, tools)
    shaped = model.with_structured_output(
        Weather, include_raw=True, extra_headers={"X-Tenant": "b"}
    )
    (asyncio.run(shaped.ainvoke("Hi")) if mode.startswith("a") else shaped.invoke("Hi"))
    seen = [request.headers.get("x-tenant") for request in asked(fake_server)]
    assert seen[0] == "a"
    assert len(seen) >= 3  # one of them repairs the answer
    assert set(seen[1:]) == {"b"}


@CLASS
def test_a_calls_own_win_over_bound_ones_whole(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url).bind(extra_headers={"X-A": "1"})
    model.invoke("Hi", extra_headers={"X-B": "2"})
    model.invoke("Hi", extra_headers=None)
    first, second = (request.headers for request in asked(fake_server))
    assert ("x-a" not in first, first["x-b"]) == (True, "2")
    assert not {"x-a", "x-b"} & set(second)


@CLASS
@pytest.mark.parametrize("value", [SecretStr(TOKEN), TOKEN])
def test_a_secret_is_given_in_either_form(
    fake_server: FakeServer, cls: type, mode: str, value: object
) -> None:
    serve(fake_server, "vllm")
    answer(mode, cls(base_url=fake_server.url), extra_headers={"X-Token": value})
    assert asked(fake_server)[0].headers["x-token"] == TOKEN


@CLASS
@each_case(
    ("bad", "words"),
    [
        ({"X-A": f"{TOKEN}\nb: c"}, "'X-A' must be Latin-1 text without line breaks"),
        ({"X-A": f"{TOKEN}\r"}, "'X-A' must be"),
        ({"X-A": 5}, "'X-A' must be"),
        ({"X-A": None}, "'X-A' must be"),
        ({"X A": TOKEN}, "letters, digits and hyphens"),
        ({3: TOKEN}, "must be text, not int"),
        ({"Content-Length": "3"}, "'Content-Length' cannot be given"),
        ({"X-A": "1", "x-a": "2"}, "given twice"),
        ([("X-A", TOKEN)], "must be a dict of names and values, not list"),
        (TOKEN, "must be a dict of names and values, not str"),
    ],
)
def test_what_cannot_be_sent_is_said_before_anything_is(
    fake_server: FakeServer, cls: type, any_mode: str, bad: Any, words: str
) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url)
    with pytest.raises(ConfigurationError, match=words) as caught:
        answer(any_mode, model, extra_headers=bad)
    assert TOKEN not in f"{caught.value!r}{vars(caught.value)}"
    with pytest.raises(ConfigurationError, match=words):
        model.bind(extra_headers=bad)
    assert not fake_server.requests


def test_they_are_no_field_of_an_object() -> None:
    for cls in (EasyLLMChat, EasyLLM, EasyLLMEmbeddings, EasyLLMRerank):
        with pytest.raises(ConfigurationError, match=r"no field 'extra_headers'.*default_headers"):
            cls(base_url="http://localhost:9", extra_headers={})


class Watching(BaseCallbackHandler):
    """Keeps all that a tracer is given."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            return lambda *args, **kwargs: self.seen.append(
                f"{args}{kwargs}{dumps([args, kwargs])}"
            )
        return super().__getattribute__(name)


@CLASS
def test_no_trace_has_a_value(fake_server: FakeServer, cls: type, any_mode: str) -> None:
    serve(fake_server, "vllm")
    watching = Watching()
    model = cls(base_url=fake_server.url, callbacks=[watching])
    for one in (model.bind(extra_headers=HEADERS), model):
        answer(any_mode, one, **({} if one is not model else {"extra_headers": HEADERS}))
    answer(any_mode, model.with_retry(), extra_headers=HEADERS)
    shown = "".join(watching.seen)
    assert "extra_headers" in shown
    assert "x-tenant" in shown
    assert TOKEN not in shown
    assert "acme-corp" not in shown


def test_no_event_has_a_value(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    watching = Watching()
    model = EasyLLMChat(base_url=fake_server.url, callbacks=[watching])

    async def events(one: Any, **kwargs: Any) -> str:
        return "".join(
            [str(event) async for event in one.astream_events("Hi", version="v2", **kwargs)]
        )

    shown = asyncio.run(events(model, extra_headers=HEADERS))
    shown += asyncio.run(events(model.bind(extra_headers=HEADERS)))
    shown += "".join(watching.seen)
    assert [request.headers["x-tenant"] for request in asked(fake_server)] == ["acme-corp"] * 2
    assert TOKEN not in shown
    assert "acme-corp" not in shown


@CLASS
def test_what_bind_returns_shows_no_value(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm")
    bound = cls(base_url=fake_server.url).bind(extra_headers=HEADERS)
    chain = (lambda text: text) | bound
    for one in (bound, bound.with_retry(), chain, bound.with_config(tags=["a"])):
        shown = f"{one!r}{one}{dumps(one)}"
        assert TOKEN not in shown
        assert "acme-corp" not in shown
    for same in (copy.copy(bound), copy.deepcopy(bound), pickle.loads(pickle.dumps(bound))):
        same.invoke("Hi")
        assert asked(fake_server)[-1].headers["x-tenant"] == "acme-corp"


@CLASS
def test_answers_are_cached_for_each_value_and_no_key_has_one(
    fake_server: FakeServer, cls: type, whole_mode: str
) -> None:
    serve(fake_server, "vllm")
    cache = InMemoryCache()
    model = cls(base_url=fake_server.url, cache=cache)
    for headers in (HEADERS, HEADERS, {**HEADERS, "X-Tenant": "other-corp"}, None, HEADERS):
        kwargs = {} if headers is None else {"extra_headers": headers}
        answer(whole_mode, model, **kwargs)
    assert len(asked(fake_server)) == 3
    keys = str([*cache._cache])
    assert "x-tenant" in keys
    for secret in (TOKEN, "acme-corp", "other-corp"):
        assert secret not in keys


@CLASS
def test_an_error_has_no_secret_of_theirs(fake_server: FakeServer, cls: type, mode: str) -> None:
    serve(fake_server, "vllm")
    parrot = Reply({"error": f"who is {TOKEN}?"}, status=400)
    for path in ("/v1/chat/completions", "/v1/completions"):
        fake_server.on("POST", path, parrot)
    with pytest.raises(EasyLLMError, match=r"who is \*\*\*") as caught:
        answer(mode, cls(base_url=fake_server.url), extra_headers=HEADERS)
    assert TOKEN not in f"{caught.value!r}{vars(caught.value)}"


@CLASS
def test_they_stay_at_the_server(cls: type, mode: str) -> None:
    with FakeServer() as mine, FakeServer() as other:
        serve(mine, "vllm")
        serve(other, "vllm")
        for path in ("/v1/chat/completions", "/v1/completions"):
            mine.on("POST", path, Reply(status=307, headers={"location": other.url + path}))
        answer(mode, cls(base_url=mine.url), extra_headers=HEADERS)
        assert asked(mine)[0].headers["host"] == "model.test"
        [moved] = asked(other)
        assert moved.headers["host"] == other.url.removeprefix("http://")
        assert not {"x-tenant", "authorization"} & set(moved.headers)


@CLASS
def test_the_host_of_each_call_is_its_own(fake_server: FakeServer, cls: type) -> None:
    """One ingress, many models: threads of one object do not mix them."""
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url)
    model.invoke("Hi")
    hosts = [f"model-{number}.test" for number in range(20)]
    bound = [model.bind(extra_headers={"Host": host}) for host in hosts]

    async def main() -> None:
        await asyncio.gather(*(one.ainvoke("Hi") for one in bound))

    asyncio.run(main())
    assert {request.headers["host"] for request in asked(fake_server)[1:]} == set(hosts)


def test_a_run_tree_has_no_value(fake_server: FakeServer) -> None:
    """What LangSmith would be sent."""
    from langchain_core.tracers.base import BaseTracer

    runs: list[Run] = []

    class Tracer(BaseTracer):
        def _persist_run(self, run: Run) -> None:
            runs.append(run)

    serve(fake_server, "vllm")
    for cls in CLASSES:
        cls(base_url=fake_server.url).invoke("Hi", {"callbacks": [Tracer()]}, extra_headers=HEADERS)
    assert len(runs) == 2
    for run in runs:
        text = run.model_dump_json() if hasattr(run, "model_dump_json") else str(run.dict())
        text += f"{run!r}{run.extra}"
        assert "x-tenant" in text
        assert TOKEN not in text
        assert "acme-corp" not in text
