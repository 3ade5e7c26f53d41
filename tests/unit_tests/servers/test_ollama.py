"""Ollama, as its documents describe it: what it has that others have not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import (
    ConfigurationError,
    EasyLLMError,
    IncompleteStreamError,
    NotFoundError,
    ProtocolError,
)

from ...support.cases import each_case
from ...support.fake_server import Cut, FakeServer, Received, Reply, Stall
from ...support.fake_text_servers import (
    chat,
    completions,
    models,
    ollama,
    ollama_lines,
    ollama_stream,
    serve,
)
from ...support.invocation_modes import CLASSES, MODES, answer, body_of, text_of

RAW = "/api/generate"
RENDERED = "<|user|>\nHi</s>\n<|assistant|>\n"
WAYS: dict[str, dict[str, Any]] = {
    "auto": {},
    "named api": {"api": "completions"},
    "named api and model": {"api": "completions", "model": "tiny"},
}


def lines(*given: object, end: bytes = b"\n") -> list[bytes]:
    """Lines of JSON as they are sent."""
    return [line if isinstance(line, bytes) else json.dumps(line).encode() + end for line in given]


def streaming(server: FakeServer, *chunks: Any) -> None:
    headers = {"content-type": "application/x-ndjson"}
    server.on("POST", RAW, Reply(chunks=chunks, headers=headers))


@pytest.mark.parametrize(("thinking", "effort"), [(True, "medium"), (False, "none")])
def test_thinking_is_switched_by_the_effort(
    fake_server: FakeServer, thinking: bool, effort: str, mode: str
) -> None:
    serve(fake_server, "ollama")
    answer(mode, EasyLLMChat(base_url=fake_server.url, thinking=thinking))
    body = body_of(fake_server)
    assert body["reasoning_effort"] == effort
    assert "chat_template_kwargs" not in body


def test_a_thought_is_reasoning(fake_server: FakeServer, whole_mode: str) -> None:
    serve(fake_server, "ollama")
    reply = chat("Yes.", server_name="ollama", message={"reasoning": "Let me see."})
    fake_server.on("POST", "/v1/chat/completions", reply)
    message = answer(whole_mode, EasyLLMChat(base_url=fake_server.url))
    assert message.content == "Yes."
    assert message.additional_kwargs["reasoning_content"] == "Let me see."


def test_one_of_its_models_has_to_be_named(fake_server: FakeServer, mode: str) -> None:
    def respond(request: Received) -> Reply:
        assert isinstance(request.json, dict)
        return chat("Hi.", server_name="ollama", model=request.json["model"])

    serve(fake_server, "ollama")
    fake_server.on("GET", "/v1/models", models("a:1b", "b:2b", owned_by="library"))
    fake_server.on("POST", "/v1/chat/completions", respond)
    with pytest.raises(ConfigurationError, match="set model to one of a:1b, b:2b"):
        answer(mode, EasyLLMChat(base_url=fake_server.url))
    answer("invoke", EasyLLMChat(base_url=fake_server.url, model="b:2b"))
    assert body_of(fake_server)["model"] == "b:2b"


@each_case("way", WAYS)
@each_case("cls", CLASSES)
@each_case("builder", [None, "zephyr"])
def test_a_prompt_is_sent_raw(
    fake_server: FakeServer, cls: type, builder: str | None, way: str, mode: str
) -> None:
    if cls is EasyLLMChat and builder is None:
        return
    serve(fake_server, "ollama")
    model = cls(base_url=fake_server.url, prompt_builder=builder, max_tokens=5, **WAYS[way])
    assert text_of(answer(mode, model)) == "Hello world"
    assert [r.path for r in fake_server.requests if r.method == "POST"] == [RAW]
    body = body_of(fake_server)
    stops = body["options"].pop("stop", [])
    assert body == {
        "model": "tiny",
        "prompt": RENDERED if builder else "Hi",
        "raw": True,
        "stream": mode in ("stream", "astream"),
        "think": False,
        "options": {"num_predict": 5},
    }
    assert ("</s>" in stops) is (builder is not None)


def test_other_servers_have_completions_still(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "openai")
    answer(mode, EasyLLM(base_url=fake_server.url, api="completions", model="tiny"))
    assert [r.path for r in fake_server.requests if r.method == "POST"] == ["/v1/completions"]


def test_fields_are_options_and_keys(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "ollama")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    model = EasyLLM(
        base_url=fake_server.url,
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        typical_p=0.8,
        repetition_penalty=1.5,
        presence_penalty=0.25,
        frequency_penalty=0.75,
        seed=7,
        stop=["END", "x", "y", "z", "v"],
        logprobs=True,
        top_logprobs=2,
        response_format=schema,
        model_kwargs={
            "min_p": 0.1,
            "num_ctx": 8192,
            "keep_alive": "5m",
            "options": {"num_keep": 4, "top_p": 0.3},
        },
    )
    answer(mode, model)
    body = body_of(fake_server)
    assert body["options"] == {
        "temperature": 0.5,
        "top_p": 0.3,
        "top_k": 3,
        "typical_p": 0.8,
        "repeat_penalty": 1.5,
        "presence_penalty": 0.25,
        "frequency_penalty": 0.75,
        "seed": 7,
        "stop": ["END", "x", "y", "z", "v"],
        "min_p": 0.1,
        "num_ctx": 8192,
        "num_keep": 4,
    }
    assert (body["format"], body["keep_alive"]) == (schema, "5m")
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)


def test_greedy_decoding(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "ollama")
    answer(mode, EasyLLM(base_url=fake_server.url, temperature=0, top_p=0.5))
    assert body_of(fake_server)["options"] == {"temperature": 0}


@pytest.mark.parametrize("given", [{"n": 2}, {"best_of": 2}, {"truncate": 5}, {"watermark": True}])
def test_what_it_lacks_is_an_error(fake_server: FakeServer, given: dict[str, Any]) -> None:
    serve(fake_server, "ollama")
    with pytest.raises(ConfigurationError, match=r"completions api of this server \(ollama\)"):
        EasyLLM(base_url=fake_server.url, **given).invoke("Hi")


def test_an_answer_holds_all_that_came(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "ollama", ["One", " two", " three"], finish_reason="length")
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="zephyr")
    message = answer(mode, model)
    assert message.text == "One two three"
    assert message.usage_metadata == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    assert message.response_metadata["finish_reason"] == "length"
    assert message.response_metadata["model_name"] == "tiny"
    assert message.response_metadata["total_duration"] == 5_000_000


def test_it_may_begin_with_the_prompt(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "ollama")
    model = EasyLLM(base_url=fake_server.url, return_full_text=True)
    assert answer(mode, model) == "HiHello world"
    assert "echo" not in str(body_of(fake_server))


def test_stop_sequences_of_caller_and_template(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "ollama", ["One", " two", "END", " three", "</s>"])
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="zephyr")
    assert answer(mode, model, stop=["END"]).text == "One two"
    assert answer(mode, model).text == "One twoEND three"


@pytest.mark.parametrize("mode", MODES)
def test_log_probabilities(fake_server: FakeServer, mode: str) -> None:
    top = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -2.5}]
    token = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": top}

    def reply(request: Received) -> Reply:
        body: Any = request.json
        if not body["stream"]:
            return ollama("aa", logprobs=[token, token])
        sent = [dict(line) for line in ollama_lines(["a", "a"])]
        for line in sent[:2]:
            line["logprobs"] = [token]
        return Reply(chunks=lines(*sent))

    serve(fake_server, "ollama")
    fake_server.on("POST", RAW, reply)
    model = EasyLLMChat(
        base_url=fake_server.url, prompt_builder="zephyr", logprobs=True, top_logprobs=2
    )
    message = answer(mode, model)
    assert message.text == "aa"
    found = message.response_metadata["logprobs"]["content"]
    assert [(one["token"], one["logprob"], one["top_logprobs"]) for one in found] == [
        ("a", -0.1, top)
    ] * 2


class Person(BaseModel):
    """A person."""

    name: str


def test_structured_output_is_constrained(fake_server: FakeServer) -> None:
    serve(fake_server, "ollama", ['{"name"', ': "Ann"}'])
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="zephyr")
    assert model.with_structured_output(Person).invoke("Hi") == Person(name="Ann")
    assert body_of(fake_server)["format"]["properties"].keys() == {"name"}


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_lines_are_read_however_they_are_cut(
    fake_server: FakeServer, cut: int, stream_mode: str
) -> None:
    serve(fake_server, "ollama")
    data = b"".join(lines(*ollama_lines(["Gr", "üße", "\n\n", "{}"])))
    streaming(fake_server, *[data[at : at + cut] for at in range(0, len(data), cut)])
    assert answer(stream_mode, EasyLLM(base_url=fake_server.url)) == "Grüße\n\n{}"


def test_a_thought_that_it_takes_out_is_reasoning(fake_server: FakeServer, mode: str) -> None:
    thought = {"model": "tiny", "response": "", "thinking": "Let me see.", "done": False}

    def reply(request: Received) -> Reply:
        body: Any = request.json
        if not body["stream"]:
            return ollama("Yes.", thinking="Let me see.")
        return Reply(chunks=lines(thought, *ollama_lines(["Yes."])))

    serve(fake_server, "ollama")
    fake_server.on("POST", RAW, reply)
    message = answer(mode, EasyLLMChat(base_url=fake_server.url, prompt_builder="zephyr"))
    assert message.text == "Yes."
    assert message.additional_kwargs["reasoning_content"] == "Let me see."


def test_a_refusal_has_its_class(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "ollama")
    said = {"error": "model 'other' not found"}
    fake_server.on("POST", RAW, Reply(said, status=404))
    with pytest.raises(NotFoundError, match="model 'other' not found"):
        answer(mode, EasyLLM(base_url=fake_server.url, model="other"))


def test_a_failure_in_a_stream_is_an_error(fake_server: FakeServer, stream_mode: str) -> None:
    serve(fake_server, "ollama")
    streaming(
        fake_server, *lines({"response": "One", "done": False}, {"error": "runner has crashed"})
    )
    with pytest.raises(EasyLLMError, match="runner has crashed") as caught:
        answer(stream_mode, EasyLLM(base_url=fake_server.url, max_retries=0))
    assert caught.value.partial == "One"


@pytest.mark.parametrize("cut", [[], [Cut()]])
def test_a_stream_that_breaks_is_no_answer(
    fake_server: FakeServer, cut: list[Any], stream_mode: str
) -> None:
    serve(fake_server, "ollama")
    streaming(fake_server, *lines({"response": "One", "done": False}), *cut)
    with pytest.raises(EasyLLMError) as caught:
        answer(stream_mode, EasyLLM(base_url=fake_server.url, max_retries=0))
    assert caught.value.partial == "One"
    assert cut or isinstance(caught.value, IncompleteStreamError)


def test_nothing_is_waited_for_behind_the_last_line(
    fake_server: FakeServer, stream_mode: str
) -> None:
    serve(fake_server, "ollama")
    streaming(fake_server, *lines(*ollama_lines(["One"])), Stall())
    assert answer(stream_mode, EasyLLM(base_url=fake_server.url, timeout=20)) == "One"
    fake_server.wait_until(lambda: fake_server.disconnects == 1)


@pytest.mark.parametrize(
    "odd",
    [
        Reply("no JSON"),
        Reply({}),
        Reply([]),
        Reply({"response": "x", "done": True, "logprobs": ["a"]}),
        completions("Hello", server_name="openai"),
    ],
)
def test_another_answer_is_an_error_of_this_package(fake_server: FakeServer, odd: Reply) -> None:
    serve(fake_server, "ollama")
    fake_server.on("POST", RAW, odd)
    with pytest.raises(ProtocolError):
        EasyLLM(base_url=fake_server.url).invoke("Hi")


def test_an_old_version_gives_no_reason_and_no_counts(fake_server: FakeServer, mode: str) -> None:
    def reply(request: Received) -> Reply:
        body: Any = request.json
        last = {"response": "" if body["stream"] else "One", "done": True}
        if not body["stream"]:
            return Reply(last)
        return Reply(chunks=lines({"response": "One", "done": False}, last))

    serve(fake_server, "ollama")
    fake_server.on("POST", RAW, reply)
    message = answer(mode, EasyLLMChat(base_url=fake_server.url, prompt_builder="zephyr"))
    assert (message.text, message.usage_metadata) == ("One", None)
    assert message.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("route", ["/api/generate", "/api/chat", "/v1"])
def test_its_routes_may_be_pasted(fake_server: FakeServer, route: str) -> None:
    serve(fake_server, "ollama")
    assert EasyLLM(base_url=fake_server.url + route).invoke("Hi") == "Hello world"


def test_a_stream_where_none_was_wanted(fake_server: FakeServer) -> None:
    serve(fake_server, "ollama")
    fake_server.on("POST", RAW, ollama_stream(["One", " two"]))
    assert EasyLLM(base_url=fake_server.url).invoke("Hi") == "One two"
