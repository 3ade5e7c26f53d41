"""The begin-of-sequence token: in a raw prompt exactly where the server's tokenizer adds none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.prompts import load_prompt

from ...support.fake_hub import serve_files, use_hub
from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import serve
from ...support.invocation_modes import answer, body_of

START = "<|im_start|>"
CHATML = (  # SmolLM2's: its first token is the one that opens each turn
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SMOL = (
    "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\n"
)
LLAMA = "{{ bos_token }}{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}"
TURNS = "{% for m in messages %}{{ bos_token }}[INST] {{ m.content }} [/INST]{% endfor %}"
INST = "[INST] Hi [/INST]"


def processor(*tokens: str) -> dict[str, object]:
    """A tokenizer's post-processor that puts these tokens before a text."""
    before = [{"SpecialToken": {"id": token, "type_id": 0}} for token in tokens]
    single = [*before, {"Sequence": {"id": "A", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}}


BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False}
ROBERTA = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}


def both(*processors: object) -> dict[str, object]:
    return {"type": "Sequence", "processors": list(processors)}


def files(
    template: str, bos: str, post: object = None, **config: object
) -> Mapping[str, dict[str, object]]:
    """A model's files; the vocabulary comes after what is looked for, as in the real ones."""
    end = {"eos_token": "</s>"}
    return {
        "tokenizer_config.json": {"chat_template": template, "bos_token": bos, **end, **config},
        "tokenizer.json": {"version": "1.0", "post_processor": post, "model": {"vocab": {"a": 0}}},
    }


def folder(at: Path, content: Mapping[str, object]) -> str:
    for name, value in content.items():
        (at / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return str(at)


CASES: dict[str, tuple[Mapping[str, dict[str, object]], str]] = {
    "SmolLM2": (files(CHATML, START), SMOL),
    "SmolLM2, by bytes": (files(CHATML, START, BYTES), SMOL),
    "by its setting": (files(CHATML, START, processor(START), add_bos_token=False), SMOL),
    "a turn opener that is added": (
        files(CHATML, START, processor(START)),
        SMOL.removeprefix(START),
    ),
    "Llama": (files(LLAMA, "<s>", processor("<s>")), INST),
    "Llama, by its setting": (files(LLAMA, "<s>", add_bos_token=True), INST),
    "Llama 3": (files(LLAMA, "<|begin|>", both(BYTES, processor("<|begin|>"))), INST),
    "Roberta's": (files(LLAMA, "<s>", ROBERTA), INST),
    "another token": (files(LLAMA, "<s>", processor("<bot>")), "<s>" + INST),
    "none is added": (files(LLAMA, "<s>"), "<s>" + INST),
    "none is added, by its setting": (files(LLAMA, "<s>", add_bos_token=False), "<s>" + INST),
}


@pytest.mark.parametrize("case", CASES)
def test_a_models_files_decide(
    fake_server: FakeServer, case: str, mode: str, tmp_path: Path
) -> None:
    content, expected = CASES[case]
    serve(fake_server, "openai")
    name = folder(tmp_path, content)
    answer(mode, EasyLLMChat(base_url=fake_server.url, model=name, prompt_builder="auto"))
    assert body_of(fake_server)["prompt"] == expected
    answer(mode, EasyLLMChat(base_url=fake_server.url, prompt_builder=load_prompt(name)))
    assert body_of(fake_server)["prompt"] == expected


def test_the_files_of_the_hub_decide(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_hub(monkeypatch, fake_server.url, tmp_path)
    serve(fake_server, "openai")
    serve_files(fake_server, "org/smol", files(CHATML, START))
    model = EasyLLMChat(base_url=fake_server.url, model="org/smol", prompt_builder="auto")
    model.invoke("Hi")
    assert body_of(fake_server)["prompt"] == SMOL


@pytest.mark.parametrize("settled", [{"add_bos_token": True}, {"bos_token": None}])
def test_a_large_file_is_read_only_if_it_decides(
    fake_server: FakeServer,
    settled: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    use_hub(monkeypatch, fake_server.url, tmp_path)
    serve(fake_server, "openai")
    serve_files(fake_server, "org/name", files(LLAMA, "<s>", **settled))
    EasyLLMChat(base_url=fake_server.url, model="org/name", prompt_builder="auto").invoke("Hi")
    assert fake_server.received("/org/name/resolve/main/tokenizer.json") == []


@pytest.mark.parametrize(
    "broken", ["{", '{"post_processor": [}', "", '{"post_processor": {"type":']
)
@pytest.mark.parametrize(("template", "expected"), [(CHATML, SMOL), (LLAMA, INST)])
def test_without_a_readable_file_a_turn_opener_stays(
    fake_server: FakeServer, template: str, expected: str, broken: str, tmp_path: Path
) -> None:
    serve(fake_server, "openai")
    bos = START if template is CHATML else "<s>"
    content = {**files(template, bos), "tokenizer.json": broken}
    name = folder(tmp_path, content)
    EasyLLMChat(base_url=fake_server.url, model=name, prompt_builder="auto").invoke("Hi")
    assert body_of(fake_server)["prompt"] == expected


def test_two_are_one_too_many(fake_server: FakeServer, tmp_path: Path) -> None:
    serve(fake_server, "openai")
    name = folder(tmp_path, files("{{ bos_token }}" + LLAMA, "<s>", processor("<s>")))
    with pytest.raises(ConfigurationError, match="more than once"):
        EasyLLMChat(base_url=fake_server.url, model=name, prompt_builder="auto").invoke("Hi")


def serve_template(server: FakeServer, template: str, bos: str, added: list[int] | None) -> None:
    """A llama-server with a template, whose tokenizer puts so many tokens before a text."""

    def tokenize(request: Received) -> Reply:
        body: Any = request.json
        assert body["content"]
        before = added if body.get("add_special") else []
        return Reply({"tokens": [*(before or []), 97]})

    serve(server, "llamacpp")
    props = {"chat_template": template, "bos_token": bos, "eos_token": "</s>"}
    server.on("GET", "/props", Reply(props))
    missing = Reply({"error": {"message": "File Not Found"}}, status=404)
    server.on("POST", "/tokenize", missing if added is None else tokenize)


@pytest.mark.parametrize(
    ("template", "bos", "added", "expected"),
    [
        (CHATML, START, [], SMOL),
        (CHATML, START, [1], SMOL.removeprefix(START)),
        (CHATML, START, None, SMOL),
        (LLAMA, "<s>", [1], INST),
        (LLAMA, "<s>", [], "<s>" + INST),
        (LLAMA, "<s>", None, INST),
        (TURNS, "<s>", [1], INST),
        (TURNS, "<s>", [], "<s>" + INST),
        (LLAMA, "<|odd|>", [1], INST),
        (LLAMA, "<|odd|>", None, INST),
    ],
)
def test_a_server_that_publishes_its_template_is_asked(
    fake_server: FakeServer, template: str, bos: str, added: list[int] | None, expected: str
) -> None:
    serve_template(fake_server, template, bos, added)
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="auto")
    for mode in ("invoke", "astream"):
        answer(mode, model)
        assert body_of(fake_server, "/v1/completions")["prompt"] == expected
    assert len(fake_server.received("/tokenize")) <= 2


def test_a_template_without_the_token_asks_nothing(fake_server: FakeServer) -> None:
    serve_template(fake_server, "{{ messages[0].content }}", "<s>", [1])
    EasyLLMChat(base_url=fake_server.url, prompt_builder="auto").invoke("Hi")
    assert fake_server.received("/tokenize") == []


@pytest.mark.parametrize(
    ("server_name", "path", "text", "switch", "ids"),
    [
        ("tgi", "/tokenize", "inputs", "add_special_tokens", "tokens"),
        ("vllm", "/tokenize", "prompt", "add_special_tokens", "tokens"),
        ("lmdeploy", "/v1/encode", "input", "add_bos", "input_ids"),
    ],
)
def test_a_server_is_asked_where_the_files_leave_it_open(
    fake_server: FakeServer,
    server_name: str,
    path: str,
    text: str,
    switch: str,
    ids: str,
    tmp_path: Path,
) -> None:
    def tokenize(request: Received) -> Reply:
        body: Any = request.json
        assert body[text]
        return Reply({ids: [1, 97] if body[switch] else [97]})

    name = folder(tmp_path, files(CHATML, START))
    (tmp_path / "tokenizer.json").unlink()
    serve(fake_server, server_name, model=name)
    fake_server.on("POST", path, tokenize)
    EasyLLMChat(base_url=fake_server.url, model=name, prompt_builder="auto").invoke("Hi")
    sent = body_of(fake_server)
    assert sent.get("prompt", sent.get("inputs")) == SMOL.removeprefix(START)
