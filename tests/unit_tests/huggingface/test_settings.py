"""EasyLLM's clients: the module's attributes, the environment, tokens and threads."""

from __future__ import annotations

import logging
import threading

import pytest
from pydantic import SecretStr

import langchain_easyllm
from langchain_easyllm import huggingface
from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.prompts import get_prompt

from ...support.easyllm_clients import CLIENTS, GIVEN, call, text_of
from ...support.fake_server import FakeServer, Reply
from ...support.fake_text_servers import serve, tgi_generate
from ...support.invocation_modes import body_of

KIND = pytest.mark.parametrize("kind", CLIENTS)


@pytest.fixture
def tgi(fake_server: FakeServer) -> FakeServer:
    serve(fake_server, "tgi")
    return fake_server


def authorization(server: FakeServer) -> str | None:
    return server.requests[-1].headers.get("authorization")


def test_the_module_is_an_attribute_of_the_package():
    assert langchain_easyllm.huggingface is huggingface
    assert huggingface.api_type == "huggingface"
    assert huggingface.seed == 42
    assert huggingface.stop_sequences == []


def test_the_environment_is_read_when_it_is_used(tgi, monkeypatch):
    monkeypatch.setenv("HUGGINGFACE_API_BASE", tgi.url)
    monkeypatch.setenv("HUGGINGFACE_PROMPT", "llama2")
    monkeypatch.setenv("HUGGINGFACE_API_VERSION", "2024-01-01")
    assert text_of(call("sync", "chat")) == "Hello world"
    assert body_of(tgi)["inputs"] == "[INST] Hi [/INST]"
    assert huggingface.api_version == "2024-01-01"
    monkeypatch.setenv("HUGGINGFACE_PROMPT", "zephyr")
    monkeypatch.delenv("HUGGINGFACE_API_VERSION")
    call("sync", "chat")
    assert body_of(tgi)["inputs"] == "<|user|>\nHi</s>\n<|assistant|>\n"
    assert huggingface.api_version == "2023-07-29"


def test_attributes_go_before_the_environment_and_a_calls_own_before_both(tgi, monkeypatch):
    monkeypatch.setenv("HUGGINGFACE_API_BASE", "http://127.0.0.1:9")
    monkeypatch.setenv("HUGGINGFACE_PROMPT", "zephyr")
    monkeypatch.setattr(huggingface, "api_base", tgi.url)
    monkeypatch.setattr(huggingface, "prompt_builder", "llama2")
    monkeypatch.setattr(huggingface, "seed", 7)
    call("sync", "chat")
    assert body_of(tgi)["inputs"] == "[INST] Hi [/INST]"
    assert body_of(tgi)["parameters"]["seed"] == 7
    call("sync", "chat", prompt_builder=get_prompt("vicuna"), seed=0)
    assert body_of(tgi)["inputs"] == get_prompt("vicuna").render("Hi")
    assert body_of(tgi)["parameters"]["seed"] == 0
    monkeypatch.setattr(huggingface, "api_base", "http://127.0.0.1:9")
    assert text_of(call("sync", "chat", api_base=tgi.url)) == "Hello world"


def test_without_a_seed_the_server_chooses(tgi, monkeypatch):
    monkeypatch.setattr(huggingface, "seed", None)
    call("sync", "text", api_base=tgi.url, n=2)
    assert "seed" not in body_of(tgi)["parameters"]


@KIND
def test_a_key_set_by_hand_goes_to_the_base_in_force(tgi, monkeypatch, kind):
    monkeypatch.setattr(huggingface, "api_base", tgi.url)
    monkeypatch.setattr(huggingface, "api_key", "hf_set_by_hand")
    call("sync", kind)
    assert authorization(tgi) == "Bearer hf_set_by_hand"
    call("sync", kind, api_key=SecretStr("hf_of_this_call"))
    assert authorization(tgi) == "Bearer hf_of_this_call"


@KIND
def test_a_key_of_the_environment_goes_to_hugging_face_only(tgi, monkeypatch, kind):
    monkeypatch.setenv("HUGGINGFACE_TOKEN", "hf_of_the_environment")
    monkeypatch.setattr(huggingface, "api_base", tgi.url)
    call("sync", kind)
    assert authorization(tgi) is None


def test_a_key_stays_with_the_base_it_was_used_for(tgi, monkeypatch):
    monkeypatch.setattr(huggingface, "api_key", "hf_set_by_hand")
    with FakeServer() as other:
        moved = Reply(status=307, headers={"location": tgi.url + "/generate"})
        serve(other, "tgi")
        other.on("POST", "/generate", moved)
        call("sync", "text", api_base=other.url)
        assert authorization(other) == "Bearer hf_set_by_hand"
    assert authorization(tgi) is None


def test_threads_with_calls_under_way_do_not_see_what_others_set(tgi, monkeypatch):
    monkeypatch.setattr(huggingface, "api_base", tgi.url)
    monkeypatch.setattr(huggingface, "prompt_builder", "llama2")
    arrived, go_on = threading.Event(), threading.Event()

    def slow_prompt(messages: object) -> str:
        arrived.set()
        assert go_on.wait(10)
        return "mine"

    found: list[object] = []

    def ask() -> None:
        found.append(call("sync", "chat", prompt_builder=slow_prompt, stop="never"))

    thread = threading.Thread(target=ask)
    thread.start()
    assert arrived.wait(10)
    for name, value in {
        "prompt_builder": "zephyr",
        "api_base": "http://127.0.0.1:9",
        "stop_sequences": ["o"],
        "seed": 1,
    }.items():
        monkeypatch.setattr(huggingface, name, value)
    go_on.set()
    thread.join()
    assert text_of(found[0]) == "Hello world"
    assert body_of(tgi)["inputs"] == "mine"
    assert body_of(tgi)["parameters"]["seed"] == 42


def test_many_threads_each_with_a_builder_of_its_own(tgi):
    def answer(request):
        return tgi_generate(f"answer to {request.json['inputs']}", tokens=["answer"])

    tgi.on("POST", "/generate", answer)
    found: dict[int, str] = {}

    def ask(number: int) -> None:
        builder = lambda _: f"prompt {number}"  # noqa: E731
        result = huggingface.ChatCompletion.create(
            GIVEN["chat"], api_base=tgi.url, prompt_builder=builder
        )
        found[number] = text_of(result)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: f"answer to prompt {number}" for number in range(20)}


def test_debug_logs_this_call_and_no_other(tgi, monkeypatch, caplog):
    monkeypatch.setattr(huggingface, "api_base", tgi.url)
    monkeypatch.setattr(huggingface, "api_key", "hf_set_by_hand")
    with caplog.at_level(logging.DEBUG, "langchain_easyllm.huggingface"):
        call("sync", "chat", prompt_builder="llama2")
        assert caplog.text == ""
        call("sync", "chat", prompt_builder="llama2", debug=True)
    assert "<s>" not in caplog.text
    assert "[INST] Hi [/INST]" in caplog.text
    assert "'temperature': 0.9" in caplog.text
    assert "Hello world" in caplog.text
    assert "hf_set_by_hand" not in caplog.text


def test_the_routers_chat_answers_a_text_and_refuses_a_template(monkeypatch):
    with pytest.raises(ConfigurationError, match="leave prompt_builder out"):
        call("sync", "chat", model="org/model", prompt_builder="llama2")
    with pytest.raises(ConfigurationError, match="set model to a Hub repo id"):
        call("sync", "text")
