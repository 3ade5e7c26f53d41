"""EasyLLM's clients: what is sent, and the format of what comes back."""

from __future__ import annotations

import asyncio
import inspect
import re
import time
from dataclasses import replace
from itertools import product

import pytest

from langchain_easyllm import huggingface
from langchain_easyllm.errors import (
    AuthenticationError,
    ConfigurationError,
    IncompleteStreamError,
    ModelLoadingError,
)
from langchain_easyllm.prompts import build_llama2_prompt, llama2_stop_sequences

from ...support import fake_text_servers
from ...support.easyllm_clients import CLIENTS, GIVEN, call, chunks, text_of
from ...support.fake_server import Barrier, Cut, FakeServer, Pause, Reply, Stall, sse
from ...support.invocation_modes import SERVER_NAMES, body_of

EVERY_MODE = pytest.mark.parametrize("mode", ["sync", "async"])
KIND = pytest.mark.parametrize("kind", CLIENTS)
EVERY_SERVER = pytest.mark.parametrize("server_name", SERVER_NAMES)
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


@pytest.fixture(autouse=True)
def _base(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface, "api_base", fake_server.url)


@EVERY_MODE
@KIND
@EVERY_SERVER
@pytest.mark.parametrize("builder", [None, "llama2"])
def test_every_server_answers_in_one_format(
    fake_server, monkeypatch, mode, kind, server_name, builder
):
    monkeypatch.setattr(huggingface, "prompt_builder", builder)
    fake_text_servers.serve(fake_server, server_name)
    result = call(mode, kind)
    assert re.fullmatch(r"hf-[\w-]{10}", result["id"])
    assert result["object"] == {"chat": "chat.completion", "text": "text.completion"}[kind]
    assert abs(result["created"] - time.time()) < 60
    assert result["model"] == "tiny"
    counted = body_of(fake_server).get("inputs") is None  # TGI counts no prompt on /generate
    assert result["usage"] == (USAGE if counted else None)
    [choice] = result["choices"]
    assert choice["index"] == 0
    assert choice["finish_reason"] == "stop"
    if kind == "chat":
        assert choice["message"] == {"role": "assistant", "content": "Hello world"}
    else:
        assert (choice["text"], choice["logprobs"]) == ("Hello world", None)


@EVERY_MODE
@KIND
@EVERY_SERVER
def test_a_stream_begins_with_the_role_and_ends_with_the_finish_reason(
    fake_server, mode, kind, server_name
):
    fake_text_servers.serve(fake_server, server_name, finish_reason="length")
    found = chunks(mode, kind)
    choices = [chunk["choices"][0] for chunk in found]
    if kind == "chat":
        assert choices[0]["delta"] == {"role": "assistant"}
        assert choices[-1]["delta"] == {}
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(found) - 1) + ["length"]
    assert text_of(found) == "Hello world"
    assert len({chunk["id"] for chunk in found}) == 1
    kinds = {"chat": "chat.completion.chunk", "text": "text.completion"}
    assert {chunk["object"] for chunk in found} == {kinds[kind]}
    assert found[-1]["usage"] == (None if server_name == "llama-cpp-python" else USAGE)


@EVERY_MODE
@KIND
def test_the_first_stream_of_a_server_already_names_its_model(fake_server, mode, kind):
    fake_text_servers.serve(fake_server, "tgi", model="org/served")
    assert {chunk["model"] for chunk in chunks(mode, kind)} == {"org/served"}


@EVERY_MODE
@KIND
def test_what_is_sent_by_default(fake_server, monkeypatch, mode, kind):
    monkeypatch.setattr(huggingface, "prompt_builder", build_llama2_prompt)
    fake_text_servers.serve(fake_server, "tgi")
    call(mode, kind)
    assert body_of(fake_server, "/generate") == {
        "inputs": "[INST] Hi [/INST]",  # the server's tokenizer puts the <s>
        "parameters": {
            "details": True,
            "do_sample": True,
            "max_new_tokens": 1024,
            "repetition_penalty": 1.0,
            "seed": 42,
            "temperature": 0.9,
            "top_k": 10,
            "top_p": 0.6,
        },
    }


@EVERY_MODE
def test_a_default_that_a_protocol_has_no_name_for_is_left_out_and_a_given_field_is_an_error(
    fake_server, mode
):
    fake_text_servers.serve(fake_server, "tgi")
    call("sync", "chat")
    assert "top_k" not in body_of(fake_server, "/v1/chat/completions")
    given = {"top_k": 10, "frequency_penalty": 1.2}
    for name, ask in product(given, (call, chunks)):
        with pytest.raises(ConfigurationError) as caught:
            ask(mode, "chat", **{name: given[name]})
        assert str(caught.value) == (
            f"{name} cannot be expressed on the chat api of this server (tgi): "
            "set prompt_builder, or drop it."
        )


@KIND
def test_the_frequency_penalty_is_sent_as_the_repetition_penalty(fake_server, kind):
    fake_text_servers.serve(fake_server, "vllm")
    call("sync", kind, frequency_penalty=1.2)
    body = body_of(fake_server)
    assert body["repetition_penalty"] == 1.2
    assert "frequency_penalty" not in body


@pytest.mark.parametrize("server_name", ["tgi", "vllm", "openai", "llamacpp"])
def test_greedy_and_nucleus_at_their_bounds(fake_server, server_name):
    fake_text_servers.serve(fake_server, server_name)
    for top_p in (0, 1):
        call("sync", "text", top_p=top_p)
        body = body_of(fake_server)
        assert "top_p" not in body.get("parameters", body)
    call("sync", "text", temperature=0)
    sent = body_of(fake_server)
    sent = sent.get("parameters", sent)
    assert sent.get("temperature", 0) == 0
    assert sent.get("do_sample", False) is False
    assert "top_k" not in sent


def test_names_mean_easyllms_own_builders(fake_server, monkeypatch):
    fake_text_servers.serve(fake_server, "tgi")
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "C"},
    ]
    sent = {}
    for name in ("vicuna", "llama2", "zephyr"):
        monkeypatch.setattr(huggingface, "prompt_builder", name)
        call("sync", "chat", messages)
        sent[name] = body_of(fake_server)
    assert sent["vicuna"]["inputs"] == "S\n\nUSER: A\nASSISTANT: B</s>\nUSER: C\nASSISTANT: "
    assert sent["llama2"]["inputs"] == build_llama2_prompt(messages).removeprefix("<s>")
    assert sent["zephyr"]["inputs"].endswith("<|user|>\nC</s>\n<|assistant|>\n")
    assert sent["llama2"]["parameters"]["stop"] == llama2_stop_sequences


def test_a_function_of_ones_own_reads_messages_by_attribute_and_by_key(fake_server, monkeypatch):
    fake_text_servers.serve(fake_server, "tgi")
    monkeypatch.setattr(
        huggingface,
        "prompt_builder",
        lambda messages: "|".join(f"{m.role}={m['content']}" for m in messages),
    )
    call("sync", "chat", [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}])
    assert body_of(fake_server)["inputs"] == "system=S|user=U"


def test_a_text_is_one_user_turn_of_the_prompt_with_its_suffix(fake_server, monkeypatch):
    fake_text_servers.serve(fake_server, "tgi")
    call("sync", "text", "Once", suffix=" upon")
    assert body_of(fake_server)["inputs"] == "Once upon"
    for builder, prompt in {
        "llama2": "[INST] Once upon [/INST]",
        "zephyr": "<|user|>\nOnce upon</s>\n<|assistant|>\n",
        str.upper: "ONCE UPON",
    }.items():
        monkeypatch.setattr(huggingface, "prompt_builder", builder)
        call("sync", "text", "Once", suffix=" upon")
        assert body_of(fake_server)["inputs"] == prompt


@EVERY_MODE
@KIND
@EVERY_SERVER
def test_stops_of_the_module_and_of_the_call_are_exact(
    fake_server, monkeypatch, mode, kind, server_name
):
    fake_text_servers.serve(fake_server, server_name, ["One", " tw", "o three", " fo", "ur"])
    monkeypatch.setattr(huggingface, "stop_sequences", ["four"])
    assert text_of(call(mode, kind)) == "One two three "
    assert text_of(call(mode, kind, stop="two")) == "One "
    assert text_of(call(mode, kind, stop=["never", "ree"])) == "One two th"
    assert text_of(chunks(mode, kind, stop=["wo", "ee"])) == "One t"
    assert huggingface.stop_sequences == ["four"]


@EVERY_MODE
@KIND
def test_several_answers_come_in_parallel_and_count_their_prompt_once(fake_server, mode, kind):
    fake_text_servers.serve(fake_server, "vllm")
    made = {"chat": fake_text_servers.chat, "text": fake_text_servers.completions}[kind]

    def answer(request):
        reply = made(f"seed {request.json['seed']}", completion_tokens=2)
        return replace(reply, before=(Barrier(3, seconds=20), Pause(0.02)))

    path = {"chat": "/v1/chat/completions", "text": "/v1/completions"}[kind]
    fake_server.on("POST", path, answer)
    result = call(mode, kind, n=3)
    said = [
        choice["message"]["content"] if kind == "chat" else choice["text"]
        for choice in result["choices"]
    ]
    assert said == ["seed 42", "seed 43", "seed 44"]
    assert [choice["index"] for choice in result["choices"]] == [0, 1, 2]
    assert result["usage"] == {"prompt_tokens": 7, "completion_tokens": 6, "total_tokens": 13}
    assert "n" not in body_of(fake_server)
    assert fake_server.max_in_flight == 3


def test_numbers_may_come_as_text(fake_server):
    fake_text_servers.serve(fake_server, "vllm")
    given = {"n": "2", "timeout": "30", "max_retries": "0", "temperature": "0.5"}
    assert len(call("sync", "chat", **given)["choices"]) == 2
    assert body_of(fake_server)["temperature"] == 0.5
    assert len(chunks("sync", "chat", n="1")) == 4


@EVERY_MODE
def test_log_probabilities(fake_server, mode):
    fake_text_servers.serve(fake_server, "tgi")
    [choice] = call(mode, "text", logprobs=True)["choices"]
    assert choice["logprobs"] == [
        {"text": "Hello", "logprob": -0.25},
        {"text": " world", "logprob": -0.25},
    ]
    found = [chunk["choices"][0] for chunk in chunks(mode, "text", logprobs=True)]
    assert [(one["text"], one["logprobs"]) for one in found] == [
        ("Hello", -0.25),
        (" world", -0.25),
        ("", None),
    ]


@EVERY_MODE
def test_an_echo_begins_with_the_prompt(fake_server, monkeypatch, mode):
    fake_text_servers.serve(fake_server, "openai")
    assert text_of(chunks(mode, "text", echo=True)) == "HiHello world"
    fake_server.on("POST", "/v1/completions", fake_text_servers.completions("HiHello world"))
    assert text_of(call(mode, "text", echo=True)) == "HiHello world"
    assert body_of(fake_server)["echo"] is True


@EVERY_MODE
@KIND
def test_thinking_is_kept_apart(fake_server, mode, kind):
    fake_text_servers.serve(fake_server, "vllm", ["<think>", "Hm", "</think>", "Yes"])
    [choice] = call(mode, kind)["choices"]
    assert choice.get("message", choice)["reasoning_content"] == "Hm"
    found = chunks(mode, kind)
    assert text_of(found) == "Yes"
    parts = [chunk["choices"][0] for chunk in found]
    assert "".join(p.get("delta", p).get("reasoning_content", "") for p in parts) == "Hm"


@EVERY_MODE
def test_a_closed_stream_closes_the_connection(fake_server, mode):
    fake_text_servers.serve(fake_server, "openai")
    fake_server.on(
        "POST",
        "/v1/chat/completions",
        sse({"choices": [{"index": 0, "delta": {"content": "Hi"}}]}, Stall(), per_event=True),
    )
    if mode == "sync":
        stream = huggingface.ChatCompletion.create(GIVEN["chat"], stream=True)
        assert next(stream)["choices"][0]["delta"] == {"role": "assistant"}
        stream.close()
    else:

        async def read() -> None:
            stream = await huggingface.ChatCompletion.acreate(GIVEN["chat"], stream=True)
            await anext(stream)
            await stream.aclose()
            await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.disconnects == 1)

        asyncio.run(read())
    fake_server.wait_until(lambda: fake_server.disconnects == 1)


@EVERY_MODE
def test_a_stream_that_is_cut_off_is_an_error(fake_server, mode):
    fake_text_servers.serve(fake_server, "openai")
    event = {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}
    fake_server.on("POST", "/v1/chat/completions", sse(event, Cut(), per_event=True))
    with pytest.raises(IncompleteStreamError) as caught:
        chunks(mode, "chat", max_retries=0)
    assert caught.value.partial == "Hi"


@EVERY_MODE
@KIND
def test_failures_are_this_packages_errors(fake_server, mode, kind):
    fake_text_servers.serve(fake_server, "tgi")
    path = {"chat": "/v1/chat/completions", "text": "/generate"}[kind]
    fake_server.on("POST", path, Reply({"error": "Invalid token"}, status=401))
    with pytest.raises(AuthenticationError):
        call(mode, kind)


@EVERY_MODE
def test_a_cold_start_is_waited_for(fake_server, mode):
    fake_text_servers.serve(fake_server, "tgi")
    loading = Reply({"error": "Model is loading", "estimated_time": 0.01}, status=503)
    fake_server.on("POST", "/generate", loading, loading, fake_text_servers.tgi_generate("Hello"))
    with pytest.raises(ModelLoadingError):
        call(mode, "text", max_retries=0)
    fake_server.on("POST", "/generate", loading, fake_text_servers.tgi_generate("Hello"))
    assert text_of(call(mode, "text", max_retries=0, wait_for_model=30)) == "Hello"


@KIND
@pytest.mark.parametrize("name", ["create", "acreate"])
def test_the_signature_shows_the_documented_parameters_and_defaults(kind, name):
    client = CLIENTS[kind]
    parameters = inspect.signature(getattr(client, name)).parameters
    defaults = {key: value.default for key, value in parameters.items()}
    documented = {
        "model": None,
        "temperature": 0.9,
        "top_p": 0.6,
        "top_k": 10,
        "n": 1,
        "max_tokens": 1024,
        "stop": None,
        "stream": False,
        "frequency_penalty": 1.0,
        "debug": False,
    }
    if kind == "text":
        documented |= {"suffix": None, "echo": False, "logprobs": None}
    assert {key: defaults[key] for key in documented} == documented
    assert list(parameters)[:2] == [{"chat": "messages", "text": "prompt"}[kind], "model"]
    assert getattr(client, name).__doc__
