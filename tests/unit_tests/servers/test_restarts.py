"""A server that comes back with another model while a process runs that knew the first one."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.documents import Document

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm.errors import BadRequestError, EasyLLMError, NotFoundError

from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import (
    chat,
    chat_stream,
    completions,
    completions_stream,
    error,
    models,
    serve,
)
from ...support.invocation_modes import answer, text_of

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
REFUSALS = {
    "vllm": (404, {"error": {"message": "The model `old` does not exist.", "code": 404}}),
    "ollama": (404, {"error": {"message": 'model "old" not found, try pulling it first'}}),
    "proxy": (400, {"error": {"message": "Invalid model name passed in model=old."}}),
    "studio": (400, {"error": {"message": "x", "code": "model_not_found"}}),
}


def listing(server: FakeServer, name: str, owned_by: object = "openai") -> None:
    server.on("GET", "/v1/models", models(name, owned_by=owned_by))


def posted_models(server: FakeServer) -> list[object]:
    bodies: list[Any] = [r.json for r in server.requests if r.method == "POST"]
    return [body.get("model") for body in bodies]


def detections(server: FakeServer) -> int:
    return len(server.received("/v1/models"))


def serve_one(server: FakeServer, name: str, refusal: tuple[int, object] | None) -> None:
    """A server of one model; it refuses every other name, or answers under any."""
    serve(server, "openai", model=name)

    def reply(request: Received) -> Reply:
        body: Any = request.json
        if refusal and body.get("model") != name:
            return Reply(refusal[1], status=refusal[0])
        if request.path == CHAT:
            make: Any = chat_stream if body.get("stream") else chat
        else:
            make = completions_stream if body.get("stream") else completions
        said: Any = ["I am ", name] if body.get("stream") else f"I am {name}"
        return make(said, server_name="openai", model=name)

    for path in (CHAT, TEXT):
        server.on("POST", path, reply)


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("cls", [EasyLLM, EasyLLMChat])
def test_a_refused_name_that_the_server_gave_itself_is_read_anew(
    fake_server: FakeServer, cls: type, refusal: str, mode: str
) -> None:
    serve_one(fake_server, "old", REFUSALS[refusal])
    model = cls(base_url=fake_server.url)
    assert model.model_id == "old"
    serve_one(fake_server, "new", REFUSALS[refusal])
    assert text_of(answer(mode, model)) == "I am new"
    assert posted_models(fake_server) == ["old", "new"]
    assert model.model_id == "new"


@pytest.mark.parametrize("cls", [EasyLLM, EasyLLMChat])
def test_an_answer_under_another_name_has_the_server_asked_again(
    fake_server: FakeServer, cls: type, mode: str
) -> None:
    serve_one(fake_server, "old", None)
    model = cls(base_url=fake_server.url)
    answer(mode, model)
    assert model.model_id == "old"
    serve_one(fake_server, "new", None)
    found = answer(mode, model)
    assert text_of(found) == "I am new"
    if cls is EasyLLMChat:
        assert found.response_metadata["model_name"] == "new"
    assert model.model_id == "new"
    answer(mode, model)
    assert posted_models(fake_server)[-1] == "new"
    assert detections(fake_server) == 2


def test_a_server_that_answers_by_other_names_is_not_asked_each_time(
    fake_server: FakeServer,
) -> None:
    serve_one(fake_server, "full/name", None)
    listing(fake_server, "alias")
    model = EasyLLMChat(base_url=fake_server.url)
    for _ in range(5):
        assert model.invoke("Hi").response_metadata["model_name"] == "full/name"
    assert detections(fake_server) == 2


def test_a_server_with_ever_new_names_is_asked_a_few_times(fake_server: FakeServer) -> None:
    serve(fake_server, "openai")
    replies = [chat("Hi", server_name="openai", model=f"build-{number}") for number in range(40)]
    fake_server.on("POST", CHAT, *replies)
    model = EasyLLMChat(base_url=fake_server.url)
    for _ in replies:
        model.invoke("Hi")
    assert detections(fake_server) < 12


def test_a_callers_own_name_is_never_replaced(fake_server: FakeServer, mode: str) -> None:
    serve_one(fake_server, "new", None)
    model = EasyLLMChat(base_url=fake_server.url, model="mine")
    answer(mode, model)
    answer(mode, model)
    assert (posted_models(fake_server), model.model_id) == (["mine", "mine"], "mine")
    serve_one(fake_server, "new", REFUSALS["proxy"])
    with pytest.raises(BadRequestError):
        answer(mode, model)
    assert detections(fake_server) <= 1


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_server_that_is_still_the_same_is_believed(fake_server: FakeServer, refusal: str) -> None:
    serve_one(fake_server, "new", REFUSALS[refusal])
    listing(fake_server, "old")
    with pytest.raises((NotFoundError, BadRequestError)):
        EasyLLMChat(base_url=fake_server.url).invoke("Hi")
    assert posted_models(fake_server) == ["old"]


def test_another_refusal_asks_nobody(fake_server: FakeServer) -> None:
    serve(fake_server, "openai")
    said = {"error": {"message": "The model takes no images; the file was not found."}}
    fake_server.on("POST", CHAT, Reply(said, status=400))
    for _ in range(2):
        with pytest.raises(EasyLLMError):
            EasyLLMChat(base_url=fake_server.url).invoke("Hi")
    assert detections(fake_server) == 1


def test_the_new_models_template_is_read(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "llamacpp")
    fake_server.on("GET", "/props", Reply({"chat_template": "OLD {{ messages[0].content }}"}))
    fake_server.on("POST", "/tokenize", error("llamacpp-not-found"))
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="auto", model="any")
    answer(mode, model)
    other = EasyLLMChat(base_url=fake_server.url)
    listing(fake_server, "new", "llamacpp")
    fake_server.on("GET", "/props", Reply({"chat_template": "NEW {{ messages[0].content }}"}))
    fake_server.on("POST", CHAT, chat("Hi", server_name="llamacpp", model="new"))
    other.invoke("Hi")
    other.invoke("Hi")
    answer(mode, model)
    prompts: list[Any] = [request.json for request in fake_server.received(TEXT)]
    assert [body["prompt"] for body in prompts] == ["OLD Hi", "NEW Hi"]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_embeddings_and_rerankers_find_the_new_name_for_their_next_call(
    fake_server: FakeServer, refusal: str
) -> None:
    status, said = REFUSALS[refusal]

    def reply(request: Received) -> Reply:
        body: Any = request.json
        if body["model"] != "new":
            return Reply(said, status=status)
        if request.path == "/v1/rerank":
            return Reply({"results": [{"index": 0, "relevance_score": 0.5}]})
        return Reply({"data": [{"index": 0, "embedding": [1.0]}]})

    serve(fake_server, "openai", model="old")
    for path in ("/v1/embeddings", "/v1/rerank"):
        fake_server.on("POST", path, reply)
    embeddings = EasyLLMEmbeddings(base_url=fake_server.url)
    rerank = EasyLLMRerank(base_url=fake_server.url, default_headers={"x-own": "session"})
    calls: list[Any] = [
        lambda: embeddings.embed_query("Hi"),
        lambda: rerank.compress_documents([Document("Hi")], "Hi"),
    ]
    for call in calls:
        listing(fake_server, "old")
        with pytest.raises((NotFoundError, BadRequestError)):
            call()
        listing(fake_server, "new")
        call()
