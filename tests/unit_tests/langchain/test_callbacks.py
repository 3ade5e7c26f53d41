"""What callbacks and LangSmith get."""

from __future__ import annotations

import asyncio
import copy
import pickle
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    UsageMetadataCallbackHandler,
)
from langchain_core.messages import HumanMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run
from pydantic import BaseModel, PrivateAttr

import langchain_easyllm
from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import EasyLLMError

from ...support.fake_server import Cut, FakeServer, sse
from ...support.fake_text_servers import (
    chat,
    chat_events,
    chat_stream,
    completions,
    completions_events,
    completions_stream,
    error,
    serve,
)
from ...support.invocation_modes import CLASSES, SERVER_NAMES, answer

CLASS = pytest.mark.parametrize("cls", CLASSES)
ROUTES = {EasyLLMChat: "/v1/chat/completions", EasyLLM: "/v1/completions"}


class RecordingHandler(BaseCallbackHandler):
    """Records the events it gets."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Any]] = []

    def on_chat_model_start(self, serialized: object, messages: object, **kwargs: Any) -> None:
        self.lines.append(("start", (serialized, kwargs)))

    def on_llm_start(self, serialized: object, prompts: object, **kwargs: Any) -> None:
        self.lines.append(("start", (serialized, kwargs)))

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.lines.append(("token", (token, kwargs.get("chunk"))))

    def on_llm_end(self, response: object, **kwargs: Any) -> None:
        self.lines.append(("end", response))

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.lines.append(("error", error))

    def events_of(self, kind: str) -> list[Any]:
        return [what for line, what in self.lines if line == kind]


@CLASS
@pytest.mark.parametrize("server_name", SERVER_NAMES)
def test_every_chunk_reaches_callbacks_once(
    fake_server: FakeServer, cls: type, server_name: str, stream_mode: str
) -> None:
    serve(fake_server, server_name, ["a", "b", "c"])
    handler = RecordingHandler()
    answer(stream_mode, cls(base_url=fake_server.url), config={"callbacks": [handler]})
    tokens = handler.events_of("token")
    assert [token for token, _ in tokens if token] == ["a", "b", "c"]
    kind = ChatGenerationChunk if cls is EasyLLMChat else GenerationChunk
    assert all(isinstance(chunk, kind) and chunk.text == token for token, chunk in tokens)
    assert [kind for kind, _ in handler.lines if kind != "token"] == ["start", "end"]


@CLASS
@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_streaming_object_reports_chunks_in_invoke(
    fake_server: FakeServer, cls: type, mode: str
) -> None:
    serve(fake_server, "vllm", ["a", "b", "c"])
    handler = RecordingHandler()
    answer(mode, cls(base_url=fake_server.url, streaming=True), config={"callbacks": [handler]})
    assert [token for token, _ in handler.events_of("token") if token] == ["a", "b", "c"]
    assert handler.events_of("end")[0].generations[0][0].text == "abc"


@CLASS
def test_a_whole_answer_reaches_callbacks_whole(
    fake_server: FakeServer, cls: type, whole_mode: str
) -> None:
    serve(fake_server, "vllm")
    handler = RecordingHandler()
    answer(whole_mode, cls(base_url=fake_server.url), config={"callbacks": [handler]})
    assert [kind for kind, _ in handler.lines] == ["start", "end"]
    assert handler.events_of("end")[0].generations[0][0].text == "Hello world"


@CLASS
def test_a_failure_is_reported(fake_server: FakeServer, cls: type, mode: str) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", ROUTES[cls], error("vllm-too-long"))
    handler = RecordingHandler()
    with pytest.raises(EasyLLMError):
        answer(mode, cls(base_url=fake_server.url), config={"callbacks": [handler]})
    assert [kind for kind, _ in handler.lines] == ["start", "error"]
    assert isinstance(handler.events_of("error")[0], EasyLLMError)


def test_a_failed_run_has_the_response(fake_server: FakeServer, any_mode: str) -> None:
    seen: list[list[list[Any]]] = []

    class Handler(BaseCallbackHandler):
        def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
            seen.append(kwargs["response"].generations)

    serve(fake_server, "vllm")
    refusal = error("vllm-too-long", x_request_id="r-7", set_cookie="a=b")
    fake_server.on("POST", ROUTES[EasyLLMChat], refusal)
    with pytest.raises(EasyLLMError):
        answer(any_mode, EasyLLMChat(base_url=fake_server.url), config={"callbacks": [Handler()]})
    [[[generation]]] = seen
    metadata = generation.message.response_metadata
    assert (metadata["status_code"], metadata["request_id"]) == (400, "r-7")
    assert metadata["body"] == refusal.body
    assert metadata["headers"]["x-request-id"] == "r-7"
    assert "set-cookie" not in metadata["headers"]


@CLASS
def test_a_failure_in_the_middle_is_reported_after_the_chunks(
    fake_server: FakeServer, cls: type, stream_mode: str
) -> None:
    serve(fake_server, "vllm")
    events = chat_events if cls is EasyLLMChat else completions_events
    fake_server.on("POST", ROUTES[cls], sse(*events(["a", "b"], "vllm")[:-2], Cut(), done=False))
    handler = RecordingHandler()
    with pytest.raises(EasyLLMError):
        answer(stream_mode, cls(base_url=fake_server.url), config={"callbacks": [handler]})
    assert "".join(token for token, _ in handler.events_of("token")) == "ab"
    assert [kind for kind, _ in handler.lines if kind != "token"] == ["start", "error"]


@pytest.mark.parametrize("server_name", ["vllm", "tgi", "openai"])
def test_token_counts_reach_the_usage_handler(
    fake_server: FakeServer, server_name: str, mode: str
) -> None:
    serve(fake_server, server_name)
    handler = UsageMetadataCallbackHandler()
    answer(mode, EasyLLMChat(base_url=fake_server.url), config={"callbacks": [handler]})
    usage = handler.usage_metadata["tiny"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (7, 2, 9)


async def test_async_handlers_are_called_in_order(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm", list("abc"))
    heard: list[str] = []

    class Slow(AsyncCallbackHandler):
        async def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            await asyncio.sleep(0.001)
            heard.append(token)

    for cls in CLASSES:
        heard.clear()
        async for _ in cls(base_url=fake_server.url).astream("Hi", {"callbacks": [Slow()]}):
            pass
        assert "".join(heard) == "abc"


@CLASS
def test_langsmith_gets_what_runs(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url, model="tiny", temperature=0, max_tokens=64)
    params = model._get_ls_params(stop=["x"])
    assert params["ls_provider"] == "huggingface"
    assert params["ls_model_name"] == "tiny"
    assert params["ls_model_type"] == ("chat" if cls is EasyLLMChat else "llm")
    assert params["ls_temperature"] == 0
    assert params["ls_max_tokens"] == 64
    assert params["ls_stop"] == ["x"]


@CLASS
def test_langsmith_gets_the_calls_own_parameters(
    fake_server: FakeServer, cls: type, any_mode: str
) -> None:
    serve(fake_server, "openai")
    handler = RecordingHandler()
    model = cls(base_url=fake_server.url, model="tiny", temperature=0.5)
    kwargs = {"temperature": 0.1, "max_tokens": 3, "stop": ["x"], "model": "other"}
    answer(any_mode, model, config={"callbacks": [handler]}, **kwargs)
    [(_, details)] = handler.events_of("start")
    metadata = details["metadata"]
    assert metadata["ls_model_name"] == "other"
    assert metadata["ls_temperature"] == 0.1
    assert metadata["ls_max_tokens"] == 3
    assert metadata["ls_stop"] == ["x"]
    assert details["invocation_params"]["stop"] == ["x"]


@CLASS
@pytest.mark.parametrize("streamed", [False, True])
def test_langsmith_gets_the_name_by_which_the_server_answered(
    fake_server: FakeServer, cls: type, streamed: bool
) -> None:
    serve(fake_server, "openai", model="listed")
    route = {EasyLLMChat: (chat_stream, chat), EasyLLM: (completions_stream, completions)}[cls]
    given = (["Hi"], "openai") if streamed else ("Hi",)
    fake_server.on("POST", ROUTES[cls], route[not streamed](*given, model="answered"))
    own = {EasyLLMChat: "chat", EasyLLM: "completions"}[cls]
    modes = ("stream", "astream") if streamed else ("invoke", "ainvoke")
    for api, mode in zip((own, "auto"), modes, strict=True):
        model = cls(base_url=fake_server.url, api=api)
        assert "ls_model_name" not in model._get_ls_params()
        answer(mode, model)
        assert model._get_ls_params()["ls_model_name"] == "answered"
        assert model._get_ls_params(model="other")["ls_model_name"] == "other"
    named = cls(base_url=fake_server.url, model="tiny")
    answer(modes[0], named)
    assert named._get_ls_params()["ls_model_name"] == "tiny"


@CLASS
def test_langsmith_gets_fields_and_aliases(fake_server: FakeServer, cls: type) -> None:
    model = cls(base_url=fake_server.url, model="tiny", stop=["own"], max_tokens=4)
    params = model._get_ls_params(max_new_tokens=9)
    assert params["ls_stop"] == ["own"]
    assert params["ls_max_tokens"] == 9


@CLASS
def test_no_callback_gets_a_secret(
    fake_server: FakeServer, cls: type, any_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(fake_server, "vllm")
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    secrets = {"api_key": "hf_topsecret", "default_headers": {"Authorization": "Bearer hf_header"}}
    for fields in (secrets, {}):
        handler = RecordingHandler()
        answer(any_mode, cls(base_url=fake_server.url, **fields), config={"callbacks": [handler]})
        for secret in ("hf_topsecret", "hf_header", "hf_environment"):
            assert secret not in repr(handler.lines)


@pytest.mark.parametrize("mode", ["generate", "agenerate"])
def test_each_of_many_prompts_has_its_own_run(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    model = EasyLLM(base_url=fake_server.url)
    diaries = [RecordingHandler(), RecordingHandler()]
    ids = [uuid4(), uuid4()]
    lists: dict[str, Any] = {
        "callbacks": [[handler] for handler in diaries],
        "tags": [["x"], ["y"]],
        "metadata": [{"number": 1}, {"number": 2}],
        "run_name": ["one", "two"],
        "run_id": ids,
    }
    if mode == "generate":
        result = model.generate(["a", "b"], **lists)
    else:
        result = asyncio.run(model.agenerate(["a", "b"], **lists))
    assert [run.run_id for run in result.run] == ids
    for number, handler in enumerate(diaries):
        [(_, details)] = handler.events_of("start")
        assert details["run_id"] == ids[number]
        assert details["tags"] == [["x"], ["y"]][number]
        assert details["metadata"]["number"] == number + 1
        assert len(handler.events_of("end")) == 1


@pytest.mark.parametrize("mode", ["generate", "agenerate"])
def test_each_of_many_conversations_has_its_own_run(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url)
    handler = RecordingHandler()
    asked = [[HumanMessage("a")], [HumanMessage("b")], [HumanMessage("c")]]
    if mode == "generate":
        result = model.generate(asked, callbacks=[handler], tags=["x"])
    else:
        result = asyncio.run(model.agenerate(asked, callbacks=[handler], tags=["x"]))
    assert len({run.run_id for run in result.run}) == 3
    started = {details["run_id"] for _, details in handler.events_of("start")}
    assert started == {run.run_id for run in result.run}
    assert len(handler.events_of("end")) == 3


VERSIONS = {
    "langchain-core": version("langchain-core"),
    "langchain": version("langchain"),
    "langchain-easyllm": langchain_easyllm.__version__,
}


class Tracer(BaseTracer):
    """Keeps runs."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.runs.append(run)


@CLASS
def test_a_trace_has_the_versions_of_the_packages(
    fake_server: FakeServer, cls: type, any_mode: str
) -> None:
    serve(fake_server, "vllm")
    handler, tracer = RecordingHandler(), Tracer()
    model = cls(base_url=fake_server.url, metadata={"team": "search"})
    answer(any_mode, model, config={"callbacks": [handler, tracer], "metadata": {"place": 1}})
    [(_, details)] = handler.events_of("start")
    [run] = tracer.runs
    for metadata in (details["metadata"], run.metadata):
        assert metadata["lc_versions"] == VERSIONS
        assert (metadata["team"], metadata["place"]) == ("search", 1)


@CLASS
def test_versions_outlive_copies_pickles_and_subclasses(cls: Any) -> None:
    class Own(cls):
        name_of_mine: str = ""
        _private: int = PrivateAttr(default=1)

    given = {"team": "search", "lc_versions": {"mine": "1"}}
    model = cls(model="org/name", metadata=given)
    expected = {"team": "search", "lc_versions": {"mine": "1", **VERSIONS}}
    others = [
        model.model_copy(),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        Own(model="org/name", metadata=given),
        cls.model_validate({"model": "org/name", "metadata": given}),
    ]
    assert [one.metadata for one in (model, *others)] == [expected] * 6
    assert given == {"team": "search", "lc_versions": {"mine": "1"}}
    assert others[3]._private == 1
    assert EasyLLMChat(llm=EasyLLM(model="org/name")).metadata == {"lc_versions": VERSIONS}


@pytest.mark.parametrize(
    "name",
    [
        *("EasyLLM", "EasyLLMChat", "EasyLLMEmbeddings", "EasyLLMRerank"),
        *("EasyLLMCrossEncoder", "EasyLLMSparseEmbeddings"),
    ],
)
def test_no_hook_of_another_package_is_passed_over(name: str) -> None:
    """Whatever hook a base class has for the end of its construction is called, once."""
    called = []

    class Base(BaseModel):
        def model_post_init(self, context: object, /) -> None:
            called.append(type(self))
            super().model_post_init(context)

    cls = getattr(langchain_easyllm, name)
    own = type(name, (cls, Base), {"__module__": __name__})
    own(model="org/name")
    assert called == [own]
