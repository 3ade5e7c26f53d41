"""`reasoning_effort` and `thinking` of an object, a call and `bind`, up to what is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.fake_server import FakeServer, Pause, Reply
from ...support.fake_text_servers import serve
from ...support.invocation_modes import answer, body_of

OFF = {"enable_thinking": False, "thinking": False}
TEMPLATE = "chat_template_kwargs"
EFFORT = {"reasoning_effort": "low"}


def posts(server: FakeServer) -> list[Any]:
    return [request for request in server.requests if request.method == "POST"]


def paths(server: FakeServer) -> list[str]:
    return [request.path for request in server.requests]


def publish(server: FakeServer, template: object) -> None:
    """Answer as llama.cpp does, which tells its template."""
    serve(server, "llamacpp")
    server.on("GET", "/props", Reply({"chat_template": template, "bos_token": "<s>"}))


SENT: list[tuple[str, dict[str, object], dict[str, object]]] = [
    ("openai", EFFORT, EFFORT),
    ("openai", {"reasoning_effort": "none"}, {"reasoning_effort": "none"}),
    ("vllm", {"reasoning_effort": "none"}, {"reasoning_effort": "none", TEMPLATE: OFF}),
    ("sglang", EFFORT, EFFORT),
    ("llamacpp", EFFORT, {TEMPLATE: EFFORT}),
    ("transformers", EFFORT, {TEMPLATE: EFFORT}),
    ("ollama", {"reasoning_effort": "high", "thinking": True}, {"reasoning_effort": "high"}),
]


@pytest.mark.parametrize(("server_name", "given", "body"), SENT, ids=str)
def test_it_is_sent_as_the_server_has_it(
    fake_server: FakeServer,
    server_name: str,
    given: dict[str, Any],
    body: dict[str, object],
) -> None:
    serve(fake_server, server_name)
    plain = EasyLLMChat(base_url=fake_server.url, model="tiny", api="chat")
    made = EasyLLMChat(base_url=fake_server.url, **given)
    for model, call in ((made, {}), (plain, given), (plain.bind(**given), {})):
        answer("invoke", model, **call)
        found = body_of(fake_server)
        assert {k: found[k] for k in ("reasoning_effort", TEMPLATE) if k in found} == body
    answer("invoke", made, **dict.fromkeys(given))
    assert not {"reasoning_effort", TEMPLATE} & body_of(fake_server).keys()


def test_every_way_of_a_call(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    answer(mode, EasyLLMChat(base_url=fake_server.url, reasoning_effort="high"))
    assert body_of(fake_server)["reasoning_effort"] == "high"
    answer(mode, EasyLLM(base_url=fake_server.url, reasoning_effort="high", api="chat"), "Hi")
    assert body_of(fake_server)["reasoning_effort"] == "high"


def test_beside_tools_and_a_schema(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm", ['{"a": 1}'])
    schema = {"title": "A", "type": "object", "properties": {"a": {"type": "integer"}}}
    model = EasyLLMChat(base_url=fake_server.url, reasoning_effort="low")
    assert model.with_structured_output(schema, method="json_schema").invoke("Hi") == {"a": 1}
    assert body_of(fake_server)["reasoning_effort"] == "low"
    model.bind_tools([{"name": "look", "parameters": {"type": "object"}}]).invoke("Hi")
    assert {"tools", "reasoning_effort"} <= body_of(fake_server).keys()


def test_caches_and_traces_are_told() -> None:
    model = EasyLLMChat(model="org/name", reasoning_effort="low", api_key="hf_x")
    assert model._identifying_params["reasoning_effort"] == "low"
    assert "reasoning_effort" not in EasyLLMChat(model="org/name")._identifying_params


@pytest.mark.parametrize("server_name", ["tgi", "llama-cpp-python"])
def test_a_server_without_it(fake_server: FakeServer, server_name: str, mode: str) -> None:
    serve(fake_server, server_name)
    model = EasyLLMChat(base_url=fake_server.url, reasoning_effort="low")
    with pytest.raises(ConfigurationError, match="reasoning_effort cannot be expressed on"):
        answer(mode, model)
    assert not posts(fake_server)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("hihg", "did you mean 'high'"),
        ("High", "did you mean 'high'"),
        ("x-high", "'xhigh'"),
        ("max", r"'xhigh', not 'max': model_kwargs sends any other as it is\.$"),
        ("", "not ''"),
        (3, "not 3"),
        (True, "not True"),
    ],
)
def test_an_unknown_effort(fake_server: FakeServer, value: Any, hint: str) -> None:
    model = EasyLLMChat(base_url=fake_server.url)
    with pytest.raises(ConfigurationError, match=f"^reasoning_effort is 'none', .*{hint}"):
        EasyLLMChat(base_url=fake_server.url, reasoning_effort=value)
    for called in (model, model.bind(reasoning_effort=value)):
        with pytest.raises(ConfigurationError, match=hint) as caught:
            called.invoke("Hi", **({} if called is not model else {"reasoning_effort": value}))
        assert "\n" not in str(caught.value)
    assert not fake_server.requests


def test_keys_of_a_servers_own(fake_server: FakeServer) -> None:
    serve(fake_server, "openai")
    keys = {"reasoning_effort": "max", "thinking": {"type": "disabled"}}
    model = EasyLLMChat(base_url=fake_server.url, model_kwargs=keys)
    model.invoke("Hi")
    assert body_of(fake_server).items() >= keys.items()
    EasyLLMChat(base_url=fake_server.url).invoke("Hi", model_kwargs=keys)
    assert body_of(fake_server).items() >= keys.items()


@pytest.mark.parametrize(
    "given",
    [
        {"thinking": False, "reasoning_effort": "low"},
        {"thinking": True, "reasoning_effort": "none"},
    ],
)
def test_contradictions(fake_server: FakeServer, given: dict[str, Any], mode: str) -> None:
    serve(fake_server, "vllm")
    with pytest.raises(ConfigurationError, match="contradict each other"):
        EasyLLMChat(base_url=fake_server.url, **given)
    model = EasyLLMChat(base_url=fake_server.url, thinking=given["thinking"])
    effort = given["reasoning_effort"]
    with pytest.raises(ConfigurationError, match="contradict each other"):
        answer(mode, model.bind(reasoning_effort=effort))
    assert not posts(fake_server)
    answer(mode, model.bind(reasoning_effort=effort, thinking=None))
    assert body_of(fake_server)["reasoning_effort"] == effort


GPT_OSS = (
    "<|start|>system<|message|>Reasoning: {{ reasoning_effort | default('medium') }}<|end|>"
    "{% for m in messages %}{{ m.content }}{% endfor %}<|start|>assistant<|channel|>"
)
QWEN3 = "{{ messages[0].content }}{% if enable_thinking is false %}<think></think>{% endif %}"
PLAIN = "{{ messages[0].content }}"
OPENS = "{{ messages[0].content }}<think>\n"

PUBLISHED: list[tuple[str, dict[str, object], dict[str, object] | str | None]] = [
    (GPT_OSS, EFFORT, EFFORT),
    (GPT_OSS, {"thinking": True}, None),
    (GPT_OSS, {"thinking": False}, "can only choose the effort: use reasoning_effort='low'"),
    (GPT_OSS, {"reasoning_effort": "xhigh"}, "'low', 'medium' or 'high'; did you mean 'high'"),
    (QWEN3, {"thinking": False}, OFF),
    (QWEN3, {"reasoning_effort": "none"}, OFF),
    (QWEN3, EFFORT, "can only switch thinking on and off"),
    (PLAIN, {"thinking": False}, "the server's chat template, which has no switch"),
    (PLAIN, EFFORT, "the server's chat template, which does not read it"),
    (OPENS, {"thinking": False}, OFF),
    (OPENS, EFFORT, "can only switch thinking"),
]


@pytest.mark.parametrize(("template", "given", "kwargs"), PUBLISHED, ids=lambda v: str(v)[:40])
def test_what_the_published_template_reads(
    fake_server: FakeServer,
    template: str,
    given: dict[str, Any],
    kwargs: dict[str, object] | str | None,
) -> None:
    publish(fake_server, template)
    model = EasyLLMChat(base_url=fake_server.url)
    for mode in ("invoke", "astream"):
        if isinstance(kwargs, str):
            with pytest.raises(ConfigurationError, match=kwargs):
                answer(mode, model.bind(**given))
            assert not posts(fake_server)
        else:
            answer(mode, model.bind(**given))
            assert body_of(fake_server).get(TEMPLATE) == kwargs
    assert paths(fake_server).count("/props") == 1
    model.invoke("Hi")
    assert TEMPLATE not in body_of(fake_server)


@pytest.mark.parametrize(
    "unanswered", [Reply({}, before=[Pause(30)]), Reply({"error": "no"}, status=500)]
)
def test_a_server_that_does_not_tell_its_template_is_believed(
    fake_server: FakeServer, unanswered: Reply, mode: str
) -> None:
    publish(fake_server, PLAIN)
    fake_server.on("GET", "/props", unanswered, Reply({"chat_template": PLAIN}))
    model = EasyLLMChat(base_url=fake_server.url, timeout=1, **EFFORT)
    answer(mode, model)
    assert body_of(fake_server)[TEMPLATE] == EFFORT
    with pytest.raises(ConfigurationError, match="would do nothing"):
        answer(mode, model)  # by now it has told


def test_a_template_is_read_only_where_it_matters(fake_server: FakeServer, mode: str) -> None:
    publish(fake_server, PLAIN)
    answer(mode, EasyLLMChat(base_url=fake_server.url))
    assert "/props" not in paths(fake_server)


@pytest.mark.parametrize("template", [None, 5, "{% if %}", "{{ raise_exception('no') }}"])
def test_a_template_that_cannot_be_read(fake_server: FakeServer, template: object) -> None:
    publish(fake_server, template)
    model = EasyLLMChat(base_url=fake_server.url, thinking=False)
    for _ in range(2):
        model.invoke("Hi")
        assert body_of(fake_server)[TEMPLATE] == OFF
    assert paths(fake_server).count("/props") == 1


@pytest.mark.parametrize(
    ("server_name", "name", "given", "words"),
    [
        ("vllm", "openai/gpt-oss-20b", {"thinking": False}, "use reasoning_effort='low'"),
        ("ollama", "gpt-oss:20b", {"thinking": False}, "use reasoning_effort='low'"),
        ("ollama", "gpt-oss:20b", {"reasoning_effort": "minimal"}, "'low', 'medium' or 'high'"),
        ("vllm", "Qwen/Qwen3-4B-Thinking-2507", {"thinking": False}, "has no switch"),
        ("sglang", "Qwen/Qwen3-Coder-30B-A3B-Instruct", {"thinking": True}, "has no switch"),
        ("vllm", "deepseek-ai/DeepSeek-R1", {"reasoning_effort": "low"}, "does not read it"),
    ],
)
def test_models_that_are_known_by_name(
    fake_server: FakeServer, server_name: str, name: str, given: dict[str, Any], words: str
) -> None:
    serve(fake_server, server_name, model=name)
    with pytest.raises(ConfigurationError, match=words) as caught:
        EasyLLMChat(base_url=fake_server.url, **given).invoke("Hi")
    assert name in str(caught.value)
    assert not posts(fake_server)


def test_a_model_that_thinks_anyway_is_sent_nothing(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm", ["Hm.</think>", "Yes."], model="openai/some-QwQ-32B")
    message = answer(mode, EasyLLMChat(base_url=fake_server.url, thinking=True))
    assert TEMPLATE not in body_of(fake_server)
    assert message.text == "Yes."


def test_no_reasoning_is_expected_where_there_is_to_be_none(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm", ["Yes", ", it", " is."], model="Qwen/Qwen3-8B")
    model = EasyLLMChat(base_url=fake_server.url, reasoning_effort="none")
    assert [c.text for c in model.stream("Hi") if c.text] == ["Yes", ", it", " is."]


# -- prompts that are rendered here


@pytest.mark.parametrize("server_name", ["tgi", "vllm", "llamacpp"])
def test_the_prompt_says_it(fake_server: FakeServer, server_name: str, mode: str) -> None:
    serve(fake_server, server_name)
    api = "generate" if server_name == "tgi" else "completions"
    url = fake_server.url
    model = EasyLLMChat(base_url=url, api=api, prompt_builder="gpt-oss", reasoning_effort="high")
    answer(mode, model)
    body = body_of(fake_server)
    prompt = body.pop("prompt" if "prompt" in body else "inputs")
    assert "\n\nReasoning: high\n\n" in prompt
    assert "reasoning" not in json.dumps(body)


@pytest.mark.parametrize(
    ("builder", "given", "end"),
    [
        ("qwen3", {"reasoning_effort": "none"}, "<think>\n\n</think>\n\n"),
        ("qwen3", {"reasoning_effort": "none", "thinking": False}, "<think>\n\n</think>\n\n"),
        ("gpt-oss", {"thinking": True}, "<|start|>assistant"),
        ("qwen3-thinking-2507", {"thinking": True}, "<think>\n"),
        (lambda _: "built <think>", {"thinking": True}, "built <think>"),
        (GPT_OSS, {"reasoning_effort": "high"}, "high<|end|>Hi<|start|>assistant<|channel|>"),
        ("{{ messages[0].content }} {{ reasoning_effort }}", {"reasoning_effort": "none"}, " none"),
        (f"{QWEN3}{{{{ reasoning_effort }}}}", {"reasoning_effort": "none"}, "</think>none"),
    ],
)
def test_a_template_that_has_it(
    fake_server: FakeServer, builder: Any, given: dict[str, Any], end: str
) -> None:
    serve(fake_server, "tgi")
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder=builder, **given)
    model.invoke("Hi")
    assert body_of(fake_server)["inputs"].endswith(end)
    assert model.to_prompt("Hi") == body_of(fake_server)["inputs"]


@each_case(
    ("builder", "given", "words"),
    [
        ("llama2", EFFORT, "would do nothing in the prompt 'llama2', which does not read it"),
        ("llama2", {"thinking": False}, "would do nothing in the prompt 'llama2'"),
        ("qwen3", EFFORT, "prompt 'qwen3', which can only switch thinking on and off"),
        ("gpt-oss", {"thinking": False}, "'gpt-oss', which .* use reasoning_effort='low'"),
        ("gpt-oss", {"reasoning_effort": "none"}, "use reasoning_effort='low'"),
        ("gpt-oss", {"reasoning_effort": "xhigh"}, "'low', 'medium' or 'high'; did you mean 'high"),
        (GPT_OSS, {"reasoning_effort": "minimal"}, "'low', 'medium' or 'high'"),
        (PLAIN, EFFORT, "which does not read it"),
        (lambda _: "built", {"thinking": False}, "has no switch"),
    ],
)
def test_a_template_that_lacks_it(
    fake_server: FakeServer, builder: Any, given: dict[str, Any], words: str, mode: str
) -> None:
    serve(fake_server, "tgi")
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder=builder, **given)
    with pytest.raises(ConfigurationError, match=words):
        answer(mode, model)
    assert not posts(fake_server)
    with pytest.raises(ConfigurationError, match=words):
        model.to_prompt("Hi")


def test_the_models_own_template_says_it(fake_server: FakeServer, mode: str) -> None:
    publish(fake_server, GPT_OSS)
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="auto", reasoning_effort="low")
    answer(mode, model)
    assert "Reasoning: low" in body_of(fake_server)["prompt"]
    with pytest.raises(ConfigurationError, match="can only choose the effort"):
        answer(mode, model.bind(reasoning_effort=None, thinking=False))
