"""Functions as fields: `api_key` that is asked for a token, and `request_hook`."""

from __future__ import annotations

import asyncio
import copy
import pickle
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.load import dumpd, dumps, loads
from langchain_core.runnables import ConfigurableField
from pydantic import SecretStr

from langchain_easyllm import (
    EasyLLM,
    EasyLLMChat,
    EasyLLMEmbeddings,
    EasyLLMRerank,
    huggingface,
)
from langchain_easyllm._http.models import Request
from langchain_easyllm._http.user_functions import ask_token
from langchain_easyllm.errors import AuthenticationError, ConfigurationError

from ...support.cases import each_case
from ...support.fake_embedding_servers import serve_tei
from ...support.fake_server import FakeServer, Reply
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, answer, text_of

CLASS = pytest.mark.parametrize("cls", CLASSES)
EVERY = each_case("cls", [EasyLLMChat, EasyLLM, EasyLLMEmbeddings, EasyLLMRerank])
TOKEN = "gw_topsecret"


def fetch_token() -> str:
    """Return a token, from where a module can be found again by its name."""
    return TOKEN


async def fetch_token_async() -> str:
    """The same for an event loop."""
    await asyncio.sleep(0)
    return TOKEN


def add_tenant(_: Request) -> Mapping[str, str]:
    """Return a header that says who asks."""
    return {"X-Tenant": "blue"}


FUNCTIONS = pytest.mark.parametrize("function", [fetch_token, fetch_token_async, lambda: TOKEN])


def keys_seen(server: FakeServer) -> set[str | None]:
    return {request.headers.get("authorization") for request in server.requests}


@CLASS
@FUNCTIONS
def test_every_request_of_a_call_has_the_token(
    fake_server: FakeServer, cls: type, function: object, mode: str
) -> None:
    """Those that detect the server as well."""
    serve(fake_server, "vllm")
    for name in ("api_key", "token", "huggingfacehub_api_token"):
        answer(mode, cls(base_url=fake_server.url, **{name: function}))
    assert len(fake_server.requests) > 3
    assert keys_seen(fake_server) == {f"Bearer {TOKEN}"}


@FUNCTIONS
def test_the_other_classes_have_it_too(fake_server: FakeServer, function: Any) -> None:
    seen = []

    def hook(request: Request) -> None:
        seen.append(request.headers["authorization"])

    fields: Any = {"base_url": fake_server.url, "api_key": function, "request_hook": hook}
    serve_tei(fake_server)
    EasyLLMEmbeddings(**fields).embed_documents([f"text {n}" for n in range(100)])
    asyncio.run(EasyLLMEmbeddings(**fields).aembed_query("text"))
    with FakeServer() as ranker:
        serve_tei(ranker, "reranker")
        fields["base_url"] = ranker.url
        EasyLLMRerank(**fields).compress_documents([Document("text")], "query")
        assert keys_seen(ranker) == {f"Bearer {TOKEN}"}
        asked = len(fake_server.requests) + len(ranker.requests)
    assert keys_seen(fake_server) == {f"Bearer {TOKEN}"}
    assert seen == [f"Bearer {TOKEN}"] * asked


def test_tokens_are_counted_with_it(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", "/tokenize", Reply({"tokens": [1, 2], "count": 2}))
    model = EasyLLMChat(base_url=fake_server.url, api_key=fetch_token)
    assert model.get_num_tokens("Hi") == 2
    assert fake_server.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert keys_seen(fake_server) == {f"Bearer {TOKEN}"}


@CLASS
def test_it_does_not_follow_to_another_server(cls: type) -> None:
    asked = []
    with FakeServer() as mine, FakeServer() as other:
        serve(mine, "vllm")
        serve(other, "vllm")
        model = cls(base_url=mine.url, api_key=lambda: asked.append(1) or TOKEN)
        configured = model.configurable_fields(base_url=ConfigurableField("where"))
        configured.invoke("Hi", {"configurable": {"where": other.url}})
        model.model_copy(update={"base_url": other.url}).invoke("Hi")
        cls(**{**dict(model), "base_url": other.url}).invoke("Hi")
        assert keys_seen(other) == {None}
        assert asked == []
        model.invoke("Hi")
        assert keys_seen(mine) == {f"Bearer {TOKEN}"}


@CLASS
def test_one_that_is_assigned_is_for_the_server_of_now(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url)
    model.invoke("Hi")
    fake_server.requests.clear()
    model.api_key = fetch_token
    model.request_hook = add_tenant
    model.invoke("Hi")
    model = copy.deepcopy(model)
    model.invoke("Hi")
    assert keys_seen(fake_server) == {f"Bearer {TOKEN}"}
    assert {request.headers["x-tenant"] for request in fake_server.requests} == {"blue"}
    assert TOKEN not in dumps(model)


def test_objects_with_one_function_share_what_is_known_of_a_server(
    fake_server: FakeServer,
) -> None:
    class Vault:
        """An object that cannot be hashed, as a data class cannot."""

        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

        def __call__(self) -> str:
            return TOKEN

        def token(self) -> str:
            return TOKEN

        def headers(self, _: Request) -> Mapping[str, str]:
            return {}

    one, other = Vault(), Vault()

    def session(**fields: Any) -> object:
        return EasyLLMChat(base_url=fake_server.url, **fields)._connect().session

    assert session(api_key=one) is session(api_key=one)
    assert session(api_key=one) is not session(api_key=other)
    assert session(api_key=one.token) is session(api_key=one.token)
    assert session(api_key=one.token) is not session(api_key=other.token)
    assert session(request_hook=one.headers) is session(request_hook=one.headers)
    assert session(request_hook=one.headers) is not session(request_hook=other.headers)
    assert session(request_hook=add_tenant) is not session()


def refuse() -> str:
    """A function that must not be asked."""
    raise AssertionError


@EVERY
@pytest.mark.parametrize("function", [refuse, partial(str, TOKEN)])
def test_an_object_shows_nothing_of_it(cls: type, function: Callable[[], str]) -> None:
    hook = partial(lambda _, secret: {"X": secret}, secret=TOKEN)
    model = cls(base_url="http://localhost:9", api_key=function, request_hook=hook)
    shown = [repr(model), str(model), str(model.api_key), repr(model.api_key)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown += [dumps(model), str(dumpd(model)), str(model.to_json()), str(model.model_dump())]
        shown.append(model.model_dump_json(include={"api_key", "model", "request_hook"}))
        shown.append(str(cls.model_json_schema()) if cls is EasyLLMEmbeddings else "")
    assert TOKEN not in "".join(shown)
    assert "api_key" not in model.to_json()["kwargs"]
    assert "request_hook" not in model.to_json()["kwargs"]
    assert "request_hook" not in model.model_dump()
    assert model == model.model_copy()
    assert model != cls(base_url="http://localhost:9", api_key="text", request_hook=hook)
    assert cls(base_url="http://localhost:9", api_key="text") != model
    assert {model.api_key: 1}[copy.copy(model).api_key]


def test_a_serialised_object_takes_the_key_of_its_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = dumps(EasyLLMChat(base_url="http://localhost:9", api_key=refuse))
    assert "HF_TOKEN" not in text
    monkeypatch.setenv("HF_TOKEN", "hf_here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = loads(text, valid_namespaces=["langchain_easyllm"], allowed_objects=[EasyLLMChat])
    assert again.api_key.get_secret_value() == "hf_here"


@FUNCTIONS
def test_the_field_is_read_as_a_secret(function: Any) -> None:
    model = EasyLLMChat(base_url="http://localhost:9", api_key=function)
    assert isinstance(model.api_key, SecretStr)
    assert model.api_key.get_secret_value() == TOKEN


@CLASS
def test_a_pickle_takes_functions_along(fake_server: FakeServer, cls: type, mode: str) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url, api_key=fetch_token_async, request_hook=add_tenant)
    for used in (False, True):
        if used:
            answer(mode, model)
        raw = pickle.dumps(model)
        assert TOKEN.encode() not in raw
        again = pickle.loads(raw)
        assert again.model_fields_set == model.model_fields_set
        assert (again.api_key, again.request_hook) == (model.api_key, add_tenant)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            answer(mode, again)
    assert keys_seen(fake_server) == {f"Bearer {TOKEN}"}
    assert {request.headers["x-tenant"] for request in fake_server.requests} == {"blue"}


@CLASS
def test_a_pickled_function_stays_with_its_server(cls: type) -> None:
    with FakeServer() as mine, FakeServer() as other:
        serve(other, "vllm")
        again = pickle.loads(pickle.dumps(cls(base_url=mine.url, api_key=fetch_token)))
        again.base_url = other.url
        again.invoke("Hi")
        assert keys_seen(other) == {None}


@CLASS
def test_a_pickle_leaves_lambdas_behind_and_says_so(
    fake_server: FakeServer, cls: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url, api_key=lambda: TOKEN, request_hook=lambda _: {})
    again = pickle.loads(pickle.dumps(model))
    assert (again.api_key, again.request_hook) == (None, None)
    with pytest.warns(UserWarning, match="functions that cannot be pickled: api_key, request_hook"):
        again.invoke("Hi")
    assert keys_seen(fake_server) == {None}
    monkeypatch.setenv("HF_TOKEN", "hf_here")
    assert pickle.loads(pickle.dumps(model)).api_key.get_secret_value() == "hf_here"


@CLASS
@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda m: m.model_copy(deep=True)])
def test_copies_keep_functions(fake_server: FakeServer, cls: type, copier, mode: str) -> None:
    class Vault:
        """Holds what cannot be copied."""

        def __deepcopy__(self, memo: object) -> object:
            raise TypeError

        def __call__(self, *_: object) -> Any:
            return {"X-Tenant": "blue"} if _ else TOKEN

    vault = Vault()
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url, api_key=vault, request_hook=vault)
    for one in (copier(model), copier(model).bind(stop=["x"]), copier(copier(model))):
        answer(mode, one)
    assert copier(model) == model
    assert keys_seen(fake_server) == {f"Bearer {TOKEN}"}
    assert {request.headers["x-tenant"] for request in fake_server.requests} == {"blue"}


def test_a_chat_model_takes_them_from_an_llm(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    llm = EasyLLM(base_url=fake_server.url, api_key=fetch_token, request_hook=add_tenant)
    EasyLLMChat(llm=llm).invoke("Hi")
    assert keys_seen(fake_server) == {f"Bearer {TOKEN}"}
    assert fake_server.requests[-1].headers["x-tenant"] == "blue"


@EVERY
@each_case(
    ("fields", "said"),
    [
        ({"api_key": 7}, "api_key must be a str, a SecretStr or a function .*, not int"),
        ({"api_key": TOKEN.encode()}, "api_key must be .*, not bytes"),
        ({"api_key": [TOKEN]}, "api_key must be .*, not list"),
        ({"api_key": str}, "api_key is the class str: give an object"),
        ({"token": SecretStr}, "api_key is the class SecretStr: give an object"),
        ({"request_hook": "X-Tenant: blue"}, "request_hook must be a function .*, not str"),
        ({"request_hook": {"X-Tenant": TOKEN}}, "request_hook must be a function .*, not dict"),
        ({"request_hook": dict}, "request_hook is the class dict: give an object"),
    ],
)
def test_other_kinds_are_refused_at_construction(
    cls: type, fields: Mapping[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        cls(base_url="http://localhost:9", **fields)
    assert TOKEN not in str(caught.value)
    assert "; " not in str(caught.value)


@CLASS
def test_a_failure_says_nothing_of_the_server(
    fake_server: FakeServer, cls: type, mode: str
) -> None:
    """The call ends at once, and the next one detects the server as if nothing had been."""
    serve(fake_server, "tgi")
    calls = []

    def token() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise OSError
        return TOKEN

    model = cls(base_url=fake_server.url, api_key=token)
    with pytest.raises(AuthenticationError, match="raised OSError"):
        answer(mode, model)
    assert (len(calls), fake_server.requests) == (1, [])
    assert text_of(answer(mode, model)) == "Hello world"
    assert model._connect().session.server.profile.name == "tgi"


def test_a_hook_that_fails_ends_the_call_at_once(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    calls = []

    def hook(_: Request) -> None:
        calls.append(1)
        raise OSError

    with pytest.raises(ConfigurationError, match="raised OSError"):
        answer(mode, EasyLLMChat(base_url=fake_server.url, request_hook=hook))
    assert (len(calls), fake_server.requests) == (1, [])


def test_a_401_does_not_say_that_the_token_was_withheld(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", "/v1/chat/completions", Reply({"error": f"bad {TOKEN}"}, status=401))
    with pytest.raises(AuthenticationError, match=r"bad \*\*\*") as caught:
        EasyLLMChat(base_url=fake_server.url, api_key=fetch_token).invoke("Hi")
    assert "together with this base_url" not in str(caught.value)


def test_files_of_the_hub_are_read_with_it_where_it_may_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    numbers = iter("12")
    model = EasyLLMChat(model="org/name", api_key=lambda: next(numbers))
    assert [ask_token(model._connect().hub_token) for _ in range(2)] == ["1", "2"]
    elsewhere = EasyLLMChat(base_url="http://localhost:9", api_key=refuse)
    assert ask_token(elsewhere._connect().hub_token) == "hf_environment"


@FUNCTIONS
def test_easyllms_clients_take_one(
    fake_server: FakeServer, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(fake_server, "vllm")
    monkeypatch.setattr(huggingface, "api_base", fake_server.url)
    monkeypatch.setattr(huggingface, "api_key", function)
    messages = [{"role": "user", "content": "Hi"}]
    huggingface.ChatCompletion.create(messages=messages)
    asyncio.run(huggingface.Completion.acreate(prompt="Hi"))
    monkeypatch.setattr(huggingface, "api_key", None)
    huggingface.ChatCompletion.create(messages=messages, api_key=function)
    assert keys_seen(fake_server) == {f"Bearer {TOKEN}"}
