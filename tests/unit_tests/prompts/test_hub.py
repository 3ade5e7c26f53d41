"""Templates that models come with: from directories, and from a Hub on the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from langchain_easyllm.prompts import PromptError, load_prompt

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{{ '' }}{% endif %}"
)
EXPECTED = "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
CONFIG = {
    "bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": False},
    "eos_token": "</s>",
    "added_tokens_decoder": {
        "2": {"content": "</s>", "special": True},
        "7": {"content": "<odd>", "special": True},
        "8": {"content": "<plain>", "special": False},
        "9": {"content": "<|also|>", "special": True},
    },
}


def write(directory, **files):
    for name, value in files.items():
        path = directory / name.replace("__", ".")
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return directory


@pytest.mark.parametrize(
    "files",
    [
        {"chat_template__jinja": TEMPLATE, "tokenizer_config__json": CONFIG},
        {"chat_template__json": {"chat_template": TEMPLATE}, "tokenizer_config__json": CONFIG},
        {"tokenizer_config__json": {**CONFIG, "chat_template": TEMPLATE}},
        {
            "tokenizer_config__json": {
                **CONFIG,
                "chat_template": [
                    {"name": "tool_use", "template": "tools"},
                    {"name": "default", "template": TEMPLATE},
                ],
            }
        },
        {
            "chat_template__jinja": TEMPLATE,
            "tokenizer_config__json": {**CONFIG, "chat_template": "an older one"},
        },
        {
            "chat_template__jinja": TEMPLATE,
            "tokenizer_config__json": {},
            "special_tokens_map__json": {"bos_token": "<s>", "eos_token": {"content": "</s>"}},
        },
    ],
)
def test_where_a_template_may_be(tmp_path, files):
    prompt = load_prompt(write(tmp_path, **files))
    assert prompt.render("Hi") == EXPECTED
    assert (prompt.bos, prompt.name) == ("<s>", str(tmp_path))
    assert prompt.stop == ("</s>", "<|im_end|>")


def test_the_template_for_tools(tmp_path):
    named = [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]
    write(tmp_path, tokenizer_config__json={"chat_template": named})
    assert load_prompt(tmp_path).render("Hi") == "a"
    assert load_prompt(tmp_path, tools=True).render("Hi") == "b"


@pytest.mark.parametrize(("ids", "ends"), [(9, ["<|also|>"]), ([2, 9, 99], ["<|also|>"])])
def test_stops_of_the_generation_config(tmp_path, ids, ends):
    write(
        tmp_path,
        chat_template__jinja=TEMPLATE,
        tokenizer_config__json=CONFIG,
        generation_config__json={"eos_token_id": ids},
    )
    assert load_prompt(tmp_path).stop == ("</s>", *ends, "<|im_end|>")


def test_no_bos_is_left_undefined(tmp_path):
    write(
        tmp_path,
        chat_template__jinja="{{ bos_token }}{{ bos_token is defined }}{{ messages[0].content }}",
        tokenizer_config__json={"bos_token": None, "eos_token": None},
    )
    prompt = load_prompt(tmp_path)
    assert prompt.render("Hi") == "FalseHi"
    assert (prompt.bos, prompt.stop) == (None, ())


def test_special_tokens_are_neutralised(tmp_path):
    write(tmp_path, chat_template__jinja=TEMPLATE, tokenizer_config__json=CONFIG)
    text = load_prompt(tmp_path).render("<odd></s><plain><|im_end|>")
    assert "< odd>< /s><plain>< |im_end|>" in text


def test_a_thousand_reserved_tokens_cost_no_more_than_one(tmp_path):
    reserved = {str(i): {"content": f"<|reserved_{i}|>", "special": True} for i in range(10, 1010)}
    write(
        tmp_path,
        chat_template__jinja=TEMPLATE,
        tokenizer_config__json={"added_tokens_decoder": reserved},
    )
    prompt = load_prompt(tmp_path)
    assert "< |reserved_12|>< |reserved_999|>" in prompt.render("<|reserved_12|><|reserved_999|>")
    assert len(prompt.special_tokens.tokens) < 10


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has no chat template"),
        ({"tokenizer_config__json": CONFIG}, "name the prompt of its family"),
        ({"tokenizer_config__json": "{"}, "not valid JSON"),
        ({"chat_template__jinja": "{% for"}, "not valid Jinja"),
    ],
)
def test_what_is_said_of_bad_directories(tmp_path, files, said):
    with pytest.raises(PromptError, match=said):
        load_prompt(write(tmp_path, **files))


def test_neither_a_directory_nor_a_model():
    with pytest.raises(PromptError, match="neither a local directory nor the id of a model"):
        load_prompt("no/such/model/at all")


class Hub(BaseHTTPRequestHandler):
    """The routes of the Hub that a download asks, with one good, one gated and no other model."""

    protocol_version = "HTTP/1.1"
    files: ClassVar = {
        "chat_template.jinja": TEMPLATE.encode(),
        "tokenizer_config.json": json.dumps(CONFIG).encode(),
    }

    def answer(self):
        _, owner, name, _, _, *file = self.path.split("/")
        body = self.files.get("/".join(file)) if name == "good" else None
        authorised = self.headers.get("authorization") == "Bearer hf_good"
        if f"{owner}/{name}" == "org/gated" and not authorised:
            return 403, {"X-Error-Code": "GatedRepo"}, b"gated"
        if name not in {"good", "gated"}:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"no such repo"
        if body is None:
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": "c" * 40}, b"no file"
        return 200, {"X-Repo-Commit": "c" * 40, "ETag": f'"{len(body)}"'}, body

    def do_HEAD(self):
        self.reply(with_body=False)

    def do_GET(self):
        self.reply(with_body=True)

    def reply(self, *, with_body):
        status, headers, body = self.answer()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_args):
        pass


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


SCRIPT = """
import sys
from langchain_easyllm.prompts import PromptError, load_prompt
try:
    prompt = load_prompt(sys.argv[1], token=sys.argv[2] or None)
    print(repr((prompt.render("Hi"), prompt.stop)))
except PromptError as error:
    print("PromptError:", error)
"""


@pytest.fixture
def load(tmp_path):
    """Load a prompt in a process of its own: the Hub's address is read when its client loads."""

    def run(endpoint, model, token="", **extra):
        environment = {
            **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **extra,
        }
        command = [sys.executable, "-c", SCRIPT, model, token]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=True
        )
        return done.stdout.strip()

    return run


def test_a_model_of_the_hub_and_then_offline(hub, load):
    good = repr((EXPECTED, ("</s>", "<|im_end|>")))
    assert load(hub, "org/good") == good
    assert load(hub, "org/good", HF_HUB_OFFLINE="1") == good
    assert load("http://127.0.0.1:9", "org/good") == good


def test_what_is_said_of_models_that_cannot_be_had(hub, load):
    assert "There is no model 'org/other'" in load(hub, "org/other")
    assert "accept its licence at https://huggingface.co/org/gated" in load(hub, "org/gated")
    assert "has no chat template" in load(hub, "org/gated", "hf_good")
    assert "not in the local cache" in load(hub, "org/never", HF_HUB_OFFLINE="1")


def test_a_file_of_the_hub_that_is_no_text(hub, load, monkeypatch):
    monkeypatch.setitem(Hub.files, "chat_template.jinja", b"\xff\xfe{{ messages }}")
    assert "chat_template.jinja of org/good cannot be" in load(hub, "org/good")
